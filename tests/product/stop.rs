//! Ending the process.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::gateway::{Gateway, Plan, until};
use crate::peers::{self, Scripted, header, read_response, read_to, status};

#[tokio::test]
async fn a_process_that_is_told_to_end_finishes_what_it_has_begun() {
    let scripted = Scripted::new().await;
    let mut gateway = Gateway::start_with(scripted.plan(), &["--shutdown-delay", "1"]).await;
    until("the member is up", async || gateway.members().await == ["Up"]).await;
    let (mut client, mut member, _) =
        scripted.asked(gateway.http(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    gateway.signal("TERM");
    until("it is not ready any more", async || {
        gateway.ask("/readyz").await.is_none_or(|a| a.status == 503)
    })
    .await;
    // Still accepting: load balancers need time to hear of it.
    let mut late = TcpStream::connect(gateway.http()).await.unwrap();
    late.write_all(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut other = scripted.accept().await;
    read_to(&mut other, "\r\n\r\n").await;
    other.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    let answer = read_response(&mut late).await;
    assert_eq!((status(&answer), header(&answer, "connection")), (204, Some("close")));
    until("it accepts no more", async || TcpStream::connect(gateway.http()).await.is_err()).await;
    member.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    let answer = read_response(&mut client).await;
    assert!(status(&answer) == 200 && answer.ends_with("ok"));
    assert_eq!(header(&answer, "connection"), Some("close"));
    assert_eq!(gateway.ended().await, Some(0));
    assert!(gateway.log().contains("drained: everything ended by itself"), "{}", gateway.log());
}

#[tokio::test]
async fn a_request_that_comes_as_draining_begins_is_answered() {
    let mut gateway = Gateway::start(Plan::to(peers::echo().await)).await;
    let mut client = TcpStream::connect(gateway.http()).await.unwrap();
    let mut slow = TcpStream::connect(gateway.http()).await.unwrap();
    gateway.signal("TERM");
    until("it drains", async || gateway.log().contains("draining: ")).await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    let answer = read_response(&mut client).await;
    assert_eq!((status(&answer), header(&answer, "connection")), (200, Some("close")));
    slow.write_all(b"st: a\r\n\r\n").await.unwrap();
    assert_eq!(status(&read_response(&mut slow).await), 200);
    assert_eq!(gateway.ended().await, Some(0));
}

#[tokio::test]
async fn clients_of_tunnels_are_told_and_the_deadline_ends_those_that_do_not_answer() {
    for (deadline, answers) in [("20", true), ("2", false)] {
        let plan = Plan::to(peers::echo().await);
        let mut gateway = Gateway::start_with(plan, &["--drain-timeout", deadline]).await;
        until("the member is up", async || gateway.members().await == ["Up"]).await;
        let mut socket = peers::open(gateway.http()).await;
        gateway.signal("TERM");
        until("it drains", async || gateway.log().contains("draining: ")).await;
        let started = Instant::now();
        if answers {
            let told = socket.next().await.unwrap().unwrap();
            let Message::Close(Some(close)) = told else { panic!("{told:?}") };
            assert_eq!(u16::from(close.code), 1001);
            while socket.next().await.is_some_and(|message| message.is_ok()) {}
        }
        assert_eq!(gateway.ended().await, Some(0));
        assert!(started.elapsed() < Duration::from_secs(15));
        let expected = if answers {
            "everything ended by itself"
        } else {
            "0 connections and 1 tunnels were ended"
        };
        assert!(gateway.log().contains(expected), "{}", gateway.log());
    }
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let plan = Plan::to(peers::echo().await);
    let mut gateway = Gateway::start(plan).await;
    let _socket = peers::open(gateway.http()).await;
    gateway.signal("TERM");
    until("it drains", async || gateway.log().contains("draining: ")).await;
    gateway.signal("INT");
    assert_eq!(gateway.ended().await, Some(130));
}

#[tokio::test]
async fn http2_clients_are_told_to_go_away() {
    let scripted = Scripted::new().await;
    let mut gateway = Gateway::start(scripted.plan()).await;
    let chain = gateway.plan.certificate.0.clone();
    let io = peers::tls_h2(gateway.https(), &chain, "localhost").await;
    let io = hyper_util::rt::TokioIo::new(io);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, http_body_util::Empty<bytes::Bytes>>(
            executor, io,
        )
        .await
        .unwrap();
    let driving = tokio::spawn(connection);
    let request =
        http::Request::get("https://localhost/x").body(http_body_util::Empty::new()).unwrap();
    let asking = tokio::spawn(async move { sender.send_request(request).await });
    let mut member = scripted.accept().await;
    let head = read_to(&mut member, "\r\n\r\n").await;
    assert_eq!(
        (header(&head, "host"), header(&head, "x-forwarded-proto")),
        (Some("localhost"), Some("https"))
    );
    gateway.signal("TERM");
    until("it drains", async || gateway.log().contains("draining: ")).await;
    member.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap().status(), 200);
    driving.await.unwrap().unwrap();
    assert_eq!(gateway.ended().await, Some(0));
}

#[tokio::test]
async fn an_idle_connection_is_closed_when_draining_begins() {
    let scripted = Scripted::new().await;
    let mut gateway = Gateway::start(scripted.plan()).await;
    let mut idle = TcpStream::connect(gateway.http()).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut member = scripted.accept().await;
    read_to(&mut member, "\r\n\r\n").await;
    member.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    read_response(&mut idle).await;
    gateway.signal("TERM");
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(gateway.ended().await, Some(0));
}
