//! Serves one client connection from accept to its end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::CipherSuite;
use rustls::server::Acceptor;
use tokio::io::{AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

use crate::access_log::TlsInfo;
use crate::conn::Noted;
use crate::conn::client::{Client, Version};
use crate::conn::io::{Io, Stream};
use crate::conn::refusal;
use crate::conn::ticket::{Order, Ticket};
use crate::core::{Core, Owner};
use crate::failure::Failure;
use crate::request;
use crate::request::body::Inbound;
use crate::table::Frontend;
use crate::tls::{Agreed, Asked, ClientCertificate, Profile, Way};

/// The longest head of a request over HTTP/1.1: a target and a header block of 32 KiB each, as
/// Application Gateway has them, and a little more, so that what is too long is told which it was.
const HEAD_LIMIT: usize = 68 * 1024;

/// The largest header list over HTTP/2 and HTTP/3, target included.
pub(super) const LIST_LIMIT: usize = 16 * 1024;

/// Streams that a client may have at once on an HTTP/2 connection. A browser has at most 255
/// WebSockets, all on one connection, and would wait for one of them to end before it sends more.
const STREAMS: u32 = 400;

/// Serves a connection in a task of its own.
pub(crate) fn spawn(core: &Arc<Core>, slot: usize, tcp: TcpStream, peer: SocketAddr) {
    // Without Nagle's delay small messages leave at once. A socket that refuses is about to fail.
    let _ = tcp.set_nodelay(true);
    keep_alive(&tcp);
    tokio::spawn(connection(core.clone(), slot, tcp, canonical(peer)));
}

/// Dead peers are found by the kernel, in tunnels too, without a byte of ours.
pub(crate) fn keep_alive(tcp: &TcpStream) {
    let probe = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10))
        .with_retries(6);
    let _ = socket2::SockRef::from(tcp).set_tcp_keepalive(&probe);
}

/// An IPv4 client that came to a dual-stack socket is shown as the IPv4 client that it is.
pub(super) fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

async fn connection(core: Arc<Core>, slot: usize, tcp: TcpStream, peer: SocketAddr) {
    // The frontend and not the table: only what a handshake needs lives as long as it.
    let (secured, notes) = match core.shared.table.load().frontend(slot) {
        Some(frontend) => (frontend.tls.is_some().then(|| frontend.clone()), frontend.notes),
        // Removed between accept and here.
        None => return,
    };
    let ticket = Arc::new(Ticket::new());
    let _entered = core.connections.enter(ticket.clone(), Owner::Client { slot });
    let _counted = core.clients.enter(ticket.clone(), ());
    let process = core.shared.metrics.process();
    process.connection_opened(core.id, secured.is_some());
    match secured {
        None => {
            let client = Client::new(core.clone(), slot, peer, None, Version::Http1, ticket)
                .noting(Noted::of(notes, &tcp, String::new()));
            http1(client, Io::Plain(tcp)).await
        }
        Some(frontend) => {
            ticket.arm(core.shared.timeouts.handshake);
            // Boxed: the handshake's state is large and short-lived.
            if let Some((tls, agreed, http2, noted)) =
                Box::pin(handshake(&core, slot, frontend, tcp, peer, &ticket)).await
            {
                let version = if http2 { Version::Http2 } else { Version::Http1 };
                let client = Client::new(core.clone(), slot, peer, Some(agreed), version, ticket)
                    .noting(noted);
                if http2 {
                    Box::pin(self::http2(client, tls)).await;
                } else {
                    http1(client, tls).await;
                }
            }
        }
    }
    core.shared.metrics.process().connection_closed(core.id);
}

