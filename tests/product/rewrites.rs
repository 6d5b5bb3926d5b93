//! Rewriting: one case for each thing that conditions, actions and values can say, over HTTP/1.1 and
//! HTTP/2; path maps that are looked at again; and what is refused.

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::gateway::Gateway;
use crate::peers::{self, Answer, Scripted, header, read_response, read_to, status};
use crate::spec::{Spec, check, logged};
use crate::wire::{ANSWER, HANDSHAKE};

mod cases;
mod refused;
mod variables;

/// A member that answers with what it was asked, and with some headers that ask to be rewritten.
async fn mirror() -> SocketAddr {
    peers::serve(|head, _| {
        let mut lines: HashMap<String, Vec<String>> = HashMap::new();
        for (name, value) in &head.headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            lines.entry(name.to_string()).or_default().push(value);
        }
        let target = head.uri.path_and_query().unwrap().as_str();
        let asked = json!({"method": head.method.as_str(), "target": target, "headers": lines});
        let mut response = Response::new(Full::from(asked.to_string()));
        if let Some(status) = head.uri.path().strip_prefix("/status/") {
            *response.status_mut() = status.parse().unwrap();
        }
        for (name, value) in [
            ("set-cookie", "one=1; Path=/"),
            ("set-cookie", "two=2; Path=/"),
            ("set-cookie", "three=3; Secure"),
            ("location", "http://internal.example:8080/there?x=1"),
            ("server", "mirror/1.0"),
            ("x-twice", "a"),
            ("x-twice", "b"),
            ("x_odd_1", "odd"),
        ] {
            let name: HeaderName = name.parse().unwrap();
            response.headers_mut().append(name, HeaderValue::from_static(value));
        }
        response
    })
    .await
}

/// What a request came to: what the member saw of it, and the answer's headers.
struct Seen {
    status: u16,
    member: Value,
    headers: HeaderMap,
}

impl From<Answer> for Seen {
    fn from(answer: Answer) -> Self {
        let member = serde_json::from_slice(&answer.body).unwrap_or_default();
        Self { status: answer.status, member, headers: answer.headers }
    }
}

impl Seen {
    /// The lines of a header that the member saw.
    fn request(&self, name: &str) -> Vec<String> {
        let lines = self.member["headers"][name].as_array().cloned().unwrap_or_default();
        lines.iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    }

    /// The lines of a header that the client got.
    fn response(&self, name: &str) -> Vec<String> {
        let lines = self.headers.get_all(name).iter();
        lines.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()).collect()
    }

    fn target(&self) -> &str {
        self.member["target"].as_str().unwrap_or_default()
    }
}

fn request(host: &str, target: &str, headers: &[(&str, &str)]) -> http::request::Builder {
    let builder = Request::get(target).header("host", host);
    headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value))
}

async fn over_http1(gateway: &Gateway, host: &str, target: &str, headers: &[(&str, &str)]) -> Seen {
    let request = request(host, target, headers).body(Full::<Bytes>::default()).unwrap();
    peers::send(gateway.http(), request).await.unwrap().into()
}

async fn over_http2(gateway: &Gateway, host: &str, target: &str, headers: &[(&str, &str)]) -> Seen {
    let mut sender = peers::http2(gateway.https(), &gateway.plan.certificate.0).await;
    let builder = Request::get(format!("https://{host}{target}"));
    let builder =
        headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    let request = builder.body(Full::<Bytes>::default()).unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: head.status.as_u16(), headers: head.headers, body }.into()
}

/// A set of one rule.
fn rule(conditions: Value, actions: Value) -> Value {
    json!([{"name": "r", "ruleSequence": 10, "conditions": conditions, "actionSet": actions}])
}

fn set_request(name: &str, value: &str) -> Value {
    json!({"requestHeaderConfigurations": [{"headerName": name, "headerValue": value}]})
}

fn set_response(name: &str, value: &str) -> Value {
    json!({"responseHeaderConfigurations": [{"headerName": name, "headerValue": value}]})
}

fn cookie(value: &str, matcher: Value) -> Value {
    json!({"responseHeaderConfigurations":
        [{"headerName": "Set-Cookie", "headerValue": value, "headerValueMatcher": matcher}]})
}

fn url(configuration: Value) -> Value {
    json!({"urlConfiguration": configuration})
}

fn condition(variable: &str, pattern: &str) -> Value {
    json!([{"variable": variable, "pattern": pattern}])
}

/// A gateway with a path map: each path rule has a path, and perhaps a set.
fn with_paths(spec: Spec, sets: Value, rules: &[(&str, Option<&str>)]) -> Spec {
    spec.with(|spec| {
        spec["rewriteRuleSets"] = sets;
        let rules = rules.iter().enumerate().map(|(index, (path, set))| {
            let mut rule = json!({"name": format!("p{index}"), "paths": [path],
                                  "backendAddressPool": "p", "backendHttpSettings": "s"});
            if let Some(set) = set {
                rule["rewriteRuleSet"] = json!(set);
            }
            rule
        });
        spec["urlPathMaps"] = json!([{
            "name": "m", "defaultBackendAddressPool": "p", "defaultBackendHttpSettings": "s",
            "pathRules": rules.collect::<Vec<_>>(),
        }]);
        for rule in spec["requestRoutingRules"].as_array_mut().unwrap() {
            let name =
                (rule["name"].clone(), rule["priority"].clone(), rule["httpListener"].clone());
            *rule = json!({"name": name.0, "ruleType": "PathBasedRouting", "priority": name.1,
                           "httpListener": name.2, "urlPathMap": "m"});
        }
    })
}

