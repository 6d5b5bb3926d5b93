//! WebSocket in every version of HTTP towards clients, and in every version towards members.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Request, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::gateway::{Gateway, Plan, until};
use crate::peers::{self, Io, read_to};
use crate::wire::{ANSWER, HANDSHAKE, TEXT, close, frame, read_close, read_frame};

/// A stream of HTTP/2 as bytes.
fn bridge(mut send: SendStream<Bytes>, mut receive: RecvStream) -> DuplexStream {
    let (near, far) = tokio::io::duplex(256 * 1024);
    let (mut from, mut to): (ReadHalf<_>, WriteHalf<_>) = tokio::io::split(far);
    tokio::spawn(async move {
        while let Some(Ok(data)) = receive.data().await {
            let _ = receive.flow_control().release_capacity(data.len());
            if to.write_all(&data).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let mut rest = &buffer[..read];
            while !rest.is_empty() {
                send.reserve_capacity(rest.len());
                let Some(Ok(room)) = std::future::poll_fn(|cx| send.poll_capacity(cx)).await else {
                    return;
                };
                let part = rest.len().min(room);
                if send.send_data(Bytes::copy_from_slice(&rest[..part]), false).is_err() {
                    return;
                }
                rest = &rest[part..];
            }
        }
        let _ = send.send_data(Bytes::new(), true);
    });
    near
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Client {
    Http1,
    Https1,
    Http2,
    Http3,
}

/// What a member speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speaks {
    Http1,
    Https1,
    /// HTTP/2 over TLS, and handshakes over it.
    Http2,
    /// HTTP/2 without TLS, which has to be known before.
    PlainHttp2,
    /// HTTP/2 over TLS, but handshakes in HTTP/1.1 alone.
    Http2WithoutConnect,
}

/// Performs a handshake over HTTP/2; the answer, and the stream.
pub async fn extended_connect(
    gateway: &Gateway,
    fields: &[(&str, &str)],
) -> (Response<()>, DuplexStream) {
    let io = peers::tls_h2(gateway.https(), &gateway.plan.certificate.0, "localhost").await;
    let (sender, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    // The gateway's settings come before it answers anything; the library wants to have seen them.
    until("the gateway offers it", async || sender.is_extended_connect_protocol_enabled()).await;
    let mut request = Request::connect("https://localhost/chat?room=1")
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static("websocket"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (response, stream) = sender.send_request(request.body(()).unwrap(), false).unwrap();
    let (head, body) = response.await.unwrap().into_parts();
    (Response::from_parts(head, ()), bridge(stream, body))
}

impl Client {
    /// Opens a WebSocket; its bytes.
    pub async fn open(self, gateway: &Gateway) -> Box<dyn Io> {
        let mut io: Box<dyn Io> = match self {
            Self::Http1 => Box::new(TcpStream::connect(gateway.http()).await.unwrap()),
            Self::Https1 => {
                peers::tls(gateway.https(), &gateway.plan.certificate.0, "localhost").await
            }
            Self::Http2 => {
                let (answer, stream) = extended_connect(gateway, &[]).await;
                assert_eq!(answer.status(), StatusCode::OK);
                return Box::new(stream);
            }
            Self::Http3 => return Box::new(crate::http3::open(gateway).await),
        };
        io.write_all(HANDSHAKE.as_bytes()).await.unwrap();
        io.flush().await.unwrap();
        let head = read_to(&mut io, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let accept = peers::header(&head, "sec-websocket-accept");
        assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        io
    }
}

/// A member that hands its WebSockets over to the test.
pub struct Member {
    pub address: SocketAddr,
    pub certificate: (String, String),
    sockets: tokio::sync::Mutex<tokio::sync::mpsc::UnboundedReceiver<Box<dyn Io>>>,
}

impl Member {
    pub async fn new(speaks: Speaks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let certificate = peers::certificate(&["member.example"]);
        let mut config = (*peers::server_config(&certificate)).clone();
        config.alpn_protocols = match speaks {
            Speaks::Http2 => vec![b"h2".to_vec()],
            Speaks::Http2WithoutConnect => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            _ => vec![b"http/1.1".to_vec()],
        };
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (found, sockets) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                // Else the updates of windows wait for acknowledgements.
                tcp.set_nodelay(true).unwrap();
                let (acceptor, found) = (acceptor.clone(), found.clone());
                tokio::spawn(async move {
                    let plain = matches!(speaks, Speaks::Http1 | Speaks::PlainHttp2);
                    let mut http2 = speaks == Speaks::PlainHttp2;
                    let io: Box<dyn Io> = if plain {
                        Box::new(tcp)
                    } else {
                        let Ok(tls) = acceptor.accept(tcp).await else { return };
                        http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                        Box::new(tls)
                    };
                    match http2 {
                        true => {
                            http2_member(io, speaks != Speaks::Http2WithoutConnect, found).await
                        }
                        false => http1_member(io, found).await,
                    }
                });
            }
        });
        Self { address, certificate, sockets: sockets.into() }
    }

    /// The next WebSocket that it took.
    pub async fn take(&self) -> Box<dyn Io> {
        self.sockets.lock().await.recv().await.unwrap()
    }

    /// A gateway in front of it.
    pub async fn gateway(&self, speaks: Speaks) -> Gateway {
        let health = peers::health().await;
        let secret = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "members"},
            "stringData": {"ca.crt": self.certificate.0},
        });
        let plan = Plan::to(self.address).with(|plan| {
            plan.documents = secret.to_string();
            match speaks {
                Speaks::Http1 => plan.health = Some(health),
                Speaks::PlainHttp2 => {
                    plan.health = Some(health);
                    plan.settings = ", webSocket: {memberVersion: Http2}".into();
                }
                _ => {
                    plan.settings = ", protocol: Https, hostName: member.example, \
                                     trustedRootCertificates: [members]"
                        .into();
                }
            }
        });
        match speaks {
            Speaks::Http1 | Speaks::PlainHttp2 => Gateway::start(plan).await,
            // Its probe speaks TLS, as requests do.
            _ => {
                let certificate = self.certificate.clone();
                let port = tls_health(&certificate).await;
                Gateway::start(plan.with(|plan| plan.health = Some(port))).await
            }
        }
    }
}