/// The first byte of a TLS handshake record (RFC 8446 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// Performs the TLS handshake; `None` if it failed or took too long.
async fn handshake(
    core: &Core,
    slot: usize,
    frontend: Arc<Frontend>,
    mut tcp: TcpStream,
    peer: SocketAddr,
    ticket: &Ticket,
) -> Option<(Io, Agreed, bool, Option<Box<Noted>>)> {
    // A look before TLS answers in its own way: a person who forgot the `s` gets a sentence.
    let mut first = [0];
    let looked = unless_ended(ticket, pin!(tcp.peek(&mut first))).await?;
    if looked.is_ok_and(|length| length > 0) && first[0] != HANDSHAKE_RECORD {
        refusal::record(core, slot, peer, None, Failure::PlainHttp, Duration::ZERO);
        // A client that is gone needs no answer.
        let _ = tcp.write_all(request::respond::HTTP_ON_HTTPS_PORT).await;
        return None;
    }
    let started = Instant::now();
    let (profile, notes) = (frontend.tls.as_ref()?, frontend.notes);
    let accepting = async {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
        let (asked, way) = chosen(profile, hello.client_hello().server_name());
        let suites = match notes.suites {
            true => suites(hello.client_hello().cipher_suites()),
            false => String::new(),
        };
        let Some(way) = way else { return Err(io::ErrorKind::ConnectionAborted.into()) };
        let tls = hello.into_stream(way.config()).await?;
        Ok::<_, io::Error>((tls, asked, way.has_quic(), suites))
    };
    let accepted = unless_ended(ticket, pin!(accepting)).await;
    drop(frontend);
    ticket.disarm();
    let process = core.shared.metrics.process();
    process.tls_handshake(core.id, matches!(accepted, Some(Ok(_))), started.elapsed());
    let (tls, asked, has_quic, suites) =
        accepted?.inspect_err(|error| tracing::debug!(%error, "TLS handshake failed")).ok()?;
    let (tcp, session) = tls.get_ref();
    let noted = Noted::of(notes, tcp, suites);
    let http2 = session.alpn_protocol() == Some(b"h2");
    let info = TlsInfo {
        protocol: session.protocol_version().and_then(|v| v.as_str()).unwrap_or("unknown"),
        cipher: session
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or("unknown"),
    };
    let certificate = session.peer_certificates().and_then(ClientCertificate::read).map(Arc::new);
    let agreed = Agreed { info, certificate, has_quic, asked };
    Some((Io::Tls(Box::new(tls.into())), agreed, http2, noted))
}

/// The names of suites, in their order; the number of one that has none.
fn suites(offered: &[CipherSuite]) -> String {
    let names = offered.iter().map(|suite| match suite.as_str() {
        Some(name) => name.to_owned(),
        None => format!("0x{:04x}", u16::from(*suite)),
    });
    names.collect::<Vec<String>>().join(":")
}

/// The way of a handshake for a name, and what is remembered of it.
pub(super) fn chosen(
    profile: &Profile,
    name: Option<&str>,
) -> (Option<Box<Asked>>, Option<Arc<Way>>) {
    let way = profile.way(name).cloned();
    let question = way.as_ref().and_then(|way| way.question);
    (profile.differs().then(|| Box::new(Asked::new(name, question))), way)
}

/// Waits for something, or for the order to end.
pub(super) async fn unless_ended<T>(
    ticket: &Ticket,
    mut wait: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    poll_fn(|cx| match look(ticket, cx).ends() {
        true => Poll::Ready(None),
        false => wait.as_mut().poll(cx).map(Some),
    })
    .await
}

