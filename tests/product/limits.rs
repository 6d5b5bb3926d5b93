//! Sizes that the gateway refuses, bodies that it collects, and what it says of either.

use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Full, StreamBody};
use hyper::body::Frame;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::{Gateway, until};
use crate::peers::{self, Scripted, exchange, header, read_response, read_to, status};
use crate::spec::{Spec, check, logged};

/// A request over HTTP/2; its status and body.
async fn over_http2(gateway: &Gateway, request: http::request::Builder, body: Vec<u8>) -> u16 {
    let mut sender = peers::http2(gateway.https(), &gateway.plan.certificate.0).await;
    // In parts, and without a word about the length of all.
    let parts: Vec<_> = body.chunks(1000).map(Bytes::copy_from_slice).collect();
    let parts = parts.into_iter().map(|part| Ok::<_, std::io::Error>(Frame::data(part)));
    let body = StreamBody::new(futures_util::stream::iter(parts.collect::<Vec<_>>()));
    sender.send_request(request.body(body).unwrap()).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_and_others_are_not() {
    let member = peers::serve(|_, body| Response::new(Full::from(body.len().to_string()))).await;
    let spec = Spec::to(member)
        .with(|spec| spec["globalConfiguration"] = json!({"maxRequestBodySizeInKb": 4}));
    let gateway = spec.start().await;
    // By its length, at once: not a byte of the body is sent.
    let mut client = TcpStream::connect(gateway.http()).await.unwrap();
    let head = "POST /announced HTTP/1.1\r\nHost: a\r\nContent-Length: 4097\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let answer = read_response(&mut client).await;
    assert_eq!(status(&answer), 413, "{answer}");
    assert_eq!(header(&answer, "connection"), Some("close"));
    // While it comes, over HTTP/1.1 and HTTP/2; and what is just as large as it may be passes.
    for (size, expected) in [(4096, 200), (4097, 413), (100_000, 413)] {
        let mut client = TcpStream::connect(gateway.http()).await.unwrap();
        let head = format!(
            "POST /chunks-{size} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        client.write_all(head.as_bytes()).await.unwrap();
        for part in vec![b'x'; size].chunks(1000) {
            let chunk = [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
            // Refused already.
            if client.write_all(&chunk).await.is_err() {
                break;
            }
        }
        let _ = client.write_all(b"0\r\n\r\n").await;
        assert_eq!(status(&read_response(&mut client).await), expected, "{size} in chunks");
        let request = Request::post(format!("https://localhost/streamed-{size}"));
        assert_eq!(over_http2(&gateway, request, vec![b'x'; size]).await, expected, "{size}");
        let request = Request::post("https://localhost/").header("content-length", size);
        assert_eq!(over_http2(&gateway, request, vec![b'x'; size]).await, expected, "{size}");
    }
    for target in ["/announced", "/chunks-4097", "/streamed-4097"] {
        let line = &logged(&gateway, target).await[0];
        assert_eq!(line["httpStatus"], 413, "{line}");
        assert_eq!(line["error_info"], "ERRORINFO_BODY_TOO_LARGE", "{line}");
    }
    let metrics = gateway.metrics().await;
    assert!(metrics.lines().any(|line| line.contains(r#"reason="body_too_large""#)), "{metrics}");
}

#[tokio::test]
async fn targets_and_headers_have_their_limits_each() {
    let member = peers::serve(|_, _| Response::new(Full::from("page"))).await;
    let gateway = Spec::to(member).start().await;
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "t".repeat(length));
    let fields = |length: usize| {
        let fields: String = (0..length / 1000)
            .map(|number| format!("x-{number:05}: {}\r\n", "h".repeat(989)))
            .collect();
        format!("GET /fields HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    };
    let both = format!(
        "GET /{} HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n",
        "t".repeat(32_000),
        "h".repeat(32_000)
    );
    for (what, request, expected) in [
        ("a long target", target(32 * 1024 - 1), 200),
        ("a target too long", target(32 * 1024), 414),
        ("a target far too long", target(60_000), 414),
        ("long headers", fields(32_000), 200),
        ("headers too long", fields(33_000), 431),
        ("both long", both, 200),
        ("a head far too long", fields(90_000), 431),
    ] {
        assert_eq!(status(&exchange(gateway.http(), &request).await), expected, "{what}");
    }
    for (length, expected) in [(15_000, 200), (20_000, 431)] {
        let request = Request::get("https://localhost/").header("x", "h".repeat(length));
        assert_eq!(over_http2(&gateway, request, Vec::new()).await, expected, "{length}");
    }
}

#[tokio::test]
async fn a_request_that_says_its_length_is_collected_before_a_member_is_asked() {
    let scripted = Scripted::new().await;
    let spec = Spec::to(scripted.address)
        .probed_at(scripted.health)
        .with(|spec| spec["globalConfiguration"] = json!({"enableRequestBuffering": true}));
    let gateway = spec.start().await;
    let mut client = TcpStream::connect(gateway.http()).await.unwrap();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    // The gateway asks for the body itself, and no member knows of it.
    assert!(read_to(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
    client.write_all(b"half").await.unwrap();
    // Another request, which has no body, is the first that the member sees.
    let other = tokio::spawn(exchange(gateway.http(), "GET /other HTTP/1.1\r\nHost: a\r\n\r\n"));
    let mut member = scripted.accept().await;
    assert!(read_to(&mut member, "\r\n\r\n").await.starts_with("GET /other "));
    member.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(status(&other.await.unwrap()), 204);
    client.write_all(b"full").await.unwrap();
    let mut member = scripted.accept().await;
    let head = read_to(&mut member, "\r\n\r\n").await;
    assert_eq!((header(&head, "content-length"), header(&head, "expect")), (Some("8"), None));
    let mut body = [0; 8];
    member.read_exact(&mut body).await.unwrap();
    assert_eq!(&body, b"halffull");
    member.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(status(&read_response(&mut client).await), 204);

    // One that does not say its length streams: its sender may be waiting for an answer.
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let (mut client, mut member, _) = scripted.asked(gateway.http(), chunked).await;
    assert_eq!(read_to(&mut member, "abc\r\n").await, "3\r\nabc\r\n");
    client.write_all(b"0\r\n\r\n").await.unwrap();
    read_to(&mut member, "0\r\n\r\n").await;
    member.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(status(&read_response(&mut client).await), 204);

    // Beyond what is held of one, a body goes on as it comes.
    let mut client = TcpStream::connect(gateway.http()).await.unwrap();
    let large = 3 * 1024 * 1024;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {large}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut reads, mut writes) = client.into_split();
    let sending = tokio::spawn(async move {
        writes.write_all(&vec![b'x'; large / 2]).await.unwrap();
        writes
    });
    let mut member = scripted.accept().await;
    read_to(&mut member, "\r\n\r\n").await;
    let mut body = vec![0; large / 2];
    member.read_exact(&mut body).await.unwrap();
    let mut writes = sending.await.unwrap();
    writes.write_all(&vec![b'x'; large / 2]).await.unwrap();
    member.read_exact(&mut body).await.unwrap();
    member.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(status(&read_response(&mut reads).await), 204);

    // A handshake has nothing to collect.
    let mut client = TcpStream::connect(gateway.http()).await.unwrap();
    crate::wire::switch(&mut client, &scripted).await;
}

#[tokio::test]
async fn a_response_that_says_its_length_is_collected_before_the_client_is_answered() {
    let scripted = Scripted::new().await;
    let spec = Spec::to(scripted.address)
        .probed_at(scripted.health)
        .with(|spec| spec["globalConfiguration"] = json!({"enableResponseBuffering": true}));
    let gateway = spec.start().await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    // A body that breaks off is no broken answer, but none.
    let (mut client, mut member, _) = scripted.asked(gateway.http(), get).await;
    member.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
    drop(member);
    assert_eq!(status(&read_response(&mut client).await), 502);
    // A stream has no length, and comes as it is sent.
    let (mut client, mut member, _) = scripted.asked(gateway.http(), get).await;
    let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";
    member.write_all(stream.as_bytes()).await.unwrap();
    read_to(&mut client, "data: 1\n\n\r\n").await;
    drop((client, member));
    // The member is free as soon as it has answered, whether the client reads or not.
    let (mut client, mut member, _) = scripted.asked(gateway.http(), get).await;
    let size = 1024 * 1024;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
    member.write_all(head.as_bytes()).await.unwrap();
    member.write_all(&vec![b'y'; size]).await.unwrap();
    let mut second = TcpStream::connect(gateway.http()).await.unwrap();
    until("the member's connection is used again", async || {
        second.write_all(get.as_bytes()).await.unwrap();
        let again = tokio::time::timeout(
            std::time::Duration::from_millis(500),
            read_to(&mut member, "\r\n\r\n"),
        );
        // The other core has connections of its own.
        match again.await {
            Ok(head) => head.starts_with("GET / "),
            Err(_) => {
                second = TcpStream::connect(gateway.http()).await.unwrap();
                false
            }
        }
    })
    .await;
    let answer = read_response(&mut client).await;
    assert!(answer.len() > size && status(&answer) == 200);
}

#[tokio::test]
async fn a_client_that_leaves_first_is_logged_with_499() {
    let scripted = Scripted::new().await;
    let gateway = Spec::to(scripted.address).probed_at(scripted.health).start().await;
    let started = Instant::now();
    let request = "GET /leaves HTTP/1.1\r\nHost: a\r\n\r\n";
    let (client, _member, _) = scripted.asked(gateway.http(), request).await;
    drop(client);
    let line = &logged(&gateway, "/leaves").await[0];
    assert_eq!(line["httpStatus"], 499, "after {:?}: {line}", started.elapsed());
    assert_eq!(line["error_info"], "ERRORINFO_CLIENT_CLOSED_REQUEST");
}

#[tokio::test]
async fn a_wrong_limit_of_bodies_is_told_of_and_the_nearest_one_holds() {
    let member = peers::serve(|_, _| Response::new(Full::from("page"))).await;
    for (limit, size, expected) in [(0, 1024, 200), (0, 1025, 413), (i32::MAX, 1025, 200)] {
        let spec = Spec::to(member)
            .with(|spec| spec["globalConfiguration"] = json!({"maxRequestBodySizeInKb": limit}));
        let told = check(&spec).join("\n");
        assert!(told.contains("spec.globalConfiguration.maxRequestBodySizeInKb"), "{told}");
        let gateway = spec.start().await;
        let body = "x".repeat(size);
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{body}");
        let answer = exchange(gateway.http(), &request).await;
        assert_eq!(status(&answer), expected, "{limit} {answer}");
    }
}
