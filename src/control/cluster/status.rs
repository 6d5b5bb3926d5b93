//! What a gateway's status is to say. Pure: from what became of it to what is written.

use std::collections::{HashMap, HashSet};

use k8s_openapi::jiff::Timestamp;
use tidegate_model::{Action, Gateway, Leaf, ObjectName};

use crate::api::{
    ApplicationGatewaySpec, Condition, GatewayStatus, ItemStatus, PoolStatus, RequestRoutingRule,
};
use crate::cluster::Feedback;
use crate::cluster::reconcile::JudgedGateway;
use crate::problem::Severity;
use crate::translate::{Finding, GatewayConditions};

/// The longest message of a condition, in bytes.
const LONGEST: usize = 16 * 1024;
/// The most addresses of a gateway.
const MOST_ADDRESSES: usize = 16;

/// The status of a gateway that serves, or is to serve.
pub(super) fn status_of(
    gateway: &JudgedGateway,
    served: Option<&Gateway>,
    addresses: Vec<String>,
    feedback: &Feedback,
    now: Timestamp,
) -> GatewayStatus {
    let empty = ApplicationGatewaySpec::default();
    let spec = gateway.resource.as_ref().map_or(&empty, |resource| &resource.spec);
    let judged = GatewayConditions::of(&gateway.name, served, &gateway.findings);
    let mut conditions: Vec<Condition> = judged
        .conditions
        .into_iter()
        .map(|its| condition(its.kind, its.status, its.reason, its.message))
        .collect();
    if let Some((path, why)) = &gateway.unreadable {
        let left = match gateway.resource {
            Some(_) => "the last good version serves",
            None => "nothing of it serves",
        };
        let message = format!("{path}: it cannot be read: {why}; {left}");
        set(&mut conditions, condition("Accepted", false, "Unreadable", message));
    }
    if let Some(failures) = feedback.failures.get(&gateway.name) {
        set(&mut conditions, condition("Programmed", false, "NoSocket", failures.join("\n")));
    } else if addresses.is_empty() && is_programmed(&conditions) {
        let message = "its Services have no address yet".to_owned();
        set(&mut conditions, condition("Programmed", false, "AddressNotAssigned", message));
    }
    for condition in &mut conditions {
        condition.observed_generation = Some(gateway.generation);
        condition.last_transition_time = Some(since(condition, &gateway.observed, now));
    }
    let pools = pools(gateway, spec, feedback);
    GatewayStatus {
        addresses: addresses.into_iter().take(MOST_ADDRESSES).collect(),
        healthy: healthy(&gateway.name, spec, feedback),
        conditions,
        listeners: listeners(gateway, spec, served),
        rules: rules(gateway, spec, served),
        pools,
    }
}

fn condition(kind: &str, status: bool, reason: &str, message: String) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status: truth(status),
        reason: reason.to_owned(),
        message: shortened(message),
        observed_generation: None,
        last_transition_time: None,
    }
}

fn truth(status: bool) -> String {
    if status { "True" } else { "False" }.to_owned()
}

fn shortened(mut message: String) -> String {
    if message.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
        message.truncate(end);
        message.push_str("\n(and more: see the controller's log)");
    }
    message
}

fn set(conditions: &mut [Condition], new: Condition) {
    if let Some(old) = conditions.iter_mut().find(|old| old.kind == new.kind) {
        *old = new;
    }
}

fn is_programmed(conditions: &[Condition]) -> bool {
    conditions.iter().any(|its| its.kind == "Programmed" && its.status == "True")
}

