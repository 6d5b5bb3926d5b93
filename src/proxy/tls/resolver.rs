//! Which certificate a handshake shows.

use std::fmt;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::ServerName;
use tidegate_model::{HostPattern, HostPrecedence, Rank};

use crate::lookup::HostIndex;

/// The order in which listeners take hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Places of listeners in the order of their rules.
    pub(crate) places: Vec<usize>,
    pub(crate) precedence: HostPrecedence,
}

/// What a listener shows.
#[derive(Clone)]
pub(super) struct Shown {
    /// None for any.
    pub(super) hosts: Vec<HostPattern>,
    /// Never empty.
    pub(super) keys: Vec<Arc<CertifiedKey>>,
    /// Only to clients that ask for one of its hosts.
    pub(super) only_by_name: bool,
}

/// The certificate by the name that the client asks for: that of the listener which takes it, else
/// the basic listener's, else the first by rule order. A listener that is shown by name alone is
/// passed over where no name, or another, is asked for.
pub(super) struct Resolver {
    by_name: HostIndex<u32>,
    basic: Option<usize>,
    first: Option<usize>,
    shown: Vec<Shown>,
}

impl Resolver {
    /// Of listeners, in the order of the resource.
    pub(super) fn new(shown: Vec<Shown>, order: &Order) -> Self {
        let mut entries = Vec::new();
        let (mut basic, mut first) = (None, None);
        for (rank, &place) in order.places.iter().enumerate() {
            let Some(own) = shown.get(place) else { continue };
            for host in &own.hosts {
                // An exact name's certificate is the right one for it, whatever comes before.
                let rank = Rank::new(order.precedence, None, Some(host), rank);
                entries.push((Some(host.clone()), rank, place as u32));
            }
            if own.hosts.is_empty() {
                basic = basic.or(Some(place));
            }
            if !own.only_by_name {
                first = first.or(Some(place));
            }
        }
        Self { by_name: HostIndex::new(entries), basic, first, shown }
    }

    /// The place of the listener whose certificate is shown; `None` if the handshake is refused.
    pub(super) fn place(&self, name: Option<&str>) -> Option<usize> {
        if let Some(place) = name.and_then(|name| self.by_name.find(name)) {
            return Some(place as usize);
        }
        let basic = self.basic.filter(|basic| {
            name.is_some() || self.shown.get(*basic).is_some_and(|own| !own.only_by_name)
        });
        basic.or(self.first)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("listeners", &self.shown.len()).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let keys = &self.shown.get(self.place(hello.server_name())?)?.keys;
        let [first, _, ..] = keys.as_slice() else { return keys.first().cloned() };
        // Several: the first that the client can verify, for preference one of that name.
        let verifies =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let is_named = |key: &&Arc<CertifiedKey>| match (&name, key.end_entity_cert()) {
            (Some(name), Ok(own)) => ParsedCertificate::try_from(own)
                .is_ok_and(|own| verify_server_name(&own, name).is_ok()),
            _ => true,
        };
        let able = || keys.iter().filter(verifies);
        Some(able().find(is_named).or_else(|| able().next()).unwrap_or(first).clone())
    }
}

/// Shows nothing: every handshake fails.
#[derive(Debug)]
pub(super) struct Nobody;

impl ResolvesServerCert for Nobody {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}
