//! What Ingresses come to: a line for every listener and path rule, and one for every problem.

mod annotations;
mod merging;
mod refusing;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use tidegate_model::{Gateway, Leaf, ObjectName, Settings, Snapshot};

use super::{Addresses, IngressOptions, WithoutClass};
use crate::resources::Resources;
use crate::source::Files;
use crate::translate::tests::rules;
use crate::translate::{Outcome, Translator, to_problems};

/// Services with one member each: `one` at 10.0.0.1 and so on; their port 80 is `web`.
fn services(names: &[&str]) -> String {
    let service = |(index, name): (usize, &&str)| {
        format!(
            "
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{ports: [{{name: web, port: 80}}, {{name: tls, port: 443}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-x, labels: {{kubernetes.io/service-name: {name}}}}}
ports: [{{name: web, port: 8080}}, {{name: tls, port: 8443}}]
endpoints: [{{addresses: [10.0.0.{}]}}]
",
            index + 1
        )
    };
    names.iter().enumerate().map(service).collect()
}

fn secret(name: &str) -> String {
    let made = rcgen::generate_simple_self_signed([format!("{name}.example")]).unwrap();
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "stringData": {"tls.crt": made.cert.pem(), "tls.key": made.signing_key.serialize_pem()},
    });
    format!("\n---\n{secret}\n")
}

/// An Ingress; `metadata` has more fields of it, each beginning with a comma.
fn ingress(name: &str, metadata: &str, spec: &str) -> String {
    format!(
        "
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}{metadata}}}
spec: {spec}
"
    )
}

fn path(kind: &str, path: &str, service: &str) -> String {
    format!(
        "{{path: '{path}', pathType: {kind}, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}"
    )
}

fn host(host: &str, paths: &[String]) -> String {
    format!("{{host: '{host}', http: {{paths: [{}]}}}}", paths.join(", "))
}

fn options(without_class: WithoutClass) -> IngressOptions {
    IngressOptions {
        class: "tidegate".into(),
        gateway: ObjectName::new("system", "ingress:tidegate"),
        controller: "tidegate.dev/ingress-controller".into(),
        without_class,
        allow_external_name: false,
        addresses: Addresses::new(|port| {
            (port != 9999).then(|| SocketAddr::from(([127, 0, 0, 1], port)))
        }),
        https_port: None,
    }
}

fn resources(text: &str) -> (Resources, Vec<crate::Problem>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("i.yaml");
    std::fs::write(&file, text).unwrap();
    let mut files = Files::new(vec![file]);
    files.read_first().unwrap();
    files.resources()
}

fn translate_with(text: &str, options: IngressOptions) -> (Outcome, Vec<String>) {
    let (resources, mut problems) = resources(text);
    let bind = IpAddr::from([127, 0, 0, 1]);
    let outcome =
        Translator::new(crate::places::Places::Own(bind), Some(options)).translate(&resources);
    problems.extend(to_problems(&resources, &outcome.findings));
    problems.sort();
    let told = problems.into_iter().map(|mut problem| {
        problem.file = PathBuf::from("i.yaml");
        problem.to_string()
    });
    let told = told.collect();
    (outcome, told)
}

fn translate(text: &str) -> (Outcome, Vec<String>) {
    translate_with(text, options(WithoutClass::Ours))
}

fn served(text: &str) -> String {
    let (outcome, problems) = translate(text);
    assert!(problems.is_empty(), "{problems:#?}");
    rules(&outcome.snapshot)
}

/// The same with the lines indented as here, without the first.
fn lines(expected: &str) -> String {
    expected.lines().skip(1).map(|line| line.get(8..).unwrap_or("").to_owned() + "\n").collect()
}

fn gateway(snapshot: &Snapshot) -> &Gateway {
    &snapshot.gateways[0]
}

/// The settings of the first path rule.
fn settings(outcome: &Outcome) -> Settings {
    let listener = &gateway(&outcome.snapshot).frontends[0].listeners()[0];
    match &listener.rule.action.path_rules()[0].handling.leaf {
        Leaf::Forward(target) => (*target.settings).clone(),
        other => panic!("{other:?}"),
    }
}

/// An Ingress for one path of `foo.com`, with TLS, and these annotations.
fn annotated(annotations: &[(&str, &str)]) -> String {
    let all: Vec<String> =
        annotations.iter().map(|(name, value)| format!("'{name}': '{value}'")).collect();
    let metadata = format!(", annotations: {{{}}}", all.join(", "));
    let rule = host("foo.com", &[path("Prefix", "/", "one")]);
    let spec = format!("{{tls: [{{hosts: [foo.com], secretName: s}}], rules: [{rule}]}}");
    services(&["one"]) + &secret("s") + &ingress("i", &metadata, &spec)
}
