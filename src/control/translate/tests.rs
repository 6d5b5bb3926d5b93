//! What YAML comes to: a line for every rule that is served, and one for everything that is wrong.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use tidegate_model::{Handling, Leaf, RedirectTo, Share, Snapshot};

use super::{Translator, to_problems};
use crate::places::Places;
use crate::source::Files;

/// The gateway of the document, with parts to be changed.
const DOCUMENT: &str = "\
apiVersion: tidegate.dev/v1alpha1
kind: ApplicationGateway
metadata: {name: chat}
spec:
  frontendIPConfigurations: [{name: public}]
  frontendPorts: [{name: http, port: 80}, {name: other, port: 81}]
  httpListeners:
  - {name: web, frontendIPConfiguration: public, frontendPort: http, protocol: Http}
  - {name: a, frontendPort: http, protocol: Http, hostNames: [a.example, '*.a.example']}
  backendAddressPools:
  - {name: chat, backendAddresses: [{ipAddress: 10.0.0.4}, {service: {name: chat, port: 8080}}]}
  backendHttpSettingsCollection:
  - {name: plain, port: 8000, protocol: Http}
  requestRoutingRules:
  - {name: r1, ruleType: Basic, priority: 20, httpListener: web, backendAddressPool: chat, backendHttpSettings: plain}
  - {name: r2, ruleType: Basic, priority: 10, httpListener: a, backendAddressPool: chat, backendHttpSettings: plain}
---
apiVersion: v1
kind: Service
metadata: {name: chat}
spec: {ports: [{name: web, port: 8080, targetPort: 9000}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: chat-1, labels: {kubernetes.io/service-name: chat}}
addressType: IPv4
ports: [{name: web, port: 9000, protocol: TCP}]
endpoints:
- {addresses: [10.1.0.1], conditions: {ready: true}}
- {addresses: [10.1.0.2], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.1.0.3], conditions: {ready: false}}
";

pub(super) fn outcome(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("g.yaml");
    std::fs::write(&file, text).unwrap();
    let mut files = Files::new(vec![file]);
    files.read_first().unwrap();
    let (resources, mut problems) = files.resources();
    let outcome =
        Translator::new(Places::Own(IpAddr::from([127, 0, 0, 1])), None).translate(&resources);
    problems.extend(to_problems(&resources, &outcome.findings));
    problems.sort();
    for problem in &mut problems {
        problem.file = PathBuf::from("g.yaml");
    }
    let mut told = rules(&outcome.snapshot);
    for problem in problems {
        writeln!(told, "{problem}").unwrap();
    }
    told
}

/// A line for every listener, and one below it for each of its path rules.
pub(super) fn rules(snapshot: &Snapshot) -> String {
    let mut told = String::new();
    for frontend in snapshot.gateways.iter().flat_map(|gateway| &gateway.frontends) {
        for listener in frontend.listeners() {
            let hosts: Vec<&str> = listener.hosts.iter().map(|host| host.as_str()).collect();
            let (address, name) = (frontend.address(), &listener.name);
            let to = told_of(listener.rule.action.otherwise());
            writeln!(told, "{address} {name} [{}] -> {to}", hosts.join(" ")).unwrap();
            for rule in listener.rule.action.path_rules() {
                let patterns: Vec<String> = rule.patterns.iter().map(|p| p.to_string()).collect();
                writeln!(told, "  {} -> {}", patterns.join(" "), told_of(&rule.handling)).unwrap();
            }
        }
    }
    told
}

