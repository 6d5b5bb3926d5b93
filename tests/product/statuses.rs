//! Every status code that the gateway sends by itself, and what the access log says of it (reference
//! 2.9). 408 takes as long as a client may, and is tested with shorter times beside the proxy; what
//! comes of client certificates is tested with TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::gateway::{Gateway, Plan, free_port, until};
use crate::peers;

const GATEWAY: &str = "apiVersion: tidegate.dev/v1alpha1
kind: ApplicationGateway
metadata: {name: g}
spec:
  frontendPorts: [{name: http, port: HTTP}, {name: https, port: TLS}]
  sslCertificates: [{name: app, secretName: app}]
  globalConfiguration: {maxRequestBodySizeInKb: 1}
  httpListeners:
  - {name: empty, frontendPort: http, protocol: Http, hostName: empty.example}
  - {name: down, frontendPort: http, protocol: Http, hostName: down.example}
  - {name: gone, frontendPort: http, protocol: Http, hostName: gone.example}
  - {name: odd, frontendPort: http, protocol: Http, hostName: odd.example}
  - {name: refused, frontendPort: http, protocol: Http, hostName: refused.example}
  - {name: patient, frontendPort: http, protocol: Http, hostName: patient.example}
  - {name: tls, frontendPort: https, protocol: Https, sslCertificate: app}
  backendAddressPools:
  - {name: none}
  - {name: one, backendAddresses: [{ipAddress: 127.0.0.1}]}
  probes: [{name: elsewhere, protocol: Http, port: HEALTH}]
  backendHttpSettingsCollection:
  - {name: s, port: ODD, protocol: Http, requestTimeout: 1, probe: elsewhere}
  - {name: patient, port: ODD, protocol: Http, requestTimeout: 600, probe: elsewhere}
  - {name: down, port: NOBODY, protocol: Http}
  - {name: gone, port: NOBODY, protocol: Http, probe: elsewhere}
  requestRoutingRules:
  - {name: r1, ruleType: Basic, httpListener: empty, backendAddressPool: none, backendHttpSettings: s}
  - {name: r2, ruleType: Basic, httpListener: down, backendAddressPool: one, backendHttpSettings: down}
  - {name: r3, ruleType: Basic, httpListener: gone, backendAddressPool: one, backendHttpSettings: gone}
  - {name: r4, ruleType: Basic, httpListener: odd, backendAddressPool: one, backendHttpSettings: s}
  - {name: r5, ruleType: Basic, httpListener: refused, backendAddressPool: nobody, backendHttpSettings: s}
  - {name: r7, ruleType: Basic, httpListener: patient, backendAddressPool: one, backendHttpSettings: patient}
  - {name: r6, ruleType: Basic, httpListener: tls, backendAddressPool: one, backendHttpSettings: s}
---
";

/// A member that does what the path says: closes, talks nonsense, or says nothing; and how often it
/// was asked to say nothing.
async fn odd() -> (u16, Arc<AtomicUsize>) {
    let silent = Arc::new(AtomicUsize::new(0));
    let count = silent.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let head = peers::read_to(&mut tcp, "\r\n\r\n").await;
                let target = head.split(' ').nth(1).unwrap();
                match target.split('?').nth(1).unwrap_or_default() {
                    "nonsense" => drop(tcp.write_all(b"SSH-2.0-OpenSSH\r\n\r\n").await),
                    "switch" => {
                        let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
                        drop(tcp.write_all(answer).await);
                    }
                    "silent" => {
                        count.fetch_add(1, Ordering::SeqCst);
                        drop(tcp.read(&mut [0]).await);
                    }
                    _ => {}
                }
            });
        }
    });
    (port, silent)
}

/// What is sent, the status, and the log's word, where nothing that was sent became a request: its
/// line has no path.
const MALFORMED: &[(&str, u16, &str)] = &[
    ("nonsense\r\n\r\n", 400, "ERRORINFO_INVALID_METHOD"),
    ("G@T / HTTP/1.1\r\nHost: odd.example\r\n\r\n", 400, "ERRORINFO_INVALID_METHOD"),
    ("GET /\u{1} HTTP/1.1\r\nHost: odd.example\r\n\r\n", 400, "ERRORINFO_REQUEST_URI_INVALID"),
    ("GET / HTTP/1.9\r\nHost: odd.example\r\n\r\n", 400, "ERRORINFO_INVALID_VERSION"),
    ("GET / HTTP/1.1\r\nHost : odd.example\r\n\r\n", 400, "ERRORINFO_INVALID_REQUEST"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        400,
        "ERRORINFO_INVALID_CONTENT_LENGTH",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        400,
        "ERRORINFO_INVALID_CONTENT_LENGTH",
    ),
];

