//! A server that answers with what it was sent.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tidegate_http3::{
    Connection, Error, Incoming, Limits, Protocol, Receiver, RequestError, Sender, StreamError,
    Tunnel,
};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::sync::{Notify, mpsc};

/// What a request came to, told to the test.
#[derive(Debug)]
pub(crate) enum Seen {
    /// The connection ended.
    Over(Result<(), Error>),
    Refused(u64),
    Failed(StreamError),
    /// A tunnel that the test plays itself.
    Tunnel(Box<Tunnel>),
}

pub(crate) struct Server {
    endpoint: quinn::Endpoint,
    certificate: rustls_pki_types::CertificateDer<'static>,
    pub(crate) seen: mpsc::UnboundedReceiver<Seen>,
    pub(crate) drain: Arc<Notify>,
}

/// Paths say what the server does: `/tunnel` hands its tunnel to the test,
/// `/early` answers before it has read the body, `/wait` never answers.
pub(crate) fn start() -> Server {
    start_with(Limits::default())
}

pub(crate) fn start_with(limits: Limits) -> Server {
    let (tell, seen) = mpsc::unbounded_channel();
    let server = Server { seen, ..bare() };
    let (endpoint, drain) = (server.endpoint.clone(), Arc::clone(&server.drain));
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            let quic = incoming.await.unwrap();
            tokio::spawn(serve(quic, limits, tell.clone(), Arc::clone(&drain)));
        }
    });
    server
}

/// A server that only listens.
pub(crate) fn bare() -> Server {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_protocol_versions(&[&rustls::version::TLS13])
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![certificate.clone()], key.into())
    .unwrap();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let tls = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    let mut transport = quinn::TransportConfig::default();
    transport.max_concurrent_bidi_streams(400_u32.into());
    transport.stream_receive_window(256_000_u32.into());
    transport.send_window(256_000);
    config.transport_config(Arc::new(transport));
    let endpoint = quinn::Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
    let (_, seen) = mpsc::unbounded_channel();
    let drain = Arc::new(Notify::new());
    Server { endpoint, certificate, seen, drain }
}

impl Server {
    pub(crate) async fn connect(&self) -> quinn::Connection {
        self.connect_with(256_000).await
    }

    /// As a client whose streams have windows of so many bytes.
    pub(crate) async fn connect_with(&self, window: u32) -> quinn::Connection {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
        let mut config = quinn::ClientConfig::new(Arc::new(tls));
        let mut transport = quinn::TransportConfig::default();
        transport.stream_receive_window(window.into());
        config.transport_config(Arc::new(transport));
        let mut endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        endpoint.set_default_client_config(config);
        let to = self.endpoint.local_addr().unwrap();
        endpoint.connect(to, "localhost").unwrap().await.unwrap()
    }

    /// A connection of which the test plays both ends.
    pub(crate) async fn pair(&self) -> (Connection, quinn::Connection) {
        let accept = async {
            let quic = self.endpoint.accept().await.unwrap().await.unwrap();
            Connection::new(quic, Limits::default()).await.unwrap()
        };
        soon(async { tokio::join!(accept, self.connect()) }).await
    }

    pub(crate) async fn next(&mut self) -> Seen {
        soon(self.seen.recv()).await.unwrap()
    }

    pub(crate) async fn tunnel(&mut self) -> Box<Tunnel> {
        match self.next().await {
            Seen::Tunnel(tunnel) => tunnel,
            other => panic!("{other:?}"),
        }
    }
}

/// A wait that fails the test when it is too long.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("nothing came")
}

async fn serve(
    quic: quinn::Connection,
    limits: Limits,
    tell: mpsc::UnboundedSender<Seen>,
    drain: Arc<Notify>,
) {
    let mut connection = Connection::new(quic, limits).await.unwrap();
    let mut answers = Vec::new();
    let over = loop {
        tokio::select! {
            incoming = connection.accept() => match incoming {
                Ok(Some(incoming)) => {
                    answers.push(tokio::spawn(answer(incoming, tell.clone())));
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            },
            () = drain.notified() => connection.shutdown(),
        }
    };
    // With the connection everything on it ends, and nothing may have panicked.
    drop(connection);
    for answer in answers {
        soon(answer).await.unwrap();
    }
    let _ = tell.send(Seen::Over(over));
}

async fn answer(incoming: Incoming, tell: mpsc::UnboundedSender<Seen>) {
    let (request, receiver, sender) = match incoming.head().await {
        Ok(parts) => parts,
        Err(RequestError::TooLarge(mut sender)) => {
            sender.start_response(Response::builder().status(431).body(()).unwrap()).unwrap();
            poll_fn(|cx| sender.poll_finish(cx)).await.unwrap();
            return;
        }
        Err(error) => {
            let _ = tell.send(Seen::Refused(error.code()));
            return;
        }
    };
    let result = match (request.extensions().get::<Protocol>(), request.uri().path()) {
        (Some(_), path) => tunnel(path, receiver, sender, &tell).await,
        (None, "/wait") => wait(sender).await,
        (None, _) => echo(request, receiver, sender).await,
    };
    if let Err(error) = result {
        let _ = tell.send(Seen::Failed(error));
    }
}

/// Waits until the client does not want to wait.
async fn wait(mut sender: Sender) -> Result<(), StreamError> {
    Err(StreamError::Stopped(poll_fn(|cx| sender.poll_stopped(cx)).await))
}

async fn tunnel(
    path: &str,
    receiver: Receiver,
    mut sender: Sender,
    tell: &mpsc::UnboundedSender<Seen>,
) -> Result<(), StreamError> {
    sender.start_response(Response::new(()))?;
    let mut tunnel = Tunnel::new(receiver, sender);
    if path == "/tunnel" {
        let _ = tell.send(Seen::Tunnel(Box::new(tunnel)));
        return Ok(());
    }
    let (mut near, mut far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(&mut far);
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    });
    let _ = copy_bidirectional(&mut tunnel, &mut near).await;
    Ok(())
}

async fn echo(
    request: Request<()>,
    mut receiver: Receiver,
    mut sender: Sender,
) -> Result<(), StreamError> {
    let mut head = Response::builder().header("x-path", request.uri().path());
    for value in request.headers().get_all("x-copy") {
        head = head.header("x-copy", value);
    }
    if request.headers().contains_key("expect") {
        sender.start_response(Response::builder().status(100).body(()).unwrap())?;
        poll_fn(|cx| sender.poll_ready(cx)).await?;
    }
    sender.start_response(head.header("connection", "close").body(()).unwrap())?;
    if request.uri().path() == "/early" {
        return poll_fn(|cx| sender.poll_finish(cx)).await;
    }
    if let Some(size) = request.uri().path().strip_prefix("/bytes/") {
        poll_fn(|cx| sender.poll_ready(cx)).await?;
        sender.send_data(Bytes::from(vec![b'a'; size.parse().unwrap()]))?;
    }
    while let Some(data) = poll_fn(|cx| receiver.poll_data(cx)).await {
        poll_fn(|cx| sender.poll_ready(cx)).await?;
        sender.send_data(data?)?;
    }
    if let Some(trailers) = poll_fn(|cx| receiver.poll_trailers(cx)).await? {
        sender.send_trailers(trailers)?;
    }
    assert!(receiver.is_ended());
    poll_fn(|cx| sender.poll_finish(cx)).await
}
