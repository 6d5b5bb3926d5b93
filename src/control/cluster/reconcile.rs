//! The loop of `tidegate run`: what watches bring in, one update for every change out.
//!
//! What comes while a translation runs is translated together after it; otherwise a change is
//! translated at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::ObjectName;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::debug;

use crate::api::{ApplicationGateway, GatewayStatus};
use crate::cluster::config_maps::ConfigMaps;
use crate::cluster::kept::{self, KeptService};
use crate::cluster::secrets::Secrets;
use crate::cluster::store::{Seen, Store, Touched};
use crate::dns::Dns;
use crate::pages::{Pages, Reach};
use crate::places::Places;
use crate::problem::{ObjectRef, Problem, Severity};
use crate::standalone::{EXPIRY, Update, now};
use crate::translate::{
    Finding, GATEWAY, INGRESS, OwnIngress, Translator, config_map_names, host_names, page_urls,
    secret_names, to_problems,
};

/// How long an update waits for Secrets and ConfigMaps that have never been read, at most.
const SECRETS_WAIT: Duration = Duration::from_secs(2);

/// What became of everything at one moment, for who writes it into the cluster.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// The update that it belongs to.
    pub(super) number: u64,
    pub(super) update: Arc<Update>,
    pub(super) gateways: Vec<JudgedGateway>,
    pub(super) ingresses: Vec<JudgedIngress>,
    /// Ports that Ingresses are to be served on.
    pub(super) ingress_ports: BTreeSet<u16>,
    pub(super) kept: Vec<Arc<KeptService>>,
}

/// What became of one Ingress of ours.
#[derive(Debug)]
pub(super) struct JudgedIngress {
    pub(super) name: ObjectName,
    pub(super) uid: String,
    /// It is not left out as a whole.
    pub(super) served: bool,
    pub(super) findings: Vec<Finding>,
    /// The addresses that the cluster shows of it now.
    pub(super) observed: Vec<String>,
}

/// What became of one gateway.
#[derive(Debug)]
pub(super) struct JudgedGateway {
    pub(super) name: ObjectName,
    pub(super) uid: String,
    pub(super) generation: i64,
    /// What serves: the last version that could be read.
    pub(super) resource: Option<Arc<ApplicationGateway>>,
    /// Why the newest version cannot be read: the field, and what is wrong with it.
    pub(super) unreadable: Option<(String, String)>,
    pub(super) findings: Vec<Finding>,
    /// What the cluster says of it now.
    pub(super) observed: GatewayStatus,
}

pub(super) struct Reconciler {
    pub(super) store: Store,
    pub(super) secrets: Secrets,
    config_maps: ConfigMaps,
    pages: Arc<Pages>,
    pub(super) dns: Arc<Dns>,
    pub(super) translator: Translator,
    /// Where frontends bind, when ports are allocated.
    pub(super) bind: Option<std::net::IpAddr>,
    pub(super) scopes: usize,
    pub(super) updates: watch::Sender<Arc<Update>>,
    pub(super) judged: watch::Sender<Arc<Judged>>,
    findings: HashMap<ObjectRef, Vec<Finding>>,
    ingress_ports: BTreeSet<u16>,
    number: u64,
}

impl Reconciler {
    #[expect(clippy::too_many_arguments, reason = "each is one part that it is made of")]
    pub(super) fn new(
        mut store: Store,
        secrets: Secrets,
        config_maps: ConfigMaps,
        dns: Arc<Dns>,
        translator: Translator,
        bind: Option<std::net::IpAddr>,
        scopes: usize,
        allow_external_name: bool,
        outputs: (watch::Sender<Arc<Update>>, watch::Sender<Arc<Judged>>),
    ) -> Self {
        store.resources().allow_external_name = allow_external_name;
        let (updates, judged) = outputs;
        let (findings, ingress_ports) = (HashMap::new(), BTreeSet::new());
        Self {
            store,
            secrets,
            config_maps,
            pages: Pages::new(Reach::Network),
            dns,
            translator,
            bind,
            scopes,
            updates,
            judged,
            findings,
            ingress_ports,
            number: 0,
        }
    }

