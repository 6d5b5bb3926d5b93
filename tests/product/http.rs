//! Forwarding requests and responses.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::{Gateway, Plan, until};
use crate::peers::{self, Scripted, exchange, header, read_response, read_to, status};

#[tokio::test]
async fn members_see_who_asked_for_what_and_how() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    let request = "GET /a/b?c=d HTTP/1.1\r\nHost: a.example:99\r\nX-Forwarded-For: 1.2.3.4\r\n\
        X-Forwarded-Proto: https\r\nx_bad: 1\r\nConnection: x-hop, keep-alive\r\nX-Hop: 1\r\n\
        Keep-Alive: timeout=5\r\nTE: trailers, deflate\r\nUpgrade: h2c\r\nX-Stays: yes\r\n\r\n";
    let (mut client, mut member, head) = scripted.asked(gateway.http(), request).await;
    assert!(head.starts_with("GET /a/b?c=d HTTP/1.1\r\n"), "{head}");
    let port = gateway.plan.http.to_string();
    let forwarded = format!("1.2.3.4, {}", client.local_addr().unwrap());
    for (name, expected) in [
        ("host", Some("a.example:99")),
        ("x-forwarded-for", Some(&*forwarded)),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-port", Some(&*port)),
        ("x-original-host", Some("a.example:99")),
        ("x-original-url", Some("/a/b?c=d")),
        ("te", Some("trailers")),
        ("x-stays", Some("yes")),
        ("x_bad", None),
        ("x-hop", None),
        ("keep-alive", None),
        ("upgrade", None),
        ("connection", None),
    ] {
        assert_eq!(header(&head, name), expected, "{name} in\n{head}");
    }
    let trace = header(&head, "x-appgw-trace-id").unwrap();
    assert!(trace.len() == 32 && trace.bytes().all(|b| b.is_ascii_hexdigit()), "{trace}");
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x-secret\r\nX-Secret: 1\r\nKeep-Alive: x\r\nX-Member: 1\r\n\r\nok";
    member.write_all(answer.as_bytes()).await.unwrap();
    let answer = read_response(&mut client).await;
    assert_eq!(header(&answer, "x-member"), Some("1"));
    assert_eq!((header(&answer, "x-secret"), header(&answer, "keep-alive")), (None, None));
    assert!(answer.ends_with("ok"));
}

#[tokio::test]
async fn the_settings_choose_the_host_that_members_see() {
    let member = peers::serve(|head, _| {
        Response::new(Full::from(head.headers["host"].to_str().unwrap().to_owned()))
    })
    .await;
    for (settings, expected) in [
        ("", "localhost"),
        (", hostName: fixed.example", "fixed.example"),
        (", pickHostNameFromBackendAddress: true", "127.0.0.1"),
    ] {
        let gateway = Gateway::start(Plan::to(member).with(|p| p.settings = settings.into())).await;
        let answer = peers::get(gateway.http(), "/").await.unwrap();
        assert_eq!(String::from_utf8(answer.body).unwrap(), expected);
    }
}

#[tokio::test]
async fn bodies_and_trailers_pass_both_ways_in_chunks() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nTrailer: X-Up\r\n\r\n3\r\nabc\r\n";
    let (mut client, mut member, _) = scripted.asked(gateway.http(), request).await;
    // The first chunk arrives before the body is complete.
    assert_eq!(read_to(&mut member, "abc\r\n").await, "3\r\nabc\r\n");
    client.write_all(b"0\r\nX-Up: 1\r\n\r\n").await.unwrap();
    let end = read_to(&mut member, "\r\n\r\n").await;
    assert!(end.to_lowercase().contains("x-up: 1"), "{end}");
    member
        .write_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Down\r\n\r\n2\r\nhi\r\n",
        )
        .await
        .unwrap();
    read_to(&mut client, "2\r\nhi\r\n").await;
    member.write_all(b"0\r\nX-Down: 2\r\n\r\n").await.unwrap();
    let end = read_to(&mut client, "\r\n\r\n").await;
    assert!(end.to_lowercase().contains("x-down: 2"), "{end}");
}

