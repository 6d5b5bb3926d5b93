//! All inputs at one moment, trimmed to what a gateway needs: the same type whatever the source.

mod config_map;
mod ingress;

pub(crate) use config_map::ConfigMap;
pub(crate) use ingress::{
    AGIC_PREFIX, Ingress, IngressBackend, IngressClass, IngressPath, IngressTls, OWN_PREFIX,
};

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use tidegate_model::{Certificate, MemberState, ObjectName, RevocationLists, TrustedRoots};

use crate::api::ApplicationGateway;
use crate::grants::Grant;
use crate::pages::Page;
use crate::yaml::Lines;

/// Everything that a translation looks at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resources {
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) ingresses: Vec<IngressItem>,
    pub(crate) ingress_classes: Vec<Arc<IngressClass>>,
    pub(crate) secrets: HashMap<ObjectName, Arc<Secret>>,
    pub(crate) services: HashMap<ObjectName, Arc<Service>>,
    /// By the name of their Service.
    pub(crate) slices: HashMap<ObjectName, Arc<Vec<Arc<Slice>>>>,
    /// What DNS says of host names; those not asked yet are not in it.
    pub(crate) names: Arc<HashMap<String, Resolution>>,
    /// Those that error pages stand in.
    pub(crate) config_maps: HashMap<ObjectName, Arc<ConfigMap>>,
    /// Error pages by URL; those not asked for yet are not in it.
    pub(crate) pages: Arc<HashMap<String, Page>>,
    /// Who may refer into a namespace from another one.
    pub(crate) grants: HashMap<Box<str>, Vec<Grant>>,
    /// The time, in seconds since 1970, as of which certificates are looked at.
    pub(crate) now: i64,
    /// Whether a pool may name a Service that is an alias for a name outside.
    pub(crate) allow_external_name: bool,
}

impl Resources {
    /// Whether a gateway may refer to an object: one of its own namespace, or one that a
    /// ReferenceGrant of the other namespace is for.
    pub(crate) fn may_refer(&self, gateway: &ObjectName, kind: &str, object: &ObjectName) -> bool {
        object.namespace == gateway.namespace
            || self.grants.get(&object.namespace).is_some_and(|grants| {
                grants.iter().any(|grant| grant.allows(&gateway.namespace, kind, &object.name))
            })
    }
}

/// A gateway and where it was read.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) name: ObjectName,
    pub(crate) resource: Arc<ApplicationGateway>,
    pub(crate) origin: Arc<Origin>,
}

/// An Ingress and where it was read.
#[derive(Clone, Debug)]
pub(crate) struct IngressItem {
    pub(crate) resource: Arc<Ingress>,
    pub(crate) origin: Arc<Origin>,
}

/// Where an object was read; no file stands for the cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) file: PathBuf,
    pub(crate) lines: Lines,
}

/// What DNS says of a host name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolution {
    /// The last addresses known, also while looking up fails.
    pub(crate) addresses: Vec<IpAddr>,
    /// Why the last look-up failed.
    pub(crate) error: Option<String>,
}

/// What a Secret holds for gateways. A reason stands in the place of what is there and wrong.
#[derive(Debug)]
pub(crate) struct Secret {
    /// `tls.crt` with `tls.key`.
    pub(crate) certificate: Part<Certificate>,
    /// `ca.crt`, else `tls.crt`.
    pub(crate) roots: Part<TrustedRoots>,
    /// `ca.crl`.
    pub(crate) revocation: Part<RevocationLists>,
}

/// Something that a Secret holds.
#[derive(Debug)]
pub(crate) struct Part<T> {
    /// `None` if it is not there.
    pub(crate) found: Option<Result<Arc<T>, String>>,
    /// What is wrong with the newest version, when this is the last good one.
    pub(crate) newer_fault: Option<String>,
}

impl<T> Part<T> {
    fn new(found: Option<Result<Arc<T>, String>>) -> Self {
        Self { found, newer_fault: None }
    }

