//! Starting the data plane, swapping its table, and ending it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use thiserror::Error;
use tidegate_model::{ObjectName, Snapshot};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::balance::{self, Balancer};
use crate::core::{self, Core, CoreId, Message, Shared};
use crate::health::Prober;
use crate::keys::{Keys, SharedKeys};
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::sockets::Sockets;
use crate::status::{PoolHealth, Status};
use crate::table::{self, Compiler, Identities, Table};
use crate::tls::Backends;

/// How long to wait for what was aborted to be gone.
const ABORT_LIMIT: Duration = Duration::from_secs(2);

/// The data plane.
#[derive(Debug)]
pub struct Proxy;

/// Applies snapshots to the data plane and asks it things. All clones are the same.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    draining: AtomicBool,
    /// What sessions are resumed by; none while they are ours alone.
    keys: Keys,
    applier: Mutex<Applier>,
    /// Addresses that could not be opened, and why: apart, so that a page can be shown while a
    /// table is compiled.
    refused: Mutex<HashMap<SocketAddr, String>>,
}

/// What applying needs and traffic does not.
#[derive(Debug)]
struct Applier {
    snapshot: Arc<Snapshot>,
    sockets: Sockets,
    identities: Identities,
    backends: Backends,
    prober: Prober,
    /// The longest time that what left with the last swap may live on.
    longest_drain: Duration,
}

/// Why the data plane does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The system gives no thread, or no event queue.
    #[error("cannot start a thread of the data plane: {0}")]
    Thread(#[from] io::Error),
    /// The system gives no randomness.
    #[error("cannot make keys: {0}")]
    Keys(#[from] rustls::Error),
}

/// Why a snapshot was not applied; the table before it goes on serving.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// A certificate or authority that cannot be used.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// What came of a snapshot.
#[derive(Debug)]
pub struct Applied {
    /// The table that serves now.
    pub revision: u64,
    /// Whether it is another one than before; an equal snapshot is not swapped in.
    pub changed: bool,
    /// What compiling it took.
    pub compile: Duration,
    /// Addresses that could not be opened. They are tried again every second.
    pub bind_failures: Vec<BindFailure>,
}

/// An address that could not be opened.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {error}")]
pub struct BindFailure {
    /// Whose it is.
    pub gateway: ObjectName,
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub error: String,
}

/// How draining ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Whether everything had ended before the deadline.
    pub finished: bool,
    /// Connections that were ended at the deadline.
    pub aborted_connections: u64,
    /// Tunnels that were ended at the deadline.
    pub aborted_tunnels: u64,
}