#[tokio::test]
async fn the_body_of_a_get_reaches_the_member() {
    let member = peers::serve(|head, body| {
        Response::new(Full::from([head.method.as_str().as_bytes(), &body].concat()))
    })
    .await;
    let gateway = Gateway::start(Plan::to(member)).await;
    let body = || {
        StreamBody::new(futures_util::stream::iter([
            Ok::<_, std::io::Error>(Frame::data(Bytes::from(" what"))),
            Ok(Frame::data(Bytes::from(" for"))),
        ]))
    };
    let request = Request::get("/").header("host", "a").header("transfer-encoding", "chunked");
    let answer = peers::send(gateway.http(), request.body(body()).unwrap()).await.unwrap();
    assert_eq!(answer.body, b"GET what for");

    // HTTP/2 has bodies without a word about their length.
    let mut sender = peers::http2(gateway.https(), &gateway.plan.certificate.0).await;
    let request = Request::get("https://localhost/").body(body()).unwrap();
    let answer = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(answer.to_bytes(), "GET what for");
}

#[tokio::test]
async fn large_bodies_stream_both_ways() {
    let member = peers::serve(|_, body| Response::new(Full::from(body))).await;
    let gateway = Gateway::start(Plan::to(member)).await;
    let body: Vec<u8> = (0..8 * 1024 * 1024).map(|index| (index % 253) as u8).collect();
    let request = Request::post("/").header("host", "a").body(Full::from(body.clone())).unwrap();
    let answer = peers::send(gateway.http(), request).await.unwrap();
    assert!(answer.status == 200 && answer.body == body);
    // Of unknown length, with trailers that the member does not read.
    let frames = body
        .chunks(10_000)
        .map(|chunk| Ok::<_, std::io::Error>(Frame::data(Bytes::copy_from_slice(chunk))));
    let frames: Vec<_> = frames.collect();
    let stream = StreamBody::new(futures_util::stream::iter(frames)).with_trailers(async {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", HeaderValue::from_static("1"));
        Some(Ok(trailers))
    });
    let request = Request::post("/").header("host", "a").body(stream).unwrap();
    let answer = peers::send(gateway.http(), request).await.unwrap();
    assert!(answer.status == 200 && answer.body == body);
}

const EXPECTS: &str =
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";

