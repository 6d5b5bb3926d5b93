//! Bodies on their way, a frame at a time: back-pressure is that nobody asks for the next one.

use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;
use tidegate_http3::Receiver;
use tokio::time::Sleep;

use crate::conn::ticket::Ticket;
use crate::member::Streamed;
use crate::request::Exchange;
use crate::request::collect::Collected;

/// How long a member that says nothing may hold back a body that was announced with `Expect:
/// 100-continue`: many do not know it, and clients do not wait for ever either (RFC 9110 10.1.1).
const HOLD_LIMIT: Duration = Duration::from_secs(1);

/// Why a body ends before its end.
#[derive(Debug, Error)]
pub(crate) enum BodyError {
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("the member answered without asking for the body")]
    NotWanted,
    #[error("the body is larger than the gateway takes")]
    TooLarge,
    // Not transparent: who resets a stream for it looks for the reason among its sources.
    #[error("HTTP/2: {0}")]
    Http2(#[from] h2::Error),
    #[error("its time is over")]
    Ended,
    #[error(transparent)]
    Http3(#[from] tidegate_http3::StreamError),
}

/// A body as it comes from a client or a member.
#[derive(Debug)]
pub(crate) enum Inbound {
    Hyper(Incoming),
    /// The answer to a handshake over HTTP/2 that was refused.
    Http2(RecvStream),
    /// The answer to a request over HTTP/2. Boxed: most members speak HTTP/1.1.
    Stream(Box<Streamed>),
    /// Boxed: most bodies are not of HTTP/3.
    Http3(Box<Receiver>),
    /// A part of it is here already.
    Collected(Box<Collected>),
    Empty,
}

impl Inbound {
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Hyper(incoming) => Pin::new(incoming).poll_frame(cx).map_err(BodyError::from),
            Self::Http2(stream) => {
                let data = std::task::ready!(stream.poll_data(cx));
                if let Some(Ok(data)) = &data {
                    // A stream that was reset has no window left to give back to.
                    let _ = stream.flow_control().release_capacity(data.len());
                }
                Poll::Ready(data.map(|data| data.map(Frame::data).map_err(BodyError::from)))
            }
            Self::Stream(stream) => stream.poll_frame(cx),
            Self::Http3(stream) => {
                if let Some(data) = std::task::ready!(stream.poll_data(cx)) {
                    return Poll::Ready(Some(data.map(Frame::data).map_err(BodyError::from)));
                }
                let trailers = std::task::ready!(stream.poll_trailers(cx));
                *self = Self::Empty;
                let trailers = trailers.map_err(BodyError::from).transpose();
                Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)))
            }
            Self::Collected(collected) => collected.poll_frame(cx),
            Self::Empty => Poll::Ready(None),
        }
    }

    /// What the HTTP library made, if it did.
    pub(super) fn into_hyper(self) -> Option<Incoming> {
        match self {
            Self::Hyper(incoming) => Some(incoming),
            Self::Http2(_)
            | Self::Stream(_)
            | Self::Http3(_)
            | Self::Collected(_)
            | Self::Empty => None,
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Collected(collected) => collected.is_end_stream(),
            Self::Hyper(incoming) => incoming.is_end_stream(),
            Self::Http2(stream) => stream.is_end_stream(),
            Self::Stream(stream) => stream.is_end_stream(),
            Self::Http3(stream) => stream.is_ended(),
            Self::Empty => true,
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Collected(collected) => collected.size_hint(),
            Self::Hyper(incoming) => incoming.size_hint(),
            Self::Http2(_) | Self::Stream(_) => SizeHint::default(),
            Self::Http3(stream) => {
                stream.remaining().map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Self::Empty => SizeHint::with_exact(0),
        }
    }
}

/// What a request's body and its exchange know of each other.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    received: AtomicU64,
    hold: AtomicU8,
    answered: AtomicBool,
    too_large: AtomicBool,
    waker: AtomicWaker,
}

const FLOWS: u8 = 0;
const HELD: u8 = 1;
const ABANDONED: u8 = 2;

impl Upload {
    /// Bytes of the body that have come from the client.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// More has come than the gateway takes.
    pub(super) fn is_too_large(&self) -> bool {
        self.too_large.load(Ordering::Relaxed)
    }

    /// The member wants the body.
    pub(super) fn release(&self) {
        let released = self.hold.compare_exchange(HELD, FLOWS, Ordering::AcqRel, Ordering::Relaxed);
        if released.is_ok() {
            self.waker.wake();
        }
    }

    /// The response has begun: the client may now take its time.
    pub(super) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// The exchange is over: a body still held back never goes out.
    pub(super) fn abandon(&self) {
        let held = self.hold.compare_exchange(HELD, ABANDONED, Ordering::AcqRel, Ordering::Relaxed);
        if held.is_ok() {
            self.waker.wake();
        }
    }
}

/// A request's body.
#[derive(Debug)]
pub(crate) enum RequestBody {
    Empty,
    /// Boxed: most requests have none.
    Streaming(Box<Streaming>),
}

/// A body that comes from the client while it goes to the member.
#[derive(Debug)]
pub(crate) struct Streaming {
    incoming: Inbound,
    /// What has come already and is to be sent again, the last first.
    before: Vec<Bytes>,
    upload: Arc<Upload>,
    hold: Option<Pin<Box<Sleep>>>,
    /// The connection it goes out on, whose deadline moves with it.
    ticket: Option<Arc<Ticket>>,
    limits: Limits,
}

