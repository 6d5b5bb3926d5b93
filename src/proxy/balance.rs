//! Moves tunnels to members that have joined: clients that are told 1012 come back, and are given to
//! the members with the fewest.
//!
//! Members that join find the old ones with all the tunnels, and would never get their share: tunnels
//! are long. So for a target that asks for it, what a member may lose is set once, when others join:
//! a share of its tunnels, and never more than what it has above the average or above a floor. That
//! is then closed at a steady rate. Until others join again, nothing more is moved.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tidegate_model::{MemberState, Rebalance};

use crate::core::{Message, Shared};
use crate::member::Member;
use crate::table::{Candidate, Target};

/// How often tunnels are moved, and addresses opened that could not be.
pub(crate) const STEP: Duration = Duration::from_secs(1);

/// What is known of all targets that move tunnels.
#[derive(Debug, Default)]
pub(crate) struct Balancer {
    /// By names of gateway, pool and settings.
    targets: HashMap<(String, Box<str>, Box<str>), Moving>,
}

/// What is known of one target.
#[derive(Debug, Default)]
struct Moving {
    /// Members that took part the last time.
    known: Vec<Weak<Member>>,
    /// How many tunnels members may yet lose, by identity.
    budgets: HashMap<u64, u32>,
}

impl Balancer {
    /// Moves what is to be moved within one step.
    pub(crate) fn step(&mut self, shared: &Shared) {
        let table = shared.table.load_full();
        let mut before = std::mem::take(&mut self.targets);
        for target in table.targets() {
            let Some(rebalance) = target.model.settings.web_socket.rebalance else { continue };
            let (pool, settings) = (&target.model.pool.name, &target.model.settings.name);
            let key = (target.gateway.to_string(), pool.clone(), settings.clone());
            // The first look only learns who is there.
            let known = before.remove(&key);
            let is_new = known.is_none();
            let mut moving = known.unwrap_or_default();
            let members = taking_part(target);
            if moving.meet(&members) && !is_new {
                moving.plan(&members, rebalance);
            }
            for (member, count) in moving.take(&members, rebalance) {
                tell(shared, member, count);
            }
            self.targets.insert(key, moving);
        }
    }
}

/// Members that could be given a tunnel now.
fn taking_part(target: &Target) -> Vec<&Arc<Member>> {
    let takes = |c: &&Candidate| c.state == MemberState::Ready && c.health.is_up();
    target.candidates().iter().filter(takes).map(|candidate| &candidate.member).collect()
}

impl Moving {
    /// Whether there are members that were not there the last time.
    fn meet(&mut self, members: &[&Arc<Member>]) -> bool {
        let is_known = |member: &&&Arc<Member>| {
            self.known.iter().any(|known| known.as_ptr() == Arc::as_ptr(member))
        };
        let joined = members.iter().filter(|member| !is_known(member)).count() > 0;
        self.known = members.iter().map(|member| Arc::downgrade(member)).collect();
        joined
    }

    /// Sets what each member may lose.
    fn plan(&mut self, members: &[&Arc<Member>], rebalance: Rebalance) {
        let counts: Vec<u32> = members.iter().map(|member| member.tunnels()).collect();
        let budgets = members.iter().zip(budgets(&counts, rebalance));
        self.budgets = budgets.map(|(member, budget)| (member.scope.id(), budget)).collect();
    }

    /// How many tunnels each member loses in this step.
    fn take<'a>(
        &mut self,
        members: &[&'a Arc<Member>],
        rebalance: Rebalance,
    ) -> Vec<(&'a Arc<Member>, u32)> {
        let counts: Vec<u32> = members.iter().map(|member| member.tunnels()).collect();
        let average = average(&counts);
        let mut left = rebalance.per_second.get();
        let mut taken = Vec::new();
        for (member, count) in members.iter().zip(counts) {
            let Some(budget) = self.budgets.get_mut(&member.scope.id()) else { continue };
            // It may have lost others since, by themselves.
            let above = count.saturating_sub(average.max(rebalance.floor));
            let lost = (*budget).min(above).min(left);
            if above == 0 {
                *budget = 0;
            }
            *budget -= lost;
            left -= lost;
            if lost > 0 {
                taken.push((*member, lost));
            }
        }
        self.budgets.retain(|_, budget| *budget > 0);
        taken
    }
}

/// The average, rounded up: whoever has that many has nothing to give.
fn average(counts: &[u32]) -> u32 {
    let sum: u64 = counts.iter().map(|count| u64::from(*count)).sum();
    u32::try_from(sum.div_ceil(counts.len().max(1) as u64)).unwrap_or(u32::MAX)
}

/// What members with so many tunnels may lose.
fn budgets(counts: &[u32], rebalance: Rebalance) -> Vec<u32> {
    let average = average(counts);
    let budget = |count: &u32| {
        let share = (u64::from(*count) * u64::from(rebalance.max_percent) / 100) as u32;
        share.min(count.saturating_sub(average.max(rebalance.floor)))
    };
    counts.iter().map(budget).collect()
}

/// Has each core close its part of `count` tunnels to a member.
fn tell(shared: &Shared, member: &Arc<Member>, count: u32) {
    let id = member.scope.id();
    let open: Vec<u64> = shared.cores().iter().map(|c| member.series.open_on(c.id)).collect();
    let all: u64 = open.iter().sum();
    let mut left = u64::from(count);
    for (core, open) in shared.cores().iter().zip(open) {
        let part = (u64::from(count) * open).div_ceil(all.max(1)).min(left);
        left -= part;
        if part > 0 {
            core.tell(Message::Move { member: id, tunnels: part as usize, within: STEP });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn rebalance(max_percent: u8, floor: u32) -> Rebalance {
        Rebalance { max_percent, per_second: NonZeroU32::MIN, floor }
    }

    #[test]
    fn only_members_above_the_average_lose_tunnels() {
        assert_eq!(budgets(&[30, 30, 0], rebalance(100, 0)), [10, 10, 0]);
        assert_eq!(budgets(&[30, 30, 0], rebalance(20, 0)), [6, 6, 0]);
        assert_eq!(budgets(&[30, 30, 0], rebalance(100, 25)), [5, 5, 0]);
        assert_eq!(budgets(&[30, 30, 0], rebalance(100, 40)), [0, 0, 0]);
        assert_eq!(budgets(&[], rebalance(100, 0)), [0; 0]);
    }

    proptest! {
        #[test]
        fn nobody_is_left_below_the_average_or_the_floor_or_loses_more_than_the_share(
            counts in proptest::collection::vec(0..100_000_u32, 1..20),
            max_percent in 1..=100_u8,
            floor in 0..1000_u32,
        ) {
            let average = average(&counts);
            let budgets = budgets(&counts, rebalance(max_percent, floor));
            for (count, budget) in counts.iter().zip(budgets) {
                prop_assert!(u64::from(budget) * 100 <= u64::from(*count) * u64::from(max_percent));
                prop_assert!(budget == 0 || count - budget >= average.max(floor));
            }
        }
    }
}