/// A page over TLS, for probes.
async fn tls_health(certificate: &(String, String)) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(peers::server_config(certificate));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                read_to(&mut tls, "\r\n\r\n").await;
                let _ = tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                let _ = tls.flush().await;
                let _ = tls.shutdown().await;
            });
        }
    });
    port
}

type Found = tokio::sync::mpsc::UnboundedSender<Box<dyn Io>>;

async fn http1_member(mut io: Box<dyn Io>, found: Found) {
    let head = read_to(&mut io, "\r\n\r\n").await;
    let key = peers::header(&head, "sec-websocket-key").unwrap();
    let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
    let answer = ANSWER.replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", &accept);
    let answer = answer.replace("\r\n\r\n", "\r\nX-Member: yes\r\n\r\n");
    io.write_all(answer.as_bytes()).await.unwrap();
    io.flush().await.unwrap();
    found.send(io).unwrap();
}

async fn http2_member(io: Box<dyn Io>, takes: bool, found: Found) {
    let mut builder = h2::server::Builder::new();
    if takes {
        builder.enable_connect_protocol();
    }
    let Ok(mut connection) = builder.handshake::<_, Bytes>(io).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let protocol = request.extensions().get::<Protocol>().unwrap();
        assert_eq!(protocol.as_str(), "websocket");
        assert_eq!(request.headers()["sec-websocket-version"], "13");
        assert!(!request.headers().contains_key("sec-websocket-key"));
        if request.uri().path() == "/refused" {
            let no = Response::builder().status(403).body(()).unwrap();
            let mut body = respond.send_response(no, false).unwrap();
            body.send_data(Bytes::from_static(b"not you"), true).unwrap();
            continue;
        }
        let answer = Response::builder().header("x-member", "yes").body(()).unwrap();
        let stream = respond.send_response(answer, false).unwrap();
        found.send(Box::new(bridge(stream, request.into_body()))).unwrap();
    }
}

type Socket = WebSocketStream<Box<dyn Io>>;

async fn socket(io: Box<dyn Io>, role: Role) -> Socket {
    let config = WebSocketConfig::default()
        .max_message_size(Some(128 << 20))
        .max_frame_size(Some(128 << 20));
    WebSocketStream::from_raw_socket(io, role, Some(config)).await
}

/// Bytes whose place can be told.
fn pattern(length: usize) -> Bytes {
    (0..length).map(|index| (index / 7 + index % 251) as u8).collect::<Vec<u8>>().into()
}

/// The next message that is not the answer to a ping, which a library sends when it comes to it.
async fn next_message(socket: &mut Socket) -> Message {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Pong(text) => assert_eq!(&text[..], b"are you there?"),
            other => return other,
        }
    }
}

/// What `to` gets next of what `from` sends.
async fn sends(from: &mut Socket, to: &mut Socket, message: Message) {
    let sent = message.clone();
    let (sending, got) = tokio::join!(from.send(message), next_message(to));
    sending.unwrap();
    assert!(got == sent, "a message of {} bytes was changed", sent.len());
}

