//! Who may send requests, and how often: on listeners, rules and path rules.

use std::net::{IpAddr, SocketAddr};

use http::Response;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::gateway::Gateway;
use crate::peers::{self, Scripted, header, read_response, status};
use crate::spec::{Spec, check, logged};
use crate::wire::{ANSWER, HANDSHAKE};

/// A connection from one of this machine's addresses.
async fn from(address: &str, gateway: &Gateway) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let address: IpAddr = address.parse().unwrap();
    socket.bind(SocketAddr::new(address, 0)).unwrap();
    socket.connect(gateway.http()).await.unwrap()
}

/// The answer to a request from an address.
async fn asked(gateway: &Gateway, address: &str, target: &str) -> String {
    let mut client = from(address, gateway).await;
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    read_response(&mut client).await
}

async fn page() -> SocketAddr {
    peers::serve(|_, _| Response::new(Full::from("page"))).await
}

/// The plain listener's rule looks at paths: `/in*` has these fields.
fn with_path_rule(spec: Spec, fields: Value) -> Spec {
    spec.with(|spec| {
        let mut rule = json!({"name": "in", "paths": ["/in*"], "backendAddressPool": "p",
                              "backendHttpSettings": "s"});
        rule.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        spec["urlPathMaps"] = json!([{"name": "m", "defaultBackendAddressPool": "p",
                                      "defaultBackendHttpSettings": "s", "pathRules": [rule]}]);
        spec["requestRoutingRules"][0] = json!({"name": "r1", "ruleType": "PathBasedRouting",
            "priority": 10, "httpListener": "web", "urlPathMap": "m"});
    })
}