fn told_of(handling: &Handling) -> String {
    match &handling.leaf {
        Leaf::Refuse => "502".to_owned(),
        Leaf::NotFound => "404".to_owned(),
        Leaf::Redirect(redirect) => {
            let to = match &redirect.to {
                RedirectTo::Url(url) => url.to_string(),
                RedirectTo::Listener { protocol, host, port } => {
                    let host = host.as_ref().map(|host| format!("//{host}")).unwrap_or_default();
                    let port = if *port == 443 { String::new() } else { format!(":{port}") };
                    format!("{}{host}{port}", protocol.scheme())
                }
            };
            format!("{} {to}", redirect.status.code())
        }
        Leaf::Distribute(spread) => {
            let share = |share: &Share| {
                format!(
                    "{} x {}",
                    share.weight.get(),
                    told_of(&Leaf::Forward(share.target.clone()).into())
                )
            };
            let shares: Vec<String> = spread.shares().iter().map(share).collect();
            format!("{:?} {}", spread.algorithm(), shares.join(" + "))
        }
        Leaf::Forward(target) => {
            let members = target.pool.members.iter().map(|member| {
                let port = member.port.unwrap_or(target.settings.port);
                format!("{}:{port} {:?}", member.address, member.state)
            });
            members.collect::<Vec<_>>().join(", ")
        }
    }
}

/// The document's outcome after `from` was replaced by `to` in it.
fn changed(from: &str, to: &str) -> String {
    assert!(DOCUMENT.contains(from), "{from}");
    outcome(&DOCUMENT.replacen(from, to, 1))
}

#[test]
fn the_documents_gateway_is_served_without_a_problem() {
    let members = "10.0.0.4:8000 Ready, 10.1.0.1:9000 Ready, 10.1.0.2:9000 Terminating, 10.1.0.3:9000 NotReady";
    let expected = format!(
        "127.0.0.1:80 web [] -> {members}\n127.0.0.1:80 a [a.example *.a.example] -> {members}\n"
    );
    assert_eq!(outcome(DOCUMENT), expected);
}