/// What is sent (the path is the case's), the status, and the log's word; none where the line has no
/// path to find it by.
const CASES: &[(&str, u16, &str)] = &[
    ("GET PATH HTTP/1.1\r\n\r\n", 400, "ERRORINFO_HTTP_NO_HOST_HEADER"),
    ("GET PATH HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "ERRORINFO_HTTP_NO_HOST_HEADER"),
    ("GET PATH HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "ERRORINFO_INVALID_HOST"),
    (
        "POST PATH HTTP/1.1\r\nHost: odd.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        400,
        "ERRORINFO_INVALID_REQUEST",
    ),
    ("GET PATH HTTP/1.1\r\nHost: unknown.example\r\n\r\n", 404, "ERRORINFO_INVALID_HOST"),
    ("TRACE PATH HTTP/1.1\r\nHost: odd.example\r\n\r\n", 405, "ERRORINFO_INVALID_METHOD"),
    ("CONNECT odd.example:80 HTTP/1.1\r\nHost: odd.example\r\n\r\n", 405, ""),
    (
        "POST PATH HTTP/1.1\r\nHost: odd.example\r\nContent-Length: 2000\r\n\r\n",
        413,
        "ERRORINFO_BODY_TOO_LARGE",
    ),
    ("GET PATH HTTP/1.1\r\nHost: empty.example\r\n\r\n", 502, "ERRORINFO_UPSTREAM_NO_LIVE"),
    ("GET PATH HTTP/1.1\r\nHost: down.example\r\n\r\n", 502, "ERRORINFO_UPSTREAM_NO_LIVE"),
    ("GET PATH HTTP/1.1\r\nHost: refused.example\r\n\r\n", 502, "ERRORINFO_UPSTREAM_NO_LIVE"),
    (
        "GET PATH HTTP/1.1\r\nHost: gone.example\r\n\r\n",
        502,
        "ERRORINFO_UPSTREAM_CLOSED_CONNECTION",
    ),
    (
        "GET PATH?close HTTP/1.1\r\nHost: odd.example\r\n\r\n",
        502,
        "ERRORINFO_UPSTREAM_CLOSED_CONNECTION",
    ),
    (
        "GET PATH?nonsense HTTP/1.1\r\nHost: odd.example\r\n\r\n",
        502,
        "ERRORINFO_UPSTREAM_CLOSED_CONNECTION",
    ),
    (
        "GET PATH?switch HTTP/1.1\r\nHost: odd.example\r\n\r\n",
        502,
        "ERRORINFO_UPSTREAM_CLOSED_CONNECTION",
    ),
    ("GET PATH?silent HTTP/1.1\r\nHost: odd.example\r\n\r\n", 504, "ERRORINFO_UPSTREAM_TIMED_OUT"),
];

/// The gateway, and how often its member was asked to say nothing.
async fn start() -> (Gateway, Arc<AtomicUsize>) {
    let plan = Plan::to(([127, 0, 0, 1], 9).into());
    let (odd_port, silent) = odd().await;
    let (chain, key) = &plan.certificate;
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app"},
        "stringData": {"tls.crt": chain, "tls.key": key},
    });
    let mut yaml = format!("{GATEWAY}{secret}\n");
    for (name, port) in [
        ("port: HTTP", plan.http),
        ("port: TLS", plan.https),
        ("port: HEALTH", peers::health().await),
        ("port: ODD", odd_port),
        ("port: NOBODY", free_port()),
    ] {
        yaml = yaml.replace(name, &format!("port: {port}"));
    }
    let gateway = Gateway::serve(plan, &yaml, &["--access-log", "log.json"]).await;
    (gateway, silent)
}

