//! Which rule and path rule take a request, and the path that members see (reference 2.1, 2.3).

use http::{Request, Response};
use http_body_util::Full;
use tokio::io::AsyncWriteExt;

use crate::gateway::{Gateway, free_port, until};
use crate::peers::{self, Answer, Scripted, header, read_response};
use crate::wire::HANDSHAKE;

/// A server that tells its name, what it was asked for, and what the client asked for.
pub async fn named(name: &'static str) -> u16 {
    let answer = move |head: http::request::Parts, _| {
        let original = head.headers.get("x-original-url").map(|value| value.to_str().unwrap());
        let target = head.uri.path_and_query().unwrap().as_str();
        Response::new(Full::from(format!("{name} {target} {}", original.unwrap_or("-"))))
    };
    peers::serve(answer).await.port()
}

/// A gateway with pools `a`, `b` and `c` of one server each, whose settings `s` are plain, and
/// `rest` in its spec. In it `HTTP`, `TLS` and `OTHER` stand for free ports, which are given back
/// beside it.
pub async fn gateway(rest: &str) -> (Gateway, [u16; 3]) {
    let ports = [free_port(), free_port(), free_port()];
    let mut pools = String::new();
    let mut settings = String::new();
    for name in ["a", "b", "c"] {
        let port = named(name).await;
        pools += &format!(
            "  - {{name: {name}, backendAddresses: [{{service: {{name: {name}, port: 80}}}}]}}\n"
        );
        settings += &format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80}}]}}\n\
             ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {name}}}}}\n\
             addressType: IPv4\nports: [{{port: {port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"
        );
    }
    let mut rest = rest.to_owned();
    for (name, port) in ["HTTP", "TLS", "OTHER"].into_iter().zip(ports) {
        rest = rest.replace(name, &port.to_string());
    }
    let plan = crate::gateway::Plan::to(([127, 0, 0, 1], 9).into());
    let (chain, key) = &plan.certificate;
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app"},
        "stringData": {"tls.crt": chain, "tls.key": key},
    });
    let yaml = format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: ApplicationGateway\nmetadata: {{name: g}}\nspec:\n\
         \x20 backendAddressPools:\n{pools}{rest}---\n{secret}\n{settings}"
    );
    let gateway = Gateway::start_yaml(plan, &yaml).await;
    until("all members are up", async || {
        let status = gateway.status().await;
        let targets = status["targets"].as_array().cloned().unwrap_or_default();
        let mut members = targets.iter().flat_map(|t| t["members"].as_array().unwrap());
        members.all(|member| member["health"]["state"] == "Up")
    })
    .await;
    (gateway, ports)
}

/// Asks a port for a host and path.
pub async fn ask(port: u16, host: &str, path: &str) -> Answer {
    let request = Request::get(path).header("host", host).body(Full::default()).unwrap();
    peers::send(([127, 0, 0, 1], port).into(), request).await.unwrap()
}

pub fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

const SETTINGS: &str = "  backendHttpSettingsCollection: [{name: s, port: 80, protocol: Http}]\n";

/// A listener on `HTTP` with these hosts, and its rule to a pool.
fn listener(name: &str, hosts: &str) -> String {
    format!("  - {{name: {name}, frontendPort: http, protocol: Http{hosts}}}\n")
}

fn basic(name: &str, priority: u32, listener: &str, pool: &str) -> String {
    format!(
        "  - {{name: {name}, ruleType: Basic, priority: {priority}, httpListener: {listener}, backendAddressPool: {pool}, backendHttpSettings: s}}\n"
    )
}

/// Reference 2.1: the smallest priority whose listener takes the host, however wide that is.
#[tokio::test]
async fn rules_are_tried_by_priority_and_specificity_plays_no_part() {
    let ports = "  frontendPorts: [{name: http, port: HTTP}, {name: other, port: OTHER}]\n";
    let listeners = "  httpListeners:\n".to_owned()
        + &listener("exact", ", hostName: a.example")
        + &listener("late", ", hostName: late.example")
        + &listener("wild", ", hostNames: ['*.example', '?.test']")
        + "  - {name: other, frontendPort: other, protocol: Http, hostName: a.example}\n";
    let rules = "  requestRoutingRules:\n".to_owned()
        + &basic("r-late", 30, "late", "a")
        + &basic("r-exact", 10, "exact", "a")
        + &basic("r-wild", 20, "wild", "b")
        + &basic("r-other", 5, "other", "c");
    for (precedence, late) in [("", "b"), ("  hostPrecedence: MostSpecific\n", "a")] {
        let rest = [ports, SETTINGS, precedence, &listeners, &rules].concat();
        let (_gateway, [http, _, other]) = gateway(&rest).await;
        for (port, host, expected) in [
            (http, "a.example", Some("a")),
            (http, "A.Example:99", Some("a")),
            // A wildcard with a smaller number hides an exact name.
            (http, "late.example", Some(late)),
            (http, "b.example", Some("b")),
            (http, "c.b.example", Some("b")),
            (http, "x.test", Some("b")),
            (http, "xy.test", None),
            (http, "example", None),
            // Another port has listeners of its own.
            (other, "a.example", Some("c")),
            (other, "b.example", None),
        ] {
            let answer = ask(port, host, "/").await;
            let found = (answer.status == 200).then(|| text(&answer)[..1].to_owned());
            assert_eq!(found.as_deref(), expected, "{host} {precedence}");
            if expected.is_none() {
                assert_eq!(answer.status, 404, "{host}");
            }
        }
    }
}

