//! Path maps, redirects and the order of rules: what YAML comes to, and what is said of it. With
//! this the rules that Application Gateway enforces itself (each line names its code or its words).

use super::tests::outcome;

/// A gateway with every part that rules refer to; `PARTS` is what a case adds to its spec.
const DOCUMENT: &str = "\
apiVersion: tidegate.dev/v1alpha1
kind: ApplicationGateway
metadata: {name: g}
spec:
  frontendPorts: [{name: http, port: 80}, {name: other, port: 81}]
  backendAddressPools:
  - {name: a, backendAddresses: [{ipAddress: 10.0.0.1}]}
  - {name: b, backendAddresses: [{ipAddress: 10.0.0.2}]}
  backendHttpSettingsCollection:
  - {name: s, port: 8000, protocol: Http}
  - {name: bad, port: 8000, protocol: Http, path: relative/}
";

const LISTENERS: &str = "  httpListeners:
  - {name: web, frontendPort: http, protocol: Http}
  - {name: one, frontendPort: other, protocol: Http, hostName: one.example}
  - {name: two, frontendPort: other, protocol: Http, hostNames: [two.example, three.example]}
  - {name: wild, frontendPort: other, protocol: Http, hostNames: ['*.wild.example']}
";

/// The one rule `r`, of `web`, with these fields.
fn rule(fields: &str) -> String {
    format!("{LISTENERS}  requestRoutingRules:\n  - {{name: r, httpListener: web, {fields}}}\n")
}

/// The rule leads to the map `m`, with these fields.
fn map(fields: &str) -> String {
    let rule = rule("ruleType: PathBasedRouting, urlPathMap: m");
    format!("{rule}  urlPathMaps:\n  - {{name: m, {fields}}}\n")
}

/// The map `m` with `a` as its default and these path rules.
fn paths(rules: &str) -> String {
    map(&format!("{DEFAULT}, pathRules: [{rules}]"))
}

/// The rule leads to a redirect `d` with these fields.
fn redirect(fields: &str) -> String {
    let rule = rule("ruleType: Basic, redirectConfiguration: d");
    format!("{rule}  redirectConfigurations:\n  - {{name: d, redirectType: Found, {fields}}}\n")
}

const DEFAULT: &str = "defaultBackendAddressPool: a, defaultBackendHttpSettings: s";
const TO_A: &str = "backendAddressPool: a, backendHttpSettings: s";
const TO_B: &str = "backendAddressPool: b, backendHttpSettings: s";
const REDIRECTS: &str = "  redirectConfigurations:
  - {name: away, redirectType: Permanent, targetUrl: 'https://away.example/'}
  - {name: home, redirectType: Found, targetListener: web, includePath: true}
  - {name: root, redirectType: Found, targetListener: web}
";

fn told(parts: &str) -> String {
    outcome(&format!("{DOCUMENT}{parts}"))
}

/// Each line: what is written, what is served for it line by line, and what is said of it.
#[track_caller]
fn check(cases: &[(String, &[&str], &[&str])]) {
    for (parts, served, said) in cases {
        let told = told(parts);
        let is_served = |line: &&str| line.contains(" -> ");
        let lines: Vec<&str> = told.lines().filter(is_served).map(str::trim).collect();
        let expected: Vec<String> = served.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(lines, expected, "{parts}\n{told}");
        for said in *said {
            assert!(told.contains(said), "no {said:?} for\n{parts}\n{told}");
        }
        let problems = told.lines().filter(|line| line.starts_with("g.yaml")).count();
        assert_eq!(problems, said.len(), "{parts}\n{told}");
    }
}

const WEB_A: &str = "127.0.0.1:80 web [] -> 10.0.0.1:8000 Ready";
const WEB_502: &str = "127.0.0.1:80 web [] -> 502";

