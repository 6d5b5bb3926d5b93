//! Ingresses as the conformance suite of Kubernetes has them: host rules, path rules, default
//! backends, classes, balancing and TLS; and what they have in common with other gateways.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response};
use http_body_util::Full;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::gateway::{Gateway, Plan, until};
use crate::peers::{self, Answer, read_response};

/// Services by name and the places of their members, as YAML.
fn services(all: &[(&str, &[SocketAddr])]) -> String {
    let mut yaml = String::new();
    for (name, members) in all {
        yaml += &format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{name: web, port: 8080}}]}}\n"
        );
        for (index, member) in members.iter().enumerate() {
            yaml += &format!(
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}-{index}, labels: {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\nports: [{{name: web, port: {}}}]\nendpoints: [{{addresses: [{}]}}]\n",
                member.port(),
                member.ip()
            );
        }
    }
    yaml
}

fn ingress(name: &str, metadata: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}{metadata}}}\nspec: {{{spec}}}\n"
    )
}

fn backend(service: &str) -> String {
    format!("{{service: {{name: {service}, port: {{name: web}}}}}}")
}

fn rule(host: &str, paths: &[(&str, &str, &str)]) -> String {
    let path = |(kind, path, service): &(&str, &str, &str)| {
        format!("{{path: '{path}', pathType: {kind}, backend: {}}}", backend(service))
    };
    let paths: Vec<String> = paths.iter().map(path).collect();
    format!("{{host: '{host}', http: {{paths: [{}]}}}}", paths.join(", "))
}

fn secret(name: &str, (chain, key): &(String, String)) -> String {
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "stringData": {"tls.crt": chain, "tls.key": key},
    });
    format!("---\n{secret}\n")
}

/// A back end that answers with its name.
async fn named(name: &'static str) -> SocketAddr {
    // Plain Ingresses are not probed over HTTP: `/` may well be a 404.
    peers::serve(move |head, _| {
        let status = if head.uri.path() == "/" && name == "picky" { 404 } else { 200 };
        Response::builder().status(status).body(Full::from(name)).unwrap()
    })
    .await
}

async fn ask(gateway: &Gateway, host: &str, path: &str) -> Answer {
    let request = Request::get(path).header("host", host).body(Full::<Bytes>::default()).unwrap();
    peers::send(gateway.http(), request).await.unwrap()
}

/// Asks for each host and path, and compares who answers; a number is a status code.
async fn expect(gateway: &Gateway, cases: &[(&str, &str, &str)]) {
    for (host, path, expected) in cases {
        let answer = ask(gateway, host, path).await;
        let found = match answer.status {
            200 => String::from_utf8(answer.body).unwrap(),
            status => status.to_string(),
        };
        assert_eq!(found, *expected, "{host} {path}");
    }
}

async fn start(yaml: &str) -> Gateway {
    Gateway::start_ingresses(Plan::to(SocketAddr::from(([127, 0, 0, 1], 1))), yaml).await
}

#[tokio::test]
async fn a_default_backend_takes_what_no_rule_takes() {
    let (one, two) = (named("default").await, named("other").await);
    let spec = format!("defaultBackend: {}", backend("one"));
    let yaml = services(&[("one", &[one]), ("two", &[two])]);
    let gateway = start(&(yaml.clone() + &ingress("i", "", &spec))).await;
    let all =
        [("foo.com", "/", "default"), ("bar.com", "/bar", "default"), ("x", "/baz?x=1", "default")];
    expect(&gateway, &all).await;

    let spec = format!("{spec}, rules: [{}]", rule("foo.com", &[("Exact", "/two", "two")]));
    let gateway = start(&(yaml + &ingress("i", "", &spec))).await;
    expect(&gateway, &[("foo.com", "/two", "other"), ("foo.com", "/", "default")]).await;
    expect(&gateway, &[("bar.com", "/two", "default")]).await;
}

