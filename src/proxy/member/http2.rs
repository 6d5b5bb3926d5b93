//! Connections of HTTP/2 to a member that tunnels share, or requests.
//!
//! Each tunnel or request is a stream with a window of its own, so that one that nobody reads holds
//! back none of the others. Whether a member takes WebSocket handshakes over HTTP/2 (RFC 8441) is asked
//! once: by ALPN, and by its settings frame. One that does not is spoken to in HTTP/1.1. Requests are
//! sent so only if the settings say it, and then never in another way.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, UPGRADE};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, Uri, Version};
use parking_lot::Mutex;
use tidegate_model::MemberVersion;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::clock;
use crate::conn::io::{Io, Multiplexed};
use crate::conn::ticket::{Order, Ticket};
use crate::core::{Core, Owner};
use crate::member::connect::{ConnectError, Name, Wire};
use crate::member::connection::{Cause, Connection, Lost};
use crate::member::{Member, stream::Stream};
use crate::padded::{Padded, per_core};
use crate::request::body::RequestBody;

/// How many streams share a connection.
const STREAMS: usize = 100;
/// What a member may send of a tunnel before it is read.
const TUNNEL_WINDOW: u32 = 64 * 1024;
/// And of a response, which may be large and come from far.
const RESPONSE_WINDOW: u32 = 256 * 1024;
/// What is kept of a stream until it can be sent.
const SEND_BUFFER: usize = 64 * 1024;
/// The longest head of a response, as of one over HTTP/1.1.
const HEAD_LIMIT: u32 = 64 * 1024;
/// How long a member that does not take handshakes over HTTP/2 is not asked again.
const DECLINED: Duration = Duration::from_secs(600);

/// What a request or handshake is sent over.
#[derive(Debug)]
pub(crate) enum Carrier {
    /// A connection of its own.
    Http1(Connection),
    /// A handshake: a stream of a connection that others share.
    Http2(Lease),
    /// A request: the same.
    Stream(Lease),
}

/// A member's connections that tunnels share, or requests, and whether it takes tunnels at all.
#[derive(Debug)]
pub(super) struct Http2 {
    cores: Box<[Padded<OnCore>]>,
    /// Until when it is not asked; 0 if it did not decline.
    declined: AtomicU64,
}

#[derive(Debug, Default)]
struct OnCore {
    shared: Mutex<Vec<Arc<Shared>>>,
    /// Held while one is opened: others wait for it in place of opening more.
    opening: tokio::sync::Mutex<()>,
    /// How often none could be opened: who has waited for one that failed does not try again.
    failed: AtomicUsize,
}

/// A connection that streams share.
#[derive(Debug)]
struct Shared {
    /// The member's identity.
    member: u64,
    sender: SendRequest<Bytes>,
    name: Name,
    ticket: Arc<Ticket>,
    streams: AtomicUsize,
    /// The member wants no new streams on it.
    spent: AtomicBool,
    idle: Duration,
    local_port: u16,
}

/// The place of one stream on a shared connection; given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    shared: Arc<Shared>,
    /// The connection has carried something before.
    pub(crate) reused: bool,
    /// Of a request: its own deadline and orders.
    call: Option<Arc<Ticket>>,
}

impl Lease {
    fn of(shared: &Arc<Shared>, reused: bool) -> Option<Self> {
        let more = |open: usize| {
            (open < STREAMS.min(shared.sender.current_max_send_streams())).then_some(open + 1)
        };
        shared.streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let lease = Self { shared: shared.clone(), reused, call: None };
        shared.ticket.disarm().then_some(lease)
    }

    /// Begins a request; its own deadline and orders.
    pub(super) fn begin_call(&mut self) -> Arc<Ticket> {
        self.call.insert(Arc::new(Ticket::new())).clone()
    }

    /// The deadline and orders of the request under way, if there is one.
    pub(crate) fn call(&self) -> Option<&Arc<Ticket>> {
        self.call.as_ref()
    }

    pub(super) fn member(&self) -> u64 {
        self.shared.member
    }

    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.shared.sender.clone()
    }

    /// Nothing new is to begin on the connection; it ends with its last stream.
    pub(super) fn spend(&self) {
        self.shared.spent.store(true, Ordering::Relaxed);
    }

    /// Our port on the connection.
    pub(crate) fn local_port(&self) -> u16 {
        self.shared.local_port
    }

    /// Sends a handshake as HTTP/1.1 has it, and waits for the head of its answer for `limit` at
    /// most.
    pub(crate) async fn send(
        &self,
        request: Request<RequestBody>,
        scheme: Scheme,
        limit: Duration,
    ) -> Result<(Response<RecvStream>, SendStream<Bytes>), Lost> {
        let lost = |order, cause| Lost { unsent: None, order, cause };
        let Some(request) = connect(request, scheme) else {
            return Err(lost(Order::None, Cause::Malformed));
        };
        let asking = async {
            let mut ready = self.shared.sender.clone().ready().await?;
            let (response, stream) = ready.send_request(request, false)?;
            Ok::<_, h2::Error>((response.await?, stream))
        };
        match tokio::time::timeout(limit, asking).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a handshake over HTTP/2 failed");
                Err(lost(self.shared.ticket.order(), Cause::Closed))
            }
            Err(_) => Err(lost(Order::Expired, Cause::Closed)),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.shared.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.shared.ticket.arm(self.shared.idle);
        }
    }
}

