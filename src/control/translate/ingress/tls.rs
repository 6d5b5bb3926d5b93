//! Certificates of an Ingress and the hosts that they are for.

use std::sync::Arc;

use tidegate_model::{Certificate, HostPattern, ObjectName};

use crate::resources::{Ingress, IngressTls, Resources};
use crate::translate::certificates::{Named, certificate_in};
use crate::translate::findings::Findings;

/// An item of `spec.tls`.
#[derive(Debug)]
pub(super) struct TlsItem {
    /// Empty for every host of the Ingress.
    pub(super) hosts: Vec<HostPattern>,
    /// `None` if it is missing or wrong: what it is for is not served by TLS then.
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) path: String,
}

/// Everything that an Ingress says of TLS.
pub(super) fn read(
    ingress: &Ingress,
    resources: &Resources,
    findings: &mut Findings,
) -> Vec<TlsItem> {
    let item = |(index, source): (usize, &IngressTls)| {
        let path = format!("spec.tls[{index}]");
        let mut hosts = Vec::new();
        for (place, host) in source.hosts.iter().enumerate() {
            match HostPattern::kubernetes(host) {
                Ok(host) => hosts.push(host),
                Err(error) => {
                    findings.refuse(format!("{path}.hosts[{place}]"), format!("{host:?}: {error}"));
                }
            }
        }
        // Hosts that are all wrong do not make it one for every host.
        if hosts.is_empty() && !source.hosts.is_empty() {
            return None;
        }
        let certificate = certificate(ingress, source, resources, &path, findings);
        Some(TlsItem { hosts, certificate, path })
    };
    ingress.tls.iter().enumerate().filter_map(item).collect()
}

fn certificate(
    ingress: &Ingress,
    source: &IngressTls,
    resources: &Resources,
    path: &str,
    findings: &mut Findings,
) -> Option<Arc<Certificate>> {
    let path = format!("{path}.secretName");
    let Some(name) = &source.secret else {
        findings.refuse(path, "a Secret with tls.crt and tls.key is needed");
        return None;
    };
    let name = ObjectName::new(&*ingress.name.namespace, name.as_str());
    let Some(secret) = resources.secrets.get(&name) else {
        findings.unresolved(path, format!("there is no Secret {name}"));
        return None;
    };
    let named = Named { name, found: secret, place: path.clone() };
    certificate_in(&named, &path, resources.now, findings)
}

/// The item for a host: one that names it, else one that covers it, else one for all hosts. A host
/// that an annotation adds to a rule may go by the rule's.
pub(super) fn find<'a>(
    items: &'a [TlsItem],
    host: Option<&HostPattern>,
    rule: Option<&HostPattern>,
) -> Option<&'a TlsItem> {
    let named = |wanted: &HostPattern| items.iter().find(|item| item.hosts.contains(wanted));
    let covering = |wanted: &HostPattern| match wanted {
        HostPattern::Exact(name) => {
            items.iter().find(|item| item.hosts.iter().any(|host| host.covers(name.as_str())))
        }
        HostPattern::Wildcard(_) | HostPattern::OneLabel(_) => None,
    };
    [host, rule]
        .into_iter()
        .flatten()
        .find_map(|host| named(host).or_else(|| covering(host)))
        .or_else(|| items.iter().find(|item| item.hosts.is_empty()))
}
