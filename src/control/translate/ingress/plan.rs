//! Sites: what is served for a host on a port, merged from all Ingresses that say something of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tidegate_model::{
    Certificate, HostPattern, Leaf, PathPattern, PathRule, Protocol, Redirect, RedirectStatus,
    RedirectTo,
};

use crate::resources::Ingress;
use crate::translate::findings::Findings;
use crate::translate::ingress::annotations::Annotations;
use crate::translate::ingress::paths::precedence;
use crate::translate::ingress::tls::TlsItem;

/// One of our Ingresses and what was read of it.
pub(super) struct Source<'a> {
    pub(super) ingress: &'a Ingress,
    pub(super) annotations: Annotations,
    pub(super) tls: Vec<TlsItem>,
    pub(super) findings: Findings,
}

/// A path of an Ingress.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) pattern: PathPattern,
    /// The path rule's name.
    pub(super) name: Box<str>,
    pub(super) leaf: Leaf,
    /// Where it stands in its Ingress.
    pub(super) field: String,
}

/// Port and host; no host for all that no other site takes.
pub(super) type SiteKey = (u16, Option<HostPattern>);

/// What is served for a host on a port.
pub(super) struct Site {
    pub(super) protocol: Protocol,
    /// Of an HTTPS site: `None` if there is none that can be used.
    pub(super) certificate: Option<Arc<Certificate>>,
    /// Ingresses that say something of it, the oldest first.
    pub(super) owners: Vec<usize>,
    entries: Vec<(usize, Entry)>,
}

/// All sites.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) sites: BTreeMap<SiteKey, Site>,
    /// The port that serves a host by TLS, or would if the certificate were right.
    tls_ports: HashMap<Option<HostPattern>, u16>,
    /// The hosts of all sites.
    hosts: HashSet<HostPattern>,
    /// Ingresses with a site by TLS, programmed or not.
    secure: HashSet<usize>,
    /// What is spoken on a port: what the first Ingress that uses it speaks.
    protocols: HashMap<u16, Protocol>,
    /// The port that clients are sent to for 443.
    https_port: Option<u16>,
}

impl Plan {
    pub(super) fn new(https_port: Option<u16>) -> Self {
        // Nobody's annotation takes these two from everybody else.
        let protocols = HashMap::from([(80, Protocol::Http), (443, Protocol::Https)]);
        Self { https_port, protocols, ..Self::default() }
    }

    /// Serves a host of an Ingress, or one more path of it: with TLS on its own port, too, and on
    /// the plain one perhaps by a redirect alone.
    pub(super) fn place(
        &mut self,
        sources: &mut [Source<'_>],
        owner: usize,
        host: Option<&HostPattern>,
        tls: Option<(Option<Arc<Certificate>>, &str)>,
        entry: Option<&Entry>,
    ) {
        let annotations = &sources[owner].annotations;
        let (plain, secure) = match (annotations.port, &tls) {
            (Some(port), Some(_)) => (80, port),
            (Some(port), None) => (port, 443),
            (None, _) => (80, 443),
        };
        let redirects = annotations.ssl_redirect && tls.is_some();
        let plain_entry = entry.cloned().map(|mut entry| {
            if redirects {
                entry.leaf = self.redirect(secure);
            }
            entry
        });
        self.add((plain, host.cloned()), Protocol::Http, sources, owner, plain_entry);
        let Some((certificate, path)) = tls else { return };
        let key = (secure, host.cloned());
        if !self.add(key.clone(), Protocol::Https, sources, owner, entry.cloned()) {
            return;
        }
        self.tls_ports.entry(host.cloned()).or_insert(secure);
        let Some(site) = self.sites.get_mut(&key) else { return };
        match (&site.certificate, certificate) {
            (None, certificate) => site.certificate = certificate,
            (Some(first), Some(other)) if *first != other => {
                let host = host.map_or("any host".to_owned(), ToString::to_string);
                let why = format!("{host} already shows the certificate {}", first.name);
                sources[owner].findings.warn_once(format!("{path}.secretName"), why);
            }
            (Some(_), _) => {}
        }
    }

    /// Adds to a site; `false` if its port speaks another protocol.
    fn add(
        &mut self,
        key: SiteKey,
        protocol: Protocol,
        sources: &mut [Source<'_>],
        owner: usize,
        entry: Option<Entry>,
    ) -> bool {
        let first = *self.protocols.entry(key.0).or_insert(protocol);
        if first != protocol {
            let source = &mut sources[owner];
            let path = source.annotations.place("override-frontend-port");
            let why = format!("port {} already speaks {}", key.0, first.scheme());
            source.findings.refuse_once(path, why);
            return false;
        }
        self.hosts.extend(key.1.clone());
        if protocol == Protocol::Https {
            self.secure.insert(owner);
        }
        let site = self.sites.entry(key).or_insert_with(|| Site {
            protocol,
            certificate: None,
            owners: Vec::new(),
            entries: Vec::new(),
        });
        if !site.owners.contains(&owner) {
            site.owners.push(owner);
        }
        site.entries.extend(entry.map(|entry| (owner, entry)));
        true
    }

    /// The redirect to a port of TLS.
    pub(super) fn redirect(&self, port: u16) -> Leaf {
        let port = self.https_port.filter(|_| port == 443).unwrap_or(port);
        Leaf::Redirect(Arc::new(Redirect {
            status: RedirectStatus::MovedPermanently,
            to: RedirectTo::Listener { protocol: Protocol::Https, host: None, port },
            keeps_path: true,
            keeps_query: true,
        }))
    }

    /// The port that serves a host by TLS, or would.
    pub(super) fn tls_port(&self, host: Option<&HostPattern>) -> Option<u16> {
        self.tls_ports.get(&host.cloned()).copied()
    }

    /// Whether any port has something for a host.
    pub(super) fn has(&self, host: &HostPattern) -> bool {
        self.hosts.contains(host)
    }

    /// Whether an Ingress has any host with TLS.
    pub(super) fn has_tls(&self, owner: usize) -> bool {
        self.secure.contains(&owner)
    }
}

impl Site {
    /// Its path rules in the order in which they are tried. Of equal ones the oldest stays, and
    /// the others are told of.
    pub(super) fn path_rules(&self, sources: &mut [Source<'_>]) -> Vec<PathRule> {
        let mut seen: HashMap<&PathPattern, usize> = HashMap::new();
        let mut entries: Vec<&Entry> = Vec::with_capacity(self.entries.len());
        for (owner, entry) in &self.entries {
            match seen.get(&entry.pattern) {
                Some(first) => {
                    let first = &sources[*first].ingress.name;
                    let why = format!("{} is already a path of {first}", entry.pattern);
                    sources[*owner].findings.refuse_once(format!("{}.path", entry.field), why);
                }
                None => {
                    seen.insert(&entry.pattern, *owner);
                    entries.push(entry);
                }
            }
        }
        entries.sort_by_key(|entry| precedence(&entry.pattern));
        let rule = |entry: &Entry| PathRule {
            name: entry.name.clone(),
            patterns: vec![entry.pattern.clone()],
            handling: entry.leaf.clone().into(),
        };
        entries.into_iter().map(rule).collect()
    }
}
