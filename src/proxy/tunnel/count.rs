//! How many tunnels there are where their number is limited.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use tidegate_model::TunnelLimits;

use crate::failure::Failure;
use crate::member::Member;
use crate::metrics::RuleSeries;

/// Tunnels and handshakes of one rule, in the whole process. Counted only where a limit asks for it.
#[derive(Debug, Default)]
pub(crate) struct RuleCount {
    all: AtomicU32,
    by_client: Mutex<HashMap<IpAddr, u32>>,
}

/// The place of one tunnel, or of a handshake that may become one, among those counted.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// With the client's address if it counts.
    rule: Option<(Arc<RuleSeries>, Option<IpAddr>)>,
    counts_rule: bool,
    member: Option<Arc<Member>>,
}

impl Counted {
    /// Takes a place at a rule.
    pub(crate) fn at(
        series: &Arc<RuleSeries>,
        limits: &TunnelLimits,
        client: IpAddr,
    ) -> Result<Self, Failure> {
        let mut counted = Self::default();
        if limits.per_rule.is_none() && limits.per_client.is_none() {
            return Ok(counted);
        }
        let count = &series.tunnels;
        if let Some(limit) = limits.per_client {
            let mut clients = count.by_client.lock();
            let own = clients.entry(client).or_default();
            if *own >= limit.get() {
                return Err(Failure::TooManyOfClient);
            }
            *own += 1;
        }
        counted.rule = Some((series.clone(), limits.per_client.map(|_| client)));
        if let Some(limit) = limits.per_rule {
            if !take(&count.all, limit) {
                // What was counted until here is given back by dropping it.
                return Err(Failure::TooManyTunnels);
            }
            counted.counts_rule = true;
        }
        Ok(counted)
    }

    /// Takes a place at a member, in place of the one before; `false` if there is none.
    pub(crate) fn choose(&mut self, member: &Arc<Member>, limit: Option<NonZeroU32>) -> bool {
        self.leave_member();
        let taken = take(&member.tunnels, limit.unwrap_or(NonZeroU32::MAX));
        if taken {
            self.member = Some(member.clone());
        }
        taken
    }

    fn leave_member(&mut self) {
        if let Some(member) = self.member.take() {
            member.tunnels.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn take(count: &AtomicU32, limit: NonZeroU32) -> bool {
    let more = |count: u32| (count < limit.get()).then_some(count + 1);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.leave_member();
        let Some((series, client)) = &self.rule else { return };
        if self.counts_rule {
            series.tunnels.all.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(client) = client {
            let mut clients = series.tunnels.by_client.lock();
            if let Entry::Occupied(mut own) = clients.entry(*client) {
                *own.get_mut() -= 1;
                if *own.get() == 0 {
                    own.remove();
                }
            }
        }
    }
}
