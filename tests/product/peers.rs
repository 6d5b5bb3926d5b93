//! Clients and back ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A certificate for these names, and its key, as PEM.
pub fn certificate(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A TLS server's configuration.
pub fn server_config((chain, key): &(String, String)) -> Arc<rustls::ServerConfig> {
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        );
    Arc::new(config.unwrap())
}

pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Connects through TLS, trusting this certificate alone.
pub async fn tls(address: SocketAddr, chain: &str, name: &str) -> Box<dyn Io> {
    tls_with(address, chain, name, &[]).await
}

/// The same for HTTP/2.
pub async fn tls_h2(address: SocketAddr, chain: &str, name: &str) -> Box<dyn Io> {
    tls_with(address, chain, name, &[b"h2"]).await
}

/// A client over HTTP/2 and TLS, trusting this certificate alone.
pub async fn http2<B>(address: SocketAddr, chain: &str) -> http2::SendRequest<B>
where
    B: hyper::body::Body<Data: Send> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let io = TokioIo::new(tls_h2(address, chain, "localhost").await);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn tls_with(address: SocketAddr, chain: &str, name: &str, alpn: &[&[u8]]) -> Box<dyn Io> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let tcp = TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    Box::new(connector.connect(name.to_owned().try_into().unwrap(), tcp).await.unwrap())
}

/// Reads until the text ends with `end`.
pub async fn read_to(io: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let byte = io.read_u8().await;
        text.push(
            byte.unwrap_or_else(|e| panic!("{e} after {:?}", String::from_utf8_lossy(&text))),
        );
    }
    String::from_utf8(text).unwrap()
}

/// A response as text: its head, and as much of a body as its Content-Length says.
pub async fn read_response(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = read_to(io, "\r\n\r\n").await;
    let length = header(&text, "content-length").and_then(|value| value.parse::<usize>().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    io.read_exact(&mut body).await.unwrap();
    text += &String::from_utf8_lossy(&body);
    text
}

/// The value of a field in a message's head.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).take_while(|line| !line.is_empty()).find_map(|line| {
        let (its, value) = line.split_once(':')?;
        its.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The status code of a response.
pub fn status(response: &str) -> u16 {
    response.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Sends bytes on a new connection; the response.
pub async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    read_response(&mut tcp).await
}

/// A response that was read to its end.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Asks for a path on a new connection; `None` if nobody answers.
pub async fn get(address: SocketAddr, path: &str) -> Option<Answer> {
    let request = Request::get(path).header("host", "localhost").body(Full::<Bytes>::default());
    send(address, request.unwrap()).await
}

/// Sends a request on a new connection; `None` if nobody answers.
pub async fn send<B>(address: SocketAddr, request: Request<B>) -> Option<Answer>
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let tcp = TcpStream::connect(address).await.ok()?;
    let io = TokioIo::new(tcp);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.ok()?;
    let driver = tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.ok()?.into_parts();
    let body = body.collect().await.ok()?;
    driver.abort();
    let body = body.to_bytes().to_vec();
    Some(Answer { status: head.status.as_u16(), headers: head.headers, body })
}

/// A listener on every address of this machine, and its loopback address: a cluster knows this
/// machine by another one.
async fn everywhere() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, SocketAddr::from(([127, 0, 0, 1], port)))
}

/// A server that answers with what `answer` makes of a request and its body.
pub async fn serve(
    answer: impl Fn(http::request::Parts, Bytes) -> Response<Full<Bytes>>
    + Clone
    + Send
    + Sync
    + 'static,
) -> SocketAddr {
    let (listener, address) = everywhere().await;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                    Ok::<_, Infallible>(answer(head, body))
                }
            });
            let serving = hyper::server::conn::http1::Builder::new();
            tokio::spawn(serving.serve_connection(TokioIo::new(tcp), service));
        }
    });
    address
}

/// A server that is well; its port, for probes.
pub async fn health() -> u16 {
    serve(|_, _| Response::new(Full::default())).await.port()
}

/// A server with a page for every path.
pub async fn health_page() -> SocketAddr {
    serve(|_, _| Response::new(Full::from("a page\n"))).await
}

/// A back end that tests play themselves, byte by byte. Its probes go to another port.
pub struct Scripted {
    listener: TcpListener,
    pub address: SocketAddr,
    pub health: u16,
}

impl Scripted {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address, health: health().await }
    }

    /// The next connection.
    pub async fn accept(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// Sends a request through a gateway: the client's connection, the member's, and the head that
    /// the member got.
    pub async fn asked(
        &self,
        gateway: SocketAddr,
        request: &str,
    ) -> (TcpStream, TcpStream, String) {
        let mut client = TcpStream::connect(gateway).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        let mut member = self.accept().await;
        let head = read_to(&mut member, "\r\n\r\n").await;
        (client, member, head)
    }

    /// The plan of a gateway in front of it.
    pub fn plan(&self) -> crate::gateway::Plan {
        crate::gateway::Plan::to(self.address).with(|plan| plan.health = Some(self.health))
    }
}

/// A back end that says its name, and is well for as long as it is told so.
pub async fn named(name: &'static str, well: Arc<AtomicBool>) -> SocketAddr {
    serve(move |_, _| {
        let mut response = Response::new(Full::from(name));
        if !well.load(Ordering::SeqCst) {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        response
    })
    .await
}

/// A back end that answers probes and echoes WebSocket messages.
pub async fn echo() -> SocketAddr {
    let (listener, address) = everywhere().await;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(echo_connection(tcp));
        }
    });
    address
}

async fn echo_connection(mut tcp: TcpStream) {
    let mut start = [0; 4096];
    let length = tcp.peek(&mut start).await.unwrap_or(0);
    if !String::from_utf8_lossy(&start[..length]).to_lowercase().contains("upgrade: websocket") {
        let _ = read_to(&mut tcp, "\r\n\r\n").await;
        let _ = tcp
            .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
            .await;
        return;
    }
    let Ok(mut socket) = tokio_tungstenite::accept_async(tcp).await else {
        return;
    };
    while let Some(Ok(message)) = socket.next().await {
        let is_data = message.is_text() || message.is_binary();
        if is_data && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// A WebSocket through the gateway.
pub type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

/// Opens a WebSocket.
pub async fn open(address: SocketAddr) -> Socket {
    let tcp = TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    tokio_tungstenite::client_async(format!("ws://localhost:{}/", address.port()), tcp)
        .await
        .unwrap()
        .0
}
