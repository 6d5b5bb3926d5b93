//! Probes take members in and out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{SinkExt, StreamExt};
use http::Response;
use http_body_util::Full;
use tokio_tungstenite::tungstenite::Message;

use crate::gateway::{Gateway, Plan, until};
use crate::peers;

/// A health page whose answer can be changed; its port.
async fn switchable(well: Arc<AtomicBool>) -> u16 {
    let answer = move |head: http::request::Parts, _| {
        let right = well.load(Ordering::SeqCst)
            && head.uri == "/healthz"
            && head.headers["host"] == "probe.example";
        let body = if right { "all is well" } else { "not well" };
        Response::new(Full::from(body))
    };
    peers::serve(answer).await.port()
}

#[tokio::test]
async fn a_member_that_is_out_gets_nothing_new_and_keeps_what_it_has() {
    let well = Arc::new(AtomicBool::new(true));
    let health = switchable(well.clone()).await;
    let plan = Plan::to(peers::echo().await).with(|plan| {
        plan.health = Some(health);
        plan.probe = ", host: probe.example, path: /healthz, match: {body: all is well, statusCodes: ['200']}".into();
    });
    let gateway = Gateway::start(plan).await;
    let mut socket = peers::open(gateway.http()).await;
    well.store(false, Ordering::SeqCst);
    until("the member is down", async || gateway.members().await == ["Down"]).await;
    assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 502);
    let tcp = tokio::net::TcpStream::connect(gateway.http()).await.unwrap();
    let refused = tokio_tungstenite::client_async("ws://localhost/", tcp).await.unwrap_err();
    assert!(refused.to_string().contains("502"), "{refused}");
    socket.send(Message::text("still here")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("still here"));
    well.store(true, Ordering::SeqCst);
    until("the member is up", async || gateway.members().await == ["Up"]).await;
    assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 200);
}

#[tokio::test]
async fn an_empty_pool_is_answered_for_with_502() {
    let plan = Plan::to(peers::echo().await).with(|plan| plan.members.clear());
    let gateway = Gateway::start_with(plan, &[]).await;
    assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 502);
}

#[tokio::test]
async fn a_member_that_appears_serves_the_first_request_that_comes() {
    let mut gateway = Gateway::start(Plan::to(peers::echo().await)).await;
    for _ in 0..5 {
        let plan = gateway.plan.clone().with(|plan| plan.members = Vec::new());
        let member = peers::echo().await;
        let plan = plan.with(|plan| plan.members = vec![member]);
        gateway.apply(plan).await;
        // Its probe may still be under way: the request waits for it.
        assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 200);
    }
}