    /// Runs until nobody listens any more.
    pub(super) async fn run(mut self, mut seen: mpsc::Receiver<Seen>) {
        let (mut names, mut pages) = (self.dns.changes(), self.pages.changes());
        // Something is to be translated, at the latest then.
        let mut waiting: Option<Instant> = None;
        let mut hourly = tokio::time::interval(EXPIRY);
        loop {
            let touched = tokio::select! {
                () = self.updates.closed() => return,
                one = seen.recv() => {
                    let Some(one) = one else { return };
                    let mut touched = self.take(one);
                    while let Ok(one) = seen.try_recv() {
                        touched |= self.take(one);
                    }
                    touched
                }
                _ = names.changed() => Touched { resources: true, kept: false },
                _ = pages.changed() => Touched { resources: true, kept: false },
                _ = hourly.tick() => Touched { resources: true, kept: false },
                () = until(waiting) => Touched { resources: true, kept: false },
            };
            names.mark_unchanged();
            pages.mark_unchanged();
            if !self.store.is_complete(self.scopes) {
                continue;
            }
            let wanted = secret_names(self.store.resources());
            self.secrets.want(wanted, &mut self.store);
            let wanted = config_map_names(self.store.resources());
            self.config_maps.want(wanted, &mut self.store);
            // Before the first translation everything is new, whenever it was brought.
            let first = self.number == 0;
            if (touched.kept || first)
                && let Some(bind) = self.bind
            {
                let ports = Arc::new(kept::ports(self.store.kept().map(Arc::as_ref)));
                self.translator.set_places(Places::Allocated { bind, ports });
            }
            let due = touched.resources || touched.kept || first;
            if !due && waiting.is_none() {
                self.tell();
                continue;
            }
            let due = *waiting.get_or_insert_with(|| Instant::now() + SECRETS_WAIT);
            let all = self.secrets.all_answered() && self.config_maps.all_answered();
            if !all && Instant::now() < due {
                continue;
            }
            waiting = None;
            self.update();
        }
    }

    fn take(&mut self, seen: Seen) -> Touched {
        if let Seen::Secret(name, found) = &seen {
            self.secrets.answered(name, found.is_ok());
        }
        if let Seen::ConfigMap(name, _) = &seen {
            self.config_maps.answered(name);
        }
        self.store.take(seen)
    }

    /// Translates, and hands out what has changed by it.
    fn update(&mut self) {
        let started = std::time::Instant::now();
        self.dns.want(host_names(self.store.resources()));
        self.store.resources().names = self.dns.answers();
        self.pages.want(page_urls(self.store.resources()));
        self.store.resources().pages = self.pages.known();
        self.store.resources().now = now();
        let outcome = self.translator.translate(self.store.resources());
        let mut problems = to_problems(self.store.resources(), &outcome.findings);
        problems.extend(self.store.gateways().iter().filter_map(|(name, gateway)| {
            let (path, why) = gateway.resource.as_ref().err()?;
            Some(unreadable(name, path, why))
        }));
        problems.sort();
        problems.dedup();
        let mut findings: HashMap<ObjectRef, Vec<Finding>> = HashMap::new();
        for finding in outcome.findings {
            findings.entry(finding.object.clone()).or_default().push(finding);
        }
        self.findings = findings;
        self.ingress_ports = outcome.ingress_ports;
        let update = Update {
            snapshot: outcome.snapshot,
            problems,
            gateways: outcome.gateways,
            ingresses: outcome.ingresses,
            number: 0,
        };
        let number = self.number + 1;
        let changed = self.updates.send_if_modified(|last| {
            let differs = !last.says_the_same(&update) || last.number == 0;
            if differs {
                *last = Arc::new(Update { number, ..update });
            }
            differs
        });
        if changed {
            self.number = number;
        }
        debug!(changed, took = ?started.elapsed(), "translated");
        self.tell();
    }

    /// Tells those who write into the cluster.
    fn tell(&self) {
        if self.number == 0 {
            return;
        }
        let update = self.updates.borrow().clone();
        let serving: HashMap<ObjectName, Arc<ApplicationGateway>> =
            self.store.serving().map(|g| (g.name.clone(), g.resource.clone())).collect();
        let gateways = self.store.gateways().iter().map(|(name, seen)| JudgedGateway {
            name: name.clone(),
            uid: seen.uid.clone(),
            generation: seen.generation,
            resource: serving.get(name).cloned(),
            unreadable: seen.resource.as_ref().err().cloned(),
            findings: self.found(GATEWAY, name),
            observed: seen.status.clone(),
        });
        let gateways = gateways.collect();
        let ingresses = update.ingresses.iter().filter_map(|OwnIngress { name, served }| {
            let seen = self.store.ingresses().get(name)?;
            let (uid, observed) = (seen.uid.clone(), seen.addresses.clone());
            let findings = self.found(INGRESS, name);
            Some(JudgedIngress { name: name.clone(), uid, served: *served, findings, observed })
        });
        let ingresses = ingresses.collect();
        let kept = self.store.kept().cloned().collect();
        let (number, ingress_ports) = (self.number, self.ingress_ports.clone());
        let judged = Judged { number, update, gateways, ingresses, ingress_ports, kept };
        self.judged.send_replace(Arc::new(judged));
    }

    fn found(&self, kind: &str, name: &ObjectName) -> Vec<Finding> {
        self.findings.get(&ObjectRef::of(kind, name)).cloned().unwrap_or_default()
    }
}

fn unreadable(name: &ObjectName, path: &str, why: &str) -> Problem {
    Problem {
        file: std::path::PathBuf::new(),
        line: 0,
        path: path.to_owned(),
        why: format!("it cannot be read: {why}"),
        severity: Severity::Error,
        object: Some(ObjectRef::of(GATEWAY, name)),
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