    fn fault(&self) -> Option<&str> {
        self.found.as_ref()?.as_ref().err().map(String::as_str)
    }

    /// This version, or the last one if this is wrong and that is not.
    fn or_last_good(self, last: &Self) -> Self {
        match (self.found, &last.found) {
            (Some(Err(fault)), Some(Ok(good))) => {
                Self { found: Some(Ok(good.clone())), newer_fault: Some(fault) }
            }
            (found, _) => Self::new(found),
        }
    }
}

/// What a Service says of its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// The name outside that it is an alias for.
    pub(crate) external: Option<String>,
    /// Numbers by name; a single port may have none.
    pub(crate) ports: Vec<(String, i32)>,
}

/// Some endpoints of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    /// Numbers by the name of the Service's port.
    pub(crate) ports: Vec<(String, u16)>,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// One endpoint of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) address: IpAddr,
    pub(crate) state: MemberState,
    /// The pod that it is, by its identity in the cluster, or its name.
    pub(crate) pod: Option<Box<str>>,
}

impl Secret {
    /// Reads what gateways may refer to.
    pub(crate) fn read(name: &ObjectName, secret: &core::Secret) -> Self {
        let mut fields: BTreeMap<&str, &[u8]> = BTreeMap::new();
        for (key, value) in secret.data.iter().flatten() {
            fields.insert(key, &value.0);
        }
        // As the API server does: stringData goes over data.
        for (key, value) in secret.string_data.iter().flatten() {
            fields.insert(key, value.as_bytes());
        }
        let (chain, key) = (fields.get("tls.crt"), fields.get("tls.key"));
        let certificate = match (chain, key) {
            (None, None) => None,
            (Some(_), None) => Some(Err("it has tls.crt but no tls.key".to_owned())),
            (None, Some(_)) => Some(Err("it has tls.key but no tls.crt".to_owned())),
            (Some(chain), Some(key)) => Some(read_certificate(name, chain, key)),
        };
        let roots = fields.get("ca.crt").or(chain).map(|text| read_roots(text));
        let revocation = fields.get("ca.crl").map(|bytes| {
            let read = RevocationLists::read(bytes);
            read.map(Arc::new).map_err(|error| format!("its ca.crl cannot be read: {error}"))
        });
        Self {
            certificate: Part::new(certificate),
            roots: Part::new(roots),
            revocation: Part::new(revocation),
        }
    }

    /// This version, with what the last one has in place of what is wrong.
    pub(crate) fn or_last_good(self, last: &Self) -> Self {
        Self {
            certificate: self.certificate.or_last_good(&last.certificate),
            roots: self.roots.or_last_good(&last.roots),
            revocation: self.revocation.or_last_good(&last.revocation),
        }
    }

    /// What is wrong in it.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.certificate.fault().or(self.roots.fault()).or(self.revocation.fault())
    }
}

/// Authorities, each of which can be one: a single wrong one would be found by the data plane alone.
pub(crate) fn read_roots(text: &[u8]) -> Result<Arc<TrustedRoots>, String> {
    let roots = TrustedRoots::from_pem(text).map_err(|error| error.to_string())?;
    let mut store = RootCertStore::empty();
    for (index, certificate) in roots.certificates().iter().enumerate() {
        let number = index + 1;
        let wrong = |error: rustls::Error| {
            format!("certificate {number} is not one of an authority: {error}")
        };
        store.add(certificate.clone()).map_err(wrong)?;
    }
    Ok(Arc::new(roots))
}

fn read_certificate(
    name: &ObjectName,
    chain: &[u8],
    key: &[u8],
) -> Result<Arc<Certificate>, String> {
    let certificate = Certificate::from_pem(&name.to_string(), chain, key)
        .map_err(|error| format!("its certificate cannot be read: {error}"))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let (chain, key) = (certificate.chain().to_vec(), certificate.key().clone_key());
    CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => "tls.key does not belong to tls.crt".to_owned(),
        other => format!("its certificate cannot be used: {other}"),
    })?;
    Ok(Arc::new(certificate))
}

