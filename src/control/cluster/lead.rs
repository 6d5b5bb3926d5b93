//! What one replica does for all: Services, statuses, events and shared keys.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use kube_lease_manager::LeaseManagerBuilder;
use serde_json::{Value, json};
use tidegate_model::{Gateway, ObjectName};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::api::{ApplicationGateway, GatewayStatus};
use crate::cluster::events::{self, Note, Told};
use crate::cluster::reconcile::Judged;
use crate::cluster::start::ingress_gateway;
use crate::cluster::{ClusterOptions, Feedback, keys, services, status};
use crate::problem::Severity;
use crate::translate::Finding;

/// Who owns the fields that are written by server-side apply.
const FIELD_MANAGER: &str = "tidegate";
/// Seconds after which another replica takes over from a leader that has gone silent.
const LEASE_SECONDS: u64 = 15;
/// Seconds before that when a leader renews its lease.
const LEASE_GRACE_SECONDS: u64 = 5;
/// How often everything is looked at although nothing has changed.
const LOOK: Duration = Duration::from_secs(30);
/// The least time between two rounds of writing, so that a flapping member does not become a
/// stream of writes.
const ROUND: Duration = Duration::from_millis(200);
/// Status writes in one round, at most; the rest follows in the next.
const WRITES: usize = 100;
/// Requests under way at once.
const AT_ONCE: usize = 8;

/// What a leader works with.
pub(super) struct Leader {
    pub(super) client: Client,
    pub(super) options: Arc<ClusterOptions>,
    pub(super) judged: watch::Receiver<Arc<Judged>>,
    pub(super) feedback: watch::Receiver<Arc<Feedback>>,
    told: Told,
    /// What was written last, for as long as the watch has not brought it back.
    written: HashMap<ObjectName, (GatewayStatus, GatewayStatus)>,
    owner: Option<Value>,
    ingress_gateway: ObjectName,
    keys_due: Option<Instant>,
    /// Addresses of the nodes that our pods are on.
    nodes: Vec<String>,
    nodes_due: Option<Instant>,
}

impl Leader {
    pub(super) fn new(
        client: Client,
        options: Arc<ClusterOptions>,
        judged: watch::Receiver<Arc<Judged>>,
        feedback: watch::Receiver<Arc<Feedback>>,
    ) -> Self {
        let ingress_gateway = ingress_gateway(&options);
        Self {
            ingress_gateway,
            client,
            options,
            judged,
            feedback,
            told: Told::default(),
            written: HashMap::new(),
            owner: None,
            keys_due: None,
            nodes: Vec::new(),
            nodes_due: None,
        }
    }

