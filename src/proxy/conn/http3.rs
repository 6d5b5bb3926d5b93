//! Serves one client's QUIC connection: requests and WebSockets over HTTP/3 (RFC 9114, RFC 9220).

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use hyper::ext::Protocol;
use parking_lot::Mutex;
use quinn::crypto::rustls::HandshakeData;
use rustls_pki_types::CertificateDer;
use tidegate_http3::{Incoming, Limits, Receiver, RequestError, Sender, Tunnel, code};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::access_log::TlsInfo;
use crate::conn::Noted;
use crate::conn::client::{Client, Version};
use crate::conn::io::Io;
use crate::conn::serve::{LIST_LIMIT, canonical, chosen, look, unless_ended};
use crate::conn::ticket::{Order, Ticket};
use crate::core::{Core, Owner};
use crate::request;
use crate::request::body::{Inbound, ResponseBody};
use crate::tls::{Agreed, ClientCertificate};

/// The stream that a handshake came on, for the tunnel that it may become: there once the answer is
/// written. In a request's extensions, which want to be cloned.
#[derive(Clone, Debug)]
pub(crate) struct Later(Arc<Mutex<Option<oneshot::Receiver<Io>>>>);

impl Later {
    /// Takes it; whoever comes first gets it.
    pub(crate) fn take(&self) -> Option<oneshot::Receiver<Io>> {
        self.0.lock().take()
    }
}

/// A connection that has begun.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) connecting: quinn::Connecting,
    /// Its place among those whose client has not been heard of again, if it has one.
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

/// Serves a connection in a task of its own.
pub(crate) fn spawn(core: &Arc<Core>, slot: usize, handshake: Handshake) {
    tokio::spawn(connection(core.clone(), slot, handshake));
}

async fn connection(core: Arc<Core>, slot: usize, handshake: Handshake) {
    let Handshake { connecting, place } = handshake;
    let peer = canonical(connecting.remote_address());
    let ticket = Arc::new(Ticket::new());
    let _entered = core.connections.enter(ticket.clone(), Owner::Client { slot });
    let _counted = core.clients.enter(ticket.clone(), ());
    let process = core.shared.metrics.process();
    process.connection_opened(core.id, true);
    ticket.arm(core.shared.timeouts.handshake);
    let started = Instant::now();
    let connected = unless_ended(&ticket, pin!(connecting)).await;
    drop(place);
    ticket.disarm();
    process.tls_handshake(core.id, matches!(connected, Some(Ok(_))), started.elapsed());
    if let Some(Ok(quic)) = connected {
        let agreed = Some(agreed(&core, slot, &quic));
        let notes = core.shared.table.load().frontend(slot).map(|frontend| frontend.notes);
        let noted = notes.and_then(|notes| Noted::of_quic(notes, quic.rtt()));
        let client = Client::new(core.clone(), slot, peer, agreed, Version::Http3, ticket.clone())
            .noting(noted);
        requests(Arc::new(client), quic).await;
    }
    core.shared.metrics.process().connection_closed(core.id);
}

/// What the handshake came to.
fn agreed(core: &Core, slot: usize, quic: &quinn::Connection) -> Agreed {
    let shown = quic.peer_identity().and_then(|shown| shown.downcast().ok());
    let shown: Option<Box<Vec<CertificateDer<'static>>>> = shown;
    let certificate = shown.and_then(|chain| ClientCertificate::read(&chain)).map(Arc::new);
    let data = quic.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let name = data.and_then(|data| data.server_name);
    let table = core.shared.table.load();
    let profile = table.frontend(slot).and_then(|frontend| frontend.tls.as_ref());
    let asked = profile.and_then(|profile| chosen(profile, name.as_deref()).0);
    let info = TlsInfo { protocol: "TLSv1_3", cipher: "QUIC" };
    Agreed { info, certificate, has_quic: true, asked }
}

/// Takes requests until the client leaves, or it is told to.
async fn requests(client: Arc<Client>, quic: quinn::Connection) {
    let ticket = client.ticket.clone();
    ticket.arm(client.core.shared.timeouts.header_read);
    let limits = Limits { max_field_section: LIST_LIMIT as u64 };
    let Ok(mut connection) = tidegate_http3::Connection::new(quic.clone(), limits).await else {
        return;
    };
    let mut graceful = false;
    loop {
        let next = {
            let mut accepting = pin!(connection.accept());
            poll_fn(|cx| {
                let order = look(&ticket, cx);
                if order.ends() && order != Order::Expired || order != Order::None && !graceful {
                    return Poll::Ready(Err(order));
                }
                accepting.as_mut().poll(cx).map(Ok)
            })
            .await
        };
        match next {
            Ok(Ok(Some(incoming))) => {
                tokio::spawn(request(client.clone(), incoming));
            }
            Ok(Ok(None)) => break,
            Ok(Err(error)) => {
                tracing::debug!(%error, "connection ended");
                break;
            }
            // An idle connection is told with GOAWAY, so that a request under way is not lost.
            Err(Order::Graceful | Order::Expired) => {
                graceful = true;
                connection.shutdown();
            }
            Err(_) => {
                quic.close(quinn::VarInt::from_u32(0x100), b"");
                return;
            }
        }
    }
    // What goes to the client is on its way until it has said that it came.
    quic.close(quinn::VarInt::from_u32(0x100), b"");
}

