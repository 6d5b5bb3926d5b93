//! What a translation has to say about resources.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tidegate_model::ObjectName;

use crate::api::ServiceRef;
use crate::problem::{ObjectRef, Problem, Severity};
use crate::resources::{Gateway, IngressBackend, Origin, Resources};

/// The kind of gateways.
pub(crate) const GATEWAY: &str = "ApplicationGateway";
/// The kind of Ingresses.
pub(crate) const INGRESS: &str = "Ingress";

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) object: ObjectRef,
    pub(crate) severity: Severity,
    /// Such as `spec.requestRoutingRules[2].httpListener`.
    pub(crate) path: String,
    pub(crate) why: String,
    /// It names something that is not there, here or in the cluster.
    pub(crate) unresolved: bool,
}

/// The findings of one object in the making.
#[derive(Debug)]
pub(crate) struct Findings {
    object: ObjectRef,
    all: Vec<Finding>,
}

impl Findings {
    /// Of an object of this kind.
    pub(crate) fn of(kind: &str, name: &ObjectName) -> Self {
        Self { object: ObjectRef::of(kind, name), all: Vec::new() }
    }

    fn add(&mut self, severity: Severity, path: String, why: String, unresolved: bool) {
        let object = self.object.clone();
        self.all.push(Finding { object, severity, path, why, unresolved });
    }

    /// What is at `path` was refused.
    pub(crate) fn refuse(&mut self, path: impl Into<String>, why: impl Into<String>) {
        self.add(Severity::Error, path.into(), why.into(), false);
    }

    /// What is at `path` was refused because it names something that is not there.
    pub(crate) fn unresolved(&mut self, path: impl Into<String>, why: impl Into<String>) {
        self.add(Severity::Error, path.into(), why.into(), true);
    }

    /// What is at `path` works, but perhaps not as meant.
    pub(crate) fn warn(&mut self, path: impl Into<String>, why: impl Into<String>) {
        self.add(Severity::Warning, path.into(), why.into(), false);
    }

    /// Refuses, unless the same was said before.
    pub(crate) fn refuse_once(&mut self, path: impl Into<String>, why: impl Into<String>) {
        self.add_once(Severity::Error, path.into(), why.into());
    }

    /// Warns, unless the same was said before.
    pub(crate) fn warn_once(&mut self, path: impl Into<String>, why: impl Into<String>) {
        self.add_once(Severity::Warning, path.into(), why.into());
    }

    fn add_once(&mut self, severity: Severity, path: String, why: String) {
        if !self.all.iter().any(|finding| finding.path == path && finding.why == why) {
            self.add(severity, path, why, false);
        }
    }

    /// Whether anything was refused so far.
    pub(crate) fn has_errors(&self) -> bool {
        self.all.iter().any(|finding| finding.severity == Severity::Error)
    }

    pub(crate) fn into_all(self) -> Vec<Finding> {
        self.all
    }
}

/// Findings with the file and line of what they are about.
pub(crate) fn to_problems(resources: &Resources, findings: &[Finding]) -> Vec<Problem> {
    let gateways = resources.gateways.iter().map(|g| ((GATEWAY, &g.name), &g.origin));
    let ingresses = resources.ingresses.iter().map(|i| ((INGRESS, &i.resource.name), &i.origin));
    let origins: HashMap<(&str, &ObjectName), &Arc<Origin>> = gateways.chain(ingresses).collect();
    let problem = |finding: &Finding| {
        let object = &finding.object;
        let name = ObjectName::new(&*object.namespace, &*object.name);
        let origin = origins.get(&(&*object.kind, &name))?;
        Some(Problem {
            file: origin.file.clone(),
            line: origin.lines.of(&in_document(&finding.path)),
            path: finding.path.clone(),
            why: finding.why.clone(),
            severity: finding.severity,
            object: Some(object.clone()),
        })
    };
    findings.iter().filter_map(problem).collect()
}

/// Names of annotations have dots of their own, and stand in brackets.
fn in_document(path: &str) -> Cow<'_, str> {
    let name = path.strip_prefix("metadata.annotations[").and_then(|name| name.strip_suffix(']'));
    name.map_or(path.into(), |name| format!("metadata.annotations.{name}").into())
}

/// The host names that pools and backends name, ExternalName Services among them.
pub(crate) fn host_names(resources: &Resources) -> BTreeSet<String> {
    let outside = |gateway: &Gateway, service: &ServiceRef| {
        let namespace = service.namespace.as_deref().unwrap_or(&gateway.name.namespace);
        let name = ObjectName::new(namespace, service.name.as_str());
        resources.services.get(&name)?.external.clone()
    };
    let mut names = BTreeSet::new();
    for gateway in &resources.gateways {
        let pools = &gateway.resource.spec.backend_address_pools;
        for address in pools.iter().flat_map(|pool| &pool.backend_addresses) {
            names.extend(address.fqdn.clone());
            if resources.allow_external_name {
                names.extend(address.service.as_ref().and_then(|its| outside(gateway, its)));
            }
        }
    }
    for item in &resources.ingresses {
        let namespace = &item.resource.name.namespace;
        for backend in item.resource.backends() {
            if let IngressBackend::Service { name, .. } = backend
                && let name = ObjectName::new(&**namespace, name.as_str())
                && let Some(service) = resources.services.get(&name)
            {
                names.extend(service.external.clone());
            }
        }
    }
    names.retain(|name| tidegate_model::Hostname::new(name.trim_end_matches('.')).is_ok());
    names
}

/// The Secrets that gateways and Ingresses name, and may.
pub(crate) fn secret_names(resources: &Resources) -> HashSet<ObjectName> {
    let mut names = HashSet::new();
    for gateway in &resources.gateways {
        let spec = &gateway.resource.spec;
        let certificates = spec.ssl_certificates.iter().chain(&spec.trusted_root_certificates);
        let certificates = certificates.chain(&spec.authentication_certificates);
        let plain = certificates.map(|its| (Some(&its.secret_name), &its.secret_namespace));
        let of_clients = spec.trusted_client_certificates.iter().flat_map(|its| {
            [&its.secret_name, &its.crl_secret_name].map(|n| (n.as_ref(), &its.secret_namespace))
        });
        for (name, namespace) in plain.chain(of_clients) {
            let Some(name) = name else { continue };
            let namespace = namespace.as_deref().unwrap_or(&gateway.name.namespace);
            let secret = ObjectName::new(namespace, name.as_str());
            if resources.may_refer(&gateway.name, "Secret", &secret) {
                names.insert(secret);
            }
        }
    }
    for item in &resources.ingresses {
        let ingress = &item.resource;
        for secret in ingress.tls.iter().filter_map(|tls| tls.secret.as_deref()) {
            names.insert(ObjectName::new(&*ingress.name.namespace, secret));
        }
    }
    names
}