    /// Runs until nobody is interested any more; leads whenever the lease is ours.
    pub(super) async fn run(mut self) {
        let mut leading = elect(&self.client, &self.options).await;
        loop {
            if !*leading.borrow_and_update() {
                if leading.changed().await.is_err() {
                    return;
                }
                continue;
            }
            info!("leading: this replica writes Services and statuses");
            tokio::select! {
                ended = self.lead() => if ended { return },
                changed = leading.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    info!("another replica leads");
                }
            }
            self.written.clear();
        }
    }

    /// Whether nobody is interested any more.
    async fn lead(&mut self) -> bool {
        let mut wait = ROUND;
        loop {
            let judged = self.judged.borrow_and_update().clone();
            let feedback = self.feedback.borrow_and_update().clone();
            let mut again = false;
            // What no table has been made of yet is not told as if it were served.
            if judged.number > 0 {
                if self.owner.is_none() {
                    self.owner = owner(&self.client, &self.options).await;
                }
                again |= self.services(&judged).await;
                if feedback.applied >= judged.number {
                    again |= self.statuses(&judged, &feedback).await;
                    self.events(&judged).await;
                }
                self.keys().await;
            }
            tokio::time::sleep(wait).await;
            if again {
                // What failed may well fail again.
                wait = (wait * 2).min(LOOK);
                continue;
            }
            wait = ROUND;
            tokio::select! {
                changed = self.judged.changed() => if changed.is_err() { return true },
                changed = self.feedback.changed() => if changed.is_err() { return true },
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Makes the Services be what they should; whether something failed.
    async fn services(&mut self, judged: &Judged) -> bool {
        let Some(template) = self.options.services.clone() else { return false };
        let mut wanted: Vec<services::Wanted> = judged
            .gateways
            .iter()
            .filter_map(|gateway| Some((&gateway.name, gateway.resource.as_ref()?)))
            .flat_map(|(name, resource)| services::wanted(name, &resource.spec))
            .collect();
        if !judged.ingress_ports.is_empty() {
            wanted.push(services::Wanted {
                gateway: self.ingress_gateway.clone(),
                frontend: "".into(),
                ports: judged.ingress_ports.clone(),
                annotations: BTreeMap::new(),
                address: None,
            });
        }
        let kept = judged.kept.iter().map(Arc::as_ref);
        let class = &self.options.class;
        let plan = services::plan(&wanted, kept, &template, class, self.owner.as_ref());
        for gateway in &plan.starved {
            let range = &template.ports;
            warn!(%gateway, ?range, "no port is left for it: --port-range is too small");
        }
        let api: Api<Service> = Api::namespaced(self.client.clone(), &self.options.namespace);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let mut failed = false;
        let applying = plan.apply.into_iter().map(|(name, manifest)| {
            let (api, params) = (api.clone(), params.clone());
            async move {
                let applied = api.patch(&name, &params, &Patch::Apply(manifest)).await;
                (name, applied.map(drop))
            }
        });
        let mut applying = futures_util::stream::iter(applying).buffer_unordered(AT_ONCE);
        while let Some((service, outcome)) = applying.next().await {
            match outcome {
                Ok(()) => debug!(service, "applied"),
                Err(error) => {
                    warn!(service, %error, "cannot apply the Service");
                    failed = true;
                }
            }
        }
        for service in plan.delete {
            match api.delete(&service, &DeleteParams::default()).await {
                Ok(_) => debug!(service, "deleted"),
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => {
                    warn!(service, %error, "cannot delete the Service");
                    failed = true;
                }
            }
        }
        failed
    }

    /// Writes the statuses that differ; whether some are left, or failed.
    async fn statuses(&mut self, judged: &Judged, feedback: &Feedback) -> bool {
        if self.options.services.is_none() {
            self.look_for_nodes().await;
        }
        let served: HashMap<&ObjectName, &Arc<Gateway>> =
            judged.update.snapshot.gateways.iter().map(|g| (&g.name, g)).collect();
        let mut addresses: HashMap<&ObjectName, Vec<String>> = HashMap::new();
        for service in &judged.kept {
            addresses.entry(&service.gateway).or_default().extend(service.addresses.clone());
        }
        let now = Timestamp::now();
        let mut writes = Vec::new();
        let mut left = false;
        for gateway in &judged.gateways {
            let own = self.addresses(&gateway.name, &addresses);
            let served = served.get(&gateway.name).map(|gateway| &***gateway);
            let status = status::status_of(gateway, served, own, feedback, now);
            let pending = self.written.get(&gateway.name);
            let current = match pending {
                Some((observed, written)) if *observed == gateway.observed => written,
                _ => &gateway.observed,
            };
            if *current == status {
                continue;
            }
            if writes.len() == WRITES {
                left = true;
                break;
            }
            writes.push((gateway.name.clone(), gateway.observed.clone(), status));
        }
        left |= self.ingress_statuses(judged, &addresses).await;
        let client = self.client.clone();
        let writing = writes.into_iter().map(|(name, observed, status)| {
            let api: Api<ApplicationGateway> = Api::namespaced(client.clone(), &name.namespace);
            async move {
                let patch = Patch::Apply(json!({
                    "apiVersion": "tidegate.dev/v1alpha1",
                    "kind": "ApplicationGateway",
                    "status": &status,
                }));
                let params = PatchParams::apply(FIELD_MANAGER).force();
                let outcome = api.patch_status(&name.name, &params, &patch).await.map(drop);
                (name, observed, status, outcome)
            }
        });
        let mut writing = futures_util::stream::iter(writing).buffer_unordered(AT_ONCE);
        while let Some((gateway, observed, status, outcome)) = writing.next().await {
            match outcome {
                Ok(()) => drop(self.written.insert(gateway, (observed, status))),
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => {
                    warn!(%gateway, %error, "cannot write the status");
                    left = true;
                }
            }
        }
        left
    }

    /// Where a gateway is reached.
    fn addresses(
        &self,
        gateway: &ObjectName,
        services: &HashMap<&ObjectName, Vec<String>>,
    ) -> Vec<String> {
        match (&self.options.publish_addresses, &self.options.services) {
            (published, _) if !published.is_empty() => published.clone(),
            (_, None) => self.nodes.clone(),
            (_, Some(_)) => services.get(gateway).cloned().unwrap_or_default(),
        }
    }

    /// Writes the addresses of Ingresses; whether some are left, or failed.
    async fn ingress_statuses(
        &mut self,
        judged: &Judged,
        services: &HashMap<&ObjectName, Vec<String>>,
    ) -> bool {
        let addresses = self.addresses(&self.ingress_gateway, services);
        if addresses.is_empty() {
            return false;
        }
        let differing = judged.ingresses.iter().filter(|its| its.observed != addresses);
        let differing: Vec<_> = differing.take(WRITES).collect();
        let mut left = differing.len() == WRITES;
        let shown: Vec<Value> = addresses
            .iter()
            .map(|address| match address.parse::<std::net::IpAddr>() {
                Ok(ip) => json!({"ip": ip}),
                Err(_) => json!({"hostname": address}),
            })
            .collect();
        for ingress in differing {
            let api: Api<Ingress> = Api::namespaced(self.client.clone(), &ingress.name.namespace);
            let patch = Patch::Apply(json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "status": {"loadBalancer": {"ingress": shown}},
            }));
            let params = PatchParams::apply(FIELD_MANAGER).force();
            match api.patch_status(&ingress.name.name, &params, &patch).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => {
                    warn!(ingress = %ingress.name, %error, "cannot write the status");
                    left = true;
                }
            }
        }
        left
    }

    async fn events(&mut self, judged: &Judged) {
        let gateways = judged.gateways.iter().map(|gateway| gateway.uid.as_str());
        let ingresses = judged.ingresses.iter().map(|ingress| ingress.uid.as_str());
        self.told.keep(&gateways.chain(ingresses).collect());
        for ingress in &judged.ingresses {
            let about = ObjectReference {
                api_version: Some("networking.k8s.io/v1".into()),
                kind: Some("Ingress".into()),
                namespace: Some(ingress.name.namespace.to_string()),
                name: Some(ingress.name.name.to_string()),
                uid: Some(ingress.uid.clone()),
                ..ObjectReference::default()
            };
            for note in self.told.new_ones(&ingress.uid, notes(&ingress.findings)) {
                events::write(&self.client, &self.options.pod_name, &about, &note).await;
            }
        }
        for gateway in &judged.gateways {
            let mut notes = notes(&gateway.findings);
            notes.extend(
                gateway.unreadable.iter().map(|(path, why)| Note {
                    reason: "Unreadable",
                    text: format!("{path}: {why}"),
                }),
            );
            let about = ObjectReference {
                api_version: Some("tidegate.dev/v1alpha1".into()),
                kind: Some("ApplicationGateway".into()),
                namespace: Some(gateway.name.namespace.to_string()),
                name: Some(gateway.name.name.to_string()),
                uid: Some(gateway.uid.clone()),
                ..ObjectReference::default()
            };
            for note in self.told.new_ones(&gateway.uid, notes) {
                events::write(&self.client, &self.options.pod_name, &about, &note).await;
            }
        }
    }

    async fn keys(&mut self) {
        if self.keys_due.is_some_and(|due| Instant::now() < due) {
            return;
        }
        let options = &self.options;
        let (namespace, secret) = (&options.namespace, &options.shared_keys_secret);
        let kept = keys::keep(&self.client, namespace, secret, self.owner.as_ref()).await;
        let wait = match kept {
            Ok(()) => Duration::from_secs(600),
            Err(error) => {
                warn!(%error, secret = options.shared_keys_secret, "cannot keep the shared keys");
                LOOK
            }
        };
        self.keys_due = Some(Instant::now() + wait);
    }

    /// Finds the nodes that our pods are on.
    async fn look_for_nodes(&mut self) {
        if self.nodes_due.is_some_and(|due| Instant::now() < due) {
            return;
        }
        self.nodes_due = Some(Instant::now() + LOOK);
        let selector: Vec<String> =
            self.options.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.options.namespace);
        match api.list(&ListParams::default().labels(&selector.join(","))).await {
            Ok(pods) => {
                let ips = |pod: Pod| pod.status.and_then(|s| s.host_ips).unwrap_or_default();
                let mut nodes: Vec<String> =
                    pods.into_iter().flat_map(ips).map(|its| its.ip).collect();
                nodes.sort();
                nodes.dedup();
                self.nodes = nodes;
            }
            Err(error) => warn!(%error, "cannot list our pods to find their nodes"),
        }
    }
}