/// Everything that has to work whatever is spoken on either side.
async fn check(client: Client, speaks: Speaks) {
    let member = Member::new(speaks).await;
    let gateway = member.gateway(speaks).await;
    let io = client.open(&gateway).await;
    let (mut one, mut two) =
        (socket(io, Role::Client).await, socket(member.take().await, Role::Server).await);
    for _ in 0..2 {
        sends(&mut one, &mut two, Message::text("text")).await;
        sends(&mut one, &mut two, Message::binary(pattern(70_000))).await;
        sends(&mut one, &mut two, Message::Ping(Bytes::from_static(b"are you there?"))).await;
        sends(&mut two, &mut one, Message::text("I am")).await;
        std::mem::swap(&mut one, &mut two);
    }
    let part = |text: &'static str, opcode, last| {
        Message::Frame(Frame::message(Bytes::from_static(text.as_bytes()), opcode, last))
    };
    one.send(part("in ", OpCode::Data(Data::Text), false)).await.unwrap();
    one.send(part("three ", OpCode::Data(Data::Continue), false)).await.unwrap();
    one.send(part("parts", OpCode::Data(Data::Continue), true)).await.unwrap();
    assert_eq!(next_message(&mut two).await, Message::text("in three parts"));
    let bye = CloseFrame { code: 4000.into(), reason: "bye".into() };
    one.close(Some(bye.clone())).await.unwrap();
    assert_eq!(next_message(&mut two).await, Message::Close(Some(bye.clone())));
    let _ = two.flush().await;
    drop(two);
    assert_eq!(next_message(&mut one).await, Message::Close(Some(bye)));
    while one.next().await.is_some_and(|message| message.is_ok()) {}

    let mut near = client.open(&gateway).await;
    let mut far = member.take().await;
    large_message(&mut near, &mut far, true).await;
    large_message(&mut far, &mut near, false).await;

    // Ends that are closed one way are still spoken to.
    for client_first in [true, false] {
        let mut near = client.open(&gateway).await;
        let mut far = member.take().await;
        let (first, second) =
            if client_first { (&mut near, &mut far) } else { (&mut far, &mut near) };
        first.write_all(&frame(TEXT, b"last words", client_first)).await.unwrap();
        first.shutdown().await.unwrap();
        let got = read_frame(second, client_first).await;
        assert_eq!(got, Some((TEXT, b"last words".to_vec())));
        assert_eq!(read_frame(second, client_first).await, None);
        second.write_all(&frame(TEXT, b"answer", !client_first)).await.unwrap();
        second.shutdown().await.unwrap();
        let got = read_frame(first, !client_first).await;
        assert_eq!(got, Some((TEXT, b"answer".to_vec())));
        assert_eq!(read_frame(first, !client_first).await, None);
    }
}

/// Sends a message of 64 MiB, which no library of the test has to hold.
async fn large_message(from: &mut Box<dyn Io>, to: &mut Box<dyn Io>, from_client: bool) {
    const LENGTH: usize = 64 << 20;
    let chunk = pattern(1 << 20);
    // A mask of zeros changes nothing.
    let mask: &[u8] = if from_client { &[0; 4] } else { &[] };
    let second = if from_client { 0xff } else { 0x7f };
    let head = [&[0x82, second], &(LENGTH as u64).to_be_bytes()[..], mask].concat();
    let sending = async {
        from.write_all(&head).await.unwrap();
        for _ in 0..LENGTH / chunk.len() {
            from.write_all(&chunk).await.unwrap();
        }
        from.flush().await.unwrap();
    };
    let reading = async {
        let mut bytes = vec![0; head.len()];
        to.read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes, head);
        bytes.resize(chunk.len(), 0);
        for _ in 0..LENGTH / chunk.len() {
            to.read_exact(&mut bytes).await.unwrap();
            assert!(bytes == chunk, "a large message was changed");
        }
    };
    tokio::join!(sending, reading);
}

macro_rules! pairs {
    ($($name:ident: $client:ident to $member:ident;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                check(Client::$client, Speaks::$member).await;
            }
        )+
    };
}