/// How large a request's body may be, and how long who has to move next may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) client: Duration,
    pub(super) member: Duration,
    /// In bytes.
    pub(super) largest: Option<NonZeroU64>,
}

impl RequestBody {
    /// A body, held back until the member wants it if `expects`.
    pub(super) fn new(
        incoming: Inbound,
        expects: bool,
        limits: Limits,
    ) -> (Self, Option<Arc<Upload>>) {
        if incoming.is_end_stream() {
            return (Self::Empty, None);
        }
        let upload = Arc::new(Upload::default());
        let hold = expects.then(|| {
            upload.hold.store(HELD, Ordering::Relaxed);
            Box::pin(tokio::time::sleep(HOLD_LIMIT))
        });
        let (before, upload_too) = (Vec::new(), upload.clone());
        let streaming =
            Streaming { incoming, before, upload: upload_too, hold, ticket: None, limits };
        (Self::Streaming(Box::new(streaming)), Some(upload))
    }

    /// Whether there is nothing in it, so that it can be sent twice.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// The body as it was before these parts of it were taken.
    pub(crate) fn again(mut self, mut taken: Vec<Bytes>) -> Self {
        if let Self::Streaming(streaming) = &mut self {
            taken.reverse();
            streaming.before.append(&mut taken);
        }
        self
    }

    /// Names the connection that it goes out on.
    pub(crate) fn attach(&mut self, ticket: &Arc<Ticket>) {
        if let Self::Streaming(streaming) = self {
            streaming.ticket = Some(ticket.clone());
        }
    }
}

impl Streaming {
    /// Ready once the body may flow.
    fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let Some(limit) = &mut self.hold else {
            return Poll::Ready(Ok(()));
        };
        self.upload.waker.register(cx.waker());
        match self.upload.hold.load(Ordering::Acquire) {
            ABANDONED => return Poll::Ready(Err(BodyError::NotWanted)),
            HELD => {
                std::task::ready!(limit.as_mut().poll(cx));
                self.upload.release();
            }
            _ => {}
        }
        self.hold = None;
        Poll::Ready(Ok(()))
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Err(error) = std::task::ready!(self.poll_wanted(cx)) {
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(data) = self.before.pop() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let frame = self.incoming.poll_frame(cx);
        // Until the response begins, whoever has to move next has the deadline.
        if let Some(ticket) = &self.ticket
            && !self.upload.answered.load(Ordering::Relaxed)
        {
            match frame {
                Poll::Pending => ticket.arm_client(self.limits.client),
                Poll::Ready(_) => ticket.arm(self.limits.member),
            }
        }
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            let length = data.len() as u64;
            let received = self.upload.received.fetch_add(length, Ordering::Relaxed) + length;
            if self.limits.largest.is_some_and(|largest| received > largest.get()) {
                self.upload.too_large.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err(BodyError::TooLarge)));
            }
        }
        frame
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streaming(streaming) => streaming.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(streaming) => {
                streaming.before.is_empty() && streaming.incoming.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(streaming) => streaming.incoming.size_hint(),
        }
    }
}

/// A response's body; its exchange ends with it.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    // Dropped first: a connection is kept only after its body is gone.
    source: Source,
    /// `None` once a tunnel has taken it over.
    exchange: Option<Exchange>,
    waiting: bool,
}

#[derive(Debug)]
enum Source {
    Member(Inbound),
    Own(Bytes),
}

impl ResponseBody {
    pub(super) fn from_member(incoming: Inbound, exchange: Exchange) -> Self {
        Self { source: Source::Member(incoming), exchange: Some(exchange), waiting: false }
    }

    pub(super) fn own(text: Bytes, exchange: Exchange) -> Self {
        let source = Source::Own(text);
        Self { source, exchange: Some(exchange), waiting: false }
    }

    /// The body of a 101: there is none.
    pub(super) fn none() -> Self {
        Self { source: Source::Own(Bytes::new()), exchange: None, waiting: false }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(exchange) = &mut this.exchange else {
            return Poll::Ready(None);
        };
        let incoming = match &mut this.source {
            Source::Own(text) if text.is_empty() => return Poll::Ready(None),
            Source::Own(text) => {
                let text = std::mem::take(text);
                exchange.sent(text.len());
                return Poll::Ready(Some(Ok(Frame::data(text))));
            }
            Source::Member(incoming) => incoming,
        };
        let frame = incoming.poll_frame(cx);
        match &frame {
            Poll::Pending if !this.waiting => {
                this.waiting = true;
                exchange.member_has_to_move();
            }
            Poll::Pending => {}
            Poll::Ready(frame) => {
                if std::mem::take(&mut this.waiting) {
                    exchange.member_moved();
                }
                match frame {
                    Some(Ok(frame)) => exchange.sent(frame.data_ref().map_or(0, Bytes::len)),
                    Some(Err(_)) => exchange.broken(),
                    None => exchange.complete(),
                }
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Member(incoming) => incoming.is_end_stream(),
            Source::Own(text) => text.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Member(incoming) => incoming.size_hint(),
            Source::Own(text) => SizeHint::with_exact(text.len() as u64),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A body of known length is never asked for the frame after its last.
        if let (Source::Member(incoming), Some(exchange)) = (&self.source, &mut self.exchange)
            && incoming.is_end_stream()
        {
            exchange.complete();
        }
    }
}