fn notes(findings: &[Finding]) -> Vec<Note> {
    let note = |finding: &Finding| Note {
        reason: match (finding.severity, finding.unresolved) {
            (Severity::Warning, _) => "Warning",
            (Severity::Error, true) => "RefNotFound",
            (Severity::Error, false) => "Refused",
        },
        text: format!("{}: {}", finding.path, finding.why),
    };
    findings.iter().map(note).collect()
}

/// Takes part in the election for as long as the receiver lives.
async fn elect(client: &Client, options: &ClusterOptions) -> watch::Receiver<bool> {
    loop {
        let manager = LeaseManagerBuilder::new(client.clone(), &options.lease_name)
            .with_namespace(&options.namespace)
            .with_identity(&options.pod_name)
            .with_duration(LEASE_SECONDS)
            .with_grace(LEASE_GRACE_SECONDS)
            .build()
            .await;
        match manager {
            Ok(manager) => return manager.watch().await.0,
            Err(error) => {
                warn!(lease = options.lease_name, %error, "cannot read the lease; trying again");
                tokio::time::sleep(ROUND * 10).await;
            }
        }
    }
}

/// What owns the Services, so that they go when it goes.
async fn owner(client: &Client, options: &ClusterOptions) -> Option<Value> {
    let (kind, name) = options.owner.as_ref()?;
    let resource = kube::core::ApiResource {
        group: "apps".into(),
        version: "v1".into(),
        api_version: "apps/v1".into(),
        kind: kind.clone(),
        plural: format!("{}s", kind.to_ascii_lowercase()),
    };
    let api: Api<kube::core::DynamicObject> =
        Api::namespaced_with(client.clone(), &options.namespace, &resource);
    match api.get(name).await {
        Ok(owner) => Some(json!({
            "apiVersion": "apps/v1",
            "kind": kind,
            "name": name,
            "uid": owner.metadata.uid,
        })),
        Err(error) => {
            warn!(%error, "cannot read {kind} {name}, which is to own the Services");
            None
        }
    }
}
