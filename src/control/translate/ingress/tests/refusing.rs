//! What is wrong is refused alone.

use std::net::IpAddr;

use super::{annotated, host, ingress, options, path, resources, services, translate};
use crate::translate::Translator;
use crate::translate::ingress::{IngressOptions, WithoutClass};
use crate::translate::tests::rules;

#[test]
fn a_backend_that_cannot_be_used_answers_502_and_the_rest_works() {
    for (backend, told) in [
        (
            "service: {name: nobody, port: {number: 80}}",
            "backend.service.name: there is no Service default/nobody: answered with 502",
        ),
        (
            "service: {name: one, port: {number: 81}}",
            "backend.service.port: Service default/one has no such port; it has 80 (web), 443 (tls)",
        ),
        (
            "service: {name: one, port: {name: wbe}}",
            "backend.service.port: Service default/one has no such port; it has 80 (web), 443 (tls)",
        ),
        ("service: {name: one}", "backend.service.port: a name or a number is needed"),
        (
            "resource: {kind: Bucket, name: b, apiGroup: x}",
            "backend.resource: only Services are supported, not Bucket: answered with 502",
        ),
        ("{}", "backend: a service is needed"),
        (
            "service: {name: alias, port: {number: 80}}",
            "backend.service.name: Service default/alias is an ExternalName, which is not allowed here",
        ),
    ] {
        let backend = if backend == "{}" { "" } else { backend };
        let wrong = format!("{{path: /wrong, pathType: Prefix, backend: {{{backend}}}}}");
        let rule = host("foo.com", &[path("Prefix", "/", "one"), wrong]);
        let alias = "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: alias}\nspec: {type: ExternalName, externalName: a.example}\n";
        let text = services(&["one"]) + alias + &ingress("i", "", &format!("{{rules: [{rule}]}}"));
        let (outcome, problems) = translate(&text);
        let rules = rules(&outcome.snapshot);
        assert!(rules.contains("  /wrong -> 502\n  / -> 10.0.0.1:8080 Ready\n"), "{rules}");
        assert_eq!(problems.len(), 1, "{problems:#?}");
        let told = format!("spec.rules[0].http.paths[1].{told}");
        assert!(problems[0].contains(&told), "{told}\n{}", problems[0]);
    }
}

#[test]
fn an_alias_is_looked_up_if_that_is_allowed() {
    let alias = "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: alias}\nspec: {type: ExternalName, externalName: a.example}\n";
    let rule = host("foo.com", &[path("Prefix", "/", "alias")]);
    let text = alias.to_owned() + &ingress("i", "", &format!("{{rules: [{rule}]}}"));
    let (mut resources, _) = resources(&text);
    assert!(crate::translate::host_names(&resources).contains("a.example"));
    let addresses = vec![IpAddr::from([10, 9, 9, 9])];
    let answer = crate::resources::Resolution { addresses, error: None };
    resources.names = std::sync::Arc::new([("a.example".to_owned(), answer)].into());
    let options = IngressOptions { allow_external_name: true, ..options(WithoutClass::Ours) };
    let bind = IpAddr::from([127, 0, 0, 1]);
    let outcome =
        Translator::new(crate::places::Places::Own(bind), Some(options)).translate(&resources);
    assert!(outcome.findings.is_empty(), "{:?}", outcome.findings);
    let told = rules(&outcome.snapshot);
    assert!(told.contains("  / -> 10.9.9.9:80 Ready\n"), "{told}");
}

#[test]
fn what_is_wrong_says_where_and_why() {
    for (rule, told) in [
        (
            host("a b", &[path("Prefix", "/", "one")]),
            "spec.rules[0].host: \"a b\": ' ' cannot stand in a host name",
        ),
        (
            host("a.*.com", &[path("Prefix", "/", "one")]),
            "spec.rules[0].host: \"a.*.com\": '*' can only be the whole first label",
        ),
        (
            host("a.com", &[path("Regex", "/", "one")]),
            "spec.rules[0].http.paths[0].pathType: \"Regex\" is not Exact, Prefix or",
        ),
        (
            host("a.com", &[path("Prefix", "a", "one")]),
            "spec.rules[0].http.paths[0].path: \"a\": it does not begin with /",
        ),
        (
            host("a.com", &[path("Prefix", "/a*", "one")]),
            "spec.rules[0].http.paths[0].path: warning: with pathType Prefix a * stands for itself",
        ),
    ] {
        let text = services(&["one"]) + &ingress("i", "", &format!("{{rules: [{rule}]}}"));
        let (_, problems) = translate(&text);
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].contains(told), "{told}\n{}", problems[0]);
    }
}

#[test]
fn an_address_of_a_gateway_is_not_taken_from_it() {
    let gateway = "
---
apiVersion: tidegate.dev/v1alpha1
kind: ApplicationGateway
metadata: {name: g}
spec:
  frontendPorts: [{name: http, port: 80}]
  httpListeners: [{name: web, frontendPort: http, protocol: Http}]
  backendAddressPools: [{name: p, backendAddresses: [{ipAddress: 10.1.1.1}]}]
  backendHttpSettingsCollection: [{name: s, port: 80, protocol: Http}]
  requestRoutingRules: [{name: r, ruleType: Basic, httpListener: web, backendAddressPool: p, backendHttpSettings: s}]
";
    let (outcome, problems) = translate(&(annotated(&[]) + gateway));
    let told = rules(&outcome.snapshot);
    assert!(told.contains("127.0.0.1:80 web [] -> 10.1.1.1:80"), "{told}");
    assert!(told.contains("127.0.0.1:443 443-foo.com"), "{told}");
    assert!(!told.contains("80-foo.com"), "{told}");
    assert!(
        problems[0].contains("spec: port 80 is already taken by gateway default/g"),
        "{problems:?}"
    );
}
