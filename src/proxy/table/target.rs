//! A pool with the settings it is used with, and the choice of a member.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;
use tidegate_model::{MemberState, ObjectName};

use crate::core::CoreId;
use crate::health::Health;
use crate::member::Member;
use crate::padded::Padded;

/// Members to balance over.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) gateway: Arc<ObjectName>,
    pub(crate) model: Arc<tidegate_model::Target>,
    /// The `Host` of every request, if the settings fix it.
    pub(crate) host: Option<HeaderValue>,
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
    /// The next member in the core's round that is up and not among `tried`; one that is
    /// terminating only if no other is left.
    pub(crate) fn pick(&self, core: CoreId, tried: &[Arc<Member>]) -> Option<&Candidate> {
        let start = self.rounds.get(core.index())?.fetch_add(1, Ordering::Relaxed);
        let find = |state| {
            let all = self.candidates.len();
            let first = start % all.max(1);
            let (before, after) = self.candidates.split_at(first.min(all));
            after.iter().chain(before).find(|candidate| {
                candidate.state == state
                    && candidate.health.is_up()
                    && !tried.iter().any(|member| Arc::ptr_eq(member, &candidate.member))
            })
        };
        find(MemberState::Ready).or_else(|| find(MemberState::Terminating))
    }

    /// Whether a member that may take requests has not been probed yet.
    pub(crate) fn awaits_probe(&self) -> bool {
        self.candidates.iter().any(|candidate| {
            candidate.state != MemberState::NotReady && candidate.health.is_unknown()
        })
    }
}