#[test]
fn path_maps_lead_to_pools_and_redirects_and_what_is_wrong_is_refused_alone() {
    check(&[
        (
            paths(&format!("{{name: x, paths: [/x/*, /y], {TO_B}}}")),
            &[WEB_A, "/x/* = /y -> 10.0.0.2:8000 Ready"],
            &UNUSED,
        ),
        (
            paths("{name: x, paths: [/x], redirectConfiguration: away}") + REDIRECTS,
            &[WEB_A, "= /x -> 301 https://away.example/"],
            &UNUSED,
        ),
        (
            map("defaultRedirectConfiguration: away, pathRules: []") + REDIRECTS,
            &["127.0.0.1:80 web [] -> 301 https://away.example/"],
            &UNUSED,
        ),
        // ApplicationGatewayPathRuleInvalidCharacter
        (
            paths(&format!(
                "{{name: x, paths: [/x%20y, /x], {TO_B}}}, {{name: y, paths: [/y], {TO_B}}}"
            )),
            &[WEB_A, "= /x -> 502", "= /y -> 10.0.0.2:8000 Ready"],
            &with("spec.urlPathMaps[0].pathRules[0].paths[0]: \"/x%20y\": '%' is not allowed"),
        ),
        // ApplicationGatewayPathRulePathShouldHaveNonEmptyMatchValue
        (
            paths(&format!("{{name: x, paths: [/], {TO_B}}}")),
            &[WEB_A, "-> 502"],
            &with("pathRules[0].paths[0]: \"/\": / alone takes nothing"),
        ),
        (
            paths(&format!("{{name: x, paths: [], {TO_B}}}")),
            &[WEB_A, "-> 502"],
            &with("pathRules[0].paths: a path rule needs at least one path"),
        ),
        (
            paths(&format!("{{name: x, paths: ['/a*b'], {TO_B}}}")),
            &[WEB_A, "-> 502"],
            &with("paths[0]: \"/a*b\": * can only be its last character"),
        ),
        // ApplicationGatewayRedirectConfigurationUrlPathMapCannotSpecify
        (
            map(&format!("{DEFAULT}, defaultRedirectConfiguration: away")) + REDIRECTS,
            &[WEB_502],
            &with(
                "spec.urlPathMaps[0].defaultRedirectConfiguration: it and a pool with settings exclude each other",
            ),
        ),
        (
            paths(&format!("{{name: x, paths: [/x], redirectConfiguration: away, {TO_B}}}"))
                + REDIRECTS,
            &[WEB_A, "= /x -> 502"],
            &with(
                "pathRules[0].redirectConfiguration: it and a pool with settings exclude each other",
            ),
        ),
        (
            map("pathRules: []"),
            &[WEB_502],
            &[
                UNUSED[0],
                UNUSED[1],
                UNUSED[2],
                UNUSED[3],
                "spec.urlPathMaps[0].defaultBackendAddressPool: it is needed where there is no redirect",
                "spec.urlPathMaps[0].defaultBackendHttpSettings: it is needed where there is no redirect",
            ],
        ),
        (
            paths(&format!("{{name: x, paths: [/x], {TO_B}}}, {{name: x, paths: [/z], {TO_B}}}")),
            &[WEB_A, "= /x -> 10.0.0.2:8000 Ready", "= /z -> 502"],
            &with("pathRules[1].name: \"x\" is already the name of pathRules[0]"),
        ),
        (
            paths("{name: x, paths: [/x], backendAddressPool: none, backendHttpSettings: s}"),
            &[WEB_A, "= /x -> 502"],
            &with("pathRules[0].backendAddressPool: there is no \"none\" in backendAddressPools"),
        ),
        (
            paths("{name: x, paths: [/x], backendAddressPool: a, backendHttpSettings: bad}"),
            &[WEB_A, "= /x -> 502"],
            &with("pathRules[0].backendHttpSettings: \"bad\" cannot be used: see its own problems"),
        ),
        (
            paths(&format!("{{name: x, paths: [/x], {TO_B}, firewallPolicy: waf}}")),
            &[WEB_A, "= /x -> 502"],
            &with("pathRules[0].firewallPolicy: not supported"),
        ),
        (
            rule("ruleType: PathBasedRouting, urlPathMap: none"),
            &[WEB_502],
            &with("spec.requestRoutingRules[0].urlPathMap: there is no \"none\" in urlPathMaps"),
        ),
        (
            rule("ruleType: PathBasedRouting"),
            &[WEB_502],
            &with("spec.requestRoutingRules[0].urlPathMap: PathBasedRouting needs it"),
        ),
        (
            paths("").replace("urlPathMap: m", &format!("urlPathMap: m, {TO_A}")),
            &[WEB_502],
            &[
                UNUSED[0],
                UNUSED[1],
                UNUSED[2],
                UNUSED[3],
                "requestRoutingRules[0].backendAddressPool: with PathBasedRouting it belongs into the path map",
                "requestRoutingRules[0].backendHttpSettings: with PathBasedRouting it belongs into the path map",
            ],
        ),
        (
            paths("").replace("ruleType: PathBasedRouting", &format!("ruleType: Basic, {TO_A}")),
            &[WEB_502],
            &with("requestRoutingRules[0].urlPathMap: a Basic rule has no paths"),
        ),
        (
            rule(&format!("ruleType: Basic, {TO_A}"))
                + "  urlPathMaps:\n  - {name: m, "
                + DEFAULT
                + "}\n",
            &[WEB_A],
            &with("spec.urlPathMaps[0]: warning: no rule names this map: it has no effect"),
        ),
    ]);
}