#[tokio::test]
async fn the_gateway_says_by_itself_what_the_reference_says() {
    let (gateway, silent) = start().await;
    until("every member was asked", async || {
        let status = gateway.status().await;
        let targets = status["targets"].as_array().cloned().unwrap_or_default();
        let mut members = targets.iter().flat_map(|t| t["members"].as_array().unwrap());
        members.all(|member| member["health"]["state"] != "Unknown")
    })
    .await;
    for (number, (request, status, _)) in CASES.iter().enumerate() {
        let request = request.replace("PATH", &format!("/case-{number}"));
        let answer = peers::exchange(gateway.http(), &request).await;
        assert_eq!(peers::status(&answer), *status, "{request:?}\n{answer}");
    }
    // A client that leaves before the answer: 499 stands in the log alone.
    let mut leaving = TcpStream::connect(gateway.http()).await.unwrap();
    let before = silent.load(Ordering::SeqCst);
    leaving
        .write_all(b"GET /leaves?silent HTTP/1.1\r\nHost: patient.example\r\n\r\n")
        .await
        .unwrap();
    until("the member has the request", async || silent.load(Ordering::SeqCst) > before).await;
    drop(leaving);

    let find = |path: &str| {
        let is_its = |line: &Value| {
            let uri = line["properties"]["originalRequestUriWithArgs"].as_str().unwrap();
            uri.split('?').next() == Some(path)
        };
        let line = gateway.access_log().into_iter().find(is_its)?;
        let properties = &line["properties"];
        let info = properties["error_info"].as_str().unwrap().to_owned();
        Some((properties["httpStatus"].as_u64().unwrap(), info))
    };
    let logged = CASES.iter().enumerate().filter(|(_, (.., info))| !info.is_empty());
    let logged =
        logged.map(|(number, (_, status, info))| (format!("/case-{number}"), *status, *info));
    let left = ("/leaves".to_owned(), 499, "ERRORINFO_CLIENT_CLOSED_REQUEST");
    for (path, status, info) in logged.chain([left]) {
        until(&format!("{path} is in the log"), async || find(&path).is_some()).await;
        assert_eq!(find(&path), Some((status.into(), info.to_owned())), "{path}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_counted_and_logged_too() {
    let (gateway, _) = start().await;
    let (http, https) = (gateway.http(), gateway.https());
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "t".repeat(66_000));
    let long_head = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "h".repeat(90_000));
    let more: [(_, &str, _, _); 3] = [
        (http, &long_target, 414, "ERRORINFO_REQUEST_URI_INVALID"),
        (http, &long_head, 431, "ERRORINFO_INVALID_REQUEST"),
        (https, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "ERRORINFO_HTTP_TO_HTTPS_PORT"),
    ];
    let malformed = MALFORMED.iter().map(|(sent, status, info)| (http, *sent, *status, *info));
    let cases: Vec<_> = malformed.chain(more).collect();
    for (number, (address, sent, status, info)) in cases.iter().enumerate() {
        let answer = peers::exchange(*address, sent).await;
        assert_eq!(peers::status(&answer), *status, "{answer}");
        until("there is one line more", async || gateway.access_log().len() > number).await;
        let line = &gateway.access_log()[number];
        assert_eq!(line["resourceId"], "default/g");
        let its = &line["properties"];
        let told = (its["httpStatus"].as_u64(), its["error_info"].as_str());
        assert_eq!(told, (Some(u64::from(*status)), Some(*info)), "{:.60}", sent);
    }
    let metrics = gateway.metrics().await;
    let counted = |line: &&str| {
        line.starts_with("tidegate_failures_total") && line.contains(r#"reason="invalid_request""#)
    };
    let counts = metrics.lines().filter(counted).map(|line| line.rsplit(' ').next().unwrap());
    let sum: f64 = counts.map(|count| count.parse::<f64>().unwrap()).sum();
    assert_eq!(sum, cases.len() as f64, "{metrics}");
    // HTTP/2 is not answered where it is not spoken, and a connection without a word is no request.
    let mut http2 = TcpStream::connect(http).await.unwrap();
    http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = http2.read_to_end(&mut answer).await;
    drop(TcpStream::connect(http).await.unwrap());
    peers::exchange(http, "GET /last HTTP/1.1\r\n\r\n").await;
    until("the last line is there", async || gateway.access_log().len() > cases.len()).await;
    assert_eq!((answer.len(), gateway.access_log().len()), (0, cases.len() + 1));
}
