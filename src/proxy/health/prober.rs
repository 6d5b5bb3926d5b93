//! Runs the probe loops.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_model::ObjectName;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::health::ask::ask;
use crate::health::state::Verdict;
use crate::health::{Health, HealthState};

/// Probes under way at once, in the whole process: thousands of members that come together are not
/// connected to in one burst, and leave descriptors to those who are served.
const AT_ONCE: usize = 1024;

/// The probe loops of every member in the table.
#[derive(Debug)]
pub(crate) struct Prober {
    runtime: Handle,
    changes: Arc<watch::Sender<u64>>,
    permits: Arc<Semaphore>,
    loops: Mutex<HashMap<Arc<ObjectName>, Loops>>,
}

/// By the address of their health, which names it for as long as the loop holds it.
type Loops = HashMap<usize, Loop>;

/// Ends with the loop's entry.
#[derive(Debug)]
struct Loop {
    /// Keeps the address, by which the loop is known, from being used again.
    _health: Arc<Health>,
    task: JoinHandle<()>,
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Prober {
    pub(crate) fn new(runtime: Handle, changes: Arc<watch::Sender<u64>>) -> Self {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        Self { runtime, changes, permits, loops: Mutex::new(HashMap::new()) }
    }

    /// Probes exactly these of a gateway from now on: those that were probed before go on
    /// undisturbed, new ones are asked at once.
    pub(crate) fn watch(&self, gateway: &Arc<ObjectName>, wanted: Vec<Arc<Health>>) {
        let mut all = self.loops.lock();
        let mut before = all.remove(gateway).unwrap_or_default();
        let mut loops = Loops::with_capacity(wanted.len());
        for health in wanted {
            let key = Arc::as_ptr(&health).addr();
            let running = before.remove(&key).unwrap_or_else(|| {
                let probing = probe(health.clone(), self.changes.clone(), self.permits.clone());
                Loop { _health: health, task: self.runtime.spawn(probing) }
            });
            loops.insert(key, running);
        }
        if !loops.is_empty() {
            all.insert(gateway.clone(), loops);
        }
    }
}

async fn probe(health: Arc<Health>, changes: Arc<watch::Sender<u64>>, permits: Arc<Semaphore>) {
    let probe = &health.spec().probe;
    let mut verdict = Verdict::after(health.status().state);
    loop {
        // Nobody closes it.
        let permit = permits.acquire().await;
        let started = Instant::now();
        let (healthy, detail) = ask(health.spec()).await;
        drop(permit);
        let due = verdict.take(healthy, probe.unhealthy_threshold, probe.interval);
        let (member, label) = (health.spec().address, &health.label);
        if health.set(verdict.state(), healthy, detail.clone()) {
            match verdict.state() {
                HealthState::Up => info!(target = %label, %member, %detail, "member is up"),
                _ => warn!(target = %label, %member, %detail, "member is down"),
            }
            changes.send_modify(|count| *count += 1);
        }
        tokio::time::sleep_until(started + jittered(due, &health)).await;
    }
}

/// Up to 5 % off, by member, so that the probes of a large pool spread.
fn jittered(due: Duration, health: &Arc<Health>) -> Duration {
    let spread = (Arc::as_ptr(health).addr() >> 7) % 101;
    due.mul_f64(0.95 + spread as f64 * 0.001)
}
