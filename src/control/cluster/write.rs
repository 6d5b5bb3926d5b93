//! What a leader writes: Services, statuses and events.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{ObjectReference, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tidegate_model::{Gateway, ObjectName};
use tracing::{debug, info, warn};

use crate::api::ApplicationGateway;
use crate::cluster::events::{self, Note};
use crate::cluster::lead::{Leader, Left};
use crate::cluster::reconcile::Judged;
use crate::cluster::{Feedback, ServiceTemplate, kept, services, status};
use crate::problem::Severity;
use crate::translate::Finding;

/// Who owns the fields that are written by server-side apply.
const FIELD_MANAGER: &str = "tidegate";
/// Status writes in one round, at most; the rest follows in the next.
const WRITES: usize = 100;
/// Requests under way at once.
const AT_ONCE: usize = 8;

impl Leader {
    /// Makes the Services be what they should; whether something failed.
    pub(super) async fn services(&mut self, judged: &Judged) -> bool {
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
                https: judged.ingress_ports.iter().copied().filter(|port| *port == 443).collect(),
                annotations: BTreeMap::new(),
                address: None,
            });
        }
        let is_settled = self.settled.as_ref().is_some_and(|(last_wanted, last_kept)| {
            *last_wanted == wanted && *last_kept == judged.kept
        });
        if is_settled {
            return false;
        }
        let kept = judged.kept.iter().map(Arc::as_ref);
        let class = &self.options.class;
        let plan = services::plan(&wanted, kept, &template, class, self.owner.as_ref());
        self.settled = plan.is_empty().then(|| (wanted, judged.kept.clone()));
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
            failed |= !delete(&api, &service).await;
        }
        failed
    }

    /// Deletes Services that this installation made under another class, or before it came to use
    /// the nodes' own network; whether something failed.
    pub(super) async fn forget_former(&self) -> bool {
        let Some(own) = self.owner.as_ref().and_then(|owner| owner["uid"].as_str()) else {
            return false;
        };
        let class = self.options.services.is_some().then_some(&self.options.class);
        let api: Api<Service> = Api::namespaced(self.client.clone(), &self.options.namespace);
        let ours = format!("{}={}", kept::MANAGED_BY.0, kept::MANAGED_BY.1);
        let services = match api.list(&ListParams::default().labels(&ours)).await {
            Ok(services) => services,
            Err(error) => {
                warn!(%error, "cannot list our Services");
                return true;
            }
        };
        let mut failed = false;
        for service in services {
            let owners = service.metadata.owner_references.unwrap_or_default();
            let labels = service.metadata.labels.unwrap_or_default();
            let (Some(name), Some(its)) = (service.metadata.name, labels.get(kept::CLASS)) else {
                continue;
            };
            if Some(its) == class || !owners.iter().any(|owner| owner.uid == own) {
                continue;
            }
            info!(service = name, class = its, "a Service of former times is deleted");
            failed |= !delete(&api, &name).await;
        }
        failed
    }

    /// Writes the statuses that differ; whether some are left, or failed.
    pub(super) async fn statuses(&mut self, judged: &Judged, feedback: &Feedback) -> Left {
        if on_nodes(self.options.services.as_ref()) {
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
        let mut left = Left::default();
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
                left.more = true;
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
                    left.failed = true;
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
            (_, services) if on_nodes(services.as_ref()) => self.nodes.clone(),
            _ => services.get(gateway).cloned().unwrap_or_default(),
        }
    }

    /// Writes the addresses of Ingresses; whether some are left, or failed.
    async fn ingress_statuses(
        &mut self,
        judged: &Judged,
        services: &HashMap<&ObjectName, Vec<String>>,
    ) -> Left {
        let addresses = self.addresses(&self.ingress_gateway, services);
        let addresses_of =
            |served: bool| if served { addresses.as_slice() } else { Default::default() };
        let differing =
            judged.ingresses.iter().filter(|its| its.observed != addresses_of(its.served));
        let differing: Vec<_> = differing.take(WRITES).collect();
        let mut left = Left { more: differing.len() == WRITES, failed: false };
        let shown = |addresses: &[String]| -> Vec<Value> {
            let item = |address: &String| match address.parse::<IpAddr>() {
                Ok(ip) => json!({"ip": ip}),
                Err(_) => json!({"hostname": address}),
            };
            addresses.iter().map(item).collect()
        };
        for ingress in differing {
            let api: Api<Ingress> = Api::namespaced(self.client.clone(), &ingress.name.namespace);
            let patch = Patch::Apply(json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "status": {"loadBalancer": {"ingress": shown(addresses_of(ingress.served))}},
            }));
            let params = PatchParams::apply(FIELD_MANAGER).force();
            match api.patch_status(&ingress.name.name, &params, &patch).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => {
                    warn!(ingress = %ingress.name, %error, "cannot write the status");
                    left.failed = true;
                }
            }
        }
        left
    }

    pub(super) async fn events(&mut self, judged: &Judged) {
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
}

/// Deletes a Service; whether it is gone.
async fn delete(api: &Api<Service>, service: &str) -> bool {
    match api.delete(service, &DeleteParams::default()).await {
        Ok(_) => debug!(service, "deleted"),
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => {
            warn!(service, %error, "cannot delete the Service");
            return false;
        }
    }
    true
}

/// Whether gateways are reached at the addresses of nodes.
fn on_nodes(services: Option<&ServiceTemplate>) -> bool {
    services.is_none_or(|template| template.kind == "NodePort")
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
