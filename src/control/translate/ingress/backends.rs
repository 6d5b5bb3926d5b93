//! Backends: ports of Services as pools, with the settings of the Ingress that names them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_model::{
    BackendTls, CookieName, HostOverride, Hostname, Leaf, LoadDistribution, MemberHttp, ObjectName,
    Pool, Probe, ProbeHost, ProbeKind, Settings, Target, Trust,
};

use crate::resources::{Ingress, IngressBackend, Resources, Service};
use crate::translate::findings::Findings;
use crate::translate::gateway::Parts;
use crate::translate::ingress::IngressOptions;
use crate::translate::ingress::annotations::Annotations;
use crate::translate::members::{Members, find_port};

/// What Application Gateway's ingress controller gives requests and draining.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const DRAIN: Duration = Duration::from_secs(30);
/// The port whose Services speak HTTPS unless it is said otherwise.
const HTTPS: i32 = 443;

/// A Service and the number of its port.
pub(super) type ServicePort = (ObjectName, i32);

/// An Ingress whose backends are looked for.
pub(super) struct Source<'a> {
    pub(super) ingress: &'a Ingress,
    pub(super) annotations: &'a Annotations,
}

/// Pools and targets of one translation.
pub(super) struct Backends<'a> {
    resources: &'a Resources,
    options: &'a IngressOptions,
    pools: HashMap<ServicePort, Arc<Pool>>,
    targets: HashMap<(ObjectName, ServicePort), Arc<Target>>,
}

impl<'a> Backends<'a> {
    pub(super) fn new(resources: &'a Resources, options: &'a IngressOptions) -> Self {
        Self { resources, options, pools: HashMap::new(), targets: HashMap::new() }
    }

    /// Where requests for a backend go: 502 if it cannot be used. The host is that of the first
    /// rule that leads here, for probes.
    pub(super) fn leaf(
        &mut self,
        parts: &mut Parts,
        source: &Source<'_>,
        backend: &IngressBackend,
        host: Option<&Hostname>,
        path: &str,
        findings: &mut Findings,
    ) -> Leaf {
        let namespace = &source.ingress.name.namespace;
        let (name, port) = match backend {
            IngressBackend::Service { name, port } => (name, port),
            IngressBackend::Resource(kind) => {
                let why = format!("only Services are supported, not {kind}: answered with 502");
                findings.refuse(format!("{path}.resource"), why);
                return Leaf::Refuse;
            }
            IngressBackend::Nothing => {
                findings.refuse(path, "a service is needed");
                return Leaf::Refuse;
            }
        };
        let path = format!("{path}.service");
        let name = ObjectName::new(&**namespace, name.as_str());
        let Some((port, number)) = self.find(&name, port.as_ref(), &path, findings) else {
            return Leaf::Refuse;
        };
        let key = (name, number);
        let made = (source.ingress.name.clone(), key.clone());
        if let Some(target) = self.targets.get(&made) {
            return Leaf::Forward(target.clone());
        }
        let (pool, told) = self.pool(parts, &key, port);
        if let Some(why) = told {
            findings.warn(&path, why);
        }
        let settings = settings(source, &key, host);
        let names = (pool.name.clone(), settings.name.clone());
        let settings = parts.settings.share(names.1.clone(), settings);
        let target = Target { pool, settings };
        let target = parts.targets.share(names, target);
        self.targets.insert(made, target.clone());
        Leaf::Forward(target)
    }

    /// The name and number of a Service's port.
    fn find(
        &self,
        name: &ObjectName,
        port: Option<&IntOrString>,
        path: &str,
        findings: &mut Findings,
    ) -> Option<(&'a str, i32)> {
        let Some(service) = self.resources.services.get(name) else {
            let why = format!("there is no Service {name}: answered with 502");
            findings.unresolved(format!("{path}.name"), why);
            return None;
        };
        if service.external.is_some() && !self.options.allow_external_name {
            let why = format!("Service {name} is an ExternalName, which is not allowed here");
            findings.refuse(format!("{path}.name"), why);
            return None;
        }
        let path = format!("{path}.port");
        let Some(port) = port else {
            findings.refuse(path, "a name or a number is needed");
            return None;
        };
        // An ExternalName needs no ports: a number is one all the same.
        if let (Some(_), IntOrString::Int(number), true) =
            (&service.external, port, service.ports.is_empty())
        {
            return Some(("", *number));
        }
        match find_port(name, service, port) {
            Ok((name, number)) => Some((name, *number)),
            Err(why) => {
                findings.unresolved(path, why);
                None
            }
        }
    }

