//! HTTP/3 towards clients (RFC 9114), and WebSocket over it (RFC 9220).

use std::net::{SocketAddr, UdpSocket};

use bytes::{Buf, Bytes};
use futures_util::future::join_all;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use quinn::{RecvStream, SendStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::gateway::{Gateway, Plan, until};
use crate::peers::{self, Scripted, read_to};
use crate::quic;
use crate::versions::{Member, Speaks};
use crate::wire::{TEXT, close, frame, read_close, read_frame};

async fn connect(gateway: &Gateway) -> quinn::Connection {
    let endpoint = quic::endpoint(&gateway.plan.certificate.0);
    endpoint.connect(gateway.https(), "localhost").unwrap().await.unwrap()
}

fn varint(value: usize) -> Vec<u8> {
    match value {
        0..0x40 => vec![value as u8],
        0x40..0x4000 => (0x4000 | value as u16).to_be_bytes().to_vec(),
        _ => (0x8000_0000 | value as u32).to_be_bytes().to_vec(),
    }
}

/// A string of QPACK behind a prefix that holds lengths below `most` (RFC 9204 4.1).
fn literal(first: u8, most: usize, text: &str, out: &mut Vec<u8>) {
    let mut length = text.len();
    if length < most {
        out.push(first | length as u8);
    } else {
        out.push(first | most as u8);
        length -= most;
        while length >= 0x80 {
            out.push(length as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
    }
    out.extend(text.as_bytes());
}

/// A connection on which WebSockets are opened: no library of others can do that yet.
pub struct Http3 {
    pub quic: quinn::Connection,
    /// The connection ends with it.
    _control: SendStream,
}

impl Http3 {
    pub async fn over(quic: quinn::Connection) -> Self {
        let mut control = quic.open_uni().await.unwrap();
        // SETTINGS, of nothing.
        control.write_all(&[0, 4, 0]).await.unwrap();
        Self { quic, _control: control }
    }

    /// Performs a handshake; the answer's fields as they are encoded, and the stream.
    pub async fn handshake(&self, fields: &[(&str, &str)]) -> (Vec<u8>, DuplexStream) {
        let (mut send, mut receive) = self.quic.open_bi().await.unwrap();
        let fixed = [
            (":method", "CONNECT"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", "/chat?room=1"),
            (":protocol", "websocket"),
            ("sec-websocket-version", "13"),
        ];
        let mut section = vec![0, 0];
        for (name, value) in fixed.iter().chain(fields) {
            literal(0x20, 7, name, &mut section);
            literal(0, 127, value, &mut section);
        }
        let head = [&[1][..], &varint(section.len()), &section].concat();
        send.write_all(&head).await.unwrap();
        let (kind, length) = frame_head(&mut receive).await.unwrap();
        assert_eq!(kind, 1);
        let mut section = vec![0; length];
        receive.read_exact(&mut section).await.unwrap();
        (section, bridge(send, receive, self.quic.clone()))
    }

    /// Opens a WebSocket.
    pub async fn open(&self) -> DuplexStream {
        let (section, stream) = self.handshake(&[]).await;
        assert_eq!(section[..3], [0, 0, STATUS_200]);
        stream
    }
}

/// `:status: 200` (RFC 9204, appendix A).
const STATUS_200: u8 = 0xd9;

async fn number(receive: &mut RecvStream) -> Option<usize> {
    let mut bytes = [0; 8];
    receive.read_exact(&mut bytes[..1]).await.ok()?;
    let size = 1 << (bytes[0] >> 6);
    bytes[0] &= 0x3f;
    receive.read_exact(&mut bytes[1..size]).await.ok()?;
    Some(bytes[..size].iter().fold(0, |value, byte| value << 8 | usize::from(*byte)))
}

async fn frame_head(receive: &mut RecvStream) -> Option<(usize, usize)> {
    Some((number(receive).await?, number(receive).await?))
}

/// A stream's DATA frames as bytes.
fn bridge(mut send: SendStream, mut receive: RecvStream, quic: quinn::Connection) -> DuplexStream {
    let (near, far) = tokio::io::duplex(256 * 1024);
    let (mut from, mut to) = tokio::io::split(far);
    tokio::spawn(async move {
        while let Some((0, mut length)) = frame_head(&mut receive).await {
            while length > 0 {
                let Ok(Some(chunk)) = receive.read_chunk(length, true).await else { return };
                length -= chunk.bytes.len();
                if to.write_all(&chunk.bytes).await.is_err() {
                    return;
                }
            }
        }
        let _ = to.shutdown().await;
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let data = [&[0][..], &varint(read), &buffer[..read]].concat();
            if send.write_all(&data).await.is_err() {
                return;
            }
        }
        let _ = send.finish();
        // Not before everything has come.
        let _ = send.stopped().await;
        drop(quic);
    });
    near
}

/// Requests by the `h3` library.
struct Pages {
    send: h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>,
    driver: tokio::task::JoinHandle<h3::error::ConnectionError>,
}

impl Pages {
    async fn new(gateway: &Gateway) -> Self {
        let connection = h3_quinn::Connection::new(connect(gateway).await);
        let (mut driver, send) = h3::client::new(connection).await.unwrap();
        let driver =
            tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
        Self { send, driver }
    }

    /// Sends a request, whose body is sent while the answer's is read.
    async fn ask(
        &self,
        request: Request<()>,
        body: Vec<Bytes>,
        trailers: Option<HeaderMap>,
    ) -> (Response<()>, Vec<u8>, Option<HeaderMap>) {
        let stream = self.send.clone().send_request(request).await.unwrap();
        let (mut send, mut receive) = stream.split();
        let sending = async {
            for part in body {
                send.send_data(part).await.unwrap();
            }
            if let Some(trailers) = trailers {
                send.send_trailers(trailers).await.unwrap();
            }
            send.finish().await.unwrap();
        };
        let receiving = async {
            let head = receive.recv_response().await.unwrap();
            let mut body = Vec::new();
            while let Some(mut part) = receive.recv_data().await.unwrap() {
                body.extend(part.copy_to_bytes(part.remaining()));
            }
            (head, body, receive.recv_trailers().await.unwrap())
        };
        tokio::join!(sending, receiving).1
    }

    async fn get(&self, path: &str) -> (Response<()>, Vec<u8>) {
        let request = Request::get(format!("https://localhost{path}")).body(()).unwrap();
        let (head, body, _) = self.ask(request, Vec::new(), None).await;
        (head, body)
    }
}

#[tokio::test]
async fn bodies_of_any_length_pass_both_ways() {
    let member = peers::serve(|head, body| {
        let length = head.headers.get("content-length").map(|length| length.as_bytes());
        let told = String::from_utf8_lossy(length.unwrap_or(b"none")).into_owned();
        Response::builder().header("x-length", told).body(Full::from(body)).unwrap()
    })
    .await;
    let gateway = Gateway::start(Plan::to(member)).await;
    let pages = Pages::new(&gateway).await;
    let large: Vec<u8> = (0..8 << 20).map(|index: u32| (index % 251) as u8).collect();
    for (length, told) in
        [(0, "none"), (1, "none"), (large.len(), "none"), (large.len(), "8388608")]
    {
        let mut request = Request::post("https://localhost/");
        if told != "none" {
            request = request.header("content-length", told);
        }
        let parts = large[..length].chunks(100_000).map(Bytes::copy_from_slice).collect();
        let (head, body, _) = pages.ask(request.body(()).unwrap(), parts, None).await;
        assert_eq!(
            (head.status().as_u16(), &head.headers()["x-length"]),
            (200, &told.parse().unwrap())
        );
        assert!(body == large[..length], "{length} bytes came back as {}", body.len());
    }
    let asked = (0..200).map(|index| {
        let pages = &pages;
        async move {
            let request = Request::put("https://localhost/").body(()).unwrap();
            let sent = format!("request {index}");
            let (_, body, _) = pages.ask(request, vec![sent.clone().into()], None).await;
            assert_eq!(body, sent.as_bytes());
        }
    });
    join_all(asked).await;
}

#[tokio::test]
async fn members_and_clients_see_what_they_see_over_http2() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start_with(scripted.plan(), &["--access-log", "log.json"]).await;
    until("the member is up", async || gateway.members().await == ["Up"]).await;
    let pages = Pages::new(&gateway).await;
    let request = Request::post("https://localhost/a?b=c")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("x-forwarded-for", "1.2.3.4")
        .header("trailer", "x-up")
        .body(())
        .unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-up", "1".parse().unwrap());
    let asking = async { pages.ask(request, vec!["up".into()], Some(trailers)).await };
    let answering = async {
        let mut member = scripted.accept().await;
        let head = read_to(&mut member, "\r\n\r\n").await;
        assert!(head.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{head}");
        let port = gateway.plan.https.to_string();
        for (name, expected) in [
            ("host", "localhost"),
            ("cookie", "a=1; b=2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", &port),
        ] {
            assert_eq!(peers::header(&head, name), Some(expected), "{name} in {head}");
        }
        let forwarded = peers::header(&head, "x-forwarded-for").unwrap();
        assert!(forwarded.starts_with("1.2.3.4, 127.0.0.1:"), "{forwarded}");
        let body = read_to(&mut member, "\r\n\r\n").await;
        assert!(body.starts_with("2\r\nup\r\n0\r\n") && body.contains("x-up: 1"), "{body}");
        let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\n\
            Transfer-Encoding: chunked\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\n\
            Keep-Alive: timeout=5\r\nX-Stays: yes\r\nTrailer: x-down\r\n\r\n4\r\ndown\r\n0\r\n\
            X-Down: 2\r\n\r\n";
        member.write_all(answer.as_bytes()).await.unwrap();
    };
    let ((head, body, trailers), ()) = tokio::join!(asking, answering);
    assert_eq!((head.status().as_u16(), &*body), (201, &b"down"[..]));
    assert_eq!(trailers.unwrap()["x-down"], "2");
    assert_eq!(head.headers()["x-stays"], "yes");
    for name in ["connection", "keep-alive", "transfer-encoding", "x-hop", "alt-svc"] {
        assert!(!head.headers().contains_key(name), "{name} in {head:?}");
    }
    until("the access log tells of it", async || {
        let log = std::fs::read_to_string(gateway.path("log.json")).unwrap_or_default();
        log.contains(r#""httpVersion":"HTTP/3.0""#)
    })
    .await;
}

#[tokio::test]
async fn https_clients_are_told_that_http3_is_spoken() {
    let gateway = Gateway::start(Plan::to(peers::health_page().await)).await;
    let expected = format!("h3=\":{}\"; ma=86400", gateway.plan.https);
    let chain = &gateway.plan.certificate.0;
    let mut tls = peers::tls(gateway.https(), chain, "localhost").await;
    tls.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let head = read_to(&mut tls, "\r\n\r\n").await;
    assert_eq!(peers::header(&head, "alt-svc"), Some(&*expected), "{head}");
    let plain = peers::get(gateway.http(), "/").await.unwrap();
    assert!(!plain.headers.contains_key("alt-svc"), "{:?}", plain.headers);
    let (head, body) = Pages::new(&gateway).await.get("/").await;
    assert_eq!((head.status().as_u16(), &*body), (200, &b"a page\n"[..]));
}

#[tokio::test]
async fn a_taken_udp_port_costs_only_http3() {
    let plan = Plan::to(peers::health_page().await);
    let taken = UdpSocket::bind(("0.0.0.0", plan.https)).unwrap();
    let gateway = Gateway::start(plan).await;
    let chain = &gateway.plan.certificate.0;
    let ask = async || {
        let mut tls = peers::tls(gateway.https(), chain, "localhost").await;
        tls.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        read_to(&mut tls, "\r\n\r\n").await
    };
    let head = ask().await;
    assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("alt-svc"), "{head}");
    assert!(gateway.log().contains("no HTTP/3"), "{}", gateway.log());
    drop(taken);
    until("it is opened when it can be", async || ask().await.contains("alt-svc")).await;
    assert_eq!(Pages::new(&gateway).await.get("/").await.0.status(), 200);
}

#[tokio::test]
async fn a_draining_gateway_says_go_away_and_lets_requests_end() {
    let scripted = Scripted::new().await;
    let mut gateway = Gateway::start(scripted.plan()).await;
    let (pages, idle) = (Pages::new(&gateway).await, Pages::new(&gateway).await);
    let asking = pages.get("/x");
    let answering = async {
        let mut member = scripted.accept().await;
        read_to(&mut member, "\r\n\r\n").await;
        gateway.signal("TERM");
        let told = idle.driver.await.unwrap();
        assert!(told.is_h3_no_error(), "{told}");
        member.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
    };
    let ((head, body), ()) = tokio::join!(asking, answering);
    assert_eq!((head.status().as_u16(), &*body), (200, &b"hi"[..]));
    let told = pages.driver.await.unwrap();
    assert!(told.is_h3_no_error(), "{told}");
    assert_eq!(gateway.ended().await, Some(0));
}

#[tokio::test]
async fn tunnels_are_told_close_before_the_connection_ends() {
    let member = Member::new(Speaks::Http1).await;
    let mut gateway = member.gateway(Speaks::Http1).await;
    let http = Http3::over(connect(&gateway).await).await;
    let mut client = http.open().await;
    let mut far = member.take().await;
    gateway.signal("TERM");
    assert_eq!(read_close(&mut client, false).await, 1001);
    client.write_all(&close(1001, true)).await.unwrap();
    assert_eq!(read_close(&mut far, true).await, 1001);
    drop(far);
    assert_eq!(read_frame(&mut client, false).await, None);
    drop(client);
    assert_eq!(gateway.ended().await, Some(0));
}

/// Says something there and back.
async fn speak(client: &mut DuplexStream, far: &mut Box<dyn peers::Io>, text: &str) {
    client.write_all(&frame(TEXT, text.as_bytes(), true)).await.unwrap();
    assert_eq!(read_frame(far, true).await, Some((TEXT, text.as_bytes().to_vec())));
    far.write_all(&frame(TEXT, text.as_bytes(), false)).await.unwrap();
    assert_eq!(read_frame(client, false).await, Some((TEXT, text.as_bytes().to_vec())));
}

#[tokio::test]
async fn a_client_that_changes_its_address_keeps_its_tunnel() {
    let member = Member::new(Speaks::Http1).await;
    let gateway = member.gateway(Speaks::Http1).await;
    let endpoint = quic::endpoint(&gateway.plan.certificate.0);
    let quic = endpoint.connect(gateway.https(), "localhost").unwrap().await.unwrap();
    let http = Http3::over(quic).await;
    let mut client = http.open().await;
    let mut far = member.take().await;
    speak(&mut client, &mut far, "from here").await;
    let before = endpoint.local_addr().unwrap();
    endpoint.rebind(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    assert_ne!(endpoint.local_addr().unwrap(), before);
    speak(&mut client, &mut far, "and from there").await;
}

#[tokio::test]
async fn tunnels_outlive_changes_and_new_clients_see_the_new_certificate() {
    let member = Member::new(Speaks::Http1).await;
    let mut gateway = member.gateway(Speaks::Http1).await;
    let http = Http3::over(connect(&gateway).await).await;
    let mut client = http.open().await;
    let mut far = member.take().await;
    for change in 0..5 {
        let plan = gateway.plan.clone().with(|plan| {
            plan.certificate = peers::certificate(&["localhost"]);
            plan.hosts = vec![(format!("more{change}"), format!("more{change}.example"))];
        });
        gateway.apply(plan).await;
        speak(&mut client, &mut far, &format!("after change {change}")).await;
        // It trusts the new certificate alone.
        connect(&gateway).await;
    }
}

#[tokio::test]
async fn a_listener_that_leaves_takes_its_udp_port_along() {
    let member = Member::new(Speaks::Http1).await;
    let mut gateway = member.gateway(Speaks::Http1).await;
    let plan = gateway.plan.clone().with(|plan| {
        plan.settings = ", connectionDraining: {enabled: true, drainTimeoutInSec: 1}".into();
    });
    gateway.apply(plan).await;
    let http = Http3::over(connect(&gateway).await).await;
    let mut client = http.open().await;
    let mut far = member.take().await;
    let is_free = || {
        let address = SocketAddr::from(([0, 0, 0, 0], gateway.plan.https));
        UdpSocket::bind(address).is_ok()
    };
    assert!(!is_free());
    let yaml: String = (gateway.plan.yaml().lines())
        .filter(|line| !line.contains("name: web-tls,") && !line.contains("name: r2,"))
        .map(|line| format!("{line}\n"))
        .collect();
    gateway.write(&yaml);
    assert_eq!(read_close(&mut client, false).await, 1001);
    client.write_all(&close(1001, true)).await.unwrap();
    assert_eq!(read_close(&mut far, true).await, 1001);
    drop((far, client));
    until("nobody has the port", async || is_free()).await;
    // And back again.
    gateway.write(&gateway.plan.yaml());
    let endpoint = quic::endpoint(&gateway.plan.certificate.0);
    until("it is served again", async || {
        endpoint.connect(gateway.https(), "localhost").unwrap().await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_stream_or_a_connection_that_asks_for_nothing_costs_nothing_else() {
    let gateway = Gateway::start(Plan::to(peers::health_page().await)).await;
    let http = Http3::over(connect(&gateway).await).await;
    let (mut send, _receive) = http.quic.open_bi().await.unwrap();
    // A head that never comes.
    send.write_all(&[1, 0x40]).await.unwrap();
    let silent = connect(&gateway).await;
    let pages = Pages::new(&gateway).await;
    assert_eq!(pages.get("/").await.0.status(), 200);
    let (answer, _stream) = http.handshake(&[("x-large", &"x".repeat(40_000))]).await;
    assert!(answer.ends_with(b"431"), "{answer:?}");
    // What is no HTTP/3 ends its own connection.
    let mut wrong = silent.open_uni().await.unwrap();
    wrong.write_all(&[0, 0, 0]).await.unwrap();
    let error = silent.closed().await;
    assert!(matches!(error, quinn::ConnectionError::ApplicationClosed(_)), "{error}");
    assert_eq!(pages.get("/").await.0.status(), 200);
}

/// For [`Client::open`].
pub async fn open(gateway: &Gateway) -> DuplexStream {
    let http = Http3::over(connect(gateway).await).await;
    let stream = http.open().await;
    let ended = http.quic.clone();
    // The control stream is open for as long as the connection.
    tokio::spawn(async move {
        ended.closed().await;
        drop(http);
    });
    stream
}
