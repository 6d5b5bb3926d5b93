//! The loop of `tidegate serve`: files and DNS answers in, one update for every change out.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tidegate_model::{ObjectName, Snapshot};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::debug;

use crate::dns::Dns;
use crate::pages::{Pages, Reach};
use crate::places::Places;
use crate::problem::Problem;
use crate::source::{Files, ReadError, Watch};
use crate::translate::{
    Addresses, GatewayConditions, IngressOptions, Outcome, OwnIngress, Translator, WithoutClass,
    host_names, page_urls, to_problems,
};

/// What our IngressClass names as its controller.
pub const INGRESS_CONTROLLER: &str = "tidegate.dev/ingress-controller";
/// How long the first update waits for host names and error pages.
const FIRST_NAMES: Duration = Duration::from_secs(3);
/// How long after its last write a file that was not closed is read.
const SETTLE: Duration = Duration::from_millis(100);
/// How often certificates are looked at that may be about to expire.
pub(crate) const EXPIRY: Duration = Duration::from_secs(3600);
/// How often files are looked at when they cannot be watched.
const LOOK: Duration = Duration::from_secs(2);

/// How to serve files.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where frontends listen that have no address of their own.
    pub bind: IpAddr,
    /// DNS servers in place of the system's.
    pub nameservers: Vec<SocketAddr>,
    /// How Ingresses are served.
    pub ingress: IngressFlags,
}

/// How Ingresses in files are served.
#[derive(Clone, Debug)]
pub struct IngressFlags {
    /// The class that is served, beside Ingresses without one.
    pub class: String,
    /// The port in place of 80.
    pub http_port: u16,
    /// The port in place of 443; redirects name it.
    pub https_port: u16,
    /// Whether backends may be Services of type `ExternalName`.
    pub allow_external_name: bool,
}

impl Default for IngressFlags {
    fn default() -> Self {
        let class = "tidegate".to_owned();
        Self { class, http_port: 80, https_port: 443, allow_external_name: false }
    }
}

impl Options {
    pub(crate) fn translator(&self) -> Translator {
        let flags = &self.ingress;
        let (bind, http, https) = (self.bind, flags.http_port, flags.https_port);
        let port = move |port| match port {
            80 => http,
            443 => https,
            other => other,
        };
        let ingress = IngressOptions {
            class: flags.class.clone(),
            // No object can have a name with a colon.
            gateway: ObjectName::new("default", format!("ingress:{}", flags.class)),
            controller: INGRESS_CONTROLLER.to_owned(),
            without_class: WithoutClass::Ours,
            allow_external_name: flags.allow_external_name,
            addresses: Addresses::new(move |wanted| Some(SocketAddr::new(bind, port(wanted)))),
            https_port: (https != 443).then_some(https),
        };
        Translator::new(Places::Own(self.bind), Some(ingress))
    }
}

/// What the resources come to at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// Counts updates; 0 before the first.
    pub number: u64,
    /// What is to be served.
    pub snapshot: Arc<Snapshot>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What became of each gateway, as far as resources decide.
    pub gateways: Vec<Arc<GatewayConditions>>,
    /// The Ingresses that are ours, right or wrong.
    pub(crate) ingresses: Vec<OwnIngress>,
}

impl Update {
    /// Whether it differs in nothing but its number.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.snapshot == other.snapshot
            && self.problems == other.problems
            && self.gateways == other.gateways
            && self.ingresses == other.ingresses
    }
}

/// Reads files and folders, and goes on watching them for as long as the receiver lives. The first
/// update is there when this returns; each later one differs from the one before it.
///
/// # Errors
/// If a path cannot be read, or host names not be looked up.
pub async fn serve_files(
    paths: Vec<PathBuf>,
    options: Options,
) -> Result<watch::Receiver<Arc<Update>>, ReadError> {
    let mut watch = Watch::new();
    let mut files = Files::new(paths);
    // Watching begins before reading, so that nothing is missed in between.
    watch.set(files.folders());
    files.read_first()?;
    let dns = Dns::new(&options.nameservers);
    let pages = Pages::new(Reach::Any);
    let mut standalone = Standalone { files, dns, pages, translator: options.translator() };
    standalone.want_others();
    let Standalone { dns, pages, .. } = &standalone;
    tokio::join!(dns.wait_for_all(FIRST_NAMES), pages.wait_for_all(FIRST_NAMES));
    let (updates, receiver) =
        tokio::sync::watch::channel(Arc::new(Update { number: 1, ..standalone.update() }));
    tokio::spawn(standalone.run(watch, updates));
    Ok(receiver)
}

struct Standalone {
    files: Files,
    dns: Arc<Dns>,
    pages: Arc<Pages>,
    translator: Translator,
}

impl Standalone {
    /// Runs until nobody listens any more.
    async fn run(mut self, mut watch: Watch, updates: watch::Sender<Arc<Update>>) {
        let (mut names, mut pages) = (self.dns.changes(), self.pages.changes());
        let mut look_at: Option<Instant> = None;
        let mut hourly = tokio::time::interval(EXPIRY);
        loop {
            // Without watches the clock has to do.
            let poll = (!watch.works()).then(|| Instant::now() + LOOK);
            let due = [look_at, poll].into_iter().flatten().min();
            tokio::select! {
                () = updates.closed() => return,
                touched = watch.next() => {
                    if touched == crate::source::Touched::Writing {
                        look_at.get_or_insert(Instant::now() + SETTLE);
                        continue;
                    }
                }
                _ = names.changed() => {}
                _ = pages.changed() => {}
                _ = hourly.tick() => {}
                () = sleep_until(due) => {}
            }
            watch.drain();
            names.mark_unchanged();
            pages.mark_unchanged();
            let (changed, again) = self.files.read_changed();
            look_at = again.map(Instant::from_std);
            if changed {
                watch.set(self.files.folders());
                self.want_others();
            }
            let update = self.update();
            updates.send_if_modified(|last| {
                let differs = !last.says_the_same(&update);
                if differs {
                    debug!(problems = update.problems.len(), "resources changed");
                    *last = Arc::new(Update { number: last.number + 1, ..update });
                }
                differs
            });
        }
    }

    /// Asks for what stands elsewhere.
    fn want_others(&self) {
        let (resources, _) = self.files.resources();
        self.dns.want(host_names(&resources));
        self.pages.want(page_urls(&resources));
    }

    fn update(&mut self) -> Update {
        let (mut resources, mut problems) = self.files.resources();
        resources.names = self.dns.answers();
        resources.pages = self.pages.known();
        resources.now = now();
        let outcome = self.translator.translate(&resources);
        problems.extend(to_problems(&resources, &outcome.findings));
        problems.sort();
        problems.dedup();
        let Outcome { snapshot, gateways, ingresses, .. } = outcome;
        Update { number: 0, snapshot, problems, gateways, ingresses }
    }
}

/// The time in seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
