//! Tunnels after their 101.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::{Gateway, PATIENCE, Plan, until};
use crate::peers::{self, Scripted, read_to};
use crate::wire::{ANSWER, HANDSHAKE, TEXT, frame, read_frame, switch};

#[tokio::test]
async fn each_side_may_end_its_stream_and_still_be_spoken_to() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    for client_first in [true, false] {
        let mut client = TcpStream::connect(gateway.http()).await.unwrap();
        let mut member = switch(&mut client, &scripted).await;
        let (first, second) =
            if client_first { (&mut client, &mut member) } else { (&mut member, &mut client) };
        first.write_all(b"last words").await.unwrap();
        first.shutdown().await.unwrap();
        let mut text = String::new();
        second.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "last words");
        second.write_all(b"answer to the last words").await.unwrap();
        second.shutdown().await.unwrap();
        text.clear();
        first.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "answer to the last words");
    }
    until("both tunnels are counted as ended", async || {
        let metrics = gateway.metrics().await;
        ["client_closed", "member_closed"].iter().all(|reason| {
            metrics.lines().any(|line| {
                line.starts_with("tidegate_tunnels_closed_total{")
                    && line.contains(reason)
                    && line.ends_with(" 1")
            })
        })
    })
    .await;
}

/// Bytes whose place can be told.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index / 7 + index % 251) as u8).collect()
}

/// Sends `bytes` both ways at once and checks what arrives.
async fn full_duplex(
    client: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    member: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    length: usize,
) {
    let (mut client_read, mut client_write) = tokio::io::split(client);
    let (mut member_read, mut member_write) = tokio::io::split(member);
    let sent = pattern(length);
    let (up, down) = (sent.clone(), sent.clone());
    let writers = [tokio::spawn(async move {
        for chunk in up.chunks(70_001) {
            client_write.write_all(chunk).await.unwrap();
        }
        client_write.flush().await.unwrap();
        client_write
    })];
    let writer = tokio::spawn(async move {
        for chunk in down.chunks(33_333) {
            member_write.write_all(chunk).await.unwrap();
        }
        member_write
    });
    let read = async |reader: &mut (dyn AsyncRead + Unpin + Send)| {
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes).await.unwrap();
        bytes
    };
    let (at_client, at_member) = tokio::join!(read(&mut client_read), read(&mut member_read));
    assert!(at_client == sent && at_member == sent, "bytes were changed on their way");
    for writer in writers {
        writer.await.unwrap();
    }
    writer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_bytes_pass_both_ways_unchanged_plain_and_through_tls() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    const LENGTH: usize = 24 * 1024 * 1024;
    let mut client = TcpStream::connect(gateway.http()).await.unwrap();
    let member = switch(&mut client, &scripted).await;
    full_duplex(client, member, LENGTH).await;
    let mut client = peers::tls(gateway.https(), &gateway.plan.certificate.0, "localhost").await;
    let member = switch(&mut client, &scripted).await;
    full_duplex(client, member, LENGTH).await;
}

#[tokio::test]
async fn an_https_member_is_tunnelled_to_as_well() {
    let certificate = peers::certificate(&["member.example"]);
    let acceptor = tokio_rustls::TlsAcceptor::from(peers::server_config(&certificate));
    let scripted = Scripted::new().await;
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "members"},
        "stringData": {"ca.crt": certificate.0},
    });
    let plan = scripted.plan().with(|plan| {
        plan.settings =
            ", protocol: Https, hostName: member.example, trustedRootCertificates: [members]"
                .into();
        plan.documents = secret.to_string();
        // The probe speaks TLS too, so it asks the scripted port.
        plan.health = None;
    });
    let member = async || acceptor.accept(scripted.accept().await).await.unwrap();
    let answer_probe = async {
        let mut probe = member().await;
        read_to(&mut probe, "\r\n\r\n").await;
        probe.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        probe.flush().await.unwrap();
    };
    let (gateway, ()) = tokio::join!(Gateway::start(plan), answer_probe);
    let mut client = TcpStream::connect(gateway.http()).await.unwrap();
    client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    // More probes may come first.
    let mut member = loop {
        let mut tls = member().await;
        let head = read_to(&mut tls, "\r\n\r\n").await;
        if head.contains("Sec-WebSocket-Key") {
            assert!(
                head.contains("\r\nhost: member.example\r\n")
                    || head.contains("\r\nHost: member.example\r\n"),
                "{head}"
            );
            break tls;
        }
        tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        tls.flush().await.unwrap();
    };
    member.write_all(ANSWER.as_bytes()).await.unwrap();
    member.flush().await.unwrap();
    read_to(&mut client, "\r\n\r\n").await;
    member.write_all(b"hello").await.unwrap();
    member.flush().await.unwrap();
    let mut bytes = [0; 5];
    client.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"hello");
}

#[tokio::test]
async fn a_slow_reader_never_grows_memory() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    let mut client = TcpStream::connect(gateway.http()).await.unwrap();
    let mut member = switch(&mut client, &scripted).await;
    let before = gateway.resident();
    // Kernel buffers take some megabytes; then writing has to stop.
    let chunk = vec![7; 1024 * 1024];
    let mut sent = 0u64;
    while let Ok(written) =
        tokio::time::timeout(Duration::from_millis(500), member.write(&chunk)).await
    {
        sent += written.unwrap() as u64;
        assert!(sent < 256 * 1024 * 1024, "nothing holds the writer back");
    }
    let grown = gateway.resident().saturating_sub(before);
    assert!(grown < 4 * 1024 * 1024, "{grown} bytes more for one slow reader");
    // And nothing is lost once the reader reads.
    let mut left = sent;
    let mut buffer = vec![0; 1024 * 1024];
    while left > 0 {
        let read = tokio::time::timeout(PATIENCE, client.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0 && buffer[..read].iter().all(|byte| *byte == 7));
        left -= read as u64;
    }
}

#[tokio::test]
async fn no_request_timeout_ends_an_idle_tunnel() {
    let scripted = Scripted::new().await;
    let plan: Plan = scripted.plan().with(|plan| plan.settings = ", requestTimeout: 1".into());
    let gateway = Gateway::start(plan).await;
    let mut client = TcpStream::connect(gateway.http()).await.unwrap();
    let mut member = switch(&mut client, &scripted).await;
    // Twice as long as a request would have, and the sweep's own delay.
    let silent = tokio::time::timeout(Duration::from_secs(3), client.read_u8()).await;
    assert!(silent.is_err(), "the tunnel ended: {silent:?}");
    member.write_all(&frame(TEXT, b"x", false)).await.unwrap();
    assert_eq!(read_frame(&mut client, false).await, Some((TEXT, b"x".to_vec())));
}