#[tokio::test]
async fn a_member_that_wants_the_body_is_heard() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    let (mut client, mut member, head) = scripted.asked(gateway.http(), EXPECTS).await;
    assert_eq!(header(&head, "expect"), Some("100-continue"));
    member.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
    assert!(read_to(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
    client.write_all(b"body").await.unwrap();
    let mut body = [0; 4];
    member.read_exact(&mut body).await.unwrap();
    assert_eq!(&body, b"body");
    member.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(status(&read_response(&mut client).await), 200);
}

#[tokio::test]
async fn a_member_that_refuses_the_body_is_heard_before_it_is_sent() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    let (mut client, mut member, _) = scripted.asked(gateway.http(), EXPECTS).await;
    member
        .write_all(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    let answer = read_to(&mut client, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 417 "), "{answer}");
    // The member's connection is of no more use: a body was announced on it and never came.
    assert_eq!(member.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_member_that_knows_no_100_gets_the_body_after_a_while() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    let (mut client, mut member, _) = scripted.asked(gateway.http(), EXPECTS).await;
    assert!(read_to(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
    client.write_all(b"body").await.unwrap();
    let mut body = [0; 4];
    member.read_exact(&mut body).await.unwrap();
    member.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert_eq!(status(&read_response(&mut client).await), 204);
}

#[tokio::test]
async fn an_answer_to_head_has_a_length_and_no_body() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    let (mut client, mut member, _) =
        scripted.asked(gateway.http(), "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    member.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await.unwrap();
    let head = read_to(&mut client, "\r\n\r\n").await;
    assert_eq!(header(&head, "content-length"), Some("1000"));
    // The next response on the same connections is where it should be.
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_to(&mut member, "\r\n\r\n").await;
    member.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    assert!(read_response(&mut client).await.ends_with("ok"));
}

#[tokio::test]
async fn a_member_that_does_not_answer_in_time_is_answered_for_with_504() {
    let scripted = Scripted::new().await;
    let gateway =
        Gateway::start(scripted.plan().with(|p| p.settings = ", requestTimeout: 1".into())).await;
    let started = Instant::now();
    let answer = exchange(gateway.http(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(status(&answer), 504);
    assert!(started.elapsed().as_millis() >= 1000, "after {:?}", started.elapsed());
    // A body that stops is broken off: what came is no complete response.
    let mut member = loop {
        let mut member = scripted.accept().await;
        // The connection of the request before has ended.
        let mut client = TcpStream::connect(gateway.http()).await.unwrap();
        if member.read(&mut [0; 4096]).await.unwrap() > 0
            && member.read(&mut [0; 1]).await.unwrap_or(0) == 0
        {
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            let mut member = scripted.accept().await;
            read_to(&mut member, "\r\n\r\n").await;
            member.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
            read_to(&mut client, "half").await;
            assert_eq!(client.read(&mut [0; 1]).await.unwrap_or(0), 0);
            break member;
        }
    };
    assert_eq!(member.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_member_that_takes_no_connection_is_answered_for_with_502() {
    let scripted = Scripted::new().await;
    let health = scripted.health;
    let address = scripted.address;
    drop(scripted);
    let gateway = Gateway::start(Plan::to(address).with(|p| p.health = Some(health))).await;
    let answer = exchange(gateway.http(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(status(&answer), 502);
    // With another member beside it nobody notices.
    let other = peers::serve(|_, _| Response::new(Full::from("other"))).await;
    let plan = gateway.plan.clone().with(|p| p.members.push(other));
    let mut gateway = gateway;
    gateway.apply(plan).await;
    until("the other member is up", async || gateway.members().await.iter().all(|m| m == "Up"))
        .await;
    for _ in 0..10 {
        assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_request_that_a_dead_connection_lost_is_sent_again_if_that_is_safe() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    for (method, safe) in [("GET", true), ("POST", false)] {
        let mut client = TcpStream::connect(gateway.http()).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut kept = scripted.accept().await;
        read_to(&mut kept, "\r\n\r\n").await;
        kept.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        assert_eq!(status(&read_response(&mut client).await), 204);
        let request = format!("{method} /again HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        // The member reads the request and closes without a word.
        read_to(&mut kept, "\r\n\r\n").await;
        drop(kept);
        if safe {
            let mut fresh = scripted.accept().await;
            assert!(read_to(&mut fresh, "\r\n\r\n").await.starts_with("GET /again "));
            fresh
                .write_all(
                    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nagain",
                )
                .await
                .unwrap();
            assert!(read_response(&mut client).await.ends_with("again"));
        } else {
            assert_eq!(status(&read_response(&mut client).await), 502);
        }
    }
}

#[tokio::test]
async fn an_https_member_is_judged_by_its_certificate() {
    let certificate = peers::certificate(&["member.example"]);
    let acceptor = tokio_rustls::TlsAcceptor::from(peers::server_config(&certificate));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let member = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut tls) = acceptor.accept(tcp).await else {
                    return;
                };
                read_to(&mut tls, "\r\n\r\n").await;
                let answer =
                    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\ntls";
                let _ = tls.write_all(answer).await;
                let _ = tls.shutdown().await;
            });
        }
    });
    let secret = |pem: &str| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "members"},
            "stringData": {"ca.crt": pem},
        })
        .to_string()
    };
    let health = peers::health().await;
    let plan = |name: &str, pem: &str| {
        Plan::to(member).with(|plan| {
            plan.settings =
                format!(", protocol: Https, hostName: {name}, trustedRootCertificates: [members]");
            plan.documents = secret(pem);
        })
    };
    let _ = health;
    let gateway = Gateway::start(plan("member.example", &certificate.0)).await;
    assert_eq!(peers::get(gateway.http(), "/").await.unwrap().body, b"tls");
    // Another name, and another authority: its own probe takes it out.
    let stranger = peers::certificate(&["member.example"]);
    for plan in [plan("other.example", &certificate.0), plan("member.example", &stranger.0)] {
        let gateway = Gateway::start_with(plan, &[]).await;
        until("the member is down", async || gateway.members().await == ["Down"]).await;
        assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 502);
        let status = gateway.status().await;
        let detail = status["targets"][0]["members"][0]["health"]["detail"].as_str().unwrap();
        assert!(detail.starts_with("TLS: "), "{detail}");
    }
}

#[tokio::test]
async fn hosts_choose_among_listeners_on_one_port() {
    let member = peers::serve(|_, _| Response::new(Full::from("one"))).await;
    let plan = Plan::to(member).with(|plan| {
        plan.hosts =
            vec![("exact".into(), "a.example".into()), ("wild".into(), "*.b.example".into())];
    });
    let gateway = Gateway::start(plan).await;
    for (host, listener) in [("A.example:80", "exact"), ("x.y.b.example", "wild"), ("other", "web")]
    {
        let answer =
            exchange(gateway.http(), &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(status(&answer), 200);
        // A request is counted when its exchange is over, which may be after its answer was read.
        until(&format!("{listener} has counted it"), async || {
            let status = gateway.status().await;
            let frontends = status["frontends"].as_array().unwrap();
            let mut listeners = frontends.iter().flat_map(|f| f["listeners"].as_array().unwrap());
            listeners.find(|its| its["name"] == listener).unwrap()["requests"] == 1
        })
        .await;
    }
}
