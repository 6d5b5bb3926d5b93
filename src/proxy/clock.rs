//! A coarse clock that costs one load.
//!
//! Deadlines of connections are kept in milliseconds since the process began, and are looked at
//! every [`STEP`]. So they need no better time than one that is renewed just as often.

use std::num::NonZeroU64;
use std::ops::Add;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the clock is renewed and deadlines are looked at.
pub(crate) const STEP: Duration = Duration::from_millis(250);

static NOW: AtomicU64 = AtomicU64::new(0);
static START: OnceLock<Instant> = OnceLock::new();

/// Renews the coarse time; every core does so at each step.
pub(crate) fn renew() -> u64 {
    let exact = start().elapsed().as_millis() as u64;
    // Two cores may come here in either order; the clock only goes forward.
    NOW.fetch_max(exact, Ordering::Relaxed).max(exact)
}

/// Milliseconds since the process began, at most one step old.
pub(crate) fn coarse() -> u64 {
    NOW.load(Ordering::Relaxed)
}

/// The coarse time when `after` has surely passed: one step later, because the clock may be old.
pub(crate) fn deadline(after: Duration) -> u64 {
    coarse() + (after + STEP).as_millis() as u64
}

fn start() -> Instant {
    *START.get_or_init(Instant::now)
}

/// A point in time to the millisecond: half as large as an `Instant`, and no larger when it may be
/// missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(NonZeroU64);

impl Moment {
    /// The exact time, rounded down.
    pub(crate) fn now() -> Self {
        Self::of(start().elapsed())
    }

    /// So long after the process began.
    fn of(since_start: Duration) -> Self {
        let millis = u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX);
        Self(NonZeroU64::MIN.saturating_add(millis))
    }

    /// The same as the system's clock has it.
    pub(crate) fn instant(self) -> Instant {
        start() + Duration::from_millis(self.0.get() - 1)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// Rounded up: what has waited until then has waited long enough.
    fn add(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_no_sooner_than_it_was_asked_for_and_costs_eight_bytes() {
        let before = Moment::now();
        let after = before + Duration::from_micros(1500);
        assert_eq!(after.instant() - before.instant(), Duration::from_millis(2));
        assert!(before.instant() <= Instant::now() && before < after);
        assert_eq!(size_of::<Option<Moment>>(), 8);
    }
}
