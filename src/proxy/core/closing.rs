//! Tunnels that have to be closed, each at its own time.
//!
//! Clients that are told to go all come back. So the tunnels of what leaves are closed one after the
//! other: spread over most of the time that there is, or as many per second as the settings say.
//! What is left when the time is over ends as everything else of it does.
//!
//! A few need less than the whole time. Where every moment may be the last, they have the beginning of
//! it; of what was removed they have the end, because it may come back.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use aws_lc_rs::rand;

use crate::clock;
use crate::conn::ticket::{Order, Ticket};
use crate::core::{Core, Pace, Scope, TunnelOwner};

/// The share of the time to drain that ends are spread over, in percent: what is told last needs
/// time to answer, too.
const SPREAD_PERCENT: u32 = 80;
/// A core closes its tunnels no slower than this, unless it was told to.
const LONGEST_GAP: Duration = Duration::from_millis(100);

/// Tunnels of one core that are to be closed.
#[derive(Debug)]
pub(super) struct Closing {
    core: Arc<Core>,
    batches: Vec<Batch>,
    /// When the next tunnel of a group may be closed, in milliseconds: members of one pool that
    /// leave together share what may be closed per second.
    paces: HashMap<u64, f64>,
}

/// How often tunnels are closed whose time has come: often enough that no second sees more of them
/// than are to be closed in one.
pub(super) const STEP: Duration = Duration::from_millis(25);
/// How much slower than allowed they are planned, because steps are not exact.
const SLACK: f64 = 1.05;

/// Which part of the time a few tunnels are closed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Early,
    Late,
}

/// A tunnel, and how fast its like may be closed.
type Found = (Weak<Ticket>, Option<Pace>);

/// Tunnels that are closed for one reason, in order.
#[derive(Debug)]
struct Batch {
    /// What leaves, and the epoch of it: if that is over, the rest is not closed.
    scope: Option<(Arc<Scope>, u64)>,
    tunnels: VecDeque<(u64, Weak<Ticket>)>,
}

impl Closing {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, batches: Vec::new(), paces: HashMap::new() }
    }

    /// Closes the tunnels that belong to something that leaves.
    pub(super) async fn of_scope(&mut self, scope: &Arc<Scope>, epoch: u64, when: When) {
        let id = scope.id();
        let tunnels = self.tunnels(false, |owner| owner.listener == id || owner.member == id).await;
        self.plan(tunnels, scope.drain(), when, Some((scope.clone(), epoch)));
    }

    /// Closes some of the tunnels to a member.
    pub(super) async fn some_of(&mut self, member: u64, most: usize, within: Duration) {
        let mut tunnels = self.tunnels(false, |owner| owner.member == member).await;
        tunnels.truncate(most);
        self.plan(tunnels, within, When::Early, None);
    }

    /// Closes all tunnels.
    pub(super) async fn all(&mut self, within: Duration) {
        // What is planned already might be called off; this is not.
        let tunnels = self.tunnels(true, |_| true).await;
        self.plan(tunnels, within, When::Early, None);
    }

    /// Whether nothing is to be closed.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Gives the orders that are due.
    pub(super) fn sweep(&mut self) {
        let now = clock::renew();
        for batch in &mut self.batches {
            if batch.scope.as_ref().is_some_and(|(scope, epoch)| !scope.left_in(*epoch)) {
                // They may be closed for another reason later.
                let tunnels = batch.tunnels.drain(..);
                tunnels.filter_map(|(_, ticket)| ticket.upgrade()).for_each(|ticket| {
                    ticket.disarm();
                });
            }
            while let Some((_, ticket)) = batch.tunnels.pop_front_if(|(due, _)| *due <= now) {
                if let Some(ticket) = ticket.upgrade() {
                    ticket.give(Order::Graceful);
                }
            }
        }
        self.batches.retain(|batch| !batch.tunnels.is_empty());
        self.paces.retain(|_, next| *next > now as f64);
    }

    /// Tunnels, those that are to be closed already only if `planned` ones are asked for.
    async fn tunnels(&self, planned: bool, which: impl Fn(&TunnelOwner) -> bool) -> Vec<Found> {
        let mut found = Vec::new();
        let all = &self.core.tunnels;
        all.walk(|ticket, owner| {
            if which(owner) && (planned || !ticket.is_armed()) {
                found.push((Arc::downgrade(ticket), owner.pace));
            }
        })
        .await;
        found
    }

    fn plan(
        &mut self,
        tunnels: Vec<Found>,
        within: Duration,
        when: When,
        scope: Option<(Arc<Scope>, u64)>,
    ) {
        let now = clock::renew() as f64;
        let cores = self.core.shared.cores().len() as f64;
        let mut chances = vec![0; tunnels.len()];
        // They only keep clients from moving in step.
        let _ = rand::fill(&mut chances);
        let free = tunnels.iter().filter(|(_, pace)| pace.is_none()).count();
        let spread = within * SPREAD_PERCENT / 100;
        let gap = spread.div_f64(free.max(1) as f64).min(LONGEST_GAP).as_secs_f64() * 1000.0;
        let mut next = now;
        let mut planned = Vec::with_capacity(tunnels.len());
        for ((ticket, pace), chance) in tunnels.into_iter().zip(chances) {
            let (next, gap) = match pace {
                None => (&mut next, gap),
                Some(pace) => {
                    let next = self.paces.entry(pace.group).or_insert(now);
                    (next, SLACK * cores * 1000.0 / f64::from(pace.per_second.get()))
                }
            };
            *next = next.max(now);
            // Those with a pace are far enough from each other, and by chance would come too close.
            let chance = if pace.is_some() { 0.0 } else { f64::from(chance) / 256.0 };
            planned.push(((*next + gap * chance) as u64, ticket));
            *next += gap;
        }
        planned.sort_by_key(|(due, _)| *due);
        let end = now as u64 + spread.as_millis() as u64;
        let last = planned.last().map_or(end, |(due, _)| *due);
        let later = if when == When::Late { end.saturating_sub(last) } else { 0 };
        for (due, ticket) in &mut planned {
            *due += later;
            if let Some(ticket) = ticket.upgrade() {
                // Nobody sweeps a tunnel's deadline: it marks that the tunnel has its time.
                ticket.arm(within);
            }
        }
        self.batches.push(Batch { scope, tunnels: planned.into() });
    }
}