/// What is said of the parts of the document that no case uses.
const UNUSED: [&str; 4] = [
    "spec.httpListeners[1]: warning: no rule names this listener",
    "spec.httpListeners[2]: warning: no rule names this listener",
    "spec.httpListeners[3]: warning: no rule names this listener",
    "spec.backendHttpSettingsCollection[1].path: \"relative/\": it does not begin with /",
];

fn with(said: &'static str) -> [&'static str; 5] {
    [UNUSED[0], UNUSED[1], UNUSED[2], UNUSED[3], said]
}

#[test]
fn redirects_lead_to_one_listener_or_one_url() {
    check(&[
        (
            redirect("targetListener: one, includePath: true"),
            &["127.0.0.1:80 web [] -> 302 http//one.example:81"],
            &UNUSED,
        ),
        (
            redirect("targetUrl: 'https://a.example/x?y'").replace("Found", "SeeOther"),
            &["127.0.0.1:80 web [] -> 303 https://a.example/x?y"],
            &UNUSED,
        ),
        (
            redirect("targetUrl: 'https://a.example'").replace("Found", "Temporary"),
            &["127.0.0.1:80 web [] -> 307 https://a.example/"],
            &UNUSED,
        ),
        (
            redirect("targetListener: two"),
            &[WEB_502],
            &twice(
                "spec.redirectConfigurations[0].targetListener: \"two\" has several hosts",
                "requestRoutingRules[0].redirectConfiguration: \"d\" cannot be used",
            ),
        ),
        (
            redirect("targetListener: wild"),
            &[WEB_502],
            &twice(
                "targetListener: \"wild\" has wildcards",
                "requestRoutingRules[0].redirectConfiguration: \"d\" cannot be used",
            ),
        ),
        (
            redirect("targetListener: none"),
            &[WEB_502],
            &twice(
                "targetListener: there is no \"none\" in httpListeners",
                "requestRoutingRules[0].redirectConfiguration: \"d\" cannot be used",
            ),
        ),
        (
            redirect("targetListener: one, targetUrl: 'https://a.example'"),
            &[WEB_502],
            &twice(
                "targetUrl: it and targetListener exclude each other",
                "requestRoutingRules[0].redirectConfiguration: \"d\" cannot be used",
            ),
        ),
        (
            redirect("includePath: true"),
            &[WEB_502],
            &twice(
                "spec.redirectConfigurations[0]: targetListener or targetUrl is needed",
                "requestRoutingRules[0].redirectConfiguration: \"d\" cannot be used",
            ),
        ),
        (
            redirect("targetUrl: /relative"),
            &[WEB_502],
            &twice(
                "targetUrl: \"/relative\": it does not begin with http:// or https://",
                "requestRoutingRules[0].redirectConfiguration: \"d\" cannot be used",
            ),
        ),
        (
            redirect("targetListener: web"),
            &[WEB_502],
            &with("redirectConfiguration: it leads to the rule's own listener"),
        ),
        (
            rule(&format!("ruleType: Basic, {TO_A}, redirectConfiguration: away")) + REDIRECTS,
            &[WEB_502],
            &with("redirectConfiguration: it and a pool with settings exclude each other"),
        ),
        (
            rule("ruleType: Basic, redirectConfiguration: none"),
            &[WEB_502],
            &with("redirectConfiguration: there is no \"none\" in redirectConfigurations"),
        ),
    ]);
}

fn twice(one: &'static str, other: &'static str) -> [&'static str; 6] {
    [UNUSED[0], UNUSED[1], UNUSED[2], UNUSED[3], one, other]
}

