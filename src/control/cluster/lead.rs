//! What one replica does for all: Services, statuses, events and shared keys.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use serde_json::{Value, json};
use tidegate_model::ObjectName;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::api::GatewayStatus;
use crate::cluster::events::Told;
use crate::cluster::kept::KeptService;
use crate::cluster::reconcile::Judged;
use crate::cluster::services::Wanted;
use crate::cluster::start::ingress_gateway;
use crate::cluster::{ClusterOptions, Feedback, keys};

/// Seconds after which another replica takes over from a leader that has gone silent.
const LEASE_SECONDS: u64 = 15;
/// Seconds before that when a leader renews its lease.
const LEASE_GRACE_SECONDS: u64 = 5;
/// How often everything is looked at although nothing has changed.
const LOOK: Duration = Duration::from_secs(30);
/// The least time between two rounds of writing, so that a flapping member does not become a
/// stream of writes.
const ROUND: Duration = Duration::from_millis(200);

/// What is left after a round of writing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Left {
    /// There was more than one round writes.
    pub(super) more: bool,
    /// Something could not be written.
    pub(super) failed: bool,
}

impl std::ops::BitOrAssign for Left {
    fn bitor_assign(&mut self, other: Self) {
        self.more |= other.more;
        self.failed |= other.failed;
    }
}

/// What a leader works with.
pub(super) struct Leader {
    pub(super) client: Client,
    pub(super) options: Arc<ClusterOptions>,
    pub(super) judged: watch::Receiver<Arc<Judged>>,
    pub(super) feedback: watch::Receiver<Arc<Feedback>>,
    pub(super) told: Told,
    /// What was written last, for as long as the watch has not brought it back.
    pub(super) written: HashMap<ObjectName, (GatewayStatus, GatewayStatus)>,
    pub(super) owner: Option<Value>,
    /// The Services wanted and those there were when they were last found to be the same.
    pub(super) settled: Option<(Vec<Wanted>, Vec<Arc<KeptService>>)>,
    pub(super) ingress_gateway: ObjectName,
    keys_due: Option<Instant>,
    /// Addresses of the nodes that our pods are on.
    pub(super) nodes: Vec<String>,
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
            settled: None,
            keys_due: None,
            nodes: Vec::new(),
            nodes_due: None,
        }
    }

    /// Leads whenever the lease is ours, until nobody is interested any more or it is to step down,
    /// and gives the lease away then.
    pub(super) async fn run(mut self, mut stay: oneshot::Receiver<()>) {
        let (leading, electing) = tokio::select! {
            elected = elect(&self.client, &self.options) => elected,
            _ = &mut stay => return,
        };
        tokio::select! {
            () = self.lead_when_elected(leading) => {}
            _ = stay => {}
        }
        match electing.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => warn!(%error, "cannot give the lease away"),
            Err(error) => warn!(%error, "the election has failed"),
        }
    }

    async fn lead_when_elected(&mut self, mut leading: watch::Receiver<bool>) {
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
            self.settled = None;
        }
    }

    /// Whether nobody is interested any more.
    async fn lead(&mut self) -> bool {
        let mut wait = ROUND;
        let mut former = true;
        loop {
            let judged = self.judged.borrow_and_update().clone();
            let feedback = self.feedback.borrow_and_update().clone();
            let mut left = Left::default();
            // What no table has been made of yet is not told as if it were served.
            if judged.number > 0 {
                if self.owner.is_none() {
                    self.owner = owner(&self.client, &self.options).await;
                    self.settled = None;
                }
                if former {
                    former = self.forget_former().await;
                    left.failed |= former;
                }
                left.failed |= self.services(&judged).await;
                if feedback.applied >= judged.number {
                    left |= self.statuses(&judged, &feedback).await;
                    self.events(&judged).await;
                }
                self.keys().await;
            }
            tokio::time::sleep(wait).await;
            // What failed may well fail again.
            wait = if left.failed { (wait * 2).min(LOOK) } else { ROUND };
            if left.failed || left.more {
                continue;
            }
            tokio::select! {
                changed = self.judged.changed() => if changed.is_err() { return true },
                changed = self.feedback.changed() => if changed.is_err() { return true },
                () = tokio::time::sleep(LOOK) => {}
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
    pub(super) async fn look_for_nodes(&mut self) {
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

/// Takes part in the election for as long as the receiver lives; the task ends after that, when the
/// lease is given away.
async fn elect(
    client: &Client,
    options: &ClusterOptions,
) -> (watch::Receiver<bool>, JoinHandle<kube_lease_manager::Result<LeaseManager>>) {
    loop {
        let manager = LeaseManagerBuilder::new(client.clone(), &options.lease_name)
            .with_namespace(&options.namespace)
            .with_identity(&options.pod_name)
            .with_duration(LEASE_SECONDS)
            .with_grace(LEASE_GRACE_SECONDS)
            .build()
            .await;
        match manager {
            Ok(manager) => return manager.watch().await,
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