/// Takes the host out of a request, and makes the target that HTTP/2 has in its place (RFC 9113 8.3.1).
pub(super) fn target(head: &mut Parts, scheme: Scheme) -> Option<Uri> {
    let host = head.headers.remove(HOST)?;
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(scheme);
    uri.authority = Some(Authority::try_from(host.as_bytes()).ok()?);
    let path = head.uri.path_and_query().cloned();
    uri.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    Uri::from_parts(uri).ok()
}

/// The extended CONNECT (RFC 8441 4) that says what a handshake of HTTP/1.1 says.
fn connect(request: Request<RequestBody>, scheme: Scheme) -> Option<Request<()>> {
    let (mut head, _) = request.into_parts();
    let uri = target(&mut head, scheme)?;
    for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_KEY] {
        head.headers.remove(name);
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = uri;
    *request.headers_mut() = head.headers;
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    Some(request)
}

impl Shared {
    fn is_over(&self) -> bool {
        self.ticket.order().ends() || self.spent.load(Ordering::Relaxed)
    }
}

impl Http2 {
    pub(super) fn new(cores: usize) -> Self {
        Self { cores: per_core(cores, OnCore::default), declined: AtomicU64::new(0) }
    }

    /// Lets go of all connections: each ends with its last stream.
    pub(super) fn clear(&self) {
        for core in &self.cores {
            core.shared.lock().clear();
        }
    }

    fn lease(&self, core: &Core, name: &Name) -> Option<Lease> {
        let mut shared = self.cores.get(core.id.index())?.shared.lock();
        shared.retain(|shared| !shared.is_over());
        shared.iter().filter(|shared| shared.name == *name).find_map(|s| Lease::of(s, true))
    }

    fn push(&self, core: &Core, shared: Arc<Shared>) {
        if let Some(own) = self.cores.get(core.id.index()) {
            own.shared.lock().push(shared);
        }
    }

    fn has_declined(&self) -> bool {
        self.declined.load(Ordering::Relaxed) > clock::coarse()
    }

    fn decline(&self) {
        self.declined.store(clock::deadline(DECLINED), Ordering::Relaxed);
    }
}

impl Member {
    /// Something to send a handshake over; HTTP/2 only if the handshake `can` be sent so.
    pub(crate) async fn carrier(
        &self,
        core: &Arc<Core>,
        name: Name,
        version: MemberVersion,
        can: bool,
    ) -> Result<Carrier, ConnectError> {
        let asks = match version {
            MemberVersion::Http1 => false,
            MemberVersion::Offered => can && self.tls.is_some() && !self.http2.has_declined(),
            MemberVersion::Http2 => true,
        };
        if !asks {
            return Ok(Carrier::Http1(self.connect(core, name, true).await?));
        }
        if let Some(lease) = self.http2.lease(core, &name) {
            return Ok(Carrier::Http2(lease));
        }
        let Some(own) = self.http2.cores.get(core.id.index()) else {
            return Err(ConnectError::NoHttp2);
        };
        let _opening = own.opening.lock().await;
        if let Some(lease) = self.http2.lease(core, &name) {
            return Ok(Carrier::Http2(lease));
        }
        let alone = version == MemberVersion::Http2;
        match self.timed(core, self.open_for_tunnels(core, name.clone(), alone)).await? {
            Some(carrier) => Ok(carrier),
            None => Ok(Carrier::Http1(self.connect(core, name, true).await?)),
        }
    }

    /// A stream to send a request over.
    pub(crate) async fn stream(&self, core: &Arc<Core>, name: Name) -> Result<Lease, ConnectError> {
        if let Some(lease) = self.requests.lease(core, &name) {
            return Ok(lease);
        }
        let Some(own) = self.requests.cores.get(core.id.index()) else {
            return Err(ConnectError::NoHttp2);
        };
        let failed = own.failed.load(Ordering::Relaxed);
        let _opening = own.opening.lock().await;
        if let Some(lease) = self.requests.lease(core, &name) {
            return Ok(lease);
        }
        if own.failed.load(Ordering::Relaxed) != failed {
            return Err(ConnectError::Tcp(std::io::ErrorKind::ConnectionRefused.into()));
        }
        let opened = self.timed(core, self.open_for_requests(core, name)).await;
        if opened.is_err() {
            own.failed.fetch_add(1, Ordering::Relaxed);
        }
        opened
    }

