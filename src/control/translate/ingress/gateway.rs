//! From our Ingresses to one gateway.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use tidegate_model::{
    Action, Bodies, Frontend, Gateway, HostPattern, KnownListener, Leaf, Listener, ListenerTls,
    ObjectName, PathMap, Priority, Protocol, Rule,
};

use crate::resources::Resources;
use crate::translate::Finding;
use crate::translate::findings::{Findings, INGRESS};
use crate::translate::gateway::Parts;
use crate::translate::ingress::annotations::Annotations;
use crate::translate::ingress::backends::{Backends, ServicePort, Source as Named};
use crate::translate::ingress::plan::{Entry, Plan, Site, Source};
use crate::translate::ingress::{Addresses, IngressOptions, class, paths, tls};
use crate::translate::uses::Taken;

/// Translates Ingresses.
#[derive(Debug)]
pub(crate) struct Ingresses {
    options: IngressOptions,
    /// Ports of Services that a rule has led to since we run: their members keep tunnels that came
    /// by rules which are gone.
    remembered: BTreeSet<ServicePort>,
}

/// What Ingresses come to.
pub(crate) struct Translated {
    /// `None` if none is ours.
    pub(crate) gateway: Option<Gateway>,
    pub(crate) ours: Vec<OwnIngress>,
    pub(crate) findings: Vec<Finding>,
    /// Ports that are to be served.
    pub(crate) ports: BTreeSet<u16>,
}

/// An Ingress of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnIngress {
    pub(crate) name: ObjectName,
    /// It is not left out as a whole.
    pub(crate) served: bool,
}

/// Where requests go that no path rule takes, and whose word that is.
struct Fallback {
    leaf: Leaf,
    owner: Option<usize>,
}

impl Ingresses {
    pub(crate) fn new(options: IngressOptions) -> Self {
        Self { options, remembered: BTreeSet::new() }
    }

    /// From now on ports are served where this says.
    pub(crate) fn set_addresses(&mut self, addresses: Addresses) {
        self.options.addresses = addresses;
    }

    pub(crate) fn options(&self) -> &IngressOptions {
        &self.options
    }

    /// Translates all that are ours. `taken` has the sockets of other gateways.
    pub(crate) fn translate(
        &mut self,
        parts: &mut Parts,
        resources: &Resources,
        taken: &Taken,
    ) -> Translated {
        let mut findings = Vec::new();
        let ingresses = class::ours(resources, &self.options, &mut findings);
        let mut sources: Vec<Source<'_>> = Vec::with_capacity(ingresses.len());
        let mut left_out = Vec::new();
        for ingress in ingresses {
            let mut findings = Findings::of(INGRESS, &ingress.name);
            let Some(annotations) = Annotations::read(ingress, &mut findings) else {
                left_out.push((ingress.name.clone(), findings));
                continue;
            };
            let tls = tls::read(ingress, resources, &mut findings);
            sources.push(Source { ingress, annotations, tls, findings });
        }
        let mut backends = Backends::new(resources, &self.options);
        let default = default(parts, &mut backends, &mut sources);
        let mut plan = Plan::new(self.options.https_port);
        let hostless = place_rules(parts, &mut backends, &mut sources, &mut plan);
        place_rest(&mut sources, &mut plan, &default, &hostless);
        tell_idle_redirects(&mut sources, &plan);

        let (frontends, listeners) = self.frontends(parts, &mut sources, &plan, &default, taken);
        let pools = backends.all_pools(parts, &mut self.remembered);
        let name = self.options.gateway.clone();
        let gateway = Gateway { name, frontends, pools, listeners, bodies: Bodies::default() };
        let ports = plan.sites.keys().map(|(port, _)| *port).collect();
        let gateway = (!sources.is_empty()).then_some(gateway);
        let of = |served| move |name: &ObjectName| OwnIngress { name: name.clone(), served };
        let served = sources.iter().map(|source| &source.ingress.name).map(of(true));
        let ours = served.chain(left_out.iter().map(|(name, _)| name).map(of(false))).collect();
        let told = sources.into_iter().map(|source| source.findings);
        let told = told.chain(left_out.into_iter().map(|(_, findings)| findings));
        findings.extend(told.flat_map(Findings::into_all));
        Translated { gateway, ours, findings, ports }
    }