#[tokio::test]
async fn hosts_are_taken_as_they_are_written_and_a_wildcard_for_one_label() {
    let (exact, wild) = (named("exact").await, named("wild").await);
    let spec = format!(
        "rules: [{}, {}]",
        rule("*.foo.com", &[("Prefix", "/", "wild")]),
        rule("exact.foo.com", &[("Prefix", "/", "exact")])
    );
    let yaml = services(&[("exact", &[exact]), ("wild", &[wild])]) + &ingress("i", "", &spec);
    let gateway = start(&yaml).await;
    expect(
        &gateway,
        &[
            ("exact.foo.com", "/", "exact"),
            ("EXACT.Foo.Com", "/", "exact"),
            ("exact.foo.com:8080", "/", "exact"),
            ("bar.foo.com", "/", "wild"),
            ("baz.bar.foo.com", "/", "404"),
            ("foo.com", "/", "404"),
            ("other.com", "/", "404"),
        ],
    )
    .await;
}

#[tokio::test]
async fn paths_are_taken_as_kubernetes_says() {
    let names = ["foo-exact", "foo-prefix", "bbb", "ccc", "slash-prefix", "slash-exact", "star"];
    let mut members = Vec::new();
    for name in names {
        members.push([named(name).await]);
    }
    let all: Vec<(&str, &[SocketAddr])> =
        names.iter().zip(&members).map(|(name, member)| (*name, &member[..])).collect();
    let spec = format!(
        "rules: [{}, {}, {}, {}, {}]",
        rule("exact", &[("Exact", "/foo", "foo-exact"), ("Exact", "/foo/", "slash-exact")]),
        rule(
            "prefix",
            &[
                ("Prefix", "/foo", "foo-prefix"),
                ("Prefix", "/aaa/bbb", "bbb"),
                ("Prefix", "/aaa/bbb/ccc", "ccc"),
            ]
        ),
        rule("mixed", &[("Prefix", "/foo", "foo-prefix"), ("Exact", "/foo", "foo-exact")]),
        rule(
            "slash",
            &[("Prefix", "/aaa/bbb/", "slash-prefix"), ("Exact", "/foo/", "slash-exact")]
        ),
        rule(
            "specific",
            &[
                ("ImplementationSpecific", "/star*", "star"),
                ("ImplementationSpecific", "/foo", "foo-prefix"),
            ]
        ),
    );
    let gateway = start(&(services(&all) + &ingress("i", "", &spec))).await;
    expect(
        &gateway,
        &[
            ("exact", "/foo", "foo-exact"),
            ("exact", "/foo?x=/y", "foo-exact"),
            ("exact", "/FOO", "404"),
            ("exact", "/foo/", "slash-exact"),
            ("exact", "/foo/bar", "404"),
            ("exact", "/bar", "404"),
            ("prefix", "/foo", "foo-prefix"),
            ("prefix", "/foo/", "foo-prefix"),
            ("prefix", "/FOO", "404"),
            ("prefix", "/foobar", "404"),
            ("prefix", "/aaa/bbb", "bbb"),
            ("prefix", "/aaa/bbb/", "bbb"),
            ("prefix", "/aaa/bbb/cc", "bbb"),
            ("prefix", "/aaa/bbb/ccc", "ccc"),
            ("prefix", "/aaa/bbb/ccc/x", "ccc"),
            ("prefix", "/aaa/bbbxyz", "404"),
            ("mixed", "/foo", "foo-exact"),
            ("mixed", "/foo/", "foo-prefix"),
            ("slash", "/aaa/bbb", "slash-prefix"),
            ("slash", "/aaa/bbb/", "slash-prefix"),
            ("slash", "/foo", "404"),
            ("specific", "/starfish", "star"),
            ("specific", "/foo/x", "foo-prefix"),
            ("specific", "/foobar", "404"),
        ],
    )
    .await;
    // Each path rule has a name of its own in logs, metrics and on the page.
    // A request is counted when its exchange is over, which may be after its answer was read.
    until("all requests are counted", async || {
        let metrics = gateway.metrics().await;
        let mut reason = metrics.lines().filter(|line| line.contains("reason=\"no_path\""));
        let (rule, count) = ("rule=\"default/i/rule-1-path-1\"", " 3");
        let mut lines = metrics.lines().filter(|l| l.starts_with("tidegate_requests_total{"));
        reason.any(|line| !line.ends_with(" 0"))
            && lines.any(|l| l.contains(rule) && l.contains("status=\"2xx\"") && l.ends_with(count))
    })
    .await;
    until("the page has counted them, too", async || {
        let status = gateway.status().await;
        let frontends = status["frontends"].as_array().unwrap();
        let mut listeners = frontends.iter().flat_map(|f| f["listeners"].as_array().unwrap());
        let mixed = listeners.find(|l| l["hosts"][0] == "mixed").unwrap();
        assert_eq!(mixed["paths"][0]["patterns"][0], "= /foo");
        assert_eq!(mixed["paths"][1]["patterns"][0], "/foo");
        mixed["requests"] == 2 && mixed["paths"][0]["requests"] == 1
    })
    .await;
    until("the log names the path rule", async || {
        gateway.access_log().iter().any(|line| {
            line["ruleName"] == "default/i/rule-3-path-0"
                && line["backendPoolName"] == "default/slash-prefix/8080"
        })
    })
    .await;
}

