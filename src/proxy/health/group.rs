//! Members of one pool under one settings, where the health of one depends on that of others: at
//! least so many count as healthy, and only so many may be out because requests failed.

use std::cmp::Reverse;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tidegate_model::OutlierEjection;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::clock;
use crate::health::Health;

/// See the module.
#[derive(Debug)]
pub(crate) struct Group {
    min_servers: usize,
    members: Box<[Weak<Health>]>,
    /// Held while it is decided who is in and who is out.
    deciding: Mutex<()>,
    changes: Arc<watch::Sender<u64>>,
}

impl Group {
    /// Makes a group of these from now on, or of nobody if nothing asks for one.
    pub(crate) fn arrange<'a>(
        members: impl Iterator<Item = &'a Arc<Health>> + Clone,
        min_servers: u32,
        outlier_ejection: Option<OutlierEjection>,
        changes: &Arc<watch::Sender<u64>>,
    ) {
        if min_servers == 0 && outlier_ejection.is_none() {
            members.for_each(|member| member.join(None));
            return;
        }
        let group = Arc::new(Self {
            min_servers: usize::try_from(min_servers).unwrap_or(usize::MAX),
            members: members.clone().map(Arc::downgrade).collect(),
            deciding: Mutex::new(()),
            changes: changes.clone(),
        });
        members.for_each(|member| member.join(Some(group.clone())));
        group.settle();
    }

    fn living(&self) -> Vec<Arc<Health>> {
        self.members.iter().filter_map(Weak::upgrade).collect()
    }

    /// Decides who counts as healthy in spite of its probe: as many as are missing, those first that
    /// are out for the shortest time.
    pub(super) fn settle(&self) {
        if self.min_servers == 0 {
            return;
        }
        let _deciding = self.deciding.lock();
        let all = self.living();
        let well = all.iter().filter(|member| member.is_well()).count();
        let missing = self.min_servers.saturating_sub(well);
        let (mut out, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|member| member.is_down() || member.is_ejected());
        // Who is ejected is up for its probe.
        out.sort_by_key(|member| (member.is_down(), Reverse(member.since())));
        out.iter().enumerate().for_each(|(place, member)| member.keep(place < missing));
        others.iter().for_each(|member| member.keep(false));
    }

    /// Takes a member out because requests to it fail, unless too many others are out.
    pub(super) fn eject(&self, member: &Health, rules: &OutlierEjection) {
        let _deciding = self.deciding.lock();
        let all = self.living();
        let out = all.iter().filter(|member| member.is_ejected()).count();
        let well = all.iter().filter(|member| member.is_well()).count();
        let may = all.len() * usize::from(rules.max_percent) / 100;
        if !member.is_well() || out >= may || well <= self.min_servers {
            return;
        }
        member.eject(rules.time);
        let (label, address) = (&member.label, member.spec().address);
        warn!(target = %label, member = %address, "member is ejected: requests failed");
        self.changes.send_modify(|count| *count += 1);
    }
}

/// Lets members back in whose time out is over; whether there were any.
pub(crate) fn restore<'a>(members: impl Iterator<Item = &'a Arc<Health>>) -> bool {
    let now = clock::renew();
    let mut any = false;
    for member in members.filter(|member| member.restore(now)) {
        info!(target = %member.label, member = %member.spec().address, "member is no longer ejected");
        if let Some(group) = member.group() {
            group.settle();
        }
        any = true;
    }
    any
}