async fn http1(client: Client, io: Io) {
    let client = Arc::new(client);
    let ticket = &client.ticket;
    let limit = client.core.shared.timeouts.header_read;
    // The first request has as long as any; only a connection that had one may idle longer.
    ticket.arm(limit);
    let Some((io, ahead)) = read_ahead(io, ticket).await else {
        return;
    };
    let keeps_case = begins_with_upgrade(&ahead);
    let io = TokioIo::new(Stream::with_head_watch(io, ahead, ticket.clone(), limit));
    let served = client.clone();
    let service = service_fn(move |request| {
        let client = served.clone();
        async move { Ok::<_, Infallible>(request::serve(client, request.map(Inbound::Hyper)).await) }
    });
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).max_buf_size(HEAD_LIMIT).preserve_header_case(keeps_case);
    let mut connection = builder.serve_connection(io, service).with_upgrades();
    let (mut begun, mut graceful) = (false, false);
    let failure = poll_fn(|cx| {
        let ended = |outcome: hyper::Result<()>| {
            let error = outcome.err()?;
            tracing::debug!(%error, "connection ended");
            refusal::reason(&error)
        };
        match look(ticket, cx) {
            Order::None => {}
            Order::Graceful => {
                // What has arrived is answered: hyper closes a connection that it has read nothing
                // of yet.
                if !std::mem::replace(&mut begun, true)
                    && let Poll::Ready(outcome) = Pin::new(&mut connection).poll(cx)
                {
                    return Poll::Ready(ended(outcome));
                }
                if !std::mem::replace(&mut graceful, true) {
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
            Order::Expired => return Poll::Ready(Some(Failure::ClientStalled)),
            Order::Abort | Order::ClientStalled => return Poll::Ready(None),
        }
        begun = true;
        Pin::new(&mut connection).poll(cx).map(ended)
    })
    .await;
    let record = |failure, took| {
        let Client { core, slot, peer, tls, .. } = &*client;
        refusal::record(core, *slot, *peer, *tls, failure, took);
    };
    match failure {
        None => {}
        Some(Failure::ClientStalled) => {
            // The deadline ran while a head was arriving, not between two requests: say so.
            if !ticket.is_quiet()
                && let Some(parts) = connection.into_parts()
            {
                let mut io = parts.io.into_inner().into_io();
                record(Failure::ClientStalled, limit);
                answer_and_close(&mut io, request::respond::REQUEST_TIMEOUT).await;
            }
        }
        Some(failure) => record(failure, Duration::ZERO),
    }
}

/// How much of a connection is looked at before it is served: most heads as a whole.
const AHEAD: usize = 4096;

/// The first bytes of a connection; `None` if none come.
async fn read_ahead(mut io: Io, ticket: &Ticket) -> Option<(Io, Box<[u8]>)> {
    let read = poll_fn(|cx| {
        if look(ticket, cx).ends() {
            return Poll::Ready(None);
        }
        let mut buffer = [0; AHEAD];
        let mut buffer = ReadBuf::new(&mut buffer);
        let read = ready!(io.poll_read(cx, &mut buffer));
        Poll::Ready(read.ok().map(|()| Box::<[u8]>::from(buffer.filled())))
    });
    let read = read.await;
    if read.is_none() && ticket.order() == Order::Expired {
        answer_and_close(&mut io, request::respond::REQUEST_TIMEOUT).await;
    }
    Some((io, read.filter(|bytes| !bytes.is_empty())?))
}

/// Whether the first request has an `Upgrade` field. Such a connection keeps the letters of field
/// names as they are, because a WebSocket's handshake is to pass untouched; others go without, as
/// keeping them costs a tenth of a request. Clients open a connection of its own for a WebSocket.
fn begins_with_upgrade(head: &[u8]) -> bool {
    const FIELD: &[u8] = b"\nupgrade:";
    head.windows(FIELD.len()).any(|window| window[0] == b'\n' && window.eq_ignore_ascii_case(FIELD))
}

/// Says something to a client that is not served, and ends the connection.
async fn answer_and_close(io: &mut Io, answer: &[u8]) {
    // The answer is shorter than any socket's buffer; a client that takes none gets none.
    let _ = poll_fn(|cx| io.poll_write(cx, answer)).await;
    let _ = poll_fn(|cx| io.poll_flush(cx)).await;
    let _ = poll_fn(|cx| io.poll_shutdown(cx)).await;
}

async fn http2(client: Client, io: Io) {
    let client = Arc::new(client);
    let ticket = client.ticket.clone();
    ticket.arm(client.core.shared.timeouts.header_read);
    let service = service_fn(move |request| {
        let client = client.clone();
        async move { Ok::<_, Infallible>(request::serve(client, request.map(Inbound::Hyper)).await) }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(256 * 1024)
        // So many streams' worth may wait for slow members before others have to, too.
        .initial_connection_window_size(16 * 256 * 1024)
        .max_send_buf_size(128 * 1024)
        .max_header_list_size(LIST_LIMIT as u32)
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .keep_alive_timeout(Duration::from_secs(20));
    let mut connection = builder.serve_connection(TokioIo::new(Stream::new(io)), service);
    let mut graceful = false;
    poll_fn(|cx| {
        match look(&ticket, cx) {
            Order::None => {}
            // An idle connection is told with GOAWAY, so that a request under way is not lost.
            Order::Graceful | Order::Expired => {
                if !std::mem::replace(&mut graceful, true) {
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
            Order::Abort | Order::ClientStalled => return Poll::Ready(()),
        }
        Pin::new(&mut connection).poll(cx).map(|outcome| {
            if let Err(error) = outcome {
                tracing::debug!(%error, "connection ended");
            }
        })
    })
    .await;
}

pub(super) fn look(ticket: &Ticket, cx: &Context<'_>) -> Order {
    ticket.register(cx.waker());
    ticket.order()
}