/// Reference 2.1: path rules in listed order, whatever their length and the case of letters.
#[tokio::test]
async fn the_first_path_rule_that_fits_takes_a_request() {
    let rest = [
        "  frontendPorts: [{name: http, port: HTTP}]\n",
        SETTINGS,
        "  httpListeners:\n",
        &listener("web", ""),
        "  requestRoutingRules:
  - {name: r, ruleType: PathBasedRouting, priority: 1, httpListener: web, urlPathMap: m}
  urlPathMaps:
  - name: m
    defaultBackendAddressPool: a
    defaultBackendHttpSettings: s
    pathRules:
    - {name: wide, paths: ['/Images*', /exact], backendAddressPool: b, backendHttpSettings: s}
    - {name: narrow, paths: ['/images/small/*', '/docs/*'], backendAddressPool: c, backendHttpSettings: s}
    - {name: refused, paths: ['/refused*'], backendAddressPool: none, backendHttpSettings: s}
",
    ]
    .concat();
    let (gateway, [http, ..]) = gateway(&rest).await;
    for (path, expected) in [
        ("/", "a"),
        ("/images", "b"),
        ("/IMAGES/x", "b"),
        ("/imagesque", "b"),
        // A longer pattern comes later.
        ("/images/small/x", "b"),
        ("/docs/", "c"),
        ("/Docs/X", "c"),
        ("/docs", "a"),
        ("/exact", "b"),
        ("/EXACT", "b"),
        ("/exact/", "a"),
        ("/exact?q=/docs/", "b"),
        ("/x?y=/docs/", "a"),
        // What is encoded is another path.
        ("/%64ocs/", "a"),
    ] {
        let answer = ask(http, "any.example", path).await;
        assert_eq!(text(&answer), format!("{expected} {path} {path}"), "{path}");
    }
    let refused = ask(http, "any.example", "/Refused/x").await;
    assert_eq!(refused.status, 502);
    let metrics = gateway.metrics().await;
    assert!(metrics.contains(r#"rule="m/narrow""#), "{metrics}");
}

/// Reference 2.3, line by line.
#[tokio::test]
async fn settings_put_their_path_in_front_or_in_the_place_of_what_a_pattern_says() {
    let rest = [
        "  frontendPorts: [{name: http, port: HTTP}, {name: other, port: OTHER}]\n",
        "  backendHttpSettingsCollection:
  - {name: s, port: 80, protocol: Http, path: /override/, probe: p}
  probes: [{name: p, protocol: Http, path: /health, interval: 1, timeout: 1}]
  httpListeners:
  - {name: other, frontendPort: other, protocol: Http}
",
        &listener("web", ""),
        "  requestRoutingRules:
  - {name: basic, ruleType: Basic, httpListener: other, backendAddressPool: c, backendHttpSettings: s}
  - {name: r, ruleType: PathBasedRouting, httpListener: web, urlPathMap: m}
  urlPathMaps:
  - name: m
    defaultBackendAddressPool: a
    defaultBackendHttpSettings: s
    pathRules:
    - {name: x, paths: ['/pathrule/home*', '/pathrule*'], backendAddressPool: b, backendHttpSettings: s}
    - {name: y, paths: ['/exact/'], backendAddressPool: b, backendHttpSettings: s}
    - {name: z, paths: ['/slash/*'], backendAddressPool: b, backendHttpSettings: s}
",
    ]
    .concat();
    let (_gateway, [http, _, other]) = gateway(&rest).await;
    for (port, path, expected) in [
        (other, "/home/", "c /override/home/"),
        (other, "/home/secondhome/?q=%2F&r", "c /override/home/secondhome/?q=%2F&r"),
        (other, "/", "c /override/"),
        // The default of a map is like a Basic rule.
        (http, "/home/", "a /override/home/"),
        (http, "/pathrule/home/x/", "b /override/x/"),
        (http, "/PathRule/x%2Fy/?q", "b /override/x%2Fy/?q"),
        (http, "/pathrule", "b /override/"),
        (http, "/exact/", "b /override/"),
        (http, "/EXACT/?q", "b /override/?q"),
        (http, "/slash/a", "b /override/a"),
        (http, "/slash/", "b /override/"),
    ] {
        let answer = ask(port, "localhost", path).await;
        assert_eq!(text(&answer), format!("{expected} {path}"), "{path}");
    }
}

#[tokio::test]
async fn handshakes_get_the_path_of_the_settings_and_probes_their_own() {
    let scripted = Scripted::new().await;
    let plan = scripted.plan().with(|plan| plan.settings = ", path: /override".into());
    let gateway = Gateway::start(plan).await;
    let handshake = HANDSHAKE.replace("GET / ", "GET /chat?room=1 ");
    let (mut client, mut member, head) = scripted.asked(gateway.http(), &handshake).await;
    assert!(head.starts_with("GET /override/chat?room=1 HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "x-original-url"), Some("/chat?room=1"));
    member.write_all(crate::wire::ANSWER.as_bytes()).await.unwrap();
    let answer = peers::read_to(&mut client, "\r\n\r\n").await;
    assert_eq!(peers::status(&answer), 101);
    drop((client, member));
    let request = "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut client, mut member, head) = scripted.asked(gateway.http(), request).await;
    assert!(head.starts_with("OPTIONS * HTTP/1.1\r\n"), "{head}");
    member.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(peers::status(&read_response(&mut client).await), 200);
}
