//! Reference 1.7 and 2.4, over the wire: what probes ask, what they take for healthy, and what
//! follows for requests. And what goes beyond: gRPC, WebSocket, ejection, slow start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use http::Response;
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::gateway::{Gateway, until};
use crate::peers;
use crate::pools::{Pools, health};

/// A member that answers everything with this status, and what it was asked by probes: target and
/// host.
async fn recorder(status: Arc<AtomicU16>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let record = asked.clone();
    let address = peers::serve(move |head, _| {
        let agent = head.headers.get("user-agent").and_then(|agent| agent.to_str().ok());
        if agent.is_some_and(|agent| agent.starts_with("tidegate-probe/")) {
            let host = head.headers["host"].to_str().unwrap().to_owned();
            record.lock().push(format!("{} {} {host}", head.method, head.uri));
        }
        let mut response = Response::new(Full::from("all is well"));
        *response.status_mut() = status.load(Ordering::SeqCst).try_into().unwrap();
        response
    })
    .await;
    (address, asked)
}

fn ok() -> Arc<AtomicU16> {
    Arc::new(AtomicU16::new(200))
}

/// Waits until a member is in this state.
async fn until_it_is(gateway: &Gateway, member: SocketAddr, state: &str) {
    until(&format!("{member} is {state}"), async || {
        health(gateway, member).await["state"] == state
    })
    .await;
}

#[tokio::test]
async fn a_probe_asks_for_what_it_is_told_with_the_host_that_it_is_told() {
    for (settings, probe, expected) in [
        ("", "", "GET / 127.0.0.1"),
        ("", ", path: '/healthz?deep=1'", "GET /healthz?deep=1 127.0.0.1"),
        ("", ", host: probe.example", "GET / probe.example"),
        (", hostName: set.example", "", "GET / 127.0.0.1"),
        (", hostName: set.example", ", host: probe.example", "GET / probe.example"),
        (
            ", hostName: set.example",
            ", pickHostNameFromBackendHttpSettings: true",
            "GET / set.example",
        ),
        (
            ", pickHostNameFromBackendAddress: true",
            ", pickHostNameFromBackendHttpSettings: true",
            "GET / 127.0.0.1",
        ),
    ] {
        let (member, asked) = recorder(ok()).await;
        let pools = Pools::to(&[member]).with(|pools| {
            (pools.settings, pools.probe) = (settings.into(), probe.into());
        });
        let gateway = pools.start().await;
        assert_eq!(asked.lock()[0], expected, "{settings} {probe}");
        drop(gateway);
    }
}

#[tokio::test]
async fn what_counts_as_healthy_is_what_the_match_says() {
    for (status, probe, healthy) in [
        (200, "", true),
        (399, "", true),
        (400, "", false),
        (404, "", false),
        (503, "", false),
        (404, ", match: {statusCodes: ['404']}", true),
        (200, ", match: {statusCodes: ['404']}", false),
        (450, ", match: {statusCodes: ['200', '400-499']}", true),
        (200, ", match: {body: all is well}", true),
        (200, ", match: {body: nothing is well}", false),
        (500, ", match: {body: all is well}", false),
        (500, ", match: {body: all is well, statusCodes: ['500']}", true),
    ] {
        let (member, _) = recorder(Arc::new(AtomicU16::new(status))).await;
        let gateway =
            Pools::to(&[member]).with(|pools| pools.probe = probe.into()).start_as_it_is().await;
        until_it_is(&gateway, member, if healthy { "Up" } else { "Down" }).await;
        let answer = peers::get(gateway.http(), "/").await.unwrap().status;
        assert_eq!(answer, if healthy { status } else { 502 }, "{status} {probe}");
    }
}

#[tokio::test]
async fn a_probe_asks_its_own_port_and_not_the_members() {
    let (member, asked) = recorder(Arc::new(AtomicU16::new(500))).await;
    let (page, asked_page) = recorder(ok()).await;
    let pools = Pools::to(&[member]).with(|pools| pools.probe = format!(", port: {}", page.port()));
    let gateway = pools.start().await;
    assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 500);
    assert!(asked.lock().is_empty() && !asked_page.lock().is_empty());
}

