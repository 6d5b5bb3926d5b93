//! One member's health: written by its probe, read by the balancer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::SystemTime;

use http::HeaderValue;
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use serde::Serialize;
use tidegate_model::Probe;

/// What a member is asked, and where.
#[derive(Debug)]
pub(crate) struct ProbeSpec {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
    pub(crate) host: HeaderValue,
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
    /// The last answer, such as `200 in 1.2 ms`.
    pub detail: String,
}

/// The health of one member by one probe.
#[derive(Debug)]
pub(crate) struct Health {
    spec: ProbeSpec,
    /// Gateway, pool and settings, for logs.
    pub(super) label: String,
    state: AtomicU8,
    told: Mutex<HealthStatus>,
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl Health {
    /// Of a member that was never asked.
    pub(crate) fn new(spec: ProbeSpec, label: String) -> Arc<Self> {
        let status = HealthStatus {
            state: HealthState::Unknown,
            since: now(),
            detail: "not probed yet".into(),
        };
        Self::with(spec, label, status)
    }

    /// Of a member whose probe has changed: what was found holds until the new one finds better.
    pub(crate) fn after(previous: &Self, spec: ProbeSpec, label: String) -> Arc<Self> {
        Self::with(spec, label, previous.status())
    }

    fn with(spec: ProbeSpec, label: String, status: HealthStatus) -> Arc<Self> {
        Arc::new(Self {
            spec,
            label,
            state: AtomicU8::new(status.state as u8),
            told: Mutex::new(status),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    pub(crate) fn is_up(&self) -> bool {
        self.state.load(Ordering::Relaxed) == HealthState::Up as u8
    }

    pub(crate) fn is_unknown(&self) -> bool {
        self.state.load(Ordering::Relaxed) == HealthState::Unknown as u8
    }

    pub(crate) fn status(&self) -> HealthStatus {
        self.told.lock().clone()
    }

    pub(crate) fn spec(&self) -> &ProbeSpec {
        &self.spec
    }

    /// Probes that succeeded and that failed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.succeeded.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// Takes what a probe found; `true` if the state is another one now.
    pub(super) fn set(&self, state: HealthState, healthy: bool, detail: String) -> bool {
        let count = if healthy { &self.succeeded } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock();
        let changed = told.state != state;
        if changed {
            *told = HealthStatus { state, since: now(), detail };
            self.state.store(state as u8, Ordering::Release);
        } else {
            told.detail = detail;
        }
        changed
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
