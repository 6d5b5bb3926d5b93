//! Listeners with their rules, and the sockets that they share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_model::{
    Action, Frontend, Guarded, HostPattern, HostPrecedence, Listener, ListenerTls, Protocol,
};

use crate::api::{self, HttpListener};
use crate::translate::addresses::{named, place};
use crate::translate::destination::Destinations;
use crate::translate::error_pages::error_pages;
use crate::translate::findings::Findings;
use crate::translate::gateway::{Context, Names, Parts, duplicates, names};
use crate::translate::guard::guarded;
use crate::translate::hidden::warn_of_hidden;
use crate::translate::profiles::Profiles;
use crate::translate::rules::{Rules, in_rule_order};
use crate::translate::settings::in_range;
use crate::translate::uses::Taken;

/// What listeners and rules of one gateway are made from.
pub(super) struct Listeners<'a, 'c> {
    pub(super) context: &'c Context<'a>,
    pub(super) destinations: &'c Destinations<'a, 'c>,
    pub(super) profiles: Profiles,
}

/// A listener that is right by itself.
struct Checked {
    address: SocketAddr,
    /// What clients connect to.
    port: u16,
    protocol: Protocol,
    hosts: Vec<HostPattern>,
    tls: Option<Arc<ListenerTls>>,
    guard: Option<Guarded>,
    /// Otherwise it keeps its hosts and answers 502.
    serves: bool,
}

impl Listeners<'_, '_> {
    /// The gateway's sockets. `taken` has those of gateways before it.
    pub(super) fn frontends(
        &self,
        parts: &mut Parts,
        taken: &Taken,
        findings: &mut Findings,
    ) -> Vec<Frontend> {
        let spec = self.context.spec;
        duplicates(&spec.http_listeners, |l| &l.name, "httpListeners", findings);
        duplicates(&spec.frontend_ports, |port| &port.name, "frontendPorts", findings);
        duplicates(&spec.request_routing_rules, |rule| &rule.name, "requestRoutingRules", findings);
        let places = names(&spec.http_listeners, |listener| &listener.name);
        let ports = names(&spec.frontend_ports, |port| &port.name);
        let mut checked: Vec<Option<Checked>> = (spec.http_listeners.iter().enumerate())
            .map(|(index, listener)| self.check(index, listener, &ports, taken, findings))
            .collect();
        refuse_clashes(&spec.http_listeners, &mut checked, findings);

        lend_certificates(&mut checked);
        let all_rules = Rules::of(self.destinations, parts, findings);
        let rules = all_rules.by_listener(&places, findings);
        let set = &spec.custom_error_configurations;
        let of_gateway = error_pages(self.context, "", set, "spec", parts, findings);
        let mut by_address: Vec<(SocketAddr, u16, Vec<Arc<Listener>>)> = Vec::new();
        for (listener_index, rule) in in_rule_order(&rules) {
            let Some(checked) = checked[listener_index].take() else {
                continue;
            };
            let mut rule = all_rules.rule(rule, parts, findings);
            if !checked.serves {
                rule.action = Action::refused();
            }
            // Who may not come to the listener is not counted by its rule.
            rule.guards.splice(0..0, checked.guard);
            let name: Box<str> = spec.http_listeners[listener_index].name.as_str().into();
            let source = &spec.http_listeners[listener_index];
            let error_pages = match source.custom_error_configurations.as_slice() {
                [] => of_gateway.clone(),
                own => {
                    let path = format!("spec.httpListeners[{listener_index}]");
                    error_pages(self.context, &name, own, &path, parts, findings)
                }
            };
            let listener = Listener {
                name: name.clone(),
                protocol: checked.protocol,
                hosts: checked.hosts,
                tls: checked.tls,
                error_pages,
                rule,
            };
            let listener = parts.listeners.share(name, listener);
            match by_address.iter_mut().find(|(address, ..)| *address == checked.address) {
                Some((.., listeners)) => listeners.push(listener),
                None => by_address.push((checked.address, checked.port, vec![listener])),
            }
        }
        for (index, left) in checked.iter().enumerate() {
            if left.is_some() && !rules.contains_key(&index) {
                let path = format!("spec.httpListeners[{index}]");
                findings.warn(path, "no rule names this listener: it is left out");
            }
        }
        let precedence = match spec.host_precedence {
            None | Some(api::HostPrecedence::Priority) => HostPrecedence::Priority,
            Some(api::HostPrecedence::MostSpecific) => HostPrecedence::MostSpecific,
        };
        let rule_places = names(&spec.request_routing_rules, |rule| &rule.name);
        let rule_path = |name: &str| {
            let place = rule_places.get(name).copied().unwrap_or_default();
            format!("spec.requestRoutingRules[{place}]")
        };
        let mut frontends = Vec::with_capacity(by_address.len());
        for (address, port, listeners) in by_address {
            match Frontend::new(address, port, listeners) {
                Ok(frontend) => {
                    let frontend = frontend.with_precedence(precedence);
                    let frontend = frontend.with_error_pages(of_gateway.clone());
                    warn_of_hidden(&frontend, rule_path, findings);
                    frontends.push(frontend);
                }
                Err(error) => findings.refuse("spec.httpListeners", error.to_string()),
            }
        }
        frontends
    }