fn moving(name: &str, from: &str, to: &str, reroute: bool) -> Value {
    json!({"name": name, "rewriteRules": [{
        "name": "r", "ruleSequence": 1, "conditions": [{"variable": "var_uri_path", "pattern": from}],
        "actionSet": {
            "urlConfiguration": {"modifiedPath": to, "reroute": reroute},
            "requestHeaderConfigurations": [{"headerName": format!("X-Set-{name}"), "headerValue": "1"}],
            "responseHeaderConfigurations": [{"headerName": "X-Answered", "headerValue": name}],
        },
    }]})
}

#[tokio::test]
async fn a_path_map_is_looked_at_again_and_a_loop_ends_in_500() {
    let sets = json!([
        moving("a", "^/a/(.*)", "/b/{var_uri_path_1}", true),
        moving("b", "^/", "/c{var_uri_path}", false),
        moving("ring1", "^/", "/ring2", true),
        moving("ring2", "^/", "/ring1", true),
        moving("self", "^/", "/self", true),
        moving("plain", "^/", "/b/plain", false),
        moving("out", "^/", "/nowhere", true),
    ]);
    let rules = [
        ("/a/*", Some("a")),
        ("/b/*", Some("b")),
        ("/ring1*", Some("ring1")),
        ("/ring2*", Some("ring2")),
        ("/self*", Some("self")),
        ("/plain*", Some("plain")),
        ("/out*", Some("out")),
    ];
    let spec = with_paths(Spec::to(mirror().await), sets, &rules);
    assert_eq!(check(&spec), ["tidegate: nothing is wrong"], "nothing is wrong with it");
    let gateway = spec.start().await;
    for version in [1, 2] {
        for (target, expected, sets, answered, rule) in [
            // On to the second path rule, whose set goes on with the client's own path.
            ("/a/x?q", "/c/a/x?q", &["a", "b"][..], "b", "m/p1"),
            ("/b/x", "/c/b/x", &["b"], "b", "m/p1"),
            // Not looked at again: the path is another one, and the path rule the same.
            ("/plain", "/b/plain", &["plain"], "plain", "m/p5"),
            // To the default, which has no set: what the answer gets is for it to say.
            ("/out", "/nowhere", &["out"], "", if version == 1 { "r1" } else { "r2" }),
            ("/else", "/else", &[], "", if version == 1 { "r1" } else { "r2" }),
        ] {
            let target =
                format!("{target}{}v={version}", if target.contains('?') { "&" } else { "?" });
            let expected =
                format!("{expected}{}v={version}", if expected.contains('?') { "&" } else { "?" });
            let seen = match version {
                1 => over_http1(&gateway, "a", &target, &[]).await,
                _ => over_http2(&gateway, "a", &target, &[]).await,
            };
            assert_eq!((seen.status, seen.target()), (200, &*expected), "{target}");
            for set in ["a", "b", "plain", "out"] {
                let was_set = !seen.request(&format!("x-set-{set}")).is_empty();
                assert_eq!(was_set, sets.contains(&set), "{set} for {target}");
            }
            assert_eq!(seen.response("x-answered").join(""), answered, "{target}");
            let line = &logged(&gateway, &target).await[0];
            let (path, query) = expected.split_once('?').unwrap();
            assert_eq!((&line["requestUri"], &line["requestQuery"]), (&path.into(), &query.into()));
            assert_eq!(line["ruleName"], *rule, "{line}");
        }
        for target in ["/ring1", "/ring2", "/self"] {
            let seen = match version {
                1 => over_http1(&gateway, "a", target, &[]).await,
                _ => over_http2(&gateway, "a", target, &[]).await,
            };
            assert_eq!(seen.status, 500, "{target}");
            assert!(seen.response("x-answered").is_empty(), "answers of the gateway are its own");
            let line = &logged(&gateway, target).await[0];
            assert_eq!(line["error_info"], "ERRORINFO_REWRITE_LOOP", "{line}");
        }
    }
}