    fn frontends(
        &self,
        parts: &mut Parts,
        sources: &mut [Source<'_>],
        plan: &Plan,
        default: &Fallback,
        taken: &Taken,
    ) -> (Vec<Frontend>, Vec<KnownListener>) {
        let ranked = are_ranked(sources);
        let mut known = Vec::new();
        let mut by_port: BTreeMap<u16, Vec<(Option<&HostPattern>, &Site)>> = BTreeMap::new();
        for ((port, host), site) in &plan.sites {
            let (name, address) = (listener_name(*port, host.as_ref()), None);
            known.push(KnownListener { name, address });
            by_port.entry(*port).or_default().push((host.as_ref(), site));
        }
        let mut frontends = Vec::new();
        for (port, mut sites) in by_port {
            let address = match self.options.addresses.of(port) {
                Some(address) if !taken.contains_key(&address) => address,
                // It waits for its place in the cluster.
                None => continue,
                Some(address) => {
                    let other = taken.get(&address).map(ToString::to_string).unwrap_or_default();
                    let why = format!("port {port} is already taken by gateway {other}");
                    let owners: BTreeSet<usize> =
                        sites.iter().flat_map(|(_, site)| site.owners.iter().copied()).collect();
                    for owner in owners {
                        let source = &mut sources[owner];
                        let path = match source.annotations.port {
                            Some(_) => source.annotations.place("override-frontend-port"),
                            None => "spec".to_owned(),
                        };
                        source.findings.refuse_once(path, why.clone());
                    }
                    continue;
                }
            };
            // Names before wildcards before those without: priorities may be equal.
            sites.sort_by_key(|(host, _)| (host.is_none(), *host));
            let mut listeners = Vec::with_capacity(sites.len());
            for (host, site) in sites {
                if site.protocol == Protocol::Https && site.certificate.is_none() {
                    continue;
                }
                let rule = Rule {
                    name: listener_name(port, host),
                    priority: priority(sources, site, ranked),
                    guards: Vec::new(),
                    action: action(sources, plan, site, host, default),
                };
                let listener = Listener {
                    name: rule.name.clone(),
                    protocol: site.protocol,
                    hosts: host.into_iter().cloned().collect(),
                    tls: (site.certificate.clone())
                        .map(|certificate| Arc::new(ListenerTls::showing(certificate))),
                    error_pages: None,
                    rule,
                };
                listeners.push(parts.listeners.share(listener.name.clone(), listener));
            }
            // What it checks was checked; a port of which no site can be served stays closed.
            let seen = self.options.https_port.filter(|_| port == 443).unwrap_or(port);
            frontends.extend(Frontend::new(address, seen, listeners));
        }
        (frontends, known)
    }
}

/// Port and host; the port alone for all other hosts.
fn listener_name(port: u16, host: Option<&HostPattern>) -> Box<str> {
    host.map_or_else(|| port.to_string(), |host| format!("{port}-{host}")).into()
}

/// The default backend of the oldest Ingress that has one.
fn default(parts: &mut Parts, backends: &mut Backends<'_>, sources: &mut [Source<'_>]) -> Fallback {
    let mut first: Option<Fallback> = None;
    for owner in 0..sources.len() {
        let Some(backend) = &sources[owner].ingress.default_backend else {
            continue;
        };
        if let Some(Fallback { owner: Some(oldest), .. }) = first {
            let oldest = &sources[oldest].ingress.name;
            let why = format!("it has no effect: {oldest}, which is older, has one");
            sources[owner].findings.warn("spec.defaultBackend", why);
            continue;
        }
        let source = &mut sources[owner];
        let named = Named { ingress: source.ingress, annotations: &source.annotations };
        let (path, findings) = ("spec.defaultBackend", &mut source.findings);
        let leaf = backends.leaf(parts, &named, backend, None, path, findings);
        first = Some(Fallback { leaf, owner: Some(owner) });
    }
    first.unwrap_or(Fallback { leaf: Leaf::NotFound, owner: None })
}

