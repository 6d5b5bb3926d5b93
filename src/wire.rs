//! Puts the parts together: the only place that knows both the control side and the data plane.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use thiserror::Error;
use tidegate_control::{
    Cluster, ClusterError, ClusterOptions, Feedback, IngressFlags, Keys, Leadership, Options,
    ReadError, Severity, Update, serve_cluster, serve_files,
};
use tidegate_proxy::{AccessLog, Handle, Proxy, Settings, SharedKeys};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::admin::{self, Readiness, State};
use crate::cli::say;
use crate::signals::{Ending, Signals};

/// What a run is started with.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) source: Source,
    pub(crate) threads: NonZeroUsize,
    pub(crate) admin: SocketAddr,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) http3: bool,
    pub(crate) shutdown_delay: Duration,
    pub(crate) drain_limit: Duration,
}

/// Where resources come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// From files and folders; frontends without an address of their own listen on `bind`.
    Files { paths: Vec<PathBuf>, bind: IpAddr, ingress: IngressFlags },
    /// From a Kubernetes cluster.
    Cluster(Box<ClusterOptions>),
}

/// Why a run ended.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    /// A path cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// There is no way to a cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Anything else.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
    /// A second signal came while draining.
    #[error("interrupted")]
    Interrupted(Ending),
}

/// Runs something on the control side's own threads.
pub(crate) fn block_on<T>(run: impl Future<Output = Result<T, RunError>>) -> Result<T, RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .context("cannot start the control threads")?;
    runtime.block_on(run)
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Running {
    proxy: Handle,
    admin: SocketAddr,
    state: Arc<State>,
    signals: Signals,
    /// A cluster's alone.
    leadership: Option<Leadership>,
    access_log: Option<AccessLog>,
    shutdown_delay: Duration,
    drain_limit: Duration,
    /// Neither ends while the process is to go on.
    applying: JoinHandle<()>,
    serving_admin: JoinHandle<()>,
}

/// Starts everything; when this returns, the first table serves.
pub(crate) async fn start(config: Config) -> Result<Running, RunError> {
    // From here on a signal drains instead of killing.
    let mut signals = Signals::watch().context("cannot watch signals")?;
    let admin = tokio::net::TcpListener::bind(config.admin).await.with_context(|| {
        format!("cannot listen on {}: choose another with --admin", config.admin)
    })?;
    let admin_address = admin.local_addr().context("--admin")?;
    let mut settings = Settings::new(config.threads);
    settings.access_log.clone_from(&config.access_log);
    // Where a cluster ends a replica, another one takes over.
    settings.restarts = matches!(config.source, Source::Cluster(_));
    settings.http3 = config.http3;
    let proxy = Proxy::start(settings).context("cannot start the data plane")?;
    let state = State::new(proxy.clone()).context("cannot register metrics")?;
    // Alive, and not ready: an API server that is away is waited for.
    let serving_admin = tokio::spawn(admin::serve(admin, state.clone()));
    let mut inputs = tokio::select! {
        inputs = inputs(config.source) => inputs?,
        signal = signals.next() => return Err(RunError::Interrupted(signal)),
    };
    let mut teller = Teller::default();
    let first = inputs.updates.borrow_and_update().clone();
    inputs.take_keys(&proxy);
    apply(&proxy, &state, &mut teller, first, inputs.feedback.as_ref()).await;
    state.set_readiness(Readiness::Ready);
    info!(
        admin = %admin_address,
        threads = config.threads,
        frontends = proxy.status().frontends.len(),
        "serving"
    );
    let leadership = inputs.leadership.take();
    let applying = tokio::spawn(keep_applying(proxy.clone(), state.clone(), teller, inputs));
    Ok(Running {
        proxy,
        admin: admin_address,
        state,
        signals,
        leadership,
        access_log: config.access_log,
        shutdown_delay: config.shutdown_delay,
        drain_limit: config.drain_limit,
        applying,
        serving_admin,
    })
}

