//! A pool with the settings it is used with, and the choice of a member.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;
use tidegate_model::{LoadDistribution, MemberState, ObjectName};

use crate::core::CoreId;
use crate::health::Health;
use crate::member::Member;
use crate::padded::Padded;
use crate::table::affinity::{Affinity, Kept};

/// Members to balance over.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) gateway: Arc<ObjectName>,
    pub(crate) model: Arc<tidegate_model::Target>,
    /// The `Host` of every request, if the settings fix it.
    pub(crate) host: Option<HeaderValue>,
    pub(crate) affinity: Option<Affinity>,
    pub(crate) candidates: Box<[Candidate]>,
    /// Where each core's round stands.
    pub(crate) rounds: Box<[Padded<AtomicUsize>]>,
}

/// A member as one pool sees it.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) member: Arc<Member>,
    pub(crate) health: Arc<Health>,
    pub(crate) state: MemberState,
}

impl Target {
    /// The member that the client is to stay with, even if it is terminating; else the next in the
    /// core's round, or the one with the least to do; one that is terminating only if no other is
    /// left. It is up, and not among
    /// `tried`, and has room for one more tunnel where their number is limited.
    pub(crate) fn pick(
        &self,
        core: CoreId,
        tried: &[Arc<Member>],
        kept: Option<Kept>,
        most_tunnels: Option<NonZeroU32>,
    ) -> Option<&Candidate> {
        let is_left = |candidate: &&Candidate| {
            candidate.health.is_up()
                && most_tunnels.is_none_or(|most| candidate.member.has_room(most))
                && !tried.iter().any(|member| Arc::ptr_eq(member, &candidate.member))
        };
        let least = self.model.settings.distribution == LoadDistribution::LeastConnections;
        let own = self.kept(kept).filter(|own| own.state.takes_requests());
        if let Some(own) = own.filter(is_left) {
            return Some(own);
        }
        let start = self.rounds.get(core.index())?.fetch_add(1, Ordering::Relaxed);
        let find = |state| {
            let all = self.candidates.len();
            let first = start % all.max(1);
            let (before, after) = self.candidates.split_at(first.min(all));
            let mut able = after.iter().chain(before).filter(|c| c.state == state && is_left(c));
            // Of equal ones the first: the round goes on among them.
            if least { able.min_by_key(|c| c.member.load()) } else { able.next() }
        };
        find(MemberState::Ready).or_else(|| find(MemberState::Terminating))
    }

    /// Whether this is the member that the client is to stay with.
    pub(crate) fn is_at(&self, kept: Kept, member: &Arc<Member>) -> bool {
        self.kept(Some(kept)).is_some_and(|candidate| Arc::ptr_eq(&candidate.member, member))
    }

    fn kept(&self, kept: Option<Kept>) -> Option<&Candidate> {
        self.candidates.get(kept?.candidate)
    }

    /// Whether any member is up.
    pub(crate) fn is_up(&self) -> bool {
        self.candidates.iter().any(|candidate| candidate.health.is_up())
    }

    /// Whether a member that may take requests has not been probed yet.
    pub(crate) fn awaits_probe(&self) -> bool {
        self.candidates.iter().any(Candidate::awaits_probe)
    }

    /// Whether that is so of the member that the client is to stay with.
    pub(crate) fn awaits_probe_of(&self, kept: Option<Kept>) -> bool {
        self.kept(kept).is_some_and(Candidate::awaits_probe)
    }
}

impl Candidate {
    fn awaits_probe(&self) -> bool {
        self.state.takes_requests() && self.health.is_unknown()
    }
}