#[tokio::test]
async fn answers_of_the_gateway_itself_are_not_rewritten() {
    let sets = json!([
        {"name": "s", "rewriteRules": [{"name": "r", "ruleSequence": 1, "actionSet": set_response("X", "1")}]},
    ]);
    let spec = Spec::to(mirror().await).with(|spec| {
        spec["rewriteRuleSets"] = sets;
        spec["redirectConfigurations"] =
            json!([{"name": "to", "redirectType": "Found", "targetUrl": "https://else.example/"}]);
        spec["backendAddressPools"].as_array_mut().unwrap().push(json!({"name": "none"}));
        let rules = spec["requestRoutingRules"].as_array_mut().unwrap();
        rules[0]["backendAddressPool"] = json!("none");
        rules[0]["rewriteRuleSet"] = json!("s");
        rules[1] = json!({"name": "r2", "ruleType": "Basic", "priority": 20, "httpListener": "web-tls",
                          "redirectConfiguration": "to", "rewriteRuleSet": "s"});
    });
    let told = check(&spec).join("\n");
    assert!(
        told.contains("requestRoutingRules[1].rewriteRuleSet") && told.contains("not rewritten"),
        "{told}"
    );
    let gateway = spec.start().await;
    let seen = over_http1(&gateway, "a", "/", &[]).await;
    assert_eq!((seen.status, seen.response("x").len()), (502, 0));
    let seen = over_http2(&gateway, "a", "/", &[]).await;
    assert_eq!((seen.status, seen.response("x").len()), (302, 0));
}

#[tokio::test]
async fn handshakes_are_rewritten_but_for_what_they_need() {
    let scripted = Scripted::new().await;
    let spec = Spec::to(scripted.address).probed_at(scripted.health).with(|spec| {
        spec["rewriteRuleSets"] = json!([{"name": "s", "rewriteRules": [
            {"name": "r", "ruleSequence": 1, "conditions": [{"variable": "http_req_Upgrade", "pattern": "websocket"}],
             "actionSet": {
                "requestHeaderConfigurations": [
                    {"headerName": "X-Room", "headerValue": "{var_uri_path}"},
                    {"headerName": "Origin", "headerValue": "https://inner.example"},
                ],
                "responseHeaderConfigurations": [{"headerName": "X-Member", "headerValue": "{http_resp_X-Name} {var_http_status}"}],
                "urlConfiguration": {"modifiedPath": "/socket"},
             }},
        ]}]);
        spec["requestRoutingRules"][0]["rewriteRuleSet"] = json!("s");
        spec["backendHttpSettingsCollection"][0]["webSocket"] =
            json!({"allowedOrigins": ["https://outer.example"]});
    });
    let gateway = spec.start().await;
    let handshake = |origin: &str| {
        let head = HANDSHAKE.replace("GET / ", "GET /room ");
        head.replace("\r\n\r\n", &format!("\r\nOrigin: {origin}\r\n\r\n"))
    };
    // The client is judged by what it says, and not by what becomes of it.
    let refused = peers::exchange(gateway.http(), &handshake("https://inner.example")).await;
    assert_eq!(status(&refused), 403, "{refused}");
    let (mut client, mut member, head) =
        scripted.asked(gateway.http(), &handshake("https://outer.example")).await;
    assert!(head.starts_with("GET /socket HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "x-room"), Some("/room"));
    assert_eq!(header(&head, "origin"), Some("https://inner.example"));
    let answer = ANSWER.replace("\r\n\r\n", "\r\nX-Name: seven\r\n\r\n");
    member.write_all(answer.as_bytes()).await.unwrap();
    let answer = read_to(&mut client, "\r\n\r\n").await;
    assert_eq!(
        (status(&answer), header(&answer, "x-member")),
        (101, Some("seven 101")),
        "{answer}"
    );
    client.write_all(b"from client").await.unwrap();
    assert_eq!(read_to(&mut member, "from client").await, "from client");
    member.write_all(b"from member").await.unwrap();
    assert_eq!(read_to(&mut client, "from member").await, "from member");
}

#[tokio::test]
async fn a_value_that_grows_without_end_is_answered_with_500() {
    let double = |index: usize| {
        json!({"name": format!("r{index}"), "ruleSequence": 1 + index,
               "actionSet": set_request("X", "{http_req_X}{http_req_X}")})
    };
    let spec = Spec::to(mirror().await).with(|spec| {
        let rules: Vec<Value> = (0..40).map(double).collect();
        spec["rewriteRuleSets"] = json!([{"name": "s", "rewriteRules": rules}]);
        spec["requestRoutingRules"][0]["rewriteRuleSet"] = json!("s");
    });
    let gateway = spec.start().await;
    assert_eq!(over_http1(&gateway, "a", "/small", &[]).await.status, 200);
    assert_eq!(over_http1(&gateway, "a", "/grows", &[("x", "1")]).await.status, 500);
    assert_eq!(logged(&gateway, "/grows").await[0]["error_info"], "ERRORINFO_REWRITE_FAILED");
}

#[tokio::test]
async fn a_connection_serves_requests_after_one_that_was_rewritten() {
    let spec = Spec::to(mirror().await).with(|spec| {
        spec["rewriteRuleSets"] = json!([{"name": "s", "rewriteRules":
            rule(condition("var_uri_path", "^/a"), set_response("X", "{var_uri_path}"))}]);
        spec["requestRoutingRules"][0]["rewriteRuleSet"] = json!("s");
    });
    let gateway = spec.start().await;
    let mut client = TcpStream::connect(gateway.http()).await.unwrap();
    for (path, expected) in [("/a1", Some("/a1")), ("/b", None), ("/a2", Some("/a2"))] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let answer = read_response(&mut client).await;
        assert_eq!(header(&answer, "x"), expected, "{path}");
    }
}