#[tokio::test]
async fn ingresses_of_another_class_are_left_alone() {
    let member = named("ours").await;
    let spec = |class: &str, host: &str| {
        format!("ingressClassName: {class}, rules: [{}]", rule(host, &[("Prefix", "/", "s")]))
    };
    let annotation = ", annotations: {kubernetes.io/ingress.class: tidegate}";
    let old = format!("rules: [{}]", rule("old.com", &[("Prefix", "/", "s")]));
    let yaml = services(&[("s", &[member])])
        + &ingress("a", "", &spec("tidegate", "ours.com"))
        + &ingress("b", "", &spec("nginx", "theirs.com"))
        + &ingress("c", annotation, &old);
    let gateway = start(&yaml).await;
    expect(
        &gateway,
        &[("ours.com", "/", "ours"), ("theirs.com", "/", "404"), ("old.com", "/", "ours")],
    )
    .await;
    assert!(gateway.log().contains("its class is \"nginx\""), "{}", gateway.log());
}

#[tokio::test]
async fn requests_are_spread_over_all_members_also_if_they_answer_404_on_the_root() {
    let members = [named("a").await, named("b").await, named("c").await, named("picky").await];
    let spec = format!("rules: [{}]", rule("foo.com", &[("Prefix", "/", "s")]));
    let gateway = start(&(services(&[("s", &members)]) + &ingress("i", "", &spec))).await;
    let mut counts: HashMap<String, usize> = HashMap::new();
    for _ in 0..80 {
        let answer = ask(&gateway, "foo.com", "/x").await;
        assert_eq!(answer.status, 200);
        *counts.entry(String::from_utf8(answer.body).unwrap()).or_default() += 1;
    }
    // Each of the two threads has a round of its own.
    assert_eq!(counts.len(), 4, "{counts:?}");
    assert!(counts.values().all(|count| (10..=30).contains(count)), "{counts:?}");
}

/// Asks over TLS; the certificate has to be this one and have the host's name.
async fn ask_tls(gateway: &Gateway, chain: &str, host: &str, path: &str) -> String {
    let mut tls = peers::tls(gateway.https(), chain, host).await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    tls.write_all(request.as_bytes()).await.unwrap();
    read_response(&mut tls).await
}

