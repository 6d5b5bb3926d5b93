//! Annotations: each that is supported works, and no other is passed over in silence.

use std::time::Duration;

use tidegate_model::{HostOverride, ProbeHost, ProbeKind, Settings};

use super::{
    annotated, gateway, host, ingress, lines, options, path, served, services, settings, translate,
    translate_with,
};
use crate::translate::Outcome;
use crate::translate::ingress::{IngressOptions, WithoutClass};
use crate::translate::tests::rules;

fn told_settings(annotations: &[(&str, &str)]) -> Settings {
    let prefixed: Vec<(String, &str)> = annotations
        .iter()
        .map(|(name, value)| (format!("appgw.ingress.kubernetes.io/{name}"), *value))
        .collect();
    let prefixed: Vec<(&str, &str)> =
        prefixed.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let (outcome, problems) = translate(&annotated(&prefixed));
    assert!(problems.is_empty(), "{problems:#?}");
    settings(&outcome)
}

#[test]
fn without_annotations_members_are_asked_for_a_connection_alone() {
    let settings = told_settings(&[]);
    assert_eq!(settings.probe.kind, ProbeKind::Tcp);
    assert_eq!(settings.request_timeout, Duration::from_secs(30));
    assert_eq!(settings.drain_timeout, Duration::from_secs(30));
    assert_eq!((settings.host, settings.tls), (HostOverride::Keep, None));
}

#[test]
fn annotations_say_how_members_are_spoken_to() {
    let settings = told_settings(&[
        ("backend-hostname", "internal.example"),
        ("backend-path-prefix", "/v2/"),
        ("backend-protocol", "https"),
        ("connection-draining", "true"),
        ("connection-draining-timeout", "7"),
        ("request-timeout", "8"),
        ("cookie-based-affinity", "false"),
    ]);
    assert_eq!(settings.affinity, None);
    assert!(
        matches!(&settings.host, HostOverride::Fixed(name) if name.as_str() == "internal.example")
    );
    assert!(settings.path.is_some_and(|path| path.as_str() == "/v2/"));
    assert!(settings.tls.is_some());
    assert_eq!(settings.drain_timeout, Duration::from_secs(7));
    assert_eq!(settings.request_timeout, Duration::from_secs(8));
}

