//! The admin port: `/metrics`, `/livez`, `/readyz`, `/status` and `/status.json`.

mod process;
mod serve;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use prometheus::Registry;
use serde::Serialize;
use tidegate_control::{GatewayConditions, Problem, Update};
use tidegate_proxy::{Handle, Status};

pub(crate) use serve::serve;

/// Whether this process should be sent traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// No table has been served yet.
    Starting,
    /// It should.
    Ready,
    /// It is about to end.
    Draining,
}

/// What the admin port tells.
pub(crate) struct State {
    proxy: Handle,
    registry: Registry,
    readiness: AtomicU8,
    update: tokio::sync::watch::Sender<Arc<Update>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("readiness", &self.readiness()).finish_non_exhaustive()
    }
}

/// `/status.json`.
#[derive(Serialize)]
struct Page<'a> {
    version: &'static str,
    ready: bool,
    #[serde(flatten)]
    status: Status,
    gateways: &'a [Arc<GatewayConditions>],
    problems: Vec<Told<'a>>,
}

/// A problem with the line that the log has.
#[derive(Serialize)]
struct Told<'a> {
    text: String,
    #[serde(flatten)]
    problem: &'a Problem,
}

impl State {
    pub(crate) fn new(proxy: Handle) -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        proxy.register_metrics(&registry)?;
        process::register(&registry)?;
        Ok(Arc::new(Self {
            proxy,
            registry,
            readiness: AtomicU8::new(Readiness::Starting as u8),
            update: tokio::sync::watch::Sender::default(),
        }))
    }

    pub(crate) fn set_readiness(&self, readiness: Readiness) {
        self.readiness.store(readiness as u8, Ordering::Release);
    }

    pub(crate) fn set_update(&self, update: Arc<Update>) {
        self.update.send_replace(update);
    }

    fn readiness(&self) -> Readiness {
        match self.readiness.load(Ordering::Acquire) {
            0 => Readiness::Starting,
            1 => Readiness::Ready,
            _ => Readiness::Draining,
        }
    }

    fn status_json(&self) -> serde_json::Result<Vec<u8>> {
        let update = self.update.borrow().clone();
        let told = |problem| Told { text: ToString::to_string(problem), problem };
        serde_json::to_vec(&Page {
            version: env!("CARGO_PKG_VERSION"),
            ready: self.readiness() == Readiness::Ready,
            status: self.proxy.status(),
            gateways: &update.gateways,
            problems: update.problems.iter().map(told).collect(),
        })
    }
}