#[test]
fn redirects_in_a_map_that_lead_to_themselves_are_told_of() {
    let circle = "spec.requestRoutingRules[0].urlPathMap: warning: the redirect of";
    let with_paths = |rules: &str| paths(rules) + REDIRECTS;
    let default = |name: &str, rules: &str| {
        map(&format!("defaultRedirectConfiguration: {name}, pathRules: [{rules}]")) + REDIRECTS
    };
    let x = format!("{{name: x, paths: [/x], {TO_A}}}");
    let all = format!("{{name: x, paths: ['/*'], {TO_A}}}");
    for (parts, circles) in [
        // The path brings it back to the same path rule; without, it is `/` that is asked for.
        (with_paths("{name: x, paths: [/x], redirectConfiguration: home}"), true),
        (with_paths("{name: x, paths: [/x], redirectConfiguration: root}"), false),
        (with_paths("{name: x, paths: ['/*'], redirectConfiguration: root}"), true),
        (default("home", &x), true),
        (default("root", &x), true),
        (default("root", &all), false),
    ] {
        assert_eq!(told(&parts).contains(circle), circles, "{parts}\n{}", told(&parts));
    }
}

#[test]
fn a_map_has_at_most_a_hundred_path_rules() {
    let rule = |n: usize| format!("{{name: x{n}, paths: [/x{n}], {TO_B}}}");
    let rules: Vec<String> = (0..101).map(rule).collect();
    let told = told(&paths(&rules.join(", ")));
    assert!(told.contains("pathRules[100]: a map has at most 100 path rules"), "{told}");
    assert!(told.contains("= /x99 -> 10.0.0.2"), "{told}");
    assert!(told.contains("= /x100 -> 502"), "{told}");
}

#[test]
fn path_rules_that_others_hide_are_told_of() {
    let rule = |name: &str, paths: &str| format!("{{name: {name}, paths: [{paths}], {TO_B}}}");
    for (rules, hidden) in [
        ([rule("x", "'/a*'"), rule("y", "/a/b, '/ab*'")], true),
        ([rule("x", "'/A*'"), rule("y", "/a/b")], true),
        ([rule("x", "/a"), rule("y", "/a")], true),
        ([rule("x", "'/a/*'"), rule("y", "'/a*'")], false),
        ([rule("x", "'/a*'"), rule("y", "/a/b, /b")], false),
        ([rule("x", "'/a/b*'"), rule("y", "'/a/*'")], false),
    ] {
        let told = told(&paths(&rules.join(", ")));
        let said = "spec.urlPathMaps[0].pathRules[1]: warning: no request reaches it";
        assert_eq!(told.contains(said), hidden, "{rules:?}\n{told}");
    }
}

#[test]
fn rules_whose_every_host_another_takes_are_told_of() {
    let gateway = |precedence: &str, rules: &[(&str, Option<u32>)]| {
        let mut listeners = String::from("  httpListeners:\n");
        let mut text = format!("{precedence}  requestRoutingRules:\n");
        for (index, (hosts, priority)) in rules.iter().enumerate() {
            listeners += &format!(
                "  - {{name: l{index}, frontendPort: http, protocol: Http, hostNames: [{hosts}]}}\n"
            );
            let priority = priority.map(|p| format!("priority: {p}, ")).unwrap_or_default();
            text += &format!(
                "  - {{name: r{index}, ruleType: Basic, {priority}httpListener: l{index}, {TO_A}}}\n"
            );
        }
        told(&(listeners + &text))
    };
    let narrow = "  hostPrecedence: MostSpecific\n";
    for (precedence, rules, hidden) in [
        ("", &[("'*.example'", Some(1)), ("a.example, b.example", Some(2))][..], Some(1)),
        ("", &[("'*.example'", Some(2)), ("a.example, b.example", Some(1))], None),
        ("", &[("'*.example'", Some(1)), ("a.example, a.test", Some(2))], None),
        ("", &[("", Some(1)), ("a.example", Some(2))], Some(1)),
        ("", &[("a.example", Some(2)), ("", Some(1))], Some(0)),
        ("", &[("'*.a.example'", Some(2)), ("'*.example'", Some(1))], Some(0)),
        ("", &[("'*.example'", Some(2)), ("'*.a.example'", Some(1))], None),
        (
            "",
            &[("'*.example'", Some(1)), ("'*.test'", Some(3)), ("a.example, a.test", Some(9))],
            Some(2),
        ),
        // Without priorities exact names go first, and wildcards in their order.
        ("", &[("'*.example'", None), ("a.example", None)], None),
        ("", &[("'*.example'", None), ("'*.a.example'", None)], Some(1)),
        (narrow, &[("'*.example'", Some(1)), ("a.example", Some(2))], None),
        (narrow, &[("", Some(1)), ("'*.example'", Some(2)), ("'*.a.example'", Some(3))], None),
    ] {
        let told = gateway(precedence, rules);
        let said: Vec<&str> =
            told.lines().filter(|l| l.contains("no request reaches it")).collect();
        match hidden {
            None => assert!(said.is_empty(), "{rules:?}\n{told}"),
            Some(rule) => {
                let path = format!("spec.requestRoutingRules[{rule}]: warning: ");
                assert!(said.len() == 1 && said[0].contains(&path), "{rules:?}\n{told}");
            }
        }
    }
}