/// One request, from its head to the last byte of its response.
async fn request(client: Arc<Client>, incoming: Incoming) {
    let limit = client.core.shared.timeouts.header_read;
    let (head, receiver, sender) = match tokio::time::timeout(limit, incoming.head()).await {
        Ok(Ok(parts)) => parts,
        Ok(Err(RequestError::TooLarge(sender))) => return too_large(*sender).await,
        // A stream without its head is nothing yet, and given up with a reset.
        Ok(Err(_)) | Err(_) => return,
    };
    let connects = head.method() == http::Method::CONNECT;
    let mut request = head.map(|()| Inbound::Empty);
    if let Some(protocol) = request.extensions_mut().remove::<tidegate_http3::Protocol>() {
        // One name for it, whatever it came by; others than this are refused all the same.
        let name = if protocol.as_str() == "websocket" { "websocket" } else { "other" };
        request.extensions_mut().insert(Protocol::from_static(name));
    }
    if connects {
        connect(client, request, receiver, sender).await;
        return;
    }
    let inbound =
        if receiver.is_ended() { Inbound::Empty } else { Inbound::Http3(receiver.into()) };
    let response = request::serve(client, request.map(|_| inbound)).await;
    respond(response, sender).await;
}

/// Answers a request whose head is not to be had. As over HTTP/2 it is not one that is counted.
async fn too_large(mut sender: Sender) {
    let mut answer = Response::new(());
    *answer.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    if sender.start_response(answer).is_ok() {
        // Lost with the connection, or in QUIC's hands.
        let _ = poll_fn(|cx| sender.poll_finish(cx)).await;
    }
}

/// A handshake: a success is the beginning of a tunnel.
async fn connect(
    client: Arc<Client>,
    mut request: Request<Inbound>,
    receiver: Receiver,
    mut sender: Sender,
) {
    let (give, later) = oneshot::channel();
    request.extensions_mut().insert(Later(Arc::new(Mutex::new(Some(later)))));
    let response = request::serve(client, request).await;
    if !response.status().is_success() {
        respond(response, sender).await;
        return;
    }
    if sender.start_response(head_of(response).0).is_ok() {
        // A tunnel that is gone already takes nothing, and the stream is reset.
        let _ = give.send(Io::Multiplexed(Box::new(Tunnel::new(receiver, sender))));
    }
}

/// A response without what HTTP/3 has no fields for (RFC 9114 4.2).
fn head_of(response: Response<ResponseBody>) -> (Response<()>, ResponseBody) {
    let (mut head, body) = response.into_parts();
    for name in [CONNECTION, UPGRADE] {
        head.headers.remove(name);
    }
    (Response::from_parts(head, ()), body)
}

/// Sends a response, as fast as the client takes it and the member gives it.
async fn respond(response: Response<ResponseBody>, mut sender: Sender) {
    let (head, body) = head_of(response);
    if sender.start_response(head).is_err() {
        return;
    }
    let mut body = pin!(body);
    let sent = poll_fn(|cx| {
        loop {
            match sender.poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(None)),
                Poll::Pending => return Poll::Pending,
            }
            if body.is_end_stream() {
                return Poll::Ready(Ok(()));
            }
            let Poll::Ready(frame) = body.as_mut().poll_frame(cx) else {
                // A client that wants no more does not wait for the member.
                return sender.poll_stopped(cx).map(|_| Err(None));
            };
            let queued = match frame {
                None => return Poll::Ready(Ok(())),
                Some(Err(_)) => return Poll::Ready(Err(Some(code::H3_INTERNAL_ERROR))),
                Some(Ok(frame)) => send(&mut sender, frame),
            };
            if queued.is_err() {
                return Poll::Ready(Err(None));
            }
        }
    })
    .await;
    match sent {
        // Lost with the connection, or in QUIC's hands.
        Ok(()) => drop(poll_fn(|cx| sender.poll_finish(cx)).await),
        Err(Some(code)) => sender.reset(code),
        Err(None) => {}
    }
}

fn send(sender: &mut Sender, frame: Frame<Bytes>) -> Result<(), tidegate_http3::StreamError> {
    match frame.into_data() {
        Ok(data) => sender.send_data(data),
        Err(frame) => match frame.into_trailers() {
            Ok(trailers) => sender.send_trailers(trailers),
            Err(_) => Ok(()),
        },
    }
}