/// Each line: what is changed, into what, what is served for `web` and `a`, and the problem.
#[test]
fn what_is_wrong_is_refused_alone_and_says_where_and_why() {
    for (from, to, web, a, problem) in [
        (
            "httpListener: web",
            "httpListener: wbe",
            "",
            "10.0.0.4",
            "g.yaml:15: spec.requestRoutingRules[0].httpListener: there is no \"wbe\" in httpListeners",
        ),
        (
            "backendAddressPool: chat",
            "backendAddressPool: caht",
            "502",
            "10.0.0.4",
            "g.yaml:15: spec.requestRoutingRules[0].backendAddressPool: there is no \"caht\" in backendAddressPools",
        ),
        (
            "hostNames: [a.example, '*.a.example']",
            "hostNames: [a.example, '**.a.example']",
            "10.0.0.4",
            "",
            "g.yaml:9: spec.httpListeners[1].hostNames[1]: \"**.a.example\": a label has at most one '*', and no '?' beside it",
        ),
        (
            "port: 8000, protocol: Http",
            "port: 8000, protocol: Http, cookieBasedAffinity: Enabled, affinityCookieName: a b",
            "502",
            "502",
            "g.yaml:13: spec.backendHttpSettingsCollection[0].affinityCookieName: \"a b\": ' ' cannot stand in the name of a cookie",
        ),
        (
            "port: 8000, protocol: Http",
            "port: 8000, protocol: Http, requestTimeout: 0",
            "502",
            "502",
            "g.yaml:13: spec.backendHttpSettingsCollection[0].requestTimeout: 0 is not within 1 to 86400",
        ),
        (
            "port: 8000, protocol: Http",
            "port: 8000, protocol: Http, probe: p",
            "502",
            "502",
            "g.yaml:13: spec.backendHttpSettingsCollection[0].probe: there is no \"p\" in probes",
        ),
        (
            "name: r1, ruleType: Basic,",
            "name: r1, ruleType: PathBasedRouting,",
            "502",
            "10.0.0.4",
            "g.yaml:15: spec.requestRoutingRules[0].urlPathMap: PathBasedRouting needs it",
        ),
        (
            "name: r1, ruleType: Basic,",
            "name: r1, ruleType: Basic, rewriteRuleSet: x,",
            "502",
            "10.0.0.4",
            "g.yaml:15: spec.requestRoutingRules[0].rewriteRuleSet: there is no \"x\" in rewriteRuleSets",
        ),
        (
            "priority: 20, ",
            "",
            "502",
            "10.0.0.4",
            "g.yaml:15: spec.requestRoutingRules[0].priority: other rules have a priority: all rules need one, or none",
        ),
        (
            "priority: 10",
            "priority: 20",
            "10.0.0.4",
            "502",
            "g.yaml:16: spec.requestRoutingRules[1].priority: 20 is already the priority of \"r1\"",
        ),
        (
            "priority: 10",
            "priority: 20001",
            "10.0.0.4",
            "502",
            "g.yaml:16: spec.requestRoutingRules[1].priority: priority 20001 is not within 1 to 20000",
        ),
        (
            "httpListener: a,",
            "httpListener: web,",
            "10.0.0.4",
            "",
            "g.yaml:16: spec.requestRoutingRules[1].httpListener: \"web\" already has the rule \"r1\"",
        ),
        (
            "frontendPort: http, protocol: Http, hostNames",
            "frontendPort: http, protocol: Https, hostNames",
            "10.0.0.4",
            "",
            "g.yaml:9: spec.httpListeners[1].sslCertificate: an Https listener needs a certificate",
        ),
        (
            ", hostNames: [a.example, '*.a.example']",
            "",
            "10.0.0.4",
            "",
            "g.yaml:9: spec.httpListeners[1]: \"web\" already takes any host on 127.0.0.1:80",
        ),
        (
            "{ipAddress: 10.0.0.4}",
            "{ipAddress: ten}, {ipAddress: 10.0.0.4}",
            "10.0.0.4",
            "10.0.0.4",
            "g.yaml:11: spec.backendAddressPools[0].backendAddresses[0].ipAddress: \"ten\" is not an IP address; a host name goes into fqdn",
        ),
        (
            "service: {name: chat, port: 8080}",
            "service: {name: chat, port: metrics}",
            "10.0.0.4",
            "10.0.0.4",
            "g.yaml:11: spec.backendAddressPools[0].backendAddresses[1].service.port: Service default/chat has no such port; it has 8080 (web)",
        ),
        (
            "port: 81",
            "port: 81, prot: x",
            "",
            "",
            "g.yaml:6: spec.frontendPorts[1].prot: unknown field `prot`, expected `name` or `port`",
        ),
        (
            "{name: other, port: 81}",
            "{name: http, port: 81}",
            "10.0.0.4",
            "10.0.0.4",
            "g.yaml:6: spec.frontendPorts[1].name: \"http\" is already the name of frontendPorts[0]",
        ),
    ] {
        let told = changed(from, to);
        assert!(told.contains(problem), "{to}: no {problem:?} in\n{told}");
        for (name, expected) in [(" web [] -> ", web), (" a [a.example *.a.example] -> ", a)] {
            let line = told.lines().find(|line| line.contains(name));
            let served = line.map_or("", |line| line.split(" -> ").nth(1).unwrap());
            let right =
                if expected.is_empty() { served.is_empty() } else { served.starts_with(expected) };
            assert!(right, "{to}: {name:?} is {served:?}, not {expected:?}\n{told}");
        }
    }
}

#[test]
fn the_second_gateway_on_an_address_is_refused_and_the_first_goes_on() {
    let second = DOCUMENT.replace("name: chat}\nspec", "name: second}\nspec");
    let second = second.split("---").next().unwrap();
    let told = outcome(&format!("{DOCUMENT}---\n{second}"));
    assert!(told.contains("127.0.0.1:80 is already taken by gateway default/chat"), "{told}");
    assert_eq!(told.lines().filter(|line| line.contains(" -> ")).count(), 2, "{told}");
}

