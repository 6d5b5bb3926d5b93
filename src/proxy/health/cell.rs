//! One member's health: written by its probe and by what requests find, read by the balancer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use serde::Serialize;
use tidegate_model::{OutlierEjection, Probe};

use crate::clock;
use crate::health::Group;

/// What a member is asked, and where.
#[derive(Debug)]
pub(crate) struct ProbeSpec {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
    pub(crate) host: HeaderValue,
    /// Whether requests are sent with HTTP/2, and so are probes.
    pub(crate) http2: bool,
    pub(crate) probe: Probe,
}

/// What probes have found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum HealthState {
    /// No answer yet; takes no traffic.
    Unknown,
    /// Takes traffic.
    Up,
    /// Takes no traffic.
    Down,
}

/// A member's health, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthStatus {
    /// What probes have found.
    pub state: HealthState,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// The last answer, such as `200 in 1.2 ms`, and before it why the member takes traffic, or takes
    /// none, in spite of it.
    pub detail: String,
}

/// The health of one member by one probe.
#[derive(Debug)]
pub(crate) struct Health {
    spec: ProbeSpec,
    /// Gateway, pool and settings, for logs.
    pub(super) label: String,
    /// What probes have found, and the marks.
    marks: AtomicU8,
    told: Mutex<HealthStatus>,
    succeeded: AtomicU64,
    failed: AtomicU64,
    /// When it began to take traffic, by the coarse clock.
    up_since: AtomicU64,
    /// Requests in a row that failed.
    failures: AtomicU32,
    /// By the coarse clock.
    ejected_until: AtomicU64,
    ejections: AtomicU64,
    /// The other members of its pool, where the health of one depends on them.
    group: Mutex<Option<Arc<Group>>>,
}

/// The bits of what probes have found.
const STATE: u8 = 3;
/// It is out because requests failed.
const EJECTED: u8 = 4;
/// It counts as healthy because too few others are.
const KEPT: u8 = 8;

/// In thousandths: what a member has that gets its whole share.
pub(crate) const WHOLE: u64 = 1000;
/// And what one begins with that has just come up.
const FIRST: u64 = WHOLE / 10;

impl Health {
    /// Of a member that was never asked.
    pub(crate) fn new(spec: ProbeSpec, label: String) -> Arc<Self> {
        let status = HealthStatus {
            state: HealthState::Unknown,
            since: now(),
            detail: "not probed yet".into(),
        };
        Self::with(spec, label, status, 0)
    }

    /// Of a member whose probe has changed: what was found holds until the new one finds better.
    pub(crate) fn after(previous: &Self, spec: ProbeSpec, label: String) -> Arc<Self> {
        let up_since = previous.up_since.load(Ordering::Relaxed);
        Self::with(spec, label, previous.told.lock().clone(), up_since)
    }

    fn with(spec: ProbeSpec, label: String, status: HealthStatus, up_since: u64) -> Arc<Self> {
        Arc::new(Self {
            spec,
            label,
            marks: AtomicU8::new(status.state as u8),
            told: Mutex::new(status),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            up_since: AtomicU64::new(up_since),
            failures: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            ejections: AtomicU64::new(0),
            group: Mutex::new(None),
        })
    }

    /// Whether it takes traffic.
    pub(crate) fn is_up(&self) -> bool {
        let marks = self.marks.load(Ordering::Relaxed);
        marks & (STATE | EJECTED) == HealthState::Up as u8 || marks & KEPT != 0
    }

    pub(crate) fn is_unknown(&self) -> bool {
        self.marks.load(Ordering::Relaxed) & (STATE | KEPT) == HealthState::Unknown as u8
    }

    /// How much of its share it is to get, in thousandths: all of it, unless it has come up within
    /// the time that it has to warm up.
    pub(crate) fn warmth(&self, slow_start: Duration) -> u64 {
        let up = clock::coarse().saturating_sub(self.up_since.load(Ordering::Relaxed));
        let all = u64::try_from(slow_start.as_millis()).unwrap_or(u64::MAX).max(1);
        (up.saturating_mul(WHOLE) / all).clamp(FIRST, WHOLE)
    }

