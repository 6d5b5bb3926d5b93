//! What a translation has to say about resources.

use std::collections::BTreeSet;

use tidegate_model::ObjectName;

use crate::problem::{ObjectRef, Problem, Severity};
use crate::resources::Resources;

/// One thing that is wrong with a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) gateway: ObjectName,
    pub(crate) severity: Severity,
    /// Such as `spec.requestRoutingRules[2].httpListener`.
    pub(crate) path: String,
    pub(crate) why: String,
    /// It names something that is not there, here or in the cluster.
    pub(crate) unresolved: bool,
}

/// The findings of one gateway in the making.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    gateway: &'a ObjectName,
    all: Vec<Finding>,
}

impl<'a> Findings<'a> {
    pub(crate) fn of(gateway: &'a ObjectName) -> Self {
        Self { gateway, all: Vec::new() }
    }

    fn add(&mut self, severity: Severity, path: String, why: String, unresolved: bool) {
        let gateway = self.gateway.clone();
        self.all.push(Finding { gateway, severity, path, why, unresolved });
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
    let problem = |finding: &Finding| {
        let gateway = resources.gateways.iter().find(|g| g.name == finding.gateway)?;
        Some(Problem {
            file: gateway.origin.file.clone(),
            line: gateway.origin.lines.of(&finding.path),
            path: finding.path.clone(),
            why: finding.why.clone(),
            severity: finding.severity,
            object: Some(ObjectRef {
                kind: "ApplicationGateway".into(),
                namespace: finding.gateway.namespace.to_string(),
                name: finding.gateway.name.to_string(),
            }),
        })
    };
    findings.iter().filter_map(problem).collect()
}

/// The host names that pools name.
pub(crate) fn host_names(resources: &Resources) -> BTreeSet<String> {
    let pools = resources.gateways.iter().flat_map(|g| &g.resource.spec.backend_address_pools);
    pools
        .flat_map(|pool| &pool.backend_addresses)
        .filter_map(|address| address.fqdn.as_deref())
        .filter(|name| tidegate_model::Hostname::new(name.trim_end_matches('.')).is_ok())
        .map(str::to_owned)
        .collect()
}