/// Since when a condition has its status: since it was first seen with it.
fn since(condition: &Condition, observed: &GatewayStatus, now: Timestamp) -> String {
    let before = observed.conditions.iter().find(|its| its.kind == condition.kind);
    let same = before.filter(|before| before.status == condition.status);
    let time = same.and_then(|before| before.last_transition_time.clone());
    time.unwrap_or_else(|| now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Errors about the item at `place` of a collection, and warnings if `all`.
fn told(findings: &[Finding], collection: &str, place: usize, all: bool) -> Vec<String> {
    let prefix = format!("spec.{collection}[{place}]");
    let mut lines = Vec::new();
    for finding in findings.iter().filter(|its| all || its.severity == Severity::Error) {
        if let Some(rest) = finding.path.strip_prefix(&prefix) {
            let field = rest.trim_start_matches('.');
            lines.push(if field.is_empty() {
                finding.why.clone()
            } else {
                format!("{field}: {}", finding.why)
            });
        }
    }
    lines
}

/// The same about a listener, and about what it names.
fn told_of_listener(
    gateway: &JudgedGateway,
    spec: &ApplicationGatewaySpec,
    place: usize,
    all: bool,
) -> Vec<String> {
    let listener = &spec.http_listeners[place];
    let certificate = listener.ssl_certificate.as_ref();
    let frontend = listener.frontend_ip_configuration.as_ref();
    let named = [
        (
            "frontendPorts",
            spec.frontend_ports.iter().position(|p| p.name == listener.frontend_port),
        ),
        (
            "sslCertificates",
            spec.ssl_certificates.iter().position(|c| Some(&c.name) == certificate),
        ),
        (
            "frontendIPConfigurations",
            spec.frontend_ip_configurations.iter().position(|c| Some(&c.name) == frontend),
        ),
    ];
    let mut lines = told(&gateway.findings, "httpListeners", place, all);
    for (collection, place) in named {
        let Some(place) = place else { continue };
        let of_it = told(&gateway.findings, collection, place, all);
        lines.extend(of_it.iter().map(|line| format!("{collection}[{place}].{line}")));
    }
    lines
}

fn listeners(
    gateway: &JudgedGateway,
    spec: &ApplicationGatewaySpec,
    served: Option<&Gateway>,
) -> Vec<ItemStatus> {
    let frontends = served.iter().flat_map(|gateway| &gateway.frontends);
    let programmed: HashSet<&str> =
        frontends.flat_map(|f| f.listeners()).map(|listener| &*listener.name).collect();
    let ruled: HashSet<&str> =
        spec.request_routing_rules.iter().map(|rule| rule.http_listener.as_str()).collect();
    let item = |(place, listener): (usize, &crate::api::HttpListener)| {
        let is = programmed.contains(listener.name.as_str());
        let message = told_of_listener(gateway, spec, place, true);
        let errors = told_of_listener(gateway, spec, place, false);
        let reason = match (is, errors.is_empty()) {
            (true, _) => "Programmed",
            (false, false) => "Refused",
            (false, true) if !ruled.contains(listener.name.as_str()) => "NoRule",
            (false, true) => "Pending",
        };
        ItemStatus {
            name: listener.name.clone(),
            programmed: truth(is),
            reason: reason.into(),
            message: shortened(message.join("\n")),
        }
    };
    first_of_each(spec.http_listeners.iter().enumerate().map(item), |its| &its.name)
}

/// What is said of the path map that a rule names.
fn told_of_map(
    gateway: &JudgedGateway,
    spec: &ApplicationGatewaySpec,
    rule: &RequestRoutingRule,
) -> Vec<String> {
    let named = rule.url_path_map.as_ref();
    let place = spec.url_path_maps.iter().position(|map| Some(&map.name) == named);
    let Some(place) = place else { return Vec::new() };
    let lines = told(&gateway.findings, "urlPathMaps", place, true);
    lines.into_iter().map(|line| format!("urlPathMaps[{place}].{line}")).collect()
}

/// Whether nothing but 502 comes of the rule.
fn is_refused(action: &Action) -> bool {
    !action.serves() && action.otherwise().leaf != Leaf::NotFound
}

fn rules(
    gateway: &JudgedGateway,
    spec: &ApplicationGatewaySpec,
    served: Option<&Gateway>,
) -> Vec<ItemStatus> {
    let frontends = served.iter().flat_map(|gateway| &gateway.frontends);
    let forwarding: HashSet<&str> = frontends
        .flat_map(|frontend| frontend.listeners())
        .filter(|listener| !is_refused(&listener.rule.action))
        .map(|listener| &*listener.rule.name)
        .collect();
    let item = |(place, rule): (usize, &RequestRoutingRule)| {
        let is = forwarding.contains(rule.name.as_str());
        let mut message = told(&gateway.findings, "requestRoutingRules", place, true);
        message.extend(told_of_map(gateway, spec, rule));
        let errors = told(&gateway.findings, "requestRoutingRules", place, false);
        let reason = match (is, errors.is_empty()) {
            (true, _) => "Programmed",
            (false, false) => "Refused",
            (false, true) => "ListenerNotProgrammed",
        };
        ItemStatus {
            name: rule.name.clone(),
            programmed: truth(is),
            reason: reason.into(),
            message: shortened(message.join("\n")),
        }
    };
    first_of_each(spec.request_routing_rules.iter().enumerate().map(item), |its| &its.name)
}

fn pools(
    gateway: &JudgedGateway,
    spec: &ApplicationGatewaySpec,
    feedback: &Feedback,
) -> Vec<PoolStatus> {
    let item = |(place, pool): (usize, &crate::api::BackendAddressPool)| {
        let key = (gateway.name.clone(), pool.name.as_str().into());
        PoolStatus {
            name: pool.name.clone(),
            healthy: feedback.pools.get(&key).map(fraction).unwrap_or_default(),
            message: shortened(
                told(&gateway.findings, "backendAddressPools", place, true).join("\n"),
            ),
        }
    };
    first_of_each(spec.backend_address_pools.iter().enumerate().map(item), |its| &its.name)
}

fn fraction((up, all): &(usize, usize)) -> String {
    format!("{up}/{all}")
}

/// Members of all pools that are up, of all.
fn healthy(
    gateway: &ObjectName,
    spec: &ApplicationGatewaySpec,
    feedback: &Feedback,
) -> Option<String> {
    let mut sum = None;
    let names: HashSet<&str> =
        spec.backend_address_pools.iter().map(|pool| pool.name.as_str()).collect();
    for name in names {
        if let Some((up, all)) = feedback.pools.get(&(gateway.clone(), name.into())) {
            let (up_before, all_before) = sum.unwrap_or_default();
            sum = Some((up_before + up, all_before + all));
        }
    }
    sum.as_ref().map(fraction)
}

/// Lists in a status are maps by name: of two equal names the first counts.
fn first_of_each<T>(items: impl Iterator<Item = T>, name: fn(&T) -> &String) -> Vec<T> {
    let mut seen: HashMap<String, ()> = HashMap::new();
    items.filter(|item| seen.insert(name(item).clone(), ()).is_none()).collect()
}
