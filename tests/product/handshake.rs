//! The opening handshake.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::Gateway;
use crate::peers::{self, Io, Scripted, header, read_response, read_to, status};

/// The handshake of the document that this project comes from, byte for byte.
const DOCUMENT: &str = "GET /chat HTTP/1.1\r\n\
Host: server.example.com\r\n\
Upgrade: websocket\r\n\
Connection: Upgrade\r\n\
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
Origin: http://example.com\r\n\
Sec-WebSocket-Protocol: chat, superchat\r\n\
Sec-WebSocket-Version: 13\r\n\
\r\n";

/// The answer of RFC 6455 1.2 to it.
const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\n\
Upgrade: websocket\r\n\
Connection: Upgrade\r\n\
Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
Sec-WebSocket-Protocol: chat\r\n\
\r\n";

async fn both_ways(scripted: &Scripted, client: &mut Box<dyn Io>) {
    client.write_all(DOCUMENT.as_bytes()).await.unwrap();
    let mut member = scripted.accept().await;
    let received = read_to(&mut member, "\r\n\r\n").await;
    assert!(received.starts_with("GET /chat HTTP/1.1\r\n"), "{received}");
    // Every line of the document arrives, letter by letter; what the gateway adds comes beside it.
    for line in DOCUMENT.lines().filter(|line| !line.is_empty()) {
        assert!(received.lines().any(|its| its == line), "{line:?} is not in\n{received}");
    }
    member.write_all(ANSWER.as_bytes()).await.unwrap();
    let answered = read_to(client, "\r\n\r\n").await;
    for line in ANSWER.lines().filter(|line| !line.is_empty()) {
        assert!(answered.lines().any(|its| its == line), "{line:?} is not in\n{answered}");
    }
    client.write_all(b"from the client").await.unwrap();
    let mut bytes = [0; 15];
    member.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"from the client");
    member.write_all(b"from the member").await.unwrap();
    client.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"from the member");
}

#[tokio::test]
async fn the_documents_handshake_passes_byte_for_byte_over_http_and_https() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    let plain = TcpStream::connect(gateway.http()).await.unwrap();
    both_ways(&scripted, &mut (Box::new(plain) as Box<dyn Io>)).await;
    let chain = &gateway.plan.certificate.0;
    let mut tls = peers::tls(gateway.https(), chain, "server.example.com").await;
    both_ways(&scripted, &mut tls).await;
}

#[tokio::test]
async fn bytes_that_come_together_with_the_handshake_are_not_lost() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    let (mut client, mut member, _) =
        scripted.asked(gateway.http(), &format!("{DOCUMENT}early from the client")).await;
    member.write_all(format!("{ANSWER}early from the member").as_bytes()).await.unwrap();
    read_to(&mut client, "\r\n\r\n").await;
    let mut bytes = [0; 21];
    client.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"early from the member");
    member.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"early from the client");
}

#[tokio::test]
async fn an_answer_that_is_no_101_is_forwarded_as_it_is() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    let (mut client, mut member, _) = scripted.asked(gateway.http(), DOCUMENT).await;
    let refusal = "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 12\r\nContent-Length: 3\r\n\r\nno\n";
    member.write_all(refusal.as_bytes()).await.unwrap();
    let answer = read_response(&mut client).await;
    assert_eq!((status(&answer), header(&answer, "sec-websocket-version")), (426, Some("12")));
    assert!(answer.ends_with("no\n"), "{answer}");
    // The connection goes on as an ordinary one.
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_to(&mut member, "\r\n\r\n").await;
    member.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert_eq!(status(&read_response(&mut client).await), 204);
}

#[tokio::test]
async fn a_101_that_proves_nothing_makes_no_tunnel() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    for (request, answer) in [
        (DOCUMENT.to_owned(), ANSWER.replace("s3pP", "xxxx")),
        (DOCUMENT.to_owned(), ANSWER.replace("Upgrade: websocket\r\n", "Upgrade: other\r\n")),
        // Nobody asked for it.
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), ANSWER.to_owned()),
    ] {
        let (mut client, mut member, _) = scripted.asked(gateway.http(), &request).await;
        member.write_all(answer.as_bytes()).await.unwrap();
        assert_eq!(status(&read_response(&mut client).await), 502, "{answer}");
        // The member's connection is not used again.
        assert_eq!(member.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }
    let metrics = gateway.metrics().await;
    for reason in ["bad_accept", "bad_upgrade"] {
        let line = metrics.lines().find(|line| {
            line.starts_with("tidegate_websocket_handshake_failures_total")
                && line.contains(reason)
                && line.ends_with(" 1")
        });
        assert!(line.is_some(), "{reason} is not counted");
    }
}