#[tokio::test]
async fn each_host_shows_its_certificate_and_plain_requests_can_be_sent_there() {
    let member = named("member").await;
    let [one, wild] = [&["a.com"], &["*.b.com"]].map(|names| peers::certificate(names));
    let all = [("Prefix", "/", "s")];
    let spec = format!(
        "tls: [{{hosts: [a.com], secretName: one}}, {{hosts: ['*.b.com'], secretName: wild}}, {{hosts: [gone.com], secretName: gone}}], rules: [{}, {}, {}, {}]",
        rule("a.com", &all),
        rule("x.b.com", &all),
        rule("gone.com", &all),
        rule("plain.com", &all)
    );
    let yaml = services(&[("s", &[member])]) + &secret("one", &one) + &secret("wild", &wild);
    let gateway = start(&(yaml.clone() + &ingress("i", "", &spec))).await;
    for (certificate, host) in [(&one, "a.com"), (&wild, "x.b.com")] {
        let answer = ask_tls(&gateway, &certificate.0, host, "/x").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("member"), "{answer}");
    }
    // Plain requests are served all the same, also for the host without a certificate.
    let plain =
        [("a.com", "/", "member"), ("gone.com", "/", "member"), ("plain.com", "/", "member")];
    expect(&gateway, &plain).await;
    assert!(gateway.log().contains("spec.tls[2].secretName: there is no Secret default/gone"));

    // With the annotation they are sent to TLS, all but those for a host that has none.
    let metadata = ", annotations: {appgw.ingress.kubernetes.io/ssl-redirect: 'true'}";
    gateway.write(&(yaml + &ingress("i", metadata, &spec)));
    until("the redirect is there", async || ask(&gateway, "a.com", "/").await.status == 301).await;
    let answer = ask(&gateway, "a.com:99", "/x/y?z=1").await;
    let location = format!("https://a.com:{}/x/y?z=1", gateway.plan.https);
    assert_eq!(answer.headers["location"], location.as_str());
    assert!(answer.body.is_empty());
    expect(&gateway, &[("plain.com", "/x", "member")]).await;
    let answer = ask_tls(&gateway, &one.0, "a.com", "/x").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let metrics = gateway.metrics().await;
    let redirected = metrics.lines().find(|line| {
        line.starts_with("tidegate_requests_total{")
            && line.contains("rule=\"default/i/rule-0-path-0\"")
            && line.contains("status=\"3xx\"")
            && !line.ends_with(" 0")
    });
    assert!(redirected.is_some(), "{metrics}");
}

#[tokio::test]
async fn a_backend_that_is_missing_answers_502_and_the_other_paths_work() {
    let member = named("member").await;
    let paths = [("Prefix", "/", "s"), ("Prefix", "/wrong", "nobody")];
    let spec = format!("rules: [{}]", rule("foo.com", &paths));
    let gateway = start(&(services(&[("s", &[member])]) + &ingress("i", "", &spec))).await;
    let cases = [("foo.com", "/wrong/x", "502"), ("foo.com", "/right", "member")];
    expect(&gateway, &cases).await;
    assert!(gateway.log().contains("there is no Service default/nobody"), "{}", gateway.log());
}

#[tokio::test]
async fn a_websocket_follows_its_path_rule_and_outlives_it() {
    let (chat, page) = (peers::echo().await, named("page").await);
    let yaml = services(&[("chat", &[chat]), ("page", &[page])]);
    let metadata = ", annotations: {tidegate.dev/connection-draining: 'true', tidegate.dev/connection-draining-timeout: '1'}";
    let spec = |paths: &[(&str, &str, &str)]| format!("rules: [{}]", rule("foo.com", paths));
    let both = spec(&[("Prefix", "/", "page"), ("Prefix", "/chat", "chat")]);
    let gateway = start(&(yaml.clone() + &ingress("i", metadata, &both))).await;
    let tcp = TcpStream::connect(gateway.http()).await.unwrap();
    let request = "ws://foo.com/chat/room".into_client_request().unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, tcp).await.unwrap();
    let mut echoes = async || {
        socket.send(Message::text("still there?")).await.is_ok()
            && matches!(socket.next().await, Some(Ok(Message::Text(_))))
    };
    assert!(echoes().await);
    // The path rule is gone, the Service is not.
    gateway.write(&(yaml + &ingress("i", metadata, &spec(&[("Prefix", "/", "page")]))));
    until("the path rule is gone", async || {
        ask(&gateway, "foo.com", "/chat/room").await.body == b"page"
    })
    .await;
    let changed = Instant::now();
    while changed.elapsed() < Duration::from_secs(3) {
        assert!(echoes().await, "ended after {:?}", changed.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Now its Service goes, and the tunnel with it.
    gateway.write(
        &(services(&[("page", &[page])])
            + &ingress("i", metadata, &spec(&[("Prefix", "/", "page")]))),
    );
    let left = Instant::now();
    while echoes().await {
        assert!(left.elapsed() < Duration::from_secs(10), "the tunnel does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn without_ingresses_no_port_is_opened_for_them() {
    let gateway = start(&services(&[])).await;
    assert!(TcpStream::connect(gateway.http()).await.is_err());
    assert!(gateway.status().await["frontends"].as_array().unwrap().is_empty());
}