/// Section 1.15 of the reference: each line breaks a rule that the cloud refuses a whole gateway for,
/// and is refused here alone. What concerns rewrites and TLS is tested with
/// them.
#[test]
fn what_the_cloud_enforces_is_refused_part_by_part() {
    let basic = |fields: &str| rule(&format!("ruleType: Basic, {TO_A}{fields}"));
    let second = format!("  - {{name: r2, httpListener: one, ruleType: Basic, {TO_A}}}\n");
    for (text, said) in [
        // ApplicationGatewayRequestRoutingRulePartialPriorityDefined, and ...PriorityCannotBeEmpty
        (
            basic(", priority: 1") + &second,
            "requestRoutingRules[1].priority: other rules have a priority: all rules need one, or none",
        ),
        // ApplicationGatewayPathRuleInvalidCharacter
        (
            paths(&format!("{{name: x, paths: [/x<y], {TO_B}}}")),
            "paths[0]: \"/x<y\": '<' is not allowed",
        ),
        // ApplicationGatewayPathRulePathShouldHaveNonEmptyMatchValue
        (
            paths(&format!("{{name: x, paths: [/], {TO_B}}}")),
            "paths[0]: \"/\": / alone takes nothing",
        ),
        // ApplicationGatewayRedirectConfigurationUrlPathMapCannotSpecify
        (
            map(&format!("{DEFAULT}, defaultRedirectConfiguration: away")) + REDIRECTS,
            "defaultRedirectConfiguration: it and a pool with settings exclude each other",
        ),
        (
            basic("").replace(
                "hostName: one.example",
                "hostName: one.example, hostNames: [two.example]",
            ),
            "spec.httpListeners[1].hostNames: it and hostName exclude each other",
        ),
    ] {
        let told = told(&text);
        assert!(told.contains(said), "no {said:?} for\n{text}\n{told}");
    }
    let settings = "{name: s, port: 8000, protocol: Http}";
    let text = DOCUMENT.replace(settings, "{name: s, port: 8000, protocol: Http, probe: p}");
    let told = outcome(&(text + "  probes: [{name: p, protocol: Https}]\n" + &basic("")));
    let said = "spec.probes[0].protocol: it differs from the protocol of \"s\"";
    assert!(told.contains(said) && told.contains(WEB_502), "{told}");
}

/// ApplicationGatewayBackendAddressPoolLimitReached and its like are the schema's.
#[test]
fn the_schema_has_the_limits_of_application_gateway() {
    let crd: serde_json::Value = serde_yaml::from_str(&crate::api::crd_yaml()).unwrap();
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    for (field, most) in [
        ("/properties/backendAddressPools", 100),
        ("/properties/backendHttpSettingsCollection", 100),
        ("/properties/frontendPorts", 100),
        ("/properties/httpListeners", 200),
        ("/properties/requestRoutingRules", 400),
        ("/properties/redirectConfigurations", 100),
        ("/properties/sslCertificates", 100),
        ("/properties/trustedRootCertificates", 100),
        ("/properties/urlPathMaps/items/properties/pathRules", 100),
        ("/properties/httpListeners/items/properties/hostNames", 5),
        ("/properties/backendAddressPools/items/properties/backendAddresses", 1200),
    ] {
        assert_eq!(spec.pointer(field).unwrap()["maxItems"], most, "{field}");
    }
}