#[tokio::test]
async fn a_member_is_down_after_so_many_failures_in_a_row_and_up_after_one_success() {
    let status = ok();
    let (member, asked) = recorder(status.clone()).await;
    let gateway = Pools::to(&[member])
        .with(|pools| pools.probe = ", interval: 1, timeout: 1, unhealthyThreshold: 3".into())
        .start()
        .await;
    let before = asked.lock().len();
    status.store(500, Ordering::SeqCst);
    until_it_is(&gateway, member, "Down").await;
    let failures = asked.lock().len() - before;
    // One may have been under way.
    assert!((3..=4).contains(&failures), "{failures}");
    assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 502);
    let before = asked.lock().len();
    status.store(200, Ordering::SeqCst);
    until_it_is(&gateway, member, "Up").await;
    assert!(asked.lock().len() - before <= 2);
    assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_member_that_answers_too_late_is_down() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let member = silent.local_addr().unwrap();
    let gateway = Pools::to(&[member]).start_as_it_is().await;
    until_it_is(&gateway, member, "Down").await;
    let detail = health(&gateway, member).await["detail"].clone();
    assert_eq!(detail, "timeout after 1 s");
}

#[tokio::test]
async fn settings_that_no_rule_uses_are_not_probed_and_a_pair_in_use_is_probed_once() {
    let (member, asked) = recorder(ok()).await;
    let (unused, asked_unused) = recorder(ok()).await;
    let pools = Pools::to(&[member]).with(|pools| {
        pools.pools.push(("idle", vec![unused]));
        pools.probe = ", interval: 3600".into();
        // A second listener whose rule leads to the same pool with the same settings.
        pools.more = String::new();
    });
    let yaml = pools.yaml().replace(
        "  requestRoutingRules:\n",
        "  - {name: r2, ruleType: Basic, httpListener: other, backendAddressPool: p, backendHttpSettings: s}\n",
    );
    let yaml = yaml
        .replace("  - {name: r2", "  requestRoutingRules:\n  - {name: r2")
        .replace(
            "{name: web, frontendPort: http, protocol: Http}",
            "{name: web, frontendPort: http, protocol: Http}, {name: other, frontendPort: http, protocol: Http, hostName: other.example}",
        );
    let plan = crate::gateway::Plan::to(member).with(|plan| plan.http = pools.http);
    let gateway = Gateway::start_yaml(plan, &yaml).await;
    until_it_is(&gateway, member, "Up").await;
    assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 200);
    assert_eq!((asked.lock().len(), asked_unused.lock().len()), (1, 0));
}

#[tokio::test]
async fn so_many_members_always_count_as_healthy() {
    let (well, ill) = (ok(), Arc::new(AtomicU16::new(500)));
    let (a, _) = recorder(well.clone()).await;
    let (b, _) = recorder(ill).await;
    let pools = Pools::to(&[a, b]).with(|pools| pools.probe = ", minServers: 1".into());
    let gateway = pools.start_as_it_is().await;
    until_it_is(&gateway, a, "Up").await;
    until_it_is(&gateway, b, "Down").await;
    for _ in 0..4 {
        assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 200);
    }
    // The one that went down last is the one that is kept.
    well.store(404, Ordering::SeqCst);
    until_it_is(&gateway, a, "Down").await;
    for _ in 0..4 {
        assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 404);
    }
    let detail = health(&gateway, a).await["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("counts as healthy (minServers)"), "{detail}");
    // Without it nobody is.
    pools.with(|pools| pools.probe = String::new()).apply(&gateway).await;
    assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 502);
}

#[tokio::test]
async fn a_server_of_nothing_but_websockets_can_be_probed() {
    // It answers what is no handshake with 426.
    let closes = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let member = listener.local_addr().unwrap();
    let count = closes.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(tcp).await else { return };
                while let Some(Ok(message)) = futures_util::StreamExt::next(&mut socket).await {
                    if message.is_close() {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let pools =
        Pools::to(&[member]).with(|pools| pools.probe = ", webSocket: true, path: /chat".into());
    let gateway = pools.start().await;
    let detail = health(&gateway, member).await["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("101 in "), "{detail}");
    until("it was closed politely", async || closes.load(Ordering::SeqCst) > 0).await;
    drop(peers::open(gateway.http()).await);
    pools.with(|pools| pools.probe = String::new()).apply(&gateway).await;
    until_it_is(&gateway, member, "Down").await;
}

#[tokio::test]
async fn a_101_without_proof_is_not_healthy() {
    for (answer, detail) in [
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: c3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            "101 without proof",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "status 200 in place of 101"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let member = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let _ = peers::read_to(&mut tcp, "\r\n\r\n").await;
                let _ = tokio::io::AsyncWriteExt::write_all(&mut tcp, answer.as_bytes()).await;
            }
        });
        let gateway = Pools::to(&[member])
            .with(|pools| pools.probe = ", webSocket: true".into())
            .start_as_it_is()
            .await;
        until_it_is(&gateway, member, "Down").await;
        let its = health(&gateway, member).await["detail"].as_str().unwrap().to_owned();
        assert!(its.contains(detail), "{its}");
    }
}

