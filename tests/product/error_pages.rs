//! Pages for answers that the gateway makes itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use crate::gateway::{Gateway, Plan, free_port, until};
use crate::peers::{self, Answer};

/// A gateway without any member that is up. `PAGES` and `LISTENER` are the pages of the gateway and
/// of one of its listeners.
const GATEWAY: &str = "apiVersion: tidegate.dev/v1alpha1
kind: ApplicationGateway
metadata: {name: g}
spec:
  frontendPorts: [{name: http, port: HTTP}, {name: https, port: TLS}]
  globalConfiguration: {maxRequestBodySizeInKb: 1}
  sslCertificates: [{name: app, secretName: app}]
  customErrorConfigurations: [PAGES]
  httpListeners:
  - {name: web, frontendPort: http, protocol: Http, hostName: web.example}
  - {name: own, frontendPort: http, protocol: Http, hostName: own.example, customErrorConfigurations: [LISTENER]}
  - {name: tls, frontendPort: https, protocol: Https, sslCertificate: app}
  backendAddressPools: [{name: none}]
  backendHttpSettingsCollection: [{name: s, port: 80, protocol: Http}]
  requestRoutingRules:
  - {name: r1, ruleType: Basic, httpListener: web, backendAddressPool: none, backendHttpSettings: s}
  - {name: r2, ruleType: Basic, httpListener: own, backendAddressPool: none, backendHttpSettings: s}
  - {name: r3, ruleType: Basic, httpListener: tls, backendAddressPool: none, backendHttpSettings: s}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: pages}
data:
  '404.html': '<h1>not found</h1>'
  '400.html': '<h1>bad</h1>'
  '405.html': '<h1>no such method</h1>'
  '413.html': '<h1>too much</h1>'
  '502.html': '<h1>away</h1>'
  own.html: '<h1>own</h1>'
---
";

fn from_map(status: u16, key: &str) -> String {
    format!("{{statusCode: HttpStatus{status}, configMap: {{name: pages, key: '{key}'}}}}")
}

fn from_url(status: u16, url: &str) -> String {
    format!("{{statusCode: HttpStatus{status}, customErrorPageUrl: '{url}'}}")
}

/// The YAML of a gateway on the plan's ports.
fn yaml(plan: &Plan, pages: &[String], listener: &[String]) -> String {
    let (chain, key) = &plan.certificate;
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app"},
        "stringData": {"tls.crt": chain, "tls.key": key},
    });
    let text = GATEWAY
        .replace("PAGES", &pages.join(", "))
        .replace("LISTENER", &listener.join(", "))
        .replace("HTTP", &plan.http.to_string())
        .replace("TLS", &plan.https.to_string());
    // The words stand in names of status codes, too.
    let text = text.replace(&format!("{}Status", plan.http), "HTTPStatus");
    format!("{text}{secret}\n")
}

async fn ask(gateway: &Gateway, method: &str, host: &str, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).header("host", host);
    peers::send(gateway.http(), request.body(Full::<Bytes>::default()).unwrap()).await.unwrap()
}

fn shown(answer: &Answer) -> (u16, String, String) {
    let kind = answer.headers["content-type"].to_str().unwrap().to_owned();
    (answer.status, kind, String::from_utf8(answer.body.clone()).unwrap())
}

async fn problems(gateway: &Gateway) -> String {
    let status: Value = gateway.status().await;
    status["problems"].to_string()
}

