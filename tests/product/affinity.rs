//! A cookie keeps a client's requests with one member.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, Request};
use http_body_util::Full;
use hyper::body::Bytes;

use crate::gateway::{Gateway, Plan, until};
use crate::peers::{self, Answer};

const ENABLED: &str = ", cookieBasedAffinity: Enabled, affinityCookieName: stick";

async fn two_members() -> (SocketAddr, SocketAddr) {
    let well = || Arc::new(AtomicBool::new(true));
    (peers::named("a", well()).await, peers::named("b", well()).await)
}

async fn ask(gateway: &Gateway, cookie: &str) -> Answer {
    let request = Request::get("/").header("host", "localhost").header("cookie", cookie);
    let request = request.body(Full::<Bytes>::default()).unwrap();
    peers::send(gateway.http(), request).await.unwrap()
}

fn name(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

/// Lines of `Set-Cookie`.
fn given(headers: &HeaderMap) -> Vec<&str> {
    headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect()
}

/// A cookie that keeps its client with the member of this name.
async fn cookie_of(gateway: &Gateway, member: &str) -> String {
    loop {
        let answer = ask(gateway, "").await;
        if name(&answer) == member {
            return given(&answer.headers)[1].split(';').next().unwrap().to_owned();
        }
    }
}

/// Who answers twenty requests with a cookie.
async fn who(gateway: &Gateway, cookie: &str) -> HashSet<String> {
    let mut names = HashSet::new();
    for _ in 0..20 {
        names.insert(name(&ask(gateway, cookie).await));
    }
    names
}

fn set(names: &[&str]) -> HashSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[tokio::test]
async fn a_client_stays_with_the_member_that_its_cookie_names() {
    let (a, b) = two_members().await;
    let plan = Plan::to(a).with(|plan| plan.members.push(b));
    let mut gateway = Gateway::start(plan.clone()).await;
    assert_eq!(given(&ask(&gateway, "").await.headers), [""; 0]);
    gateway.apply(plan.with(|plan| plan.settings = ENABLED.into())).await;
    let first = ask(&gateway, "other=1").await;
    let lines = given(&first.headers);
    let value = lines[1].strip_prefix("stick=").unwrap().strip_suffix("; Path=/").unwrap();
    assert!(value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit()), "{value}");
    assert_eq!(
        lines,
        [
            format!("stickCORS={value}; Path=/; SameSite=None; Secure"),
            format!("stick={value}; Path=/"),
        ]
    );
    for cookie in [format!("stick={value}"), format!("a=b; stickCORS={value}")] {
        for _ in 0..20 {
            let answer = ask(&gateway, &cookie).await;
            assert_eq!(name(&answer), name(&first));
            assert_eq!(given(&answer.headers), [""; 0]);
        }
    }
    // Who has no cookie, or one that names nobody, takes turns.
    assert_eq!(who(&gateway, "").await, set(&["a", "b"]));
    assert_eq!(who(&gateway, &format!("stick={}", "0".repeat(32))).await, set(&["a", "b"]));
}

#[tokio::test]
async fn who_loses_the_member_gets_another_and_its_cookie() {
    let well = Arc::new(AtomicBool::new(true));
    let a = peers::named("a", well.clone()).await;
    let b = peers::named("b", Arc::new(AtomicBool::new(true))).await;
    let plan = Plan::to(a).with(|plan| {
        plan.members.push(b);
        plan.settings = ENABLED.into();
    });
    let gateway = Gateway::start(plan).await;
    let cookie = cookie_of(&gateway, "a").await;
    well.store(false, Ordering::SeqCst);
    until("a is down", async || gateway.members().await.contains(&"Down".into())).await;
    let answer = ask(&gateway, &cookie).await;
    assert_eq!(name(&answer), "b");
    let other = given(&answer.headers)[1].split(';').next().unwrap().to_owned();
    assert_ne!(other, cookie);
    well.store(true, Ordering::SeqCst);
    until("a is up", async || !gateway.members().await.contains(&"Down".into())).await;
    assert_eq!(who(&gateway, &other).await, set(&["b"]));
}

#[tokio::test]
async fn a_member_that_is_terminating_keeps_its_own_clients_and_gets_no_other() {
    let (a, b) = two_members().await;
    let slice = |conditions: &str| {
        format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: more, labels: {{kubernetes.io/service-name: s}}}}\naddressType: IPv4\nports: [{{port: {}}}]\nendpoints: [{{addresses: [{}], conditions: {conditions}}}]\n",
            b.port(),
            b.ip()
        )
    };
    let plan = Plan::to(a).with(|plan| {
        plan.settings = ENABLED.into();
        plan.documents = slice("{ready: true}");
    });
    let mut gateway = Gateway::start(plan.clone()).await;
    until("both are up", async || gateway.members().await == ["Up", "Up"]).await;
    let cookie = cookie_of(&gateway, "b").await;
    let terminating = slice("{ready: false, serving: true, terminating: true}");
    gateway.apply(plan.with(|plan| plan.documents = terminating)).await;
    assert_eq!(who(&gateway, "").await, set(&["a"]));
    assert_eq!(who(&gateway, &cookie).await, set(&["b"]));
}

#[tokio::test]
async fn websockets_neither_follow_a_cookie_nor_get_one() {
    let (a, b) = (peers::echo().await, peers::echo().await);
    let plan = Plan::to(a).with(|plan| {
        plan.members.push(b);
        plan.settings = ENABLED.into();
    });
    let gateway = Gateway::start(plan).await;
    until("both are up", async || gateway.members().await == ["Up", "Up"]).await;
    let answer = ask(&gateway, "").await;
    let cookie = given(&answer.headers)[1].split(';').next().unwrap();
    let mut sockets = Vec::new();
    for _ in 0..4 {
        let request = format!(
            "GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nCookie: {cookie}\r\n\r\n"
        );
        let mut tcp = tokio::net::TcpStream::connect(gateway.http()).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut tcp, request.as_bytes()).await.unwrap();
        let head = peers::read_to(&mut tcp, "\r\n\r\n").await;
        assert_eq!(peers::status(&head), 101);
        assert_eq!(peers::header(&head, "set-cookie"), None);
        sockets.push(tcp);
    }
    // Of four, one of two cores has at least two, and gives them to one member after the other.
    until("both members have tunnels", async || {
        let metrics = gateway.metrics().await;
        [a, b].iter().all(|member| {
            let line = metrics.lines().find(|line| {
                line.starts_with("tidegate_member_tunnels_open")
                    && line.contains(&member.to_string())
            });
            line.is_some_and(|line| !line.ends_with(" 0"))
        })
    })
    .await;
}