#[test]
fn a_pod_with_addresses_of_both_families_is_one_member() {
    let second = "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: chat-2, labels: {kubernetes.io/service-name: chat}}
addressType: IPv6
ports: [{name: web, port: 9000, protocol: TCP}]
endpoints:
- {addresses: ['fd00::1'], targetRef: {kind: Pod, uid: one}}
- {addresses: ['fd00::9'], targetRef: {kind: Pod, uid: nine}}
";
    let pod = "{addresses: [10.1.0.1], targetRef: {kind: Pod, uid: one}";
    let told = outcome(&format!("{}{second}", DOCUMENT.replace("{addresses: [10.1.0.1]", pod)));
    assert!(told.contains("10.1.0.1") && told.contains("fd00::9"), "{told}");
    assert!(!told.contains("fd00::1"), "{told}");
}

#[test]
fn another_namespace_is_out_of_reach_without_a_grant() {
    let away = DOCUMENT
        .replace(
            "service: {name: chat, port: 8080}",
            "service: {name: chat, namespace: b, port: 8080}",
        )
        .replace(
            "metadata: {name: chat}\nspec: {ports",
            "metadata: {name: chat, namespace: b}\nspec: {ports",
        )
        .replace("{name: chat-1, labels", "{name: chat-1, namespace: b, labels");
    let refused = outcome(&away);
    assert!(refused.contains("service.namespace: no ReferenceGrant of namespace b"), "{refused}");
    assert!(!refused.contains("10.1.0.1"), "{refused}");
    let grant = "---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: any, namespace: b}
spec:
  from: [{group: tidegate.dev, kind: ApplicationGateway, namespace: default}]
  to: [{group: '', kind: Service}]
";
    let granted = outcome(&format!("{away}{grant}"));
    assert!(granted.contains("10.1.0.1") && !granted.contains("ReferenceGrant"), "{granted}");
}

#[test]
fn what_stays_equal_stays_the_same_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("g.yaml");
    std::fs::write(&file, DOCUMENT).unwrap();
    let mut files = Files::new(vec![file.clone()]);
    files.read_first().unwrap();
    let mut translator = Translator::new(Places::Own(IpAddr::from([127, 0, 0, 1])), None);
    let first = translator.translate(&files.resources().0).snapshot;
    assert!(std::sync::Arc::ptr_eq(&first, &translator.translate(&files.resources().0).snapshot));
    std::fs::write(&file, DOCUMENT.replace("'*.a.example'", "'*.b.example'")).unwrap();
    assert!(files.read_changed().0);
    let second = translator.translate(&files.resources().0).snapshot;
    let listeners = |snapshot: &Snapshot| snapshot.gateways[0].frontends[0].listeners().to_vec();
    let (before, after) = (listeners(&first), listeners(&second));
    assert!(std::sync::Arc::ptr_eq(&before[0], &after[0]));
    let target = |listener: &tidegate_model::Listener| match &listener.rule.action.otherwise().leaf
    {
        Leaf::Forward(target) => target.clone(),
        other => panic!("{other:?}"),
    };
    assert!(!std::sync::Arc::ptr_eq(&before[1], &after[1]));
    assert!(std::sync::Arc::ptr_eq(&target(&before[1]), &target(&after[1])));
}