    /// Opens something within the limit, and counts it.
    async fn timed<T>(
        &self,
        core: &Core,
        opening: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let started = Instant::now();
        // Boxed: rare, and larger than all that is around it.
        let opening = Box::pin(opening);
        let outcome = tokio::time::timeout(core.shared.timeouts.connect, opening).await;
        let outcome = outcome.unwrap_or(Err(ConnectError::TimedOut));
        match &outcome {
            Ok(_) => self.series.connected(core.id, started.elapsed()),
            Err(error) => {
                self.series.connect_failed(core.id);
                tracing::debug!(member = %self.address, %error, "no connection");
            }
        }
        outcome
    }

    async fn open_for_requests(&self, core: &Arc<Core>, name: Name) -> Result<Lease, ConnectError> {
        let Wire { io, local_port, http2 } = self.wire(&name, Some(true)).await?;
        if !http2 {
            return Err(ConnectError::NoHttp2);
        }
        let window = RESPONSE_WINDOW;
        let shared = match io {
            Io::Plain(tcp) => self.share(core, tcp, name, local_port, window).await?,
            Io::Tls(tls) => self.share(core, *tls, name, local_port, window).await?,
            Io::Multiplexed(_) => return Err(ConnectError::NoHttp2),
        };
        let lease = Lease::of(&shared, false).ok_or(ConnectError::NoHttp2)?;
        self.requests.push(core, shared);
        Ok(lease)
    }

    /// Opens a connection to share, or one for HTTP/1.1 if the member chose that; `None` if it is to
    /// be asked anew in HTTP/1.1.
    async fn open_for_tunnels(
        &self,
        core: &Arc<Core>,
        name: Name,
        alone: bool,
    ) -> Result<Option<Carrier>, ConnectError> {
        let wire = self.wire(&name, Some(alone)).await?;
        let Wire { io, local_port, http2 } = wire;
        if !http2 && self.tls.is_some() {
            if alone {
                return Err(ConnectError::NoHttp2);
            }
            self.http2.decline();
            let connection = self.speak_http1(core, io, name, local_port, true).await?;
            return Ok(Some(Carrier::Http1(connection)));
        }
        let window = TUNNEL_WINDOW;
        let shared = match io {
            Io::Plain(tcp) => self.share(core, tcp, name, local_port, window).await?,
            Io::Tls(tls) => self.share(core, *tls, name, local_port, window).await?,
            Io::Multiplexed(_) => return Err(ConnectError::NoHttp2),
        };
        if !shared.sender.is_extended_connect_protocol_enabled() {
            shared.ticket.give(Order::Abort);
            self.http2.decline();
            return if alone { Err(ConnectError::NoHttp2) } else { Ok(None) };
        }
        let lease = Lease::of(&shared, false).ok_or(ConnectError::NoHttp2)?;
        self.http2.push(core, shared);
        Ok(Some(Carrier::Http2(lease)))
    }

    /// Makes a connection one to share. Its settings have come when this is done.
    async fn share(
        &self,
        core: &Arc<Core>,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        name: Name,
        local_port: u16,
        window: u32,
    ) -> Result<Arc<Shared>, ConnectError> {
        let failed = |error: h2::Error| ConnectError::Tcp(std::io::Error::other(error));
        let (sender, mut connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(window)
            .initial_connection_window_size(window * STREAMS as u32)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(HEAD_LIMIT)
            .handshake(io)
            .await
            .map_err(failed)?;
        let ticket = Arc::new(Ticket::new());
        let mut pings = connection.ping_pong();
        let member = self.scope.id();
        let entered = core.connections.enter(ticket.clone(), Owner::Member { id: member });
        let driven = ticket.clone();
        tokio::spawn(async move {
            let _entered = entered;
            std::future::poll_fn(|cx| {
                driven.register(cx.waker());
                if driven.order().ends() {
                    return std::task::Poll::Ready(());
                }
                std::pin::Pin::new(&mut connection).poll(cx).map(|outcome| {
                    if let Err(error) = outcome {
                        tracing::debug!(%error, "a shared connection to a member ended");
                    }
                })
            })
            .await;
            // Nobody is to begin anything on it.
            driven.give(Order::Abort);
        });
        // Its settings come before anything else that it sends (RFC 9113 3.4), this answer too.
        if let Some(pings) = &mut pings {
            pings.ping(h2::Ping::opaque()).await.map_err(failed)?;
        }
        let idle = core.shared.timeouts.member_keep_alive;
        let (streams, spent) = (AtomicUsize::new(0), AtomicBool::new(false));
        Ok(Arc::new(Shared { member, sender, name, ticket, streams, spent, idle, local_port }))
    }
}

/// The stream of a handshake that the member took, as bytes.
pub(crate) fn bytes(send: SendStream<Bytes>, receive: RecvStream) -> Io {
    Io::Multiplexed(Box::new(Stream::new(send, receive)) as Box<dyn Multiplexed>)
}