/// What comes from the control side, and what goes back to it.
struct Inputs {
    updates: watch::Receiver<Arc<Update>>,
    /// A cluster's alone.
    feedback: Option<watch::Sender<Arc<Feedback>>>,
    keys: Option<watch::Receiver<Keys>>,
    leadership: Option<Leadership>,
}

/// Reads the source for the first time.
async fn inputs(source: Source) -> Result<Inputs, RunError> {
    match source {
        Source::Files { paths, bind, ingress } => {
            let options = Options { bind, nameservers: Vec::new(), ingress };
            let updates = serve_files(paths, options).await?;
            Ok(Inputs { updates, feedback: None, keys: None, leadership: None })
        }
        Source::Cluster(options) => {
            let Cluster { mut updates, feedback, keys, leadership } =
                serve_cluster(*options).await?;
            updates
                .wait_for(|update| update.number > 0)
                .await
                .map_err(|_| anyhow!("the control side has ended"))?;
            let (feedback, keys) = (Some(feedback), Some(keys));
            Ok(Inputs { updates, feedback, keys, leadership: Some(leadership) })
        }
    }
}

impl Inputs {
    /// Hands the newest shared keys over.
    fn take_keys(&mut self, proxy: &Handle) {
        if let Some(keys) = &mut self.keys {
            let Keys { session_tickets, affinity } = keys.borrow_and_update().clone();
            proxy.share_keys(SharedKeys { session_tickets, affinity });
        }
    }

    /// Completes when there are other keys; never without a cluster.
    async fn other_keys(keys: &mut Option<watch::Receiver<Keys>>) {
        let changed = match keys {
            Some(receiver) => receiver.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            std::future::pending().await
        }
    }
}

/// How often what probes found is told to the control side, at most.
const TELL: Duration = Duration::from_millis(500);