#[tokio::test]
async fn addresses_are_let_in_or_kept_out_at_every_place() {
    let member = page().await;
    let access = json!({"allow": ["127.0.0.0/29", "::1"], "deny": ["127.0.0.3"]});
    let at_path = with_path_rule(Spec::to(member), json!({"access": access}));
    let at_rule =
        Spec::to(member).with(|spec| spec["requestRoutingRules"][0]["access"] = access.clone());
    let at_listener =
        Spec::to(member).with(|spec| spec["httpListeners"][0]["access"] = access.clone());
    for (place, spec, is_open_elsewhere) in
        [("listener", at_listener, false), ("rule", at_rule, false), ("path rule", at_path, true)]
    {
        let gateway = spec.start().await;
        for (address, expected) in
            [("127.0.0.1", 200), ("127.0.0.7", 200), ("127.0.0.8", 403), ("127.0.0.3", 403)]
        {
            let answer = asked(&gateway, address, "/in").await;
            assert_eq!(status(&answer), expected, "{place} {address}: {answer}");
            let answer = asked(&gateway, address, "/out").await;
            let expected = if is_open_elsewhere { 200 } else { expected };
            assert_eq!(status(&answer), expected, "{place} {address}: {answer}");
        }
        // Nobody is believed who says that he is somebody else.
        let mut client = from("127.0.0.8", &gateway).await;
        let request = "GET /in?lies HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n";
        client.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(status(&read_response(&mut client).await), 403);
        let line = &logged(&gateway, "/in?lies").await[0];
        assert_eq!(line["error_info"], "ERRORINFO_ADDRESS_DENIED", "{line}");
        assert_eq!(line["clientIP"], "127.0.0.8", "{line}");
        let metrics = gateway.metrics().await;
        let denied = |line: &str| {
            line.starts_with("tidegate_failures_total")
                && line.contains(r#"reason="address_denied""#)
        };
        assert!(metrics.lines().any(denied), "{place}: {metrics}");
        // A handshake is a request.
        let mut client = from("127.0.0.8", &gateway).await;
        client.write_all(HANDSHAKE.replace("GET / ", "GET /in ").as_bytes()).await.unwrap();
        assert_eq!(status(&read_response(&mut client).await), 403, "{place}");
    }
}

/// How many of so many requests were answered, and the last answer that was none.
async fn answered(gateway: &Gateway, address: &str, target: &str, count: usize) -> (usize, String) {
    let (mut client, mut passed, mut refused) = (from(address, gateway).await, 0, String::new());
    for _ in 0..count {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let answer = read_response(&mut client).await;
        match status(&answer) {
            200 => passed += 1,
            429 => refused = answer,
            other => panic!("{other}: {answer}"),
        }
    }
    (passed, refused)
}

/// Asks until one is too many: at least the burst came before it. However slow the machine, what
/// comes back in the meantime is less than what is asked for.
async fn passes_a_burst(gateway: &Gateway, address: &str, target: &str, burst: usize) -> String {
    let (passed, _) = answered(gateway, address, target, burst).await;
    assert_eq!(passed, burst, "{address} {target}");
    for _ in 0..200 {
        let (_, refused) = answered(gateway, address, target, 20).await;
        if !refused.is_empty() {
            return refused;
        }
    }
    panic!("nothing was ever too much for {address} {target}");
}

#[tokio::test]
async fn more_than_the_rate_is_answered_429_at_every_place() {
    let member = page().await;
    let limit = json!({"requestsPerSecond": 1, "burst": 7, "per": "Client"});
    let at_path = with_path_rule(Spec::to(member), json!({"rateLimit": limit}));
    let at_rule =
        Spec::to(member).with(|spec| spec["requestRoutingRules"][0]["rateLimit"] = limit.clone());
    let at_listener =
        Spec::to(member).with(|spec| spec["httpListeners"][0]["rateLimit"] = limit.clone());
    for (place, spec) in [("listener", at_listener), ("rule", at_rule), ("path rule", at_path)] {
        let gateway = spec.start().await;
        let refused = passes_a_burst(&gateway, "127.0.0.1", "/in?first", 7).await;
        let after: u32 = header(&refused, "retry-after").unwrap().parse().unwrap();
        assert_eq!(after, 1, "{place}: {refused}");
        // Another client has a burst of its own.
        passes_a_burst(&gateway, "127.0.0.2", "/in?second", 7).await;
        if place == "path rule" {
            assert_eq!(answered(&gateway, "127.0.0.1", "/out", 50).await.0, 50);
        }
        let lines = logged(&gateway, "/in?first").await;
        let limited = lines.iter().filter(|line| line["httpStatus"] == 429);
        for line in limited {
            assert_eq!(line["error_info"], "ERRORINFO_RATE_LIMITED", "{line}");
        }
        assert!(gateway.metrics().await.contains(r#"reason="rate_limited""#), "{place}");
    }
}

#[tokio::test]
async fn all_clients_together_have_one_burst_and_a_swap_gives_no_new_one() {
    let member = page().await;
    let limited = |per: &str, burst: u32| {
        let limit = json!({"requestsPerSecond": 1, "burst": burst, "per": per});
        move |spec: &mut Value| spec["requestRoutingRules"][0]["rateLimit"] = limit
    };
    let mut spec = Spec::to(member).with(limited("All", 400));
    let gateway = spec.start().await;
    // From many addresses, a few each: together they are soon too many.
    let mut passed = 0;
    for number in 1..=50 {
        passed += answered(&gateway, &format!("127.0.1.{number}"), "/", 20).await.0;
    }
    assert!((400..900).contains(&passed), "{passed}");
    let before = gateway.status().await["revision"].as_u64().unwrap();
    spec.value["backendHttpSettingsCollection"][0]["requestTimeout"] = json!(77);
    gateway.write(&spec.yaml());
    crate::gateway::until("the table is swapped", async || {
        gateway.status().await["revision"].as_u64().unwrap() > before
    })
    .await;
    let (again, _) = answered(&gateway, "127.0.0.1", "/", 300).await;
    assert!(again < 300, "a swap filled the bucket");
    // Another limit is another count.
    spec = spec.with(limited("All", 401));
    let before = gateway.status().await["revision"].as_u64().unwrap();
    gateway.write(&spec.yaml());
    crate::gateway::until("the table is swapped", async || {
        gateway.status().await["revision"].as_u64().unwrap() > before
    })
    .await;
    assert_eq!(answered(&gateway, "127.0.0.1", "/", 401).await.0, 401);
}

#[tokio::test]
async fn a_websocket_counts_as_one_request() {
    let scripted = Scripted::new().await;
    let spec = Spec::to(scripted.address).probed_at(scripted.health).with(|spec| {
        spec["requestRoutingRules"][0]["rateLimit"] = json!({"requestsPerSecond": 1, "burst": 3});
    });
    let gateway = spec.start().await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let (client, mut member, _) = scripted.asked(gateway.http(), HANDSHAKE).await;
        member.write_all(ANSWER.as_bytes()).await.unwrap();
        open.push((client, member));
    }
    for (client, member) in &mut open {
        assert_eq!(status(&peers::read_to(client, "\r\n\r\n").await), 101);
        // What goes through it is nobody's request.
        for number in 0..100 {
            let text = format!("message {number};");
            client.write_all(text.as_bytes()).await.unwrap();
            assert_eq!(peers::read_to(member, ";").await, text);
        }
    }
    let mut refused = None;
    for _ in 0..100 {
        let mut client = TcpStream::connect(gateway.http()).await.unwrap();
        client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
        let answer = tokio::select! {
            answer = read_response(&mut client) => answer,
            // A second has gone by: this one passed.
            member = scripted.accept() => {
                open.push((client, member));
                continue;
            }
        };
        refused = Some(answer);
        break;
    }
    assert_eq!(status(&refused.expect("one too many")), 429);
}

#[tokio::test]
async fn wrong_lists_and_limits_are_refused_with_their_place_and_let_nobody_in() {
    let member = page().await;
    for (access, why) in [
        (json!({"allow": ["10.0.0.0/8", "10.0.0.1/8"]}), "allow[1]: 10.0.0.1/8 has bits beyond"),
        (json!({"deny": ["10.0.0.0/40"]}), "deny[0]: \"10.0.0.0/40\" is neither"),
        (json!({"allow": ["client.example"]}), "allow[0]: \"client.example\" is neither"),
    ] {
        let at_path = with_path_rule(Spec::to(member), json!({"access": access}));
        let at_rule =
            Spec::to(member).with(|spec| spec["requestRoutingRules"][0]["access"] = access.clone());
        let at_listener =
            Spec::to(member).with(|spec| spec["httpListeners"][0]["access"] = access.clone());
        for (path, spec) in [
            ("spec.urlPathMaps[0].pathRules[0].access.", at_path),
            ("spec.requestRoutingRules[0].access.", at_rule),
            ("spec.httpListeners[0].access.", at_listener),
        ] {
            let told = check(&spec).join("\n");
            assert!(told.contains(&format!("{path}{why}")), "{path}{why}: {told}");
        }
    }
    let spec = Spec::to(member).with(|spec| {
        spec["httpListeners"][0]["access"] = json!({"allow": ["nobody"]});
        spec["requestRoutingRules"][1]["rateLimit"] = json!({"requestsPerSecond": 0});
    });
    let told = check(&spec).join("\n");
    assert!(told.contains("spec.requestRoutingRules[1].rateLimit.requestsPerSecond"), "{told}");
    let gateway = spec.start().await;
    assert_eq!(status(&asked(&gateway, "127.0.0.1", "/").await), 502);
}