/// Each line: what is put into the rule, the policies, what is served for `web`, and what is said.
#[test]
fn a_policy_spreads_a_rule_over_pools_and_leaves_out_what_is_wrong_alone() {
    const POOLS: &str =
        "  backendAddressPools:\n  - {name: next, backendAddresses: [{ipAddress: 10.0.0.5}]}\n";
    const BOTH: &str =
        "{weightPerServer: 9, backendAddressPool: one}, {name: n, backendAddressPool: next}";
    for (algorithm, targets, served, problem) in [
        ("", BOTH, "RoundRobin 9 x 10.0.0.4:8000 Ready + 1 x 10.0.0.5:8000 Ready", ""),
        (
            "loadDistributionAlgorithm: IpHash, ",
            BOTH,
            "IpHash 9 x 10.0.0.4:8000 Ready + 1 x 10.0.0.5:8000 Ready",
            "",
        ),
        (
            "",
            "{weightPerServer: 101, backendAddressPool: one}, {backendAddressPool: next}",
            "RoundRobin 1 x 10.0.0.5:8000 Ready",
            "loadDistributionTargets[0].weightPerServer: weight 101 is not within 1 to 100",
        ),
        (
            "",
            "{backendAddressPool: one}, {backendAddressPool: two}",
            "RoundRobin 1 x 10.0.0.4:8000 Ready",
            "loadDistributionTargets[1].backendAddressPool: there is no \"two\" in backendAddressPools",
        ),
        (
            "",
            "{backendAddressPool: one}, {backendAddressPool: one}",
            "RoundRobin 1 x 10.0.0.4:8000 Ready",
            "loadDistributionTargets[1].backendAddressPool: \"one\" stands in this policy twice",
        ),
        (
            "",
            "{backendAddressPool: two}",
            "502",
            "spec.requestRoutingRules[0].loadDistributionPolicy: \"p\" cannot be used: see its own problems",
        ),
    ] {
        let policy = format!(
            "  loadDistributionPolicies: [{{name: p, {algorithm}loadDistributionTargets: [{targets}]}}]\n"
        );
        let text = DOCUMENT
            .replace("  backendAddressPools:\n", &format!("{policy}{POOLS}"))
            .replace("  - {name: chat, backendAddresses: [{ipAddress: 10.0.0.4}, {service: {name: chat, port: 8080}}]}", "  - {name: one, backendAddresses: [{ipAddress: 10.0.0.4}]}")
            .replacen("backendAddressPool: chat", "loadDistributionPolicy: p", 1);
        let told = outcome(&text);
        assert!(told.contains(&format!(" web [] -> {served}\n")), "{targets}: {told}");
        assert!(told.contains(problem), "{targets}: no {problem:?} in\n{told}");
    }
    for (with, problem) in [
        (
            "loadDistributionPolicy: q",
            "[0].loadDistributionPolicy: there is no \"q\" in loadDistributionPolicies",
        ),
        (
            "backendAddressPool: chat, loadDistributionPolicy: p",
            "[0].backendAddressPool: warning: it has no effect beside loadDistributionPolicy",
        ),
    ] {
        let policy = "  loadDistributionPolicies: [{name: p, loadDistributionTargets: [{backendAddressPool: chat}]}]\n  backendAddressPools:\n";
        let text = DOCUMENT.replace("  backendAddressPools:\n", policy);
        let told = outcome(&text.replacen(
            "httpListener: web, backendAddressPool: chat",
            &format!("httpListener: web, {with}"),
            1,
        ));
        assert!(told.contains(problem), "{with}: {told}");
    }
}

#[test]
fn path_rules_and_defaults_of_maps_may_name_a_policy_too() {
    let text = DOCUMENT
        .replace("  backendAddressPools:\n", "  loadDistributionPolicies: [{name: p, loadDistributionAlgorithm: IpHash, loadDistributionTargets: [{weightPerServer: 2, backendAddressPool: next}]}]\n  urlPathMaps:\n  - name: m\n    defaultLoadDistributionPolicy: p\n    defaultBackendHttpSettings: plain\n    pathRules: [{name: a, paths: [/a], loadDistributionPolicy: p, backendHttpSettings: plain}, {name: b, paths: [/b], loadDistributionPolicy: q, backendHttpSettings: plain}]\n  backendAddressPools:\n  - {name: next, backendAddresses: [{ipAddress: 10.0.0.5}]}\n")
        .replacen("ruleType: Basic, priority: 20, httpListener: web, backendAddressPool: chat, backendHttpSettings: plain", "ruleType: PathBasedRouting, priority: 20, httpListener: web, urlPathMap: m", 1);
    let told = outcome(&text);
    let spread = "IpHash 2 x 10.0.0.5:8000 Ready";
    for line in
        [format!(" web [] -> {spread}\n"), format!("/a -> {spread}\n"), "/b -> 502\n".into()]
    {
        assert!(told.contains(&line), "no {line:?} in\n{told}");
    }
    let problem =
        "pathRules[1].loadDistributionPolicy: there is no \"q\" in loadDistributionPolicies";
    assert!(told.contains(problem), "{told}");
}