/// Places every rule; those without a host are given back.
fn place_rules(
    parts: &mut Parts,
    backends: &mut Backends<'_>,
    sources: &mut [Source<'_>],
    plan: &mut Plan,
) -> Vec<(usize, Entry)> {
    let mut hostless = Vec::new();
    for owner in 0..sources.len() {
        let ingress = sources[owner].ingress;
        for (index, rule) in ingress.rules.iter().enumerate() {
            let path = format!("spec.rules[{index}]");
            let host = match rule.host.as_str() {
                "" => None,
                text => match HostPattern::kubernetes(text) {
                    Ok(host) => Some(host),
                    Err(error) => {
                        let why = format!("{text:?}: {error}");
                        sources[owner].findings.refuse(format!("{path}.host"), why);
                        continue;
                    }
                },
            };
            let entries = entries(parts, backends, &mut sources[owner], index, host.as_ref());
            if host.is_none() {
                hostless.extend(entries.iter().map(|entry| (owner, entry.clone())));
            }
            let mut hosts = vec![host.clone()];
            // A rule for all hosts needs no more.
            for more in sources[owner].annotations.hosts.iter().filter(|_| host.is_some()) {
                if !hosts.contains(&Some(more.clone())) {
                    hosts.push(Some(more.clone()));
                }
            }
            for its in &hosts {
                let its = its.as_ref();
                place(sources, plan, owner, its, host.as_ref(), None);
                for entry in &entries {
                    place(sources, plan, owner, its, host.as_ref(), Some(entry));
                }
            }
        }
    }
    hostless
}

/// The paths of a rule.
fn entries(
    parts: &mut Parts,
    backends: &mut Backends<'_>,
    source: &mut Source<'_>,
    rule: usize,
    host: Option<&HostPattern>,
) -> Vec<Entry> {
    let ingress = source.ingress;
    let name = match host {
        Some(HostPattern::Exact(name)) => Some(name),
        _ => None,
    };
    let mut entries = Vec::new();
    for (index, path) in ingress.rules[rule].paths.iter().enumerate() {
        let field = format!("spec.rules[{rule}].http.paths[{index}]");
        let findings = &mut source.findings;
        let Some(pattern) = paths::pattern(path, &field, findings) else {
            continue;
        };
        let named = Named { ingress, annotations: &source.annotations };
        let backend = format!("{field}.backend");
        let leaf = backends.leaf(parts, &named, &path.backend, name, &backend, findings);
        let its = &ingress.name;
        let name = format!("{}/{}/rule-{rule}-path-{index}", its.namespace, its.name).into();
        entries.push(Entry { pattern, name, leaf, field });
    }
    entries
}

/// Places a host, or one more of its paths, with the certificate that its Ingress has for it.
fn place(
    sources: &mut [Source<'_>],
    plan: &mut Plan,
    owner: usize,
    host: Option<&HostPattern>,
    rule: Option<&HostPattern>,
    entry: Option<&Entry>,
) {
    let found = tls::find(&sources[owner].tls, host, rule);
    let found = found.map(|item| (item.certificate.clone(), item.path.clone()));
    let tls = found.as_ref().map(|(certificate, path)| (certificate.clone(), path.as_str()));
    plan.place(sources, owner, host, tls, entry);
}

/// Places the default backend, and hosts that have a certificate and no rule: these get what hosts
/// without a rule get.
fn place_rest(
    sources: &mut [Source<'_>],
    plan: &mut Plan,
    default: &Fallback,
    hostless: &[(usize, Entry)],
) {
    if let Some(owner) = default.owner {
        place(sources, plan, owner, None, None, None);
    }
    let mut only: Vec<(usize, String, HostPattern)> = Vec::new();
    let mut seen = HashSet::new();
    for (owner, source) in sources.iter().enumerate() {
        for item in &source.tls {
            for (place, host) in item.hosts.iter().enumerate() {
                if !plan.has(host) && seen.insert(host.clone()) {
                    only.push((owner, format!("{}.hosts[{place}]", item.path), host.clone()));
                }
            }
        }
    }
    for (owner, path, host) in only {
        if hostless.is_empty() && default.owner.is_none() {
            // A wildcard that names of rules go by is in use all the same.
            if matches!(host, HostPattern::Exact(_)) {
                let why = format!("no rule and no default backend is for {host}");
                sources[owner].findings.warn(path, why);
            }
            continue;
        }
        place(sources, plan, owner, Some(&host), None, None);
        let item = tls::find(&sources[owner].tls, Some(&host), None);
        let found = item.map(|item| (item.certificate.clone(), item.path.clone()));
        for (writer, entry) in hostless {
            let tls = found.as_ref().map(|(certificate, path)| (certificate.clone(), &**path));
            plan.place(sources, *writer, Some(&host), tls, Some(entry));
        }
    }
}

/// A redirect needs TLS to lead to.
fn tell_idle_redirects(sources: &mut [Source<'_>], plan: &Plan) {
    for (owner, source) in sources.iter_mut().enumerate() {
        if source.annotations.ssl_redirect && !plan.has_tls(owner) {
            let path = source.annotations.place("ssl-redirect");
            source.findings.warn(path, "it has no effect: no host of this Ingress has TLS");
        }
    }
}

/// Whether priorities count: if every Ingress has one.
fn are_ranked(sources: &mut [Source<'_>]) -> bool {
    let with = sources.iter().filter(|source| source.annotations.priority.is_some()).count();
    if with == sources.len() {
        return with > 0;
    }
    for source in sources.iter_mut().filter(|source| source.annotations.priority.is_some()) {
        let path = source.annotations.place("rule-priority");
        let why = "it has no effect: other Ingresses have none, and all need one, or none";
        source.findings.warn(path, why);
    }
    false
}

/// The highest among those who say something of the site.
fn priority(sources: &[Source<'_>], site: &Site, ranked: bool) -> Option<Priority> {
    let all = site.owners.iter().filter_map(|owner| sources[*owner].annotations.priority);
    if ranked { all.min() } else { None }
}

fn action(
    sources: &mut [Source<'_>],
    plan: &Plan,
    site: &Site,
    host: Option<&HostPattern>,
    default: &Fallback,
) -> Action {
    let rules = site.path_rules(sources);
    let redirects = default.owner.is_some_and(|owner| sources[owner].annotations.ssl_redirect);
    let leaf = match plan.tls_port(host) {
        Some(port) if redirects && site.protocol == Protocol::Http => plan.redirect(port),
        _ => default.leaf.clone(),
    };
    Action::Paths(Arc::new(PathMap { rules, default: leaf.into() }))
}
