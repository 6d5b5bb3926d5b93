//! What is refused before it reaches anybody.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::gateway::Gateway;
use crate::peers::{Scripted, exchange, status};

#[tokio::test]
async fn requests_that_two_servers_could_read_differently_are_refused() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    for (request, expected) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\nContent-Length: 0\r\n\r\n",
            400,
        ),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\nx",
            400,
        ),
    ] {
        let answer = exchange(gateway.http(), request).await;
        assert_eq!(status(&answer), expected, "{request:?}\n{answer}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(40_000));
    let answer = exchange(gateway.http(), &long).await;
    assert!(matches!(status(&answer), 414 | 431), "{answer}");
    // None of it reached the member: its next connection is the first.
    let asking = tokio::spawn(exchange(gateway.http(), "GET /first HTTP/1.1\r\nHost: a\r\n\r\n"));
    let mut member = scripted.accept().await;
    let mut head = [0; 10];
    member.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"GET /first");
    member.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert_eq!(status(&asking.await.unwrap()), 204);
}

#[tokio::test]
async fn plain_http_on_an_https_port_is_told_so() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    let answer = exchange(gateway.https(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("HTTPS listener"), "{answer}");
}

#[tokio::test]
async fn a_member_whose_answer_is_not_http_is_answered_for_with_502() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    for nonsense in ["SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 999999 X\r\n\r\n", ""] {
        let (mut client, mut member, _) =
            scripted.asked(gateway.http(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        member.write_all(nonsense.as_bytes()).await.unwrap();
        drop(member);
        assert_eq!(status(&crate::peers::read_response(&mut client).await), 502, "{nonsense:?}");
    }
}