/// Applies every update. What comes while one is applied is applied together after it.
async fn keep_applying(proxy: Handle, state: Arc<State>, mut teller: Teller, mut inputs: Inputs) {
    let mut changes = proxy.changes();
    let mut tell_at = Some(tokio::time::Instant::now());
    loop {
        tokio::select! {
            changed = inputs.updates.changed() => {
                if changed.is_err() {
                    return;
                }
                let update = inputs.updates.borrow_and_update().clone();
                apply(&proxy, &state, &mut teller, update, inputs.feedback.as_ref()).await;
            }
            () = Inputs::other_keys(&mut inputs.keys) => inputs.take_keys(&proxy),
            // The data plane's own changes; it outlives this loop.
            Ok(()) = changes.changed(), if inputs.feedback.is_some() => {
                tell_at.get_or_insert(tokio::time::Instant::now() + TELL);
            }
            () = sleep_until(tell_at) => {
                tell_at = None;
                if let Some(feedback) = &inputs.feedback {
                    tell(feedback, &proxy);
                }
            }
        }
    }
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Tells the control side how things are.
fn tell(feedback: &watch::Sender<Arc<Feedback>>, proxy: &Handle) {
    let mut now = Feedback { applied: feedback.borrow().applied, ..Feedback::default() };
    for target in proxy.pools() {
        let key = ((*target.gateway).clone(), target.pool);
        let pool = now.pools.entry(key).or_insert((target.up, target.all));
        // Under several settings a pool is as good as it is under the worst.
        *pool = (pool.0.min(target.up), target.all);
    }
    let mut failures: HashMap<_, Vec<String>> = HashMap::new();
    for failure in proxy.refused() {
        failures.entry(failure.gateway.clone()).or_default().push(failure.to_string());
    }
    now.failures = failures;
    feedback.send_if_modified(|last| {
        let differs = **last != now;
        if differs {
            *last = Arc::new(now);
        }
        differs
    });
}

async fn apply(
    proxy: &Handle,
    state: &State,
    teller: &mut Teller,
    update: Arc<Update>,
    feedback: Option<&watch::Sender<Arc<Feedback>>>,
) {
    let (handle, snapshot) = (proxy.clone(), update.snapshot.clone());
    let applied = tokio::task::spawn_blocking(move || handle.apply(snapshot)).await;
    let mut told: BTreeSet<(Severity, String)> =
        update.problems.iter().map(|problem| (problem.severity, problem.to_string())).collect();
    match applied {
        Ok(Ok(applied)) => {
            for failure in &applied.bind_failures {
                let why = format!("gateway {}: {failure}; trying again", failure.gateway);
                told.insert((Severity::Error, why));
            }
            if applied.changed {
                info!(
                    revision = applied.revision,
                    rules = update.snapshot.rule_count(),
                    compile = ?applied.compile,
                    "table swapped"
                );
            }
        }
        Ok(Err(error)) => {
            told.insert((Severity::Error, format!("not applied, the last table serves: {error}")));
        }
        Err(error) => {
            // A panic while compiling has changed nothing; the last table serves.
            error!(%error, "applying failed");
        }
    }
    teller.tell(told);
    if let Some(feedback) = feedback {
        feedback.send_modify(|last| Arc::make_mut(last).applied = update.number);
    }
    state.set_update(update);
}

/// Says each problem once when it comes, and once when it is gone.
#[derive(Debug, Default)]
struct Teller {
    told: BTreeSet<(Severity, String)>,
}

impl Teller {
    fn tell(&mut self, problems: BTreeSet<(Severity, String)>) {
        for (severity, problem) in problems.difference(&self.told) {
            match severity {
                Severity::Error => error!("{problem}"),
                Severity::Warning => warn!("{problem}"),
            }
        }
        for (_, problem) in self.told.difference(&problems) {
            info!("resolved: {problem}");
        }
        self.told = problems;
    }
}

impl Running {
    /// The data plane.
    pub(crate) fn proxy(&self) -> Handle {
        self.proxy.clone()
    }

    /// Where the admin port is.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Runs until a signal comes, then drains.
    pub(crate) async fn run_until_signal(mut self) -> Result<(), RunError> {
        tokio::select! {
            _ = self.signals.next() => {}
            _ = &mut self.applying => return Err(anyhow!("the control side has ended").into()),
            _ = &mut self.serving_admin => return Err(anyhow!("the admin port has ended").into()),
        }
        let mut signals = self.signals;
        let leadership = self.leadership;
        let stepping_down = async {
            if let Some(leadership) = leadership {
                leadership.step_down().await;
            }
        };
        let draining = drain(&self.proxy, &self.state, self.shutdown_delay, self.drain_limit);
        let draining = async { tokio::join!(draining, stepping_down) };
        let outcome = tokio::select! {
            _ = draining => Ok(()),
            signal = signals.next() => {
                say("second signal: ending at once");
                Err(RunError::Interrupted(signal))
            }
        };
        if let Some(log) = self.access_log {
            let _ = tokio::task::spawn_blocking(move || log.flush()).await;
        }
        outcome
    }
}

async fn drain(proxy: &Handle, state: &State, delay: Duration, limit: Duration) {
    state.set_readiness(Readiness::Draining);
    proxy.begin_shutdown();
    if !delay.is_zero() {
        say(format_args!("not ready any more; accepting for {} s more", delay.as_secs()));
        tokio::time::sleep(delay).await;
    }
    let (connections, tunnels) = proxy.open();
    say(format_args!(
        "draining: {connections} connections and {tunnels} tunnels are open, for {} s at most; \
         a second signal ends at once",
        limit.as_secs()
    ));
    let drained = proxy.drain(limit).await;
    if drained.finished {
        say("drained: everything ended by itself");
    } else {
        say(format_args!(
            "drained: {} connections and {} tunnels were ended at the deadline",
            drained.aborted_connections, drained.aborted_tunnels
        ));
    }
}