impl Proxy {
    /// Starts the core threads and the one that probes. Nothing is served before the first
    /// [`Handle::apply`].
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn start(settings: Settings) -> Result<Handle, StartError> {
        let cores = settings.threads.get();
        let metrics = Metrics::new(cores);
        if let Some(log) = &settings.access_log {
            metrics.process().watch_log(log.clone());
        }
        let shared = Arc::new(Shared {
            table: ArcSwap::from_pointee(Table::default()),
            timeouts: settings.timeouts,
            access_log: settings.access_log,
            quic: RwLock::default(),
            restarts: settings.restarts,
            metrics,
            changes: Arc::new(watch::Sender::new(0)),
            closing: AtomicBool::new(false),
            cores: OnceLock::new(),
        });
        let (all, inboxes): (Vec<_>, Vec<_>) =
            (0..cores).map(|index| Core::new(CoreId::new(index), shared.clone())).unzip();
        // Set before the threads run: a core places connections on its siblings.
        let _ = shared.cores.set(all.clone().into());
        for (core, inbox) in all.into_iter().zip(inboxes) {
            core::spawn(core, inbox)?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let prober = Prober::new(runtime.handle().clone(), shared.changes.clone());
        let applier = Applier {
            snapshot: Arc::new(Snapshot::default()),
            sockets: Sockets::new(settings.http3),
            identities: Identities::default(),
            backends: Backends::new(),
            prober,
            longest_drain: Duration::ZERO,
        };
        let inner = Arc::new(Inner {
            shared,
            draining: AtomicBool::new(false),
            keys: Keys::own()?,
            applier: Mutex::new(applier),
            refused: Mutex::default(),
        });
        let weak = Arc::downgrade(&inner);
        std::thread::Builder::new()
            .name("background".into())
            .spawn(move || runtime.block_on(background(weak)))?;
        Ok(Handle(inner))
    }
}

/// Keeps the probes' runtime going, balances tunnels, lets ejected members back in, and opens again
/// what could not be opened.
async fn background(inner: Weak<Inner>) {
    let mut balancer = Balancer::default();
    loop {
        tokio::time::sleep(balance::STEP).await;
        let Some(inner) = inner.upgrade() else { return };
        if !inner.draining.load(Ordering::Relaxed) {
            balancer.step(&inner.shared);
        }
        // All of them: each has members of its own.
        let table = inner.shared.table.load_full();
        if table.targets().filter(|target| target.restore()).count() > 0 {
            inner.shared.changes.send_modify(|count| *count += 1);
        }
        drop(table);
        // Someone is applying: that opens what is missing, too.
        let Some(mut applier) = inner.applier.try_lock() else {
            continue;
        };
        let missing: HashSet<SocketAddr> =
            applier.sockets.refused().map(|(address, _)| address).collect();
        if !missing.is_empty() && !inner.draining.load(Ordering::Relaxed) {
            applier.sockets.open(&missing, &inner.shared);
            let still = applier.refused();
            for address in missing.iter().filter(|address| !still.contains_key(address)) {
                info!(%address, "listening after all");
                inner.shared.changes.send_modify(|count| *count += 1);
            }
            *inner.refused.lock() = still;
        }
        if !inner.draining.load(Ordering::Relaxed) {
            applier.sockets.retry_quic(&inner.shared);
        }
    }
}

impl Handle {
    /// Makes `snapshot` what is served: compiles it, opens its sockets, and swaps the table. Blocks
    /// while it compiles, so it is to be called off the data plane's threads. Calls do not overlap.
    ///
    /// # Errors
    /// If it cannot be compiled. Nothing has changed then.
    pub fn apply(&self, snapshot: Arc<Snapshot>) -> Result<Applied, ApplyError> {
        let Inner { shared, applier, .. } = &*self.0;
        let applier = &mut *applier.lock();
        let started = Instant::now();
        let wanted: HashSet<SocketAddr> =
            snapshot.gateways.iter().flat_map(|g| &g.frontends).map(|f| f.address()).collect();
        let previous = shared.table.load_full();
        let changed = previous.revision == 0 || *applier.snapshot != *snapshot;
        let mut compile = Duration::ZERO;
        if changed {
            let slots = applier.sockets.slots(&wanted);
            let mut compiler = Compiler {
                metrics: &shared.metrics,
                backends: &applier.backends,
                keys: &self.0.keys,
                identities: &mut applier.identities,
                cores: shared.cores().len(),
            };
            let compiled = table::compile(&snapshot, &previous, &slots, &mut compiler)?;
            compile = started.elapsed();
            applier.swap(compiled, shared);
            applier.snapshot = snapshot.clone();
        }
        if !self.0.draining.load(Ordering::Relaxed) {
            applier.sockets.open(&wanted, shared);
        }
        // Tunnels over HTTP/2 have their listener's time as well.
        let drain = applier.longest_drain.max(shared.timeouts.frontend_drain);
        applier.sockets.close_others(&wanted, drain, shared);
        if !self.0.draining.load(Ordering::Relaxed) {
            applier.sockets.keep_quic(&wanted, shared);
        }
        *self.0.refused.lock() = applier.refused();
        shared.metrics.process().swap(started.elapsed(), changed);
        let revision = shared.table.load().revision;
        shared.metrics.process().set_revision(revision);
        let bind_failures = applier.bind_failures(&snapshot);
        Ok(Applied { revision, changed, compile, bind_failures })
    }

    /// From now on sessions are resumed, and members named in cookies, by keys that other processes
    /// know, too. Without a call, or where a list is empty, by this process's own.
    pub fn share_keys(&self, keys: SharedKeys) {
        self.0.keys.share(keys);
    }

    /// What is going on.
    pub fn status(&self) -> Status {
        let refused = self.0.refused.lock().clone();
        Status::of(&self.0.shared, self.0.draining.load(Ordering::Relaxed), &refused)
    }

    /// How every pool is, under each of its settings. Cheap, unlike [`Handle::status`].
    pub fn pools(&self) -> Vec<PoolHealth> {
        let table = self.0.shared.table.load_full();
        table.targets().map(PoolHealth::of).collect()
    }