pairs! {
    http1_to_http1: Http1 to Http1;
    http1_to_https1: Http1 to Https1;
    http1_to_http2: Http1 to Http2;
    http1_to_plain_http2: Http1 to PlainHttp2;
    https1_to_http1: Https1 to Http1;
    https1_to_https1: Https1 to Https1;
    https1_to_http2: Https1 to Http2;
    http2_to_http1: Http2 to Http1;
    http2_to_https1: Http2 to Https1;
    http2_to_http2: Http2 to Http2;
    http2_to_plain_http2: Http2 to PlainHttp2;
    http2_to_http2_that_takes_no_handshakes: Http2 to Http2WithoutConnect;
    http3_to_http1: Http3 to Http1;
    http3_to_https1: Http3 to Https1;
    http3_to_http2: Http3 to Http2;
    http3_to_plain_http2: Http3 to PlainHttp2;
    http3_to_http2_that_takes_no_handshakes: Http3 to Http2WithoutConnect;
}

#[tokio::test]
async fn answers_are_told_in_the_clients_version() {
    for speaks in [Speaks::Http1, Speaks::Http2] {
        let member = Member::new(speaks).await;
        let gateway = member.gateway(speaks).await;
        let (answer, _stream) =
            extended_connect(&gateway, &[("sec-websocket-protocol", "chat")]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["x-member"], "yes");
        for name in ["sec-websocket-accept", "connection", "upgrade"] {
            assert!(!answer.headers().contains_key(name), "{name}");
        }
    }
}

#[tokio::test]
async fn what_a_member_refuses_over_http2_is_the_clients_answer() {
    let member = Member::new(Speaks::Http2).await;
    let gateway = member.gateway(Speaks::Http2).await;
    let mut client = TcpStream::connect(gateway.http()).await.unwrap();
    client.write_all(HANDSHAKE.replace("GET / ", "GET /refused ").as_bytes()).await.unwrap();
    let head = read_to(&mut client, "\r\n\r\n").await;
    assert_eq!(peers::status(&head), 403, "{head}");
    let body = read_to(&mut client, "not you\r\n0\r\n\r\n").await;
    assert!(body.starts_with("7\r\n"), "{body}");
}

#[tokio::test]
async fn a_page_in_place_of_a_tunnel_is_no_success_to_one_who_connects() {
    let gateway = Gateway::start(Plan::to(peers::health_page().await)).await;
    let (answer, _stream) = extended_connect(&gateway, &[]).await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    // Over HTTP/1.1 a 200 is what it is.
    let page = peers::exchange(gateway.http(), HANDSHAKE).await;
    assert_eq!(peers::status(&page), 200);
}

#[tokio::test]
async fn tunnels_share_a_connection_to_the_member_and_one_that_is_not_read_holds_none_back() {
    let member = Member::new(Speaks::Http2).await;
    let gateway = member.gateway(Speaks::Http2).await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let client = Client::Http1.open(&gateway).await;
        let mut far = member.take().await;
        // More than all buffers on the way together: what nobody reads stays with its sender.
        let sender = tokio::spawn(async move {
            let message = frame(TEXT, &vec![7; 1 << 20], false);
            for _ in 0..64 {
                far.write_all(&message).await.unwrap();
            }
        });
        stalled.push((client, sender));
    }
    let mut client = Client::Http1.open(&gateway).await;
    let mut far = member.take().await;
    for _ in 0..100 {
        far.write_all(&frame(TEXT, &[1; 10_000], false)).await.unwrap();
        assert_eq!(read_frame(&mut client, false).await.unwrap().1.len(), 10_000);
    }
    assert!(stalled.iter().all(|(_, sender)| !sender.is_finished()));
    let metrics = gateway.metrics().await;
    let connections =
        metrics.lines().find(|l| l.starts_with("tidegate_member_connect_seconds_count"));
    // Cores have connections of their own.
    let connections: u32 = connections.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(connections <= 2, "{connections} connections for 21 tunnels");
}

#[tokio::test]
async fn a_client_on_http2_is_told_close_and_then_go_away() {
    let member = Member::new(Speaks::Http1).await;
    let mut gateway = member.gateway(Speaks::Http1).await;
    let mut client = Client::Http2.open(&gateway).await;
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

#[tokio::test]
async fn only_websocket_can_be_connected_to() {
    let member = Member::new(Speaks::Http1).await;
    let gateway = member.gateway(Speaks::Http1).await;
    let io = peers::tls_h2(gateway.https(), &gateway.plan.certificate.0, "localhost").await;
    let (sender, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    until("the gateway offers it", async || sender.is_extended_connect_protocol_enabled()).await;
    let request = Request::connect("https://localhost/");
    let other = request.extension(Protocol::from_static("connect-udp")).body(()).unwrap();
    let (response, _stream) = sender.send_request(other, false).unwrap();
    assert_eq!(response.await.unwrap().status(), 501);
    let classic = Request::connect("localhost:443").body(()).unwrap();
    let (response, _stream) = sender.send_request(classic, false).unwrap();
    assert_eq!(response.await.unwrap().status(), 405);
}