    /// A listener that is right by itself, or why it is not.
    fn check(
        &self,
        index: usize,
        source: &HttpListener,
        ports: &Names<'_>,
        taken: &Taken,
        findings: &mut Findings,
    ) -> Option<Checked> {
        let path = format!("spec.httpListeners[{index}]");
        let spec = self.context.spec;
        let named = named(self.context, source);
        let named = named.map_err(|wrong| wrong.tell(&path, findings)).ok();
        let Some(&port_place) = ports.get(source.frontend_port.as_str()) else {
            let why = format!("there is no {:?} in frontendPorts", source.frontend_port);
            findings.unresolved(format!("{path}.frontendPort"), why);
            return None;
        };
        let port_path = format!("spec.frontendPorts[{port_place}].port");
        let port = in_range(spec.frontend_ports[port_place].port, 1..=65535, &port_path, findings);
        let hosts = hosts(source, &path, findings);
        let (tls, serves) = match source.protocol {
            api::Protocol::Https => self.profiles.listener(self.context, source, &path, findings),
            api::Protocol::Http => {
                for (is_set, field) in [
                    (source.ssl_certificate.is_some(), "sslCertificate"),
                    (!source.ssl_certificates.is_empty(), "sslCertificates"),
                    (source.ssl_profile.is_some(), "sslProfile"),
                    (source.require_server_name_indication, "requireServerNameIndication"),
                ] {
                    if is_set {
                        let path = format!("{path}.{field}");
                        findings.warn(path, "it has no effect with protocol Http");
                    }
                }
                (None, true)
            }
        };
        if self.context.is_refused("httpListeners", index) {
            return None;
        }
        let port = u16::try_from(port?).ok()?;
        // Without a place in the cluster yet it waits, and nothing is wrong with it.
        let address = place(self.context, &named?, port)?;
        if let Some(other) = self.context.uses.claimed(taken, address) {
            let why = format!("{address} is already taken by gateway {other}");
            findings.refuse(format!("{path}.frontendPort"), why);
            return None;
        }
        let protocol = match source.protocol {
            api::Protocol::Http => Protocol::Http,
            api::Protocol::Https => Protocol::Https,
        };
        let place = format!("httpListeners/{}", source.name);
        let (access, rate) = (source.access.as_ref(), source.rate_limit.as_ref());
        let guard = guarded(&place, access, rate, &path, findings);
        let serves = serves && guard.is_ok();
        let guard = guard.ok().flatten();
        Some(Checked { address, port, protocol, hosts: hosts?, tls, guard, serves })
    }
}

