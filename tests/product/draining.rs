//! Reference 2.5 and 2.6: how long what is open lives on when its member leaves, and what a member may
//! take to answer.

use std::time::{Duration, Instant};

use http::Request;
use http_body_util::Full;
use hyper::body::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::gateway::PATIENCE;
use crate::peers;
use crate::pools::Pools;

/// A member that never comes to the end of its answer. Its probes go elsewhere.
async fn endless() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                peers::read_to(&mut tcp, "\r\n\r\n").await;
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                tcp.write_all(head).await.unwrap();
                while tcp.write_all(b"5\r\nmore \r\n").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_request_lives_on_for_the_time_to_drain_when_its_member_leaves() {
    // Side by side: most of the time is waited for.
    futures_util::future::join_all(
        [
            ("{enabled: true, drainTimeoutInSec: 1}", 0.7, true),
            ("{enabled: true, drainTimeoutInSec: 3}", 2.7, true),
            // Off is half a minute, whatever stands beside it; so is nothing at all.
            ("{enabled: false, drainTimeoutInSec: 1}", 4.0, false),
            ("", 4.0, false),
        ]
        .map(|(draining, at_least, ends)| drains(draining, at_least, ends)),
    )
    .await;
}

/// A request to a member that leaves lives on for so long, and then ends or goes on.
async fn drains(draining: &str, at_least: f64, ends: bool) {
    let (member, health) = (endless().await, peers::health().await);
    let pools = Pools::to(&[member]).with(|pools| {
        pools.probe = format!(", port: {health}");
        if !draining.is_empty() {
            pools.settings = format!(", connectionDraining: {draining}");
        }
    });
    let gateway = pools.start().await;
    let mut tcp = TcpStream::connect(gateway.http()).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    peers::read_to(&mut tcp, "more ").await;
    pools.with(|pools| pools.pools[0].1.clear()).apply(&gateway).await;
    let left = Instant::now();
    // Nothing new goes to it.
    assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 502, "{draining}");
    let mut buffer = [0; 1024];
    while let Ok(1..) = tcp.read(&mut buffer).await {
        if !ends && left.elapsed().as_secs_f64() > at_least {
            return;
        }
        assert!(left.elapsed() < PATIENCE, "{draining}: it never ends");
    }
    let lasted = left.elapsed().as_secs_f64();
    assert!(ends && lasted > at_least, "{draining}: it lasted {lasted} s");
}

#[tokio::test]
async fn a_member_has_the_request_timeout_to_begin_and_between_two_parts() {
    for (answer, expected) in [
        // It says nothing at all.
        ("", "HTTP/1.1 504 "),
        // It stops within its body, too late for another answer.
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome", "HTTP/1.1 200 "),
        // It says nothing but that it goes on.
        ("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 504 "),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (member, health) = (listener.local_addr().unwrap(), peers::health().await);
        tokio::spawn(async move {
            let mut all = Vec::new();
            while let Ok((mut tcp, _)) = listener.accept().await {
                peers::read_to(&mut tcp, "\r\n\r\n").await;
                tcp.write_all(answer.as_bytes()).await.unwrap();
                all.push(tcp);
            }
        });
        let pools = Pools::to(&[member]).with(|pools| {
            pools.probe = format!(", port: {health}");
            pools.settings = ", requestTimeout: 1".into();
        });
        let gateway = pools.start().await;
        let started = Instant::now();
        let mut tcp = TcpStream::connect(gateway.http()).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        tcp.write_all(request).await.unwrap();
        let mut text = Vec::new();
        // A body that breaks off may end with a reset.
        let _ = tcp.read_to_end(&mut text).await;
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with(expected), "{answer:?}: {text}");
        assert!(started.elapsed() < PATIENCE && started.elapsed() > Duration::from_millis(900));
    }
}

#[tokio::test]
async fn a_long_answer_is_no_late_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (member, health) = (listener.local_addr().unwrap(), peers::health().await);
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            peers::read_to(&mut tcp, "\r\n\r\n").await;
            tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n").await.unwrap();
            for _ in 0..6 {
                tokio::time::sleep(Duration::from_millis(500)).await;
                tcp.write_all(b"x").await.unwrap();
            }
        }
    });
    let pools = Pools::to(&[member]).with(|pools| {
        pools.probe = format!(", port: {health}");
        pools.settings = ", requestTimeout: 1".into();
    });
    let gateway = pools.start().await;
    let request = Request::get("/").header("host", "localhost").body(Full::<Bytes>::default());
    let answer = peers::send(gateway.http(), request.unwrap()).await.unwrap();
    assert_eq!((answer.status, &*answer.body), (200, &b"xxxxxx"[..]));
}
