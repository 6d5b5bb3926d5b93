//! How long a write takes from the API server's answer to the wire, at size.

use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::clients;
use crate::cluster::{PEACE, Space};
use crate::fixture::{self, HOST};
use crate::peers;
use crate::replica::Installation;

/// Gateways, rules of each, endpoints behind each rule: 1,000 rules and 10,000 endpoints.
const GATEWAYS: usize = 10;
const RULES: usize = 100;
const ENDPOINTS: usize = 10;
const CHANGES: usize = 200;

/// Addresses that are this machine for as long as this lives: `10.77.0.0/16`.
struct Addresses;

impl Addresses {
    fn new() -> Self {
        let words = ["route", "replace", "local", "10.77.0.0/16", "dev", "lo"];
        assert!(Command::new("ip").args(words).status().unwrap().success());
        Self
    }
}

impl Drop for Addresses {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["route", "del", "local", "10.77.0.0/16", "dev", "lo"])
            .status();
    }
}

fn named(
    name: &'static str,
) -> impl Fn(http::request::Parts, Bytes) -> Response<Full<Bytes>> + Clone {
    move |_, _| Response::new(Full::from(name))
}

fn many(class: &str, gateway: usize, certificate: &str) -> Value {
    let rule = |n: usize| {
        json!({
            "name": format!("r{n}"), "ruleType": "Basic", "priority": 100 + n,
            "httpListener": format!("l{n}"), "backendAddressPool": format!("p{n}"),
            "backendHttpSettings": "s",
        })
    };
    let listener = |n: usize| {
        json!({
            "name": format!("l{n}"), "frontendPort": "http", "protocol": "Http",
            "hostName": format!("h{n}.example"),
        })
    };
    let pool = |n: usize| {
        let service = json!({"name": format!("s-{gateway}-{n}"), "port": 80});
        json!({"name": format!("p{n}"), "backendAddresses": [{"service": service}]})
    };
    let mut spec = json!({
        "gatewayClassName": class,
        "frontendPorts": [{"name": "http", "port": 80}, {"name": "https", "port": 443}],
        "httpListeners": (0..RULES).map(listener).collect::<Vec<_>>(),
        "backendAddressPools": (0..RULES).map(pool).collect::<Vec<_>>(),
        "backendHttpSettingsCollection": [
            {"name": "s", "port": 80, "protocol": "Http", "probe": "h"},
        ],
        "probes": [{"name": "h", "protocol": "Http", "interval": 60}],
        "requestRoutingRules": (0..RULES).map(rule).collect::<Vec<_>>(),
    });
    if gateway == 0 {
        spec["sslCertificates"] = json!([{"name": "c", "secretName": certificate}]);
        let tls = json!({
            "name": "tls", "frontendPort": "https", "protocol": "Https", "sslCertificate": "c",
        });
        spec["httpListeners"].as_array_mut().unwrap().push(tls);
        let mut rule = rule(RULES);
        (rule["httpListener"], rule["backendAddressPool"]) = (json!("tls"), json!("p1"));
        spec["requestRoutingRules"].as_array_mut().unwrap().push(rule);
    }
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "ApplicationGateway",
        "metadata": {"name": format!("g{gateway}")}, "spec": spec,
    })
}

/// One connection that asks again and again.
struct Asker(SendRequest<Full<Bytes>>);