    /// Addresses that could not be opened: whose they are, and why.
    pub fn refused(&self) -> Vec<BindFailure> {
        let refused = self.0.refused.lock().clone();
        if refused.is_empty() {
            return Vec::new();
        }
        let table = self.0.shared.table.load_full();
        let frontends = table.frontends.iter().flatten();
        let failure = |frontend: &Arc<table::Frontend>| {
            let (gateway, address) = ((*frontend.gateway).clone(), frontend.address);
            let error = refused.get(&address)?.clone();
            Some(BindFailure { gateway, address, error })
        };
        frontends.filter_map(failure).collect()
    }

    /// Adds the data plane's metrics to a registry.
    ///
    /// # Errors
    /// If the registry has metrics of the same names.
    pub fn register_metrics(
        &self,
        registry: &prometheus::Registry,
    ) -> Result<(), prometheus::Error> {
        self.0.shared.metrics.register(registry)
    }

    /// Bumped at every swap and at every change of a member's health.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.shared.changes.subscribe()
    }

    /// From now on every answer tells its client to connect anew. Connections are still accepted.
    pub fn begin_shutdown(&self) {
        self.0.shared.closing.store(true, Ordering::Relaxed);
    }

    /// Stops accepting and waits until every request and tunnel has ended, until `limit` at the
    /// latest; what is left then is ended.
    pub async fn drain(&self, limit: Duration) -> Drained {
        self.begin_shutdown();
        self.0.draining.store(true, Ordering::Relaxed);
        let shared = &self.0.shared;
        shared.tell(|| Message::Drain { within: limit });
        let deadline = tokio::time::Instant::now() + limit;
        if wait_until_empty(shared, deadline).await {
            return Drained { finished: true, aborted_connections: 0, aborted_tunnels: 0 };
        }
        let (connections, tunnels) = open(shared);
        shared.tell(|| Message::Abort);
        wait_until_empty(shared, tokio::time::Instant::now() + ABORT_LIMIT).await;
        Drained { finished: false, aborted_connections: connections, aborted_tunnels: tunnels }
    }

    /// Open client connections and tunnels.
    pub fn open(&self) -> (u64, u64) {
        open(&self.0.shared)
    }
}

impl Applier {
    fn swap(&mut self, compiled: table::Compiled, shared: &Shared) {
        let table = Arc::new(compiled.table);
        let changes = compiled.changes;
        // Those who came back in time stay as if nothing had been.
        changes.stay.iter().for_each(|scope| scope.stay());
        shared.table.store(table);
        for (gateway, probed) in changes.probed {
            self.prober.watch(&gateway, probed);
        }
        changes.grouped.iter().for_each(|target| target.group(&shared.changes));
        for (scope, is_terminating) in changes.terminating {
            if !is_terminating {
                scope.stop_leaving();
            } else if let Some(epoch) = scope.begin_leaving() {
                shared.tell(|| Message::Leaving { scope: scope.clone(), epoch });
            }
        }
        self.longest_drain = changes.left.iter().map(|(_, drain)| *drain).max().unwrap_or_default();
        for (scope, after) in changes.left {
            let epoch = scope.leave();
            shared.tell(|| Message::Leave { scope: scope.clone(), epoch, after });
        }
        for member in changes.idle {
            member.close_kept();
        }
        shared.changes.send_modify(|count| *count += 1);
    }

    /// Addresses that could not be opened, and why.
    fn refused(&self) -> HashMap<SocketAddr, String> {
        self.sockets.refused().map(|(address, error)| (address, error.to_string())).collect()
    }

    fn bind_failures(&self, snapshot: &Snapshot) -> Vec<BindFailure> {
        let owner = |address| {
            snapshot.gateways.iter().find(|g| g.frontends.iter().any(|f| f.address() == address))
        };
        let failure = |(address, error): (SocketAddr, &io::Error)| {
            let gateway = owner(address)?.name.clone();
            warn!(%gateway, %address, %error, "cannot listen");
            Some(BindFailure { gateway, address, error: error.to_string() })
        };
        self.sockets.refused().filter_map(failure).collect()
    }
}

fn open(shared: &Shared) -> (u64, u64) {
    let sum = |count: fn(&Core) -> usize| shared.cores().iter().map(|c| count(c) as u64).sum();
    (sum(|core| core.clients.open()), sum(|core| core.tunnels.open()))
}

/// Whether nothing is open before the deadline.
async fn wait_until_empty(shared: &Shared, deadline: tokio::time::Instant) -> bool {
    loop {
        if open(shared) == (0, 0) {
            return true;
        }
        if tokio::time::Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