fn hosts(source: &HttpListener, path: &str, findings: &mut Findings) -> Option<Vec<HostPattern>> {
    let mut patterns = Vec::new();
    if let Some(name) = &source.host_name {
        if !source.host_names.is_empty() {
            findings.refuse(format!("{path}.hostNames"), "it and hostName exclude each other");
            return None;
        }
        match HostPattern::new(name) {
            Ok(pattern @ HostPattern::Exact(_)) => patterns.push(pattern),
            Ok(HostPattern::Wildcard(_) | HostPattern::OneLabel(_)) => {
                let why = format!("{name:?} has wildcards: these go into hostNames");
                findings.refuse(format!("{path}.hostName"), why);
                return None;
            }
            Err(error) => {
                findings.refuse(format!("{path}.hostName"), format!("{name:?}: {error}"));
                return None;
            }
        }
    }
    if source.host_names.len() > 5 {
        findings.refuse(format!("{path}.hostNames"), "at most five hosts are allowed");
        return None;
    }
    for (index, name) in source.host_names.iter().enumerate() {
        match HostPattern::new(name) {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => {
                let path = format!("{path}.hostNames[{index}]");
                findings.refuse(path, format!("{name:?}: {error}"));
                return None;
            }
        }
    }
    Some(patterns)
}

/// A listener that lost its certificate keeps its hosts, so that no other listener takes requests
/// that were never meant for it: what one of its port shows is shown for it, and it answers 502. On
/// a port where nobody has a certificate nothing can be answered.
fn lend_certificates(checked: &mut [Option<Checked>]) {
    let mut lenders: HashMap<SocketAddr, Arc<ListenerTls>> = HashMap::new();
    for listener in checked.iter().flatten() {
        let Some(tls) = &listener.tls else { continue };
        // The basic one's is what a name gets that no listener has.
        if listener.hosts.is_empty() || !lenders.contains_key(&listener.address) {
            lenders.insert(listener.address, tls.clone());
        }
    }
    for place in checked {
        let Some(listener) = place else { continue };
        if listener.protocol == Protocol::Https && listener.tls.is_none() {
            listener.tls = lenders.get(&listener.address).cloned();
            if listener.tls.is_none() {
                *place = None;
            }
        }
    }
}

/// Refuses listeners that cannot be told from one before them: another protocol on its socket, or
/// the same host.
fn refuse_clashes(
    sources: &[HttpListener],
    checked: &mut [Option<Checked>],
    findings: &mut Findings,
) {
    let (mut sockets, mut hosts) = (Sockets::new(), Hosts::new());
    for (index, place) in checked.iter_mut().enumerate() {
        let Some(listener) = place else { continue };
        if let Err((field, why)) = claim(index, listener, sources, &mut sockets, &mut hosts) {
            findings.refuse(format!("spec.httpListeners[{index}]{field}"), why);
            *place = None;
        }
    }
}

type Sockets = HashMap<SocketAddr, (usize, Protocol)>;
type Hosts = HashMap<(SocketAddr, Option<HostPattern>), usize>;

/// Takes a listener's socket and hosts, or says which of its fields clashes and why.
fn claim(
    index: usize,
    listener: &Checked,
    sources: &[HttpListener],
    sockets: &mut Sockets,
    hosts: &mut Hosts,
) -> Result<(), (&'static str, String)> {
    let address = listener.address;
    let (first, protocol) = *sockets.entry(address).or_insert((index, listener.protocol));
    if protocol != listener.protocol {
        let name = &sources[first].name;
        let why = format!("{name:?} listens on {address} with another protocol: one port has one");
        return Err((".protocol", why));
    }
    let own: Vec<Option<HostPattern>> = match listener.hosts.len() {
        0 => vec![None],
        _ => listener.hosts.iter().cloned().map(Some).collect(),
    };
    for host in &own {
        if let Some(first) = hosts.get(&(address, host.clone())) {
            let (name, any) = (&sources[*first].name, "any host".to_owned());
            let host = host.as_ref().map_or(any, ToString::to_string);
            return Err(("", format!("{name:?} already takes {host} on {address}")));
        }
    }
    hosts.extend(own.into_iter().map(|host| ((address, host), index)));
    Ok(())
}