    pub(crate) fn status(&self) -> HealthStatus {
        let mut status = self.told.lock().clone();
        let marks = self.marks.load(Ordering::Relaxed);
        if marks & KEPT != 0 {
            status.detail = format!("counts as healthy (minServers); {}", status.detail);
        } else if marks & EJECTED != 0 {
            status.detail = format!("ejected because requests failed; {}", status.detail);
        }
        status
    }

    pub(crate) fn spec(&self) -> &ProbeSpec {
        &self.spec
    }

    /// Probes that succeeded and that failed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.succeeded.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// How often it was taken out because requests failed.
    pub(crate) fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// Takes what a probe found; `true` if the state is another one now.
    pub(super) fn set(&self, state: HealthState, healthy: bool, detail: String) -> bool {
        let count = if healthy { &self.succeeded } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock();
        if told.state == state {
            told.detail = detail;
            return false;
        }
        *told = HealthStatus { state, since: now(), detail };
        drop(told);
        if state == HealthState::Up {
            self.up_since.store(clock::renew(), Ordering::Relaxed);
        }
        self.change(|marks| (marks & !STATE) | state as u8);
        if let Some(group) = self.group() {
            group.settle();
        }
        true
    }

    /// A request to it was answered, or failed; it is taken out if too many have.
    pub(crate) fn report(&self, failed: bool, rules: &OutlierEjection) {
        if !failed {
            // Mostly there is nothing to forget, and nothing to write.
            if self.failures.load(Ordering::Relaxed) != 0 {
                self.failures.store(0, Ordering::Relaxed);
            }
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures >= rules.failures.get()
            && let Some(group) = self.group()
        {
            group.eject(self, rules);
        }
    }

    pub(super) fn group(&self) -> Option<Arc<Group>> {
        self.group.lock().clone()
    }

    fn change(&self, change: impl Fn(u8) -> u8) {
        let changed = |marks| Some(change(marks));
        // It never says that there is nothing to change.
        let _ = self.marks.fetch_update(Ordering::Release, Ordering::Relaxed, changed);
    }
}

/// What its group does with a member.
impl Health {
    /// Belongs to these from now on; what another group made of it is over.
    pub(super) fn join(&self, group: Option<Arc<Group>>) {
        let has_group = group.is_some();
        let before = std::mem::replace(&mut *self.group.lock(), group);
        if before.is_some() && !has_group {
            self.change(|marks| marks & STATE);
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.marks.load(Ordering::Relaxed) & STATE == HealthState::Down as u8
    }

    /// Whether it takes traffic by itself.
    pub(super) fn is_well(&self) -> bool {
        self.marks.load(Ordering::Relaxed) & (STATE | EJECTED) == HealthState::Up as u8
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.marks.load(Ordering::Relaxed) & EJECTED != 0
    }

    pub(super) fn since(&self) -> u64 {
        self.told.lock().since
    }

    /// Whether it counts as healthy whatever is found.
    pub(super) fn keep(&self, kept: bool) {
        if kept != (self.marks.load(Ordering::Relaxed) & KEPT != 0) {
            self.change(|marks| if kept { marks | KEPT } else { marks & !KEPT });
        }
    }

    pub(super) fn eject(&self, time: Duration) {
        self.failures.store(0, Ordering::Relaxed);
        self.ejected_until.store(clock::deadline(time), Ordering::Relaxed);
        self.ejections.fetch_add(1, Ordering::Relaxed);
        self.change(|marks| marks | EJECTED);
    }

    /// Comes back if its time out is over; whether it does.
    pub(super) fn restore(&self, now: u64) -> bool {
        let is_due = self.is_ejected() && self.ejected_until.load(Ordering::Relaxed) <= now;
        if is_due {
            self.up_since.store(now, Ordering::Relaxed);
            self.change(|marks| marks & !EJECTED);
        }
        is_due
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
