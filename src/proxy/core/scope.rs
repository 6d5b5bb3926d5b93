//! Something that connections belong to and that a swap can take away: a frontend, a listener, a
//! member.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// An identity that survives swaps, and whether it has left the table.
///
/// Leaving starts a new epoch. What drains because of an epoch stops draining if the scope comes
/// back before its time is up: the epoch is over then.
#[derive(Debug)]
pub(crate) struct Scope {
    id: u64,
    /// 0 while in the table, else the epoch in which it left.
    left: AtomicU64,
    /// 0, or the epoch in which it began to terminate: it is about to leave.
    leaving: AtomicU64,
    /// Milliseconds that what belongs to it may live on when it leaves.
    drain: AtomicU64,
}

impl Scope {
    pub(crate) fn new() -> Self {
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            left: AtomicU64::new(0),
            leaving: AtomicU64::new(0),
            drain: AtomicU64::new(0),
        }
    }

    /// The identity, unique in the process.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// How long what belongs to it may live on when it leaves.
    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain.load(Ordering::Relaxed))
    }

    /// Sets that.
    pub(crate) fn set_drain(&self, drain: Duration) {
        let millis = u64::try_from(drain.as_millis()).unwrap_or(u64::MAX);
        self.drain.store(millis, Ordering::Relaxed);
    }

    /// Begins to terminate; the epoch of it, unless it had begun already.
    pub(crate) fn begin_leaving(&self) -> Option<u64> {
        let epoch = NEXT.fetch_add(1, Ordering::Relaxed);
        let begun =
            self.leaving.compare_exchange(0, epoch, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        begun.then_some(epoch)
    }

    /// Does not terminate, or not any more.
    pub(crate) fn stop_leaving(&self) {
        self.leaving.store(0, Ordering::Release);
    }

    /// Whether it is terminating, or has left.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire) != 0 || self.has_left()
    }

    /// Leaves the table; the new epoch.
    pub(crate) fn leave(&self) -> u64 {
        let epoch = NEXT.fetch_add(1, Ordering::Relaxed);
        self.left.store(epoch, Ordering::Release);
        epoch
    }

    /// Is in the table, perhaps again.
    pub(crate) fn stay(&self) {
        self.left.store(0, Ordering::Release);
    }

    /// Whether it left the table.
    pub(crate) fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire) != 0
    }

    /// Whether it left, or began to, in this epoch and has not come back.
    pub(crate) fn left_in(&self, epoch: u64) -> bool {
        self.left.load(Ordering::Acquire) == epoch || self.leaving.load(Ordering::Acquire) == epoch
    }
}
