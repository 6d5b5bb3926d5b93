//! Metrics, the access log and the status page.

use std::fs;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use crate::gateway::{Gateway, Plan, until};
use crate::peers;

/// The value of a series whose line has all of `parts`.
fn value(metrics: &str, name: &str, parts: &[&str]) -> Option<f64> {
    let line = metrics.lines().find(|line| {
        line.starts_with(&format!("{name}{{")) && parts.iter().all(|part| line.contains(part))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn requests_and_tunnels_are_counted_and_logged() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let plan = Plan::to(peers::echo().await);
    let gateway = Gateway::start_with(plan, &["--access-log", log.to_str().unwrap()]).await;
    until("the member is up", async || gateway.members().await == ["Up"]).await;
    assert_eq!(peers::get(gateway.http(), "/a?b=c").await.unwrap().status, 200);
    let mut socket = peers::open(gateway.http()).await;
    socket.send(Message::text("0123456789")).await.unwrap();
    socket.next().await.unwrap().unwrap();
    let rule = r#"rule="r1""#;
    let expected = [
        ("tidegate_requests_total", &[rule, r#"status="2xx""#][..], 1.0),
        ("tidegate_tunnels_open", &[rule], 1.0),
        ("tidegate_tunnels_opened_total", &[rule], 1.0),
        ("tidegate_tunnel_received_bytes_total", &[rule], 16.0),
        ("tidegate_tunnel_sent_bytes_total", &[rule], 12.0),
        ("tidegate_member_up", &[r#"pool="p""#], 1.0),
        ("tidegate_member_tunnels_open", &[r#"pool="p""#], 1.0),
        ("tidegate_request_duration_seconds_count", &[rule], 1.0),
    ];
    // A byte is counted after it was written: who read it may be faster than the count.
    for (name, parts, expected) in expected {
        until(&format!("{name} is {expected}"), async || {
            value(&gateway.metrics().await, name, parts) == Some(expected)
        })
        .await;
    }
    let metrics = gateway.metrics().await;
    for name in ["tidegate_swaps_total 1", "tidegate_table_revision 1"] {
        assert!(metrics.lines().any(|line| line == name), "{name}");
    }
    for name in ["process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"] {
        assert!(metrics.contains(&format!("\n{name} ")), "{name}");
    }
    socket.close(None).await.unwrap();
    while socket.next().await.is_some_and(|message| message.is_ok()) {}
    drop(socket);
    let lines = || -> Vec<Value> {
        let text = fs::read_to_string(&log).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    until("both lines are written", async || lines().len() == 2).await;
    let lines = lines();
    let request = &lines[0]["properties"];
    assert_eq!(
        (&request["originalRequestUriWithArgs"], &request["httpStatus"]),
        (&"/a?b=c".into(), &200.into())
    );
    assert_eq!(request["serverRouted"], gateway.plan.members[0].to_string());
    assert!(request.get("tunnelEnd").is_none());
    assert_eq!(
        (&lines[1]["listenerName"], &lines[1]["backendPoolName"]),
        (&"web".into(), &"p".into())
    );
    let tunnel = &lines[1]["properties"];
    assert_eq!(
        (&tunnel["httpStatus"], &tunnel["tunnelEnd"]),
        (&101.into(), &"clientClosed".into())
    );
    assert!(tunnel["receivedBytes"].as_u64() >= Some(16), "{tunnel}");
    assert_eq!(tunnel["transactionId"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn the_admin_port_has_pages_and_refuses_what_it_has_not() {
    let gateway = Gateway::start(Plan::to(peers::echo().await)).await;
    for (path, status, kind) in [
        ("/livez", 200, "text/plain"),
        ("/readyz", 200, "text/plain"),
        ("/metrics", 200, "text/plain"),
        ("/status", 200, "text/html"),
        ("/status.js", 200, "text/javascript"),
        ("/status.css", 200, "text/css"),
        ("/status.json", 200, "application/json"),
        ("/", 302, "text/plain"),
        ("/nothing", 404, "text/plain"),
    ] {
        let answer = gateway.ask(path).await.unwrap();
        let its = answer.headers["content-type"].to_str().unwrap();
        assert!(
            answer.status == status && its.starts_with(kind),
            "{path}: {} {its}",
            answer.status
        );
    }
    let answer = peers::exchange(gateway.admin, "POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(peers::status(&answer), 405);
}