/// Each line: fields of the settings, fields of the probe, what is served, and what is said.
#[test]
fn what_settings_and_probes_say_of_members_is_judged() {
    for (settings, probe, is_served, problem) in [
        ("", "minServers: 2", true, ""),
        ("", "minServers: -1", false, "spec.probes[0].minServers: -1 is not within 0 to 1200"),
        ("", "interval: 0", false, "spec.probes[0].interval: 0 is not within 1 to 86400"),
        ("", "interval: 5, timeout: 5", true, ""),
        (
            "",
            "interval: 5, timeout: 6",
            true,
            "spec.probes[0].timeout: warning: it is longer than the interval of 5 s",
        ),
        ("", "unhealthyThreshold: 21", false, "spec.probes[0].unhealthyThreshold: 21 is not"),
        ("", "port: 65536", false, "spec.probes[0].port: 65536 is not within 1 to 65535"),
        ("", "path: healthz", false, "spec.probes[0].path: \"healthz\" does not begin with /"),
        ("", "protocol: Https", false, "spec.probes[0].protocol: it differs from the protocol of"),
        (
            "",
            "host: a.example, pickHostNameFromBackendHttpSettings: true",
            false,
            "spec.probes[0].pickHostNameFromBackendHttpSettings: it and host exclude each other",
        ),
        ("", "match: {statusCodes: ['99']}", false, "spec.probes[0].match.statusCodes[0]: \"99\""),
        ("", "grpc: {}", true, ""),
        (
            "",
            "grpc: {service: chat}, path: /x",
            true,
            "path: warning: it has no effect beside grpc",
        ),
        ("", "webSocket: true, path: /x", true, ""),
        ("", "webSocket: true, grpc: {}", false, "webSocket: it and grpc exclude each other"),
        (
            "",
            "webSocket: true, match: {body: x}",
            true,
            "match: warning: it has no effect beside webSocket",
        ),
        ("outlierEjection: {}", "", true, ""),
        (
            "outlierEjection: {consecutiveFailures: 0}",
            "",
            false,
            "[0].outlierEjection.consecutiveFailures: 0 is not within 1 to 1000",
        ),
        (
            "outlierEjection: {maxEjectedPercent: 101}",
            "",
            false,
            "[0].outlierEjection.maxEjectedPercent: 101 is not within 1 to 100",
        ),
        ("dedicatedBackendConnection: true", "", true, ""),
        ("backendHttpVersion: Http2", "", true, ""),
        (
            "backendHttpVersion: Http2, dedicatedBackendConnection: true",
            "",
            false,
            "[0].dedicatedBackendConnection: it needs backendHttpVersion: Http1",
        ),
        ("slowStartInSec: 10", "", true, ""),
        ("slowStartInSec: 0", "", false, "[0].slowStartInSec: 0 is not within 1 to 3600"),
        (
            "slowStartInSec: 10, loadDistributionAlgorithm: IpHash",
            "",
            true,
            "[0].slowStartInSec: warning: it has no effect",
        ),
    ] {
        let protocol = if probe.contains("protocol") { "" } else { "protocol: Http, " };
        let text = DOCUMENT
            .replace("protocol: Http}\n  requestRoutingRules", &format!("protocol: Http, probe: h, {settings}}}\n  probes: [{{name: h, {protocol}{probe}}}]\n  requestRoutingRules"));
        let told = outcome(&text);
        let served = told.contains(" web [] -> 10.0.0.4");
        assert!(served == is_served && told.contains(problem), "{settings} {probe}: {told}");
        assert!(!problem.is_empty() || told.lines().count() == 2, "{settings} {probe}: {told}");
    }
}
