//! A coarse clock that costs one load.
//!
//! Deadlines of connections are kept in milliseconds since the process began, and are looked at
//! every [`STEP`]. So they need no better time than one that is renewed just as often.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the clock is renewed and deadlines are looked at.
pub(crate) const STEP: Duration = Duration::from_millis(250);

static NOW: AtomicU64 = AtomicU64::new(0);
static START: OnceLock<Instant> = OnceLock::new();

/// Renews the coarse time; every core does so at each step.
pub(crate) fn renew() -> u64 {
    let exact = START.get_or_init(Instant::now).elapsed().as_millis() as u64;
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