/// A member whose probes succeed, and whose other answers have a status that can be changed.
async fn unreliable(name: &'static str, status: Arc<AtomicU16>) -> SocketAddr {
    peers::serve(move |head, _| {
        let mut response = Response::new(Full::from(name));
        if head.uri != "/probe" {
            *response.status_mut() = status.load(Ordering::SeqCst).try_into().unwrap();
        }
        response
    })
    .await
}

/// Who answers so many requests, and with what status.
async fn answers(gateway: &Gateway, requests: usize) -> Vec<(u16, String)> {
    let mut all = Vec::new();
    for _ in 0..requests {
        let answer = peers::get(gateway.http(), "/").await.unwrap();
        all.push((answer.status, String::from_utf8(answer.body).unwrap()));
    }
    all
}

#[tokio::test]
async fn a_member_whose_requests_fail_is_ejected_for_a_while_whatever_its_probe_says() {
    let status = Arc::new(AtomicU16::new(503));
    let (bad, good) = (unreliable("bad", status.clone()).await, unreliable("good", ok()).await);
    let pools = Pools::to(&[bad, good]).with(|pools| {
        pools.probe = ", path: /probe".into();
        pools.settings = ", outlierEjection: {consecutiveFailures: 3, ejectionTimeInSec: 2}".into();
    });
    let gateway = pools.start().await;
    let seen = answers(&gateway, 20).await;
    let failed = seen.iter().filter(|(status, _)| *status == 503).count();
    assert_eq!(failed, 3, "{seen:?}");
    let detail = health(&gateway, bad).await["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("ejected"), "{detail}");
    let metrics = gateway.metrics().await;
    let line = metrics.lines().find(|line| {
        line.starts_with("tidegate_member_ejections_total") && line.contains(&bad.to_string())
    });
    assert!(line.is_some_and(|line| line.ends_with(" 1")), "{line:?}");
    // It comes back, and is well.
    status.store(200, Ordering::SeqCst);
    until("it is back", async || answers(&gateway, 4).await.iter().any(|(_, name)| name == "bad"))
        .await;
    assert!(answers(&gateway, 20).await.iter().all(|(status, _)| *status == 200));
}

#[tokio::test]
async fn the_last_members_are_not_ejected_and_without_the_setting_nobody_is() {
    let bad = async || unreliable("bad", Arc::new(AtomicU16::new(500))).await;
    let (a, b) = (bad().await, bad().await);
    let ejection = ", outlierEjection: {consecutiveFailures: 1, ejectionTimeInSec: 60}";
    for (settings, out) in [(ejection, 1), ("", 0)] {
        let pools = Pools::to(&[a, b]).with(|pools| {
            (pools.probe, pools.settings) = (", path: /probe".into(), settings.into());
        });
        let gateway = pools.start().await;
        let seen = answers(&gateway, 20).await;
        assert!(seen.iter().all(|(status, _)| *status == 500), "{seen:?}");
        let mut ejected = 0;
        for member in [a, b] {
            let detail = health(&gateway, member).await["detail"].as_str().unwrap().to_owned();
            ejected += usize::from(detail.starts_with("ejected"));
        }
        assert_eq!(ejected, out, "{settings}");
    }
}

#[tokio::test]
async fn a_member_that_joins_gets_a_growing_part_of_its_share() {
    let (old, new) = (unreliable("old", ok()).await, unreliable("new", ok()).await);
    let pools = Pools::to(&[old]).with(|pools| {
        pools.probe = ", path: /probe".into();
        pools.settings = ", slowStartInSec: 6".into();
    });
    let gateway = pools.start().await;
    let share = async || {
        let all = answers(&gateway, 40).await;
        all.iter().filter(|(_, name)| name == "new").count()
    };
    // What was up before the process began has to warm up as well.
    until("the old one is warm, and the new one is not", async || {
        pools.clone().with(|pools| pools.pools[0].1.push(new)).apply(&gateway).await;
        until_it_is(&gateway, new, "Up").await;
        let is_slow = (1..=12).contains(&share().await);
        if !is_slow {
            pools.apply(&gateway).await;
        }
        is_slow
    })
    .await;
    until("the new one has its share", async || share().await >= 18).await;
}