#[tokio::test]
async fn answers_of_the_gateway_have_the_page_that_goes_with_them() {
    let plan = Plan::to(([127, 0, 0, 1], 9).into());
    let pages = [400, 404, 405, 413, 502].map(|status| from_map(status, &format!("{status}.html")));
    let text = yaml(&plan, &pages, &[from_map(502, "own.html")]);
    let gateway = Gateway::start_yaml(plan, &text).await;
    for (method, host, status, page) in [
        ("GET", "web.example", 502, Some("<h1>away</h1>")),
        ("POST", "web.example", 502, Some("<h1>away</h1>")),
        ("GET", "unknown.example", 404, Some("<h1>not found</h1>")),
        ("GET", "a/b", 400, Some("<h1>bad</h1>")),
        ("TRACE", "web.example", 405, Some("<h1>no such method</h1>")),
        // A listener's set takes the place of the whole of the gateway's.
        ("GET", "own.example", 502, Some("<h1>own</h1>")),
    ] {
        let answer = ask(&gateway, method, host, "/").await;
        let expected = (status, "text/html; charset=utf-8".to_owned(), page.unwrap().to_owned());
        assert_eq!(shown(&answer), expected, "{method} {host}");
    }
    let request = Request::post("/").header("host", "web.example");
    let request = request.body(Full::<Bytes>::from(vec![b'x'; 2000])).unwrap();
    let answer = peers::send(gateway.http(), request).await.unwrap();
    assert_eq!((answer.status, &*answer.body), (413, &b"<h1>too much</h1>"[..]));
    let answer = ask(&gateway, "HEAD", "web.example", "/").await;
    assert_eq!(answer.headers["content-length"], "13");
    assert!(answer.status == 502 && answer.body.is_empty());

    // HTTP/2, and HTTP/3 with somebody else's client.
    let chain = &gateway.plan.certificate.0;
    let mut sender = peers::http2(gateway.https(), chain).await;
    for (method, length) in [("GET", 13), ("HEAD", 0)] {
        let request = Request::builder().method(method).uri("https://localhost/");
        let answer = sender.send_request(request.body(Full::<Bytes>::default()).unwrap()).await;
        let (head, body) = answer.unwrap().into_parts();
        assert_eq!(
            (head.status.as_u16(), head.headers["content-length"].to_str().unwrap()),
            (502, "13")
        );
        assert_eq!(head.headers["content-type"], "text/html; charset=utf-8");
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), length, "{method}");
    }
    let endpoint = crate::quic::endpoint(chain);
    let quic = endpoint.connect(gateway.https(), "localhost").unwrap().await.unwrap();
    let (mut driver, mut sender) = h3::client::new(h3_quinn::Connection::new(quic)).await.unwrap();
    tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
    let request = Request::get("https://localhost/").body(()).unwrap();
    let mut stream = sender.send_request(request).await.unwrap();
    stream.finish().await.unwrap();
    let answer = stream.recv_response().await.unwrap();
    assert_eq!(
        (answer.status(), &answer.headers()["content-type"]),
        (http::StatusCode::BAD_GATEWAY, &"text/html; charset=utf-8".parse().unwrap())
    );
    let mut body = Vec::new();
    while let Some(mut part) = stream.recv_data().await.unwrap() {
        body.extend(part.copy_to_bytes(part.remaining()));
    }
    assert_eq!(body, b"<h1>away</h1>");

    // A page that changes is another one at once.
    let changed = text.replace("<h1>away</h1>", "<h1>back soon</h1>");
    gateway.write(&changed);
    until("the new page is shown", async || {
        ask(&gateway, "GET", "web.example", "/").await.body == b"<h1>back soon</h1>"
    })
    .await;
}

/// A server of pages that counts how often it was asked; what it answers is in the path.
async fn page_server(asked: Arc<AtomicUsize>) -> String {
    let address = peers::serve(move |head, _| {
        let count = asked.fetch_add(1, Ordering::SeqCst);
        let answer = Response::builder();
        let (status, body) = match head.uri.path() {
            "/502.html" => (200, format!("<h1>page {count}</h1>")),
            "/large.htm" => (200, "x".repeat(1024 * 1024 + 1)),
            "/moved.html" => (302, String::new()),
            _ => (404, "<h1>no such page</h1>".to_owned()),
        };
        answer.status(status).header("location", "/502.html").body(Full::from(body)).unwrap()
    })
    .await;
    format!("http://{address}")
}

#[tokio::test]
async fn pages_are_fetched_once_for_a_configuration_and_what_fails_leaves_the_built_in_answer() {
    let asked = Arc::new(AtomicUsize::new(0));
    let server = page_server(asked.clone()).await;
    let nobody = format!("http://127.0.0.1:{}/x.html", free_port());
    let plan = Plan::to(([127, 0, 0, 1], 9).into());
    let pages = [from_url(502, &format!("{server}/502.html"))];
    let text = yaml(&plan, &pages, &[from_map(404, "404.html")]);
    let gateway = Gateway::start_yaml(plan, &text).await;
    for _ in 0..3 {
        let answer = ask(&gateway, "GET", "web.example", "/").await;
        assert_eq!((answer.status, &*answer.body), (502, &b"<h1>page 0</h1>"[..]));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // The listener's set has no page for it.
    let answer = ask(&gateway, "GET", "own.example", "/").await;
    assert!(answer.body.starts_with(b"502 Bad Gateway"));

    // Another configuration: the page is asked for again.
    gateway.write(&text.replace("name: r1", "name: r0"));
    until("the page is fetched again", async || {
        ask(&gateway, "GET", "web.example", "/").await.body == b"<h1>page 1</h1>"
    })
    .await;

    for (page, told) in [
        (from_url(502, &format!("{server}/none.html")), "the answer is 404, not 200"),
        (from_url(502, &format!("{server}/moved.html")), "the answer is 302, not 200"),
        (from_url(502, &format!("{server}/large.htm")), "length limit exceeded"),
        (from_url(502, &nobody), "onnect"),
        (from_url(502, &format!("{server}/page.txt")), "neither in .htm nor in .html"),
        (from_url(502, "ftp://a.example/a.html"), "does not begin with http"),
        (from_url(599, &nobody), "is none of HttpStatus400"),
        (from_map(502, "none"), "has no key"),
        (
            from_map(502, "502.html").replace("name: pages", "name: none"),
            "no ConfigMap default/none",
        ),
    ] {
        let text = yaml(&gateway.plan, std::slice::from_ref(&page), &[]);
        gateway.write(&text);
        until(&format!("{page}: {told}"), async || problems(&gateway).await.contains(told)).await;
        let answer = ask(&gateway, "GET", "web.example", "/").await;
        assert!(answer.status == 502 && answer.body.starts_with(b"502 Bad Gateway"), "{page}");
    }
}