impl Asker {
    async fn new(address: std::net::SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn body(&mut self, host: &str) -> String {
        let request = Request::get("/").header("host", host).body(Full::default()).unwrap();
        self.0.ready().await.unwrap();
        let body = self.0.send_request(request).await.unwrap().into_body().collect().await.unwrap();
        String::from_utf8(body.to_bytes().to_vec()).unwrap()
    }

    /// Asks until the answer is another one than before.
    async fn until(&mut self, host: &str, expected: &str) {
        let started = Instant::now();
        while self.body(host).await != expected {
            assert!(started.elapsed() < Duration::from_secs(20), "{host} never became {expected}");
            // So that the one who asks does not take the processor from those who are measured.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn figures(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{what}: p50 {:.1?}, p99 {:.1?}, longest {:.1?} over {} changes",
        at(0.5),
        at(0.99),
        at(1.0),
        times.len()
    );
}

#[tokio::test]
async fn a_change_is_on_the_wire_soon_after_the_api_server_has_taken_it() {
    let _peace = PEACE.read().await;
    let _addresses = Addresses::new();
    let space = Space::new("latency").await;
    let installation = Installation::new("latency").await;
    let (a, b) = (peers::serve(named("a")).await, peers::serve(named("b")).await);
    let certificates = [peers::certificate(&["a.example"]), peers::certificate(&["b.example"])];
    space.apply(fixture::secret("app", &certificates[0])).await;
    let started = Instant::now();
    let objects = (0..GATEWAYS).flat_map(|gateway| (0..RULES).map(move |n| (gateway, n)));
    let space_ = &space;
    futures_util::stream::iter(objects)
        .for_each_concurrent(16, |(gateway, n)| async move {
            let name = format!("s-{gateway}-{n}");
            space_.apply(fixture::service(&name)).await;
            let address =
                |e: usize| format!("10.77.{}.{}", gateway * 10 + n / 10, 1 + n % 10 * 10 + e);
            let addresses: Vec<String> = (0..ENDPOINTS).map(address).collect();
            space_.apply(fixture::slice(&name, a.port(), &addresses)).await;
        })
        .await;
    for gateway in 0..GATEWAYS {
        space.apply(many(&installation.class, gateway, "app")).await;
    }
    println!("{} objects applied in {:.1?}", 2 * GATEWAYS * RULES + GATEWAYS, started.elapsed());
    let started = Instant::now();
    let replica = installation.replica("one", &[]).await;
    let address = replica.listener(&space.name, "g0", "l0").await;
    println!("ready after {:.1?}", started.elapsed());
    let all = GATEWAYS * RULES * ENDPOINTS;
    // A page of ten thousand members is large: it is not asked for in a rush.
    loop {
        let status = replica.status().await;
        let targets = status["targets"].as_array().unwrap();
        let members = targets.iter().flat_map(|target| target["members"].as_array().unwrap());
        let up = members.filter(|member| member["health"]["state"] == "Up").count();
        if up >= all {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{up} of {all} members are up");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    println!("all {all} members up after {:.1?}", started.elapsed());

    let mut asker = Asker::new(address).await;
    asker.until("h0.example", "a").await;
    let (mut times, host) = (Vec::new(), "h0.example");
    for change in 0..CHANGES {
        let (port, name) = [(b.port(), "b"), (a.port(), "a")][change % 2];
        space.apply(fixture::slice("s-0-0", port, &[HOST.to_owned()])).await;
        let answered = Instant::now();
        asker.until(host, name).await;
        times.push(answered.elapsed());
    }
    figures("EndpointSlice", times);

    // The second rule's pool stays at `a`; the first one's Service is at `b` from here on.
    space.apply(fixture::slice("s-0-0", b.port(), &[HOST.to_owned()])).await;
    asker.until(host, "b").await;
    let (api, name) = space.api(&many(&installation.class, 0, "app"));
    let mut times = Vec::new();
    for change in 0..CHANGES {
        let (pool, expected) = [("p1", "a"), ("p0", "b")][change % 2];
        let patch = json!([
            {"op": "replace", "path": "/spec/requestRoutingRules/0/backendAddressPool", "value": pool},
        ]);
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        api.patch(&name, &PatchParams::default(), &Patch::<()>::Json(patch)).await.unwrap();
        let answered = Instant::now();
        asker.until(host, expected).await;
        times.push(answered.elapsed());
    }
    figures("ApplicationGateway", times);

    let tls = replica.listener(&space.name, "g0", "tls").await;
    let mut times = Vec::new();
    for change in 0..CHANGES {
        let certificate = &certificates[(change + 1) % 2];
        let expected = ["b.example", "a.example"][change % 2];
        space.apply(fixture::secret("app", certificate)).await;
        let answered = Instant::now();
        while !clients::shows(tls, &certificate.0, expected).await {
            assert!(answered.elapsed() < Duration::from_secs(20), "the certificate stays");
        }
        times.push(answered.elapsed());
    }
    figures("Secret", times);
    println!("memory of the process: {:.1} MiB", replica.resident() as f64 / 1048576.0);
}
