//! Which Ingresses are ours, and how they become one gateway.

use std::net::IpAddr;

use super::{
    gateway, host, ingress, lines, options, path, resources, secret, served, services, translate,
    translate_with,
};
use crate::translate::Translator;
use crate::translate::ingress::WithoutClass;
use crate::translate::tests::rules;

#[test]
fn paths_of_a_host_are_tried_exact_first_and_then_the_longest() {
    let paths = [
        path("Prefix", "/", "one"),
        path("Prefix", "/foo/", "two"),
        path("ImplementationSpecific", "/foo/*", "three"),
        path("ImplementationSpecific", "/foo/bar", "four"),
        path("Exact", "/a", "five"),
        path("Exact", "/foo/bar", "six"),
    ];
    let text = services(&["one", "two", "three", "four", "five", "six"])
        + &ingress("i", "", &format!("{{rules: [{}]}}", host("foo.com", &paths)));
    let expected = lines(
        "
        127.0.0.1:80 80-foo.com [foo.com] -> 404
          = /foo/bar -> 10.0.0.6:8080 Ready
          = /a -> 10.0.0.5:8080 Ready
          /foo/bar -> 10.0.0.4:8080 Ready
          /foo/* -> 10.0.0.3:8080 Ready
          /foo -> 10.0.0.2:8080 Ready
          / -> 10.0.0.1:8080 Ready
",
    );
    assert_eq!(served(&text), expected);
}

#[test]
fn ingresses_merge_by_host_and_the_oldest_wins() {
    let rule = |service| host("foo.com", &[path("Prefix", "/same", service)]);
    let other = host("foo.com", &[path("Prefix", "/other", "two"), path("Exact", "/same", "two")]);
    let text = services(&["one", "two"])
        + &ingress(
            "a-young",
            ", creationTimestamp: '2024-02-01T00:00:00Z'",
            &format!(
                "{{defaultBackend: {{service: {{name: two, port: {{name: web}}}}}}, rules: [{}, {other}]}}",
                rule("two")
            ),
        )
        + &ingress(
            "z-old",
            ", creationTimestamp: '2024-01-01T00:00:00Z'",
            &format!(
                "{{defaultBackend: {{service: {{name: one, port: {{name: web}}}}}}, rules: [{}]}}",
                rule("one")
            ),
        );
    let (outcome, problems) = translate(&text);
    let expected = lines(
        "
        127.0.0.1:80 80-foo.com [foo.com] -> 10.0.0.1:8080 Ready
          = /same -> 10.0.0.2:8080 Ready
          /other -> 10.0.0.2:8080 Ready
          /same -> 10.0.0.1:8080 Ready
        127.0.0.1:80 80 [] -> 10.0.0.1:8080 Ready
",
    );
    assert_eq!(rules(&outcome.snapshot), expected);
    assert_eq!(problems.len(), 2, "{problems:#?}");
    for (problem, wanted) in problems.iter().zip([
        "spec.defaultBackend: warning: it has no effect: default/z-old, which is older, has one",
        "spec.rules[0].http.paths[0].path: /same is already a path of default/z-old",
    ]) {
        assert!(problem.contains(wanted), "{problem}");
    }
    let ours: Vec<String> = outcome.ingresses.iter().map(|its| its.name.to_string()).collect();
    assert_eq!(ours, ["default/z-old", "default/a-young"]);
}

#[test]
fn names_go_before_wildcards_and_those_before_the_rest() {
    let all = |service| [path("Prefix", "/", service)];
    let rules = [host("", &all("three")), host("*.foo.com", &all("two"))];
    let text = services(&["one", "two", "three"])
        + &ingress("i", "", &format!("{{rules: [{}]}}", rules.join(", ")))
        + &ingress("j", "", &format!("{{rules: [{}]}}", host("a.foo.com", &all("one"))));
    let expected = lines(
        "
        127.0.0.1:80 80-a.foo.com [a.foo.com] -> 404
          / -> 10.0.0.1:8080 Ready
        127.0.0.1:80 80-*.foo.com [*.foo.com] -> 404
          / -> 10.0.0.2:8080 Ready
        127.0.0.1:80 80 [] -> 404
          / -> 10.0.0.3:8080 Ready
",
    );
    assert_eq!(served(&text), expected);
}

#[test]
fn certificates_serve_their_hosts_and_one_that_is_missing_leaves_the_plain_port() {
    let rule = |name| host(name, &[path("Prefix", "/", "one")]);
    let spec = format!(
        "{{tls: [{{hosts: ['*.foo.com'], secretName: wild}}, {{hosts: [b.com], secretName: gone}}, {{secretName: rest}}], rules: [{}, {}, {}]}}",
        rule("a.foo.com"),
        rule("b.com"),
        rule("c.com")
    );
    let text = services(&["one"])
        + &ingress("i", "", &spec)
        + &ingress("plain", "", &format!("{{rules: [{}]}}", rule("d.com")))
        + &secret("wild")
        + &secret("rest");
    let (outcome, problems) = translate(&text);
    let gateway = gateway(&outcome.snapshot);
    let shown: Vec<String> = gateway.frontends[1]
        .listeners()
        .iter()
        .map(|l| format!("{} {}", l.name, l.tls.as_ref().unwrap().certificates()[0].name))
        .collect();
    assert_eq!(shown, ["443-a.foo.com default/wild", "443-c.com default/rest"]);
    let plain: Vec<&str> = gateway.frontends[0].listeners().iter().map(|l| &*l.name).collect();
    assert_eq!(plain, ["80-a.foo.com", "80-b.com", "80-c.com", "80-d.com"]);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(
        problems[0].ends_with("spec.tls[1].secretName: there is no Secret default/gone"),
        "{problems:#?}"
    );
    // Its tunnels go on: it was not removed.
    assert!(gateway.listeners.iter().any(|known| &*known.name == "443-b.com"));
}

#[test]
fn hosts_with_a_certificate_alone_get_what_all_hosts_get() {
    let all = host("", &[path("Prefix", "/a", "one")]);
    let spec = format!(
        "{{tls: [{{hosts: [foo.com], secretName: s}}], rules: [{all}], defaultBackend: {{service: {{name: two, port: {{number: 80}}}}}}}}"
    );
    let text = services(&["one", "two"]) + &ingress("i", "", &spec) + &secret("s");
    let told = served(&text);
    let expected =
        "127.0.0.1:443 443-foo.com [foo.com] -> 10.0.0.2:8080 Ready\n  /a -> 10.0.0.1:8080 Ready\n";
    assert!(told.ends_with(expected), "{told}");
}

#[test]
fn the_class_says_whose_an_ingress_is() {
    let class = |default: bool, controller: &str| {
        format!(
            "\n---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: tidegate, annotations: {{ingressclass.kubernetes.io/is-default-class: '{default}'}}}}\nspec: {{controller: {controller}}}\n"
        )
    };
    let right = "tidegate.dev/ingress-controller";
    let annotation = ", annotations: {kubernetes.io/ingress.class: tidegate}";
    for (metadata, spec, classes, expected) in [
        ("", "ingressClassName: tidegate", String::new(), true),
        ("", "ingressClassName: nginx", class(true, right), false),
        (annotation, "rules: []", String::new(), true),
        ("", "rules: []", String::new(), false),
        ("", "rules: []", class(true, right), true),
        ("", "rules: []", class(false, right), false),
        ("", "rules: []", class(true, "example.com/other"), false),
    ] {
        let text = ingress("i", metadata, &format!("{{{spec}}}")) + &classes;
        let (outcome, problems) = translate_with(&text, options(WithoutClass::ByDefaultClass));
        assert_eq!(outcome.ingresses.len(), usize::from(expected), "{text}");
        assert_eq!(outcome.snapshot.gateways.len(), usize::from(expected), "{text}");
        assert!(problems.is_empty(), "{problems:#?}");
    }
    // In files all without a class are ours, and those of others are told of.
    assert_eq!(translate(&ingress("i", "", "{rules: []}")).0.ingresses.len(), 1);
    let (outcome, problems) = translate(&ingress("i", "", "{ingressClassName: nginx}"));
    assert!(outcome.ingresses.is_empty());
    assert!(problems[0].contains("its class is \"nginx\", and \"tidegate\" is served"));
}

#[test]
fn a_pool_that_a_rule_led_to_stays_for_as_long_as_its_service_has_the_port() {
    let rule = |service| {
        let rule = host("foo.com", &[path("Prefix", "/", service)]);
        ingress("i", "", &format!("{{rules: [{rule}]}}"))
    };
    let bind = IpAddr::from([127, 0, 0, 1]);
    let mut translator =
        Translator::new(crate::places::Places::Own(bind), Some(options(WithoutClass::Ours)));
    let mut pools = |text: &str| -> Vec<String> {
        let outcome = translator.translate(&resources(text).0);
        gateway(&outcome.snapshot).pools.iter().map(|pool| pool.name.to_string()).collect()
    };
    let both = services(&["one", "two"]);
    assert_eq!(pools(&(both.clone() + &rule("one"))), ["default/one/80"]);
    assert_eq!(pools(&(both.clone() + &rule("two"))), ["default/one/80", "default/two/80"]);
    assert_eq!(pools(&(services(&["two"]) + &rule("two"))), ["default/two/80"]);
    assert_eq!(pools(&(both + &rule("two"))), ["default/two/80"]);
}