    /// The pool of a Service's port, and what is to be said of it.
    fn pool(
        &mut self,
        parts: &mut Parts,
        key: &ServicePort,
        port: &str,
    ) -> (Arc<Pool>, Option<String>) {
        let mut members = Members::default();
        let slices = self.resources.slices.get(&key.0).map_or(&[][..], |slices| slices);
        let service = self.resources.services.get(&key.0);
        let told = match service.and_then(|service| service.external.as_deref()) {
            Some(name) => self.add_external(&mut members, name, key.1),
            None if members.add_endpoints(slices, port) => None,
            None => Some(format!("Service {} has no endpoints on this port", key.0)),
        };
        if let Some(made) = self.pools.get(key) {
            return (made.clone(), told);
        }
        // Names of Kubernetes have no slash, so no two Services have the same.
        let name: Box<str> = format!("{}/{}/{}", key.0.namespace, key.0.name, key.1).into();
        let pool = Pool { name: name.clone(), members: members.all };
        let pool = parts.pools.share(name, pool);
        self.pools.insert(key.clone(), pool.clone());
        (pool, told)
    }

    fn add_external(&self, members: &mut Members, name: &str, port: i32) -> Option<String> {
        let host = match Hostname::new(name.strip_suffix('.').unwrap_or(name)) {
            Ok(host) => host,
            Err(error) => return Some(format!("externalName {name:?}: {error}")),
        };
        let port = u16::try_from(port).ok();
        members.add_answer(self.resources.names.get(name)?, name, &host, port)
    }

    /// All pools: those in use, and those that were once, for as long as the Service has the port.
    /// A member is gone when its Service has it no more, not when an Ingress stops naming it.
    pub(super) fn all_pools(
        mut self,
        parts: &mut Parts,
        remembered: &mut BTreeSet<ServicePort>,
    ) -> Vec<Arc<Pool>> {
        remembered.extend(self.pools.keys().cloned());
        remembered.retain(|key| self.is_there(parts, key));
        let mut pools: Vec<Arc<Pool>> = self.pools.into_values().collect();
        pools.sort_by(|a, b| a.name.cmp(&b.name));
        pools
    }

    /// Whether the port is still there; makes its pool.
    fn is_there(&mut self, parts: &mut Parts, key: &ServicePort) -> bool {
        if self.pools.contains_key(key) {
            return true;
        }
        let wanted = IntOrString::Int(key.1);
        let found = self.resources.services.get(&key.0).and_then(|service: &Arc<Service>| {
            find_port(&key.0, service, &wanted).ok().map(|(name, _)| name.clone())
        });
        let Some(port) = found else { return false };
        self.pool(parts, key, &port);
        true
    }
}

fn settings(source: &Source<'_>, key: &ServicePort, host: Option<&Hostname>) -> Settings {
    let Source { ingress, annotations } = source;
    let https = annotations.https.unwrap_or(key.1 == HTTPS);
    let own_host = annotations.backend_hostname.as_ref();
    let probe = match &annotations.probe {
        // Pods say by themselves whether they are ready; `/` may well be a 404.
        None => Probe { kind: ProbeKind::Tcp, ..Probe::default() },
        Some(probe) => {
            let host = match (&probe.host, own_host.or(host)) {
                (ProbeHost::Default, Some(host)) => ProbeHost::Fixed(host.clone()),
                (host, _) => host.clone(),
            };
            Probe { host, ..probe.clone() }
        }
    };
    let Ingress { name, .. } = ingress;
    Settings {
        name: format!("{}/{}/{}/{}", name.namespace, name.name, key.0.name, key.1).into(),
        port: u16::try_from(key.1).unwrap_or_default(),
        tls: https.then(|| BackendTls::trusting(Trust::WellKnown)),
        request_timeout: annotations.request_timeout.unwrap_or(REQUEST_TIMEOUT),
        drain_timeout: annotations.drain.unwrap_or(DRAIN),
        host: own_host.map_or(HostOverride::Keep, |name| HostOverride::Fixed(name.clone())),
        path: annotations.backend_path.clone(),
        distribution: LoadDistribution::default(),
        http_version: MemberHttp::default(),
        dedicated_connections: false,
        outlier_ejection: None,
        slow_start: None,
        web_socket: Arc::default(),
        affinity: annotations.affinity.map(|affinity| match affinity.distinct {
            true => distinct_cookie(&key.0),
            false => CookieName::default(),
        }),
        probe,
    }
}

/// The cookie of one Service. It is the same in every process and does not tell the Service's name.
fn distinct_cookie(service: &ObjectName) -> CookieName {
    let hash = digest(&SHA256, service.to_string().as_bytes());
    let hash: String = hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    CookieName::new(&format!("appgw-affinity-{hash}")).unwrap_or_default()
}
