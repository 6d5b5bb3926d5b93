//! WebSocket handshakes over HTTP/2 to a member (RFC 8441).
//!
//! Many tunnels share a connection, each as a stream with a window of its own, so that one that
//! nobody reads holds back none of the others. Whether a member takes such handshakes is asked once:
//! by ALPN, and by its settings frame. One that does not is spoken to in HTTP/1.1.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, UPGRADE};
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
use crate::member::connection::{Connection, Lost};
use crate::member::{Member, stream::Stream};
use crate::padded::{Padded, per_core};
use crate::request::body::RequestBody;

/// How many tunnels share a connection.
const TUNNELS: usize = 100;
/// What a member may send of a stream before it is read.
const STREAM_WINDOW: u32 = 64 * 1024;
/// How long a member that does not take handshakes over HTTP/2 is not asked again.
const DECLINED: Duration = Duration::from_secs(600);

/// What a handshake is sent over.
#[derive(Debug)]
pub(crate) enum Carrier {
    /// A connection of its own.
    Http1(Connection),
    /// A stream of a connection that others share.
    Http2(Lease),
}

/// A member's connections that tunnels share, and whether it takes them at all.
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
}

/// A connection that tunnels share.
#[derive(Debug)]
struct Shared {
    sender: SendRequest<Bytes>,
    name: Name,
    ticket: Arc<Ticket>,
    tunnels: AtomicUsize,
    idle: Duration,
    local_port: u16,
}

/// The place of one tunnel on a shared connection; given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    shared: Arc<Shared>,
    /// It has carried a handshake before.
    pub(crate) reused: bool,
}

impl Lease {
    fn of(shared: &Arc<Shared>, reused: bool) -> Option<Self> {
        let more = |open: usize| {
            (open < TUNNELS.min(shared.sender.current_max_send_streams())).then_some(open + 1)
        };
        shared.tunnels.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let lease = Self { shared: shared.clone(), reused };
        shared.ticket.disarm().then_some(lease)
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
        let lost = |order, malformed| Lost { unsent: None, order, malformed };
        let Some(request) = connect(request, scheme) else {
            return Err(lost(Order::None, true));
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
                Err(lost(self.shared.ticket.order(), false))
            }
            Err(_) => Err(lost(Order::Expired, false)),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.shared.tunnels.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.shared.ticket.arm(self.shared.idle);
        }
    }
}

/// The extended CONNECT (RFC 8441 4) that says what a handshake of HTTP/1.1 says.
fn connect(request: Request<RequestBody>, scheme: Scheme) -> Option<Request<()>> {
    let (mut head, _) = request.into_parts();
    let host = head.headers.remove(HOST)?;
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(scheme);
    uri.authority = Some(Authority::try_from(host.as_bytes()).ok()?);
    let path = head.uri.path_and_query().cloned();
    uri.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_KEY] {
        head.headers.remove(name);
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    *request.headers_mut() = head.headers;
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    Some(request)
}

impl Http2 {
    pub(super) fn new(cores: usize) -> Self {
        Self { cores: per_core(cores, OnCore::default), declined: AtomicU64::new(0) }
    }

    /// Lets go of all connections: each ends with its last tunnel.
    pub(super) fn clear(&self) {
        for core in &self.cores {
            core.shared.lock().clear();
        }
    }

    fn lease(&self, core: &Core, name: &Name) -> Option<Lease> {
        let mut shared = self.cores.get(core.id.index())?.shared.lock();
        shared.retain(|shared| !shared.ticket.order().ends());
        shared.iter().filter(|shared| shared.name == *name).find_map(|s| Lease::of(s, true))
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
        let started = Instant::now();
        // Boxed: rare, and larger than all that is around it.
        let opening = Box::pin(self.open_shared(core, name.clone(), alone));
        let limit = core.shared.timeouts.connect;
        let outcome = tokio::time::timeout(limit, opening).await;
        let outcome = outcome.unwrap_or(Err(ConnectError::TimedOut));
        match outcome {
            Ok(Some(carrier)) => {
                self.series.connected(core.id, started.elapsed());
                Ok(carrier)
            }
            Ok(None) => Ok(Carrier::Http1(self.connect(core, name, true).await?)),
            Err(error) => {
                self.series.connect_failed(core.id);
                tracing::debug!(member = %self.address, %error, "no connection");
                Err(error)
            }
        }
    }

    /// Opens a connection to share, or one for HTTP/1.1 if the member chose that; `None` if it is to
    /// be asked anew in HTTP/1.1.
    async fn open_shared(
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
        match io {
            Io::Plain(tcp) => self.share(core, tcp, name, local_port, alone).await,
            Io::Tls(tls) => self.share(core, *tls, name, local_port, alone).await,
            Io::Multiplexed(_) => Err(ConnectError::NoHttp2),
        }
    }

    async fn share(
        &self,
        core: &Arc<Core>,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        name: Name,
        local_port: u16,
        alone: bool,
    ) -> Result<Option<Carrier>, ConnectError> {
        let failed = |error: h2::Error| ConnectError::Tcp(std::io::Error::other(error));
        let (sender, mut connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW * TUNNELS as u32)
            .max_send_buffer_size(STREAM_WINDOW as usize)
            .handshake(io)
            .await
            .map_err(failed)?;
        let ticket = Arc::new(Ticket::new());
        let mut pings = connection.ping_pong();
        let entered = core.connections.enter(ticket.clone(), Owner::Member { id: self.scope.id() });
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
        if !sender.is_extended_connect_protocol_enabled() {
            ticket.give(Order::Abort);
            self.http2.decline();
            return if alone { Err(ConnectError::NoHttp2) } else { Ok(None) };
        }
        let idle = core.shared.timeouts.member_keep_alive;
        let tunnels = AtomicUsize::new(0);
        let shared = Arc::new(Shared { sender, name, ticket, tunnels, idle, local_port });
        let lease = Lease::of(&shared, false).ok_or(ConnectError::NoHttp2)?;
        if let Some(own) = self.http2.cores.get(core.id.index()) {
            own.shared.lock().push(shared);
        }
        Ok(Some(Carrier::Http2(lease)))
    }
}

/// The stream of a handshake that the member took, as bytes.
pub(crate) fn bytes(send: SendStream<Bytes>, receive: RecvStream) -> Io {
    Io::Multiplexed(Box::new(Stream::new(send, receive)) as Box<dyn Multiplexed>)
}
