//! What a translation has to say about resources.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tidegate_model::ObjectName;

use crate::api::ServiceRef;
use crate::problem::{ObjectRef, Problem, Severity};
use crate::resources::{Gateway, Origin, Resources};

/// The kind of gateways.
pub(crate) const GATEWAY: &str = "ApplicationGateway";

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

    pub(crate) fn into_all(self) -> Vec<Finding> {
        self.all
    }
}

/// Findings with the file and line of what they are about.
pub(crate) fn to_problems(resources: &Resources, findings: &[Finding]) -> Vec<Problem> {
    let gateways = resources.gateways.iter().map(|g| ((GATEWAY, &g.name), &g.origin));
    let origins: HashMap<(&str, &ObjectName), &Arc<Origin>> = gateways.collect();
    let problem = |finding: &Finding| {
        let object = &finding.object;
        let name = ObjectName::new(&*object.namespace, &*object.name);
        let origin = origins.get(&(&*object.kind, &name))?;
        Some(Problem {
            file: origin.file.clone(),
            line: origin.lines.of(&finding.path),
            path: finding.path.clone(),
            why: finding.why.clone(),
            severity: finding.severity,
            object: Some(object.clone()),
        })
    };
    findings.iter().filter_map(problem).collect()
}

/// The host names that pools name, ExternalName Services among them.
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
    names.retain(|name| tidegate_model::Hostname::new(name.trim_end_matches('.')).is_ok());
    names
}

/// The Secrets that gateways name.
pub(crate) fn secret_names(resources: &Resources) -> HashSet<ObjectName> {
    let mut names = HashSet::new();
    for gateway in &resources.gateways {
        let spec = &gateway.resource.spec;
        for certificate in spec.ssl_certificates.iter().chain(&spec.trusted_root_certificates) {
            let own = &*gateway.name.namespace;
            let namespace = certificate.secret_namespace.as_deref().unwrap_or(own);
            names.insert(ObjectName::new(namespace, certificate.secret_name.as_str()));
        }
    }
    names
}
