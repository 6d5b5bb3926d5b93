//! Services that Tidegate keeps for frontends: what they say of themselves.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_model::ObjectName;

use crate::places::Ports;

/// Of every object that Tidegate makes: that it did.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "tidegate");
/// The class of the installation whose Service it is.
pub(super) const CLASS: &str = "tidegate.dev/class";
/// The gateway whose Service it is, as `namespace/name`.
pub(super) const GATEWAY: &str = "tidegate.dev/gateway";
/// The frontend whose Service it is; empty for the only one of a gateway that names none.
pub(super) const FRONTEND: &str = "tidegate.dev/frontend";
/// A digest of what was asked for.
pub(super) const DIGEST: &str = "tidegate.dev/digest";

/// A Service that Tidegate keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeptService {
    pub(super) name: String,
    pub(super) gateway: ObjectName,
    pub(super) frontend: Box<str>,
    /// Ports that clients connect to, and those of our pods that they are mapped to.
    pub(super) ports: Vec<(u16, u16)>,
    pub(super) digest: String,
    /// Where it is reached from outside.
    pub(super) addresses: Vec<String>,
    created: String,
}

impl KeptService {
    /// Reads one; `None` if it is none of ours.
    pub(super) fn read(service: Service) -> Option<Self> {
        let meta = service.metadata;
        let annotations = meta.annotations.unwrap_or_default();
        let (namespace, name) = annotations.get(GATEWAY)?.split_once('/')?;
        let spec = service.spec.unwrap_or_default();
        let port = |port: &k8s_openapi::api::core::v1::ServicePort| {
            let Some(IntOrString::Int(target)) = port.target_port else { return None };
            // What is there over UDP is there over TCP too.
            if port.protocol.as_deref() == Some("UDP") {
                return None;
            }
            Some((u16::try_from(port.port).ok()?, u16::try_from(target).ok()?))
        };
        let balancer = service.status.and_then(|status| status.load_balancer);
        let balanced = balancer.and_then(|balancer| balancer.ingress).unwrap_or_default();
        let mut addresses: Vec<String> =
            balanced.into_iter().filter_map(|its| its.ip.or(its.hostname)).collect();
        if spec.type_.as_deref() != Some("LoadBalancer") {
            addresses = spec.cluster_ips.unwrap_or_default();
        }
        Some(Self {
            name: meta.name?,
            gateway: ObjectName::new(namespace, name),
            frontend: annotations.get(FRONTEND).map_or("", String::as_str).into(),
            ports: spec.ports.iter().flatten().filter_map(port).collect(),
            digest: annotations.get(DIGEST).cloned().unwrap_or_default(),
            addresses,
            created: meta.creation_timestamp.map(|time| time.0.to_string()).unwrap_or_default(),
        })
    }
}

/// The ports that Services map to. Of two that map to one port, the older has it.
pub(super) fn ports<'a>(kept: impl Iterator<Item = &'a KeptService>) -> Ports {
    let mut all: Vec<&KeptService> = kept.collect();
    all.sort_by(|a, b| (&a.created, &a.name).cmp(&(&b.created, &b.name)));
    let mut taken: HashMap<u16, ()> = HashMap::new();
    let mut ports = Ports::new();
    for service in all {
        for &(port, target) in &service.ports {
            if taken.insert(target, ()).is_none() {
                ports.insert((service.gateway.clone(), service.frontend.clone(), port), target);
            }
        }
    }
    ports
}