#[test]
fn a_cookie_keeps_clients_with_one_member_if_asked_for() {
    const ASKED: (&str, &str) = ("cookie-based-affinity", "true");
    let cookie = |more: &[(&str, &str)]| told_settings(&[&[ASKED], more].concat()).affinity;
    assert_eq!(cookie(&[]).unwrap().as_str(), "ApplicationGatewayAffinity");
    let distinct = cookie(&[("cookie-based-affinity-distinct-name", "true")]).unwrap();
    let hash = distinct.as_str().strip_prefix("appgw-affinity-").unwrap();
    assert!(hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
}

#[test]
fn port_443_of_a_service_speaks_https_unless_it_is_said_otherwise() {
    let secure = |annotations: &[(&str, &str)]| {
        let text = annotated(annotations).replace("port: {number: 80}", "port: {number: 443}");
        settings(&translate(&text).0).tls.is_some()
    };
    assert!(secure(&[]));
    assert!(!secure(&[("tidegate.dev/backend-protocol", "http")]));
}

#[test]
fn annotations_say_how_members_are_probed() {
    let probe = told_settings(&[
        ("health-probe-hostname", "health.example"),
        ("health-probe-port", "8081"),
        ("health-probe-path", "/healthz"),
        ("health-probe-interval", "5"),
        ("health-probe-timeout", "4"),
        ("health-probe-unhealthy-threshold", "2"),
        ("health-probe-status-codes", "200-299, 401"),
    ])
    .probe;
    assert_eq!(probe.kind, ProbeKind::Http);
    assert!(matches!(&probe.host, ProbeHost::Fixed(name) if name.as_str() == "health.example"));
    assert_eq!((&*probe.path, probe.port), ("/healthz", Some(8081)));
    assert_eq!((probe.interval, probe.timeout), (Duration::from_secs(5), Duration::from_secs(4)));
    assert_eq!(probe.unhealthy_threshold, 2);
    let taken: Vec<u16> =
        [200, 299, 300, 401].into_iter().filter(|s| probe.matching.takes_status(*s)).collect();
    assert_eq!(taken, [200, 299, 401]);
    // Its own host, else the back end's, else the rule's.
    for (annotations, expected) in [
        (&[("health-probe-path", "/x"), ("backend-hostname", "b.example")][..], "b.example"),
        (&[("health-probe-interval", "9")], "foo.com"),
    ] {
        let probe = told_settings(annotations).probe;
        assert!(matches!(&probe.host, ProbeHost::Fixed(name) if name.as_str() == expected));
    }
}

#[test]
fn redirects_ports_and_hosts_follow_annotations() {
    for (annotation, value, expected) in [
        (
            "ssl-redirect",
            "true",
            "
        127.0.0.1:80 80-foo.com [foo.com] -> 404
          / -> 301 https
        127.0.0.1:443 443-foo.com [foo.com] -> 404
          / -> 10.0.0.1:8080 Ready
",
        ),
        (
            "override-frontend-port",
            "8443",
            "
        127.0.0.1:80 80-foo.com [foo.com] -> 404
          / -> 10.0.0.1:8080 Ready
        127.0.0.1:8443 8443-foo.com [foo.com] -> 404
          / -> 10.0.0.1:8080 Ready
",
        ),
        (
            "hostname-extension",
            "bar.com",
            "
        127.0.0.1:80 80-bar.com [bar.com] -> 404
          / -> 10.0.0.1:8080 Ready
        127.0.0.1:80 80-foo.com [foo.com] -> 404
          / -> 10.0.0.1:8080 Ready
        127.0.0.1:443 443-bar.com [bar.com] -> 404
          / -> 10.0.0.1:8080 Ready
        127.0.0.1:443 443-foo.com [foo.com] -> 404
          / -> 10.0.0.1:8080 Ready
",
        ),
    ] {
        for prefix in ["appgw.ingress.kubernetes.io/", "tidegate.dev/"] {
            let told = served(&annotated(&[(&format!("{prefix}{annotation}"), value)]));
            assert_eq!(told, lines(expected), "{annotation}");
        }
    }
    // A redirect leads to where TLS is.
    let both =
        [("tidegate.dev/ssl-redirect", "true"), ("tidegate.dev/override-frontend-port", "8443")];
    assert!(served(&annotated(&both)).contains("  / -> 301 https:8443\n"));
    let options = IngressOptions { https_port: Some(18443), ..options(WithoutClass::Ours) };
    let (outcome, _) = translate_with(&annotated(&both[..1]), options);
    assert!(rules(&outcome.snapshot).contains("  / -> 301 https:18443\n"));
}

#[test]
fn priorities_count_if_all_ingresses_have_one() {
    let rule = |name| format!("{{rules: [{}]}}", host(name, &[path("Prefix", "/", "one")]));
    let priority = |value| format!(", annotations: {{tidegate.dev/rule-priority: '{value}'}}");
    let two = services(&["one"])
        + &ingress("i", &priority(30), &rule("a.foo.com"))
        + &ingress("j", &priority(20), &rule("*.foo.com"));
    let priorities = |outcome: &Outcome| -> Vec<Option<u16>> {
        let listeners = gateway(&outcome.snapshot).frontends[0].listeners().iter();
        listeners.map(|l| l.rule.priority.map(|priority| priority.get())).collect()
    };
    let (outcome, problems) = translate(&two);
    assert_eq!((priorities(&outcome), problems), (vec![Some(30), Some(20)], vec![]));
    let (outcome, problems) = translate(&(two + &ingress("k", "", &rule("b.com"))));
    assert_eq!(priorities(&outcome), [None, None, None]);
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(
        problems[0].contains(
            "metadata.annotations[tidegate.dev/rule-priority]: warning: it has no effect"
        )
    );
}

#[test]
fn without_what_guards_it_an_ingress_is_left_out() {
    for (name, value, left_out) in [
        ("waf-policy-for-path", "/subscriptions/x", true),
        ("use-private-ip", "true", true),
        ("use-private-ip", "false", false),
        ("appgw-ssl-certificate", "c", true),
        ("appgw-ssl-profile", "p", true),
    ] {
        let text = annotated(&[(&format!("appgw.ingress.kubernetes.io/{name}"), value)]);
        let (outcome, problems) = translate(&text);
        let why = "not supported yet: the whole Ingress is left out";
        assert_eq!(problems.iter().any(|problem| problem.contains(why)), left_out, "{problems:?}");
        assert_eq!(outcome.snapshot.gateways.is_empty(), left_out);
        assert_eq!(outcome.ingresses.len(), 1);
        assert_eq!(outcome.ingresses[0].served, !left_out);
    }
}

#[test]
fn an_annotation_without_effect_is_never_passed_over_in_silence() {
    const AGIC: &str = "appgw.ingress.kubernetes.io/";
    let unsupported = "not supported yet: it has no effect";
    for (name, value, why) in [
        ("backend-path-prefix", "x/", "\"x/\" has no effect: it does not begin with /"),
        ("cookie-based-affinity", "yes", "\"yes\" has no effect: provided string was not"),
        (
            "cookie-based-affinity-distinct-name",
            "true",
            "it has no effect without cookie-based-affinity",
        ),
        ("rewrite-rule-set", "r", unsupported),
        ("rewrite-rule-set-custom-resource", "r", unsupported),
        ("appgw-trusted-root-certificate", "r", unsupported),
        ("no-such-thing", "x", "there is no such annotation"),
        ("request-timeout", "soon", "\"soon\" has no effect: invalid digit"),
        ("request-timeout", "0", "\"0\" has no effect: it is not within 1 to 86400"),
        ("ssl-redirect", "yes", "\"yes\" has no effect: provided string was not"),
        ("backend-protocol", "grpc", "\"grpc\" has no effect: only http and https are known"),
        ("backend-hostname", "a b", "\"a b\" has no effect: ' ' cannot stand in a host name"),
        ("override-frontend-port", "65000", "it is not within 1 to 64999"),
        ("override-frontend-port", "80", "port 80 already speaks http"),
        ("rule-priority", "0", "priority 0 is not within 1 to 20000"),
        ("health-probe-path", "x", "it is not a path that begins with /"),
        ("health-probe-status-codes", "2xx", "is not a status code or range"),
        ("hostname-extension", "a.*.com", "'*' can only be the whole first label"),
        ("connection-draining-timeout", "9", "it has no effect without connection-draining"),
    ] {
        let (_, problems) = translate(&annotated(&[(&format!("{AGIC}{name}"), value)]));
        assert_eq!(problems.len(), 1, "{name}: {problems:#?}");
        assert!(
            problems[0].contains(&format!("metadata.annotations[{AGIC}{name}]: ")),
            "{problems:?}"
        );
        assert!(problems[0].contains(why), "{name}: {problems:?}");
    }
    let both = [
        ("appgw.ingress.kubernetes.io/request-timeout", "5"),
        ("tidegate.dev/request-timeout", "6"),
    ];
    let (outcome, problems) = translate(&annotated(&both));
    assert_eq!(settings(&outcome).request_timeout, Duration::from_secs(6));
    assert!(problems[0].contains("tidegate.dev/request-timeout goes before it"), "{problems:?}");
    // A redirect without TLS to lead to.
    let rule = host("foo.com", &[path("Prefix", "/", "one")]);
    let metadata = ", annotations: {tidegate.dev/ssl-redirect: 'true'}";
    let text = services(&["one"]) + &ingress("i", metadata, &format!("{{rules: [{rule}]}}"));
    let (outcome, problems) = translate(&text);
    assert!(problems[0].contains("no host of this Ingress has TLS"), "{problems:?}");
    assert!(rules(&outcome.snapshot).contains("  / -> 10.0.0.1:8080 Ready\n"));
}

#[test]
fn an_annotation_is_found_on_its_line() {
    let text = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: i\n  annotations:\n    a: b\n    tidegate.dev/nothing: x\n";
    let (_, problems) = translate(text);
    assert!(problems[0].starts_with("i.yaml:7: metadata.annotations[tidegate.dev/nothing]: "));
}