impl Service {
    pub(crate) fn read(service: &core::Service) -> Self {
        let spec = service.spec.clone().unwrap_or_default();
        let ports = spec.ports.unwrap_or_default();
        Self {
            external: (spec.type_.as_deref() == Some("ExternalName"))
                .then(|| spec.external_name.unwrap_or_default()),
            ports: ports.into_iter().map(|p| (p.name.unwrap_or_default(), p.port)).collect(),
        }
    }
}

impl Slice {
    /// Reads endpoints that can be connected to: TCP ports and IP addresses.
    pub(crate) fn read(slice: &discovery::EndpointSlice) -> Self {
        let ports = slice
            .ports
            .iter()
            .flatten()
            .filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"));
        let ports = ports
            .filter_map(|port| {
                let number = u16::try_from(port.port?).ok()?;
                Some((port.name.clone().unwrap_or_default(), number))
            })
            .collect();
        let mut endpoints = Vec::new();
        for endpoint in slice.endpoints.iter().flatten() {
            let state = state_of(endpoint.conditions.as_ref());
            let addresses = endpoint.addresses.iter().filter_map(|text| text.parse().ok());
            let target = endpoint.target_ref.as_ref();
            let pod = target.and_then(|target| target.uid.as_deref().or(target.name.as_deref()));
            let pod: Option<Box<str>> = pod.map(Into::into);
            let endpoint = |address| Endpoint { address, state, pod: pod.clone() };
            endpoints.extend(addresses.map(endpoint));
        }
        Self { ports, endpoints }
    }

    /// The Service whose endpoints these are.
    pub(crate) fn service_of(slice: &discovery::EndpointSlice) -> Option<&str> {
        let labels = slice.metadata.labels.as_ref()?;
        labels.get("kubernetes.io/service-name").map(String::as_str)
    }
}

/// Unset means ready; one that leaves serves for as long as it says so.
fn state_of(conditions: Option<&discovery::EndpointConditions>) -> MemberState {
    let Some(conditions) = conditions else {
        return MemberState::Ready;
    };
    let ready = conditions.ready.unwrap_or(true);
    let serving = conditions.serving.unwrap_or(ready);
    match (ready, serving, conditions.terminating.unwrap_or(false)) {
        (true, ..) => MemberState::Ready,
        (false, true, true) => MemberState::Terminating,
        (false, false, true) => MemberState::Leaving,
        (false, _, false) => MemberState::NotReady,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_conditions_say_who_takes_requests() {
        use MemberState::{Leaving, NotReady, Ready, Terminating};
        for (ready, serving, terminating, expected) in [
            (None, None, None, Ready),
            (Some(true), Some(true), Some(false), Ready),
            (Some(false), Some(true), Some(true), Terminating),
            (Some(false), Some(false), Some(true), Leaving),
            (Some(false), Some(true), Some(false), NotReady),
            (Some(false), None, None, NotReady),
        ] {
            let conditions = discovery::EndpointConditions { ready, serving, terminating };
            assert_eq!(state_of(Some(&conditions)), expected, "{conditions:?}");
        }
        assert_eq!(state_of(None), Ready);
    }

    #[test]
    fn a_key_that_belongs_to_another_certificate_is_found_out() {
        let make = || rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let (one, two) = (make(), make());
        let read = |chain: &str, key: &str| {
            let fields = [("tls.crt", chain), ("tls.key", key)];
            let data = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let secret = core::Secret { string_data: Some(data), ..Default::default() };
            Secret::read(&ObjectName::new("n", "s"), &secret)
        };
        assert_eq!(read(&one.cert.pem(), &one.signing_key.serialize_pem()).fault(), None);
        let crossed = read(&one.cert.pem(), &two.signing_key.serialize_pem());
        assert_eq!(crossed.fault(), Some("tls.key does not belong to tls.crt"));
        assert!(read("x", "y").fault().is_some_and(|why| why.contains("no CERTIFICATE block")));
    }
}
