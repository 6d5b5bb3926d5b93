//! The body and the trailers of a request, as they come.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::code;
use crate::error::{StreamError, Violation};
use crate::fields::{self, Fault};
use crate::frame::Event;
use crate::head::Head;
use crate::inbound::Inbound;
use crate::incoming::undecodable;
use crate::qpack::{Failure, decode};

/// The half of a request's stream that the client sends.
///
/// Dropped before it ended, it tells the client with H3_NO_ERROR to send no more; the response is
/// not touched by that (RFC 9114 4.1). Nothing is read ahead of the caller but what QUIC's windows
/// let in.
#[derive(Debug)]
pub struct Receiver {
    inbound: Inbound,
    /// Bytes that a trailer section may have.
    limit: u64,
    /// A CONNECT's stream has DATA alone (RFC 9114 4.4).
    is_tunnel: bool,
    /// Bytes of DATA that have yet to come, if that is known.
    left: Option<u64>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Body,
    /// The trailers have been read; the end has not.
    Trailers(HeaderMap),
    Ended,
}

impl Receiver {
    pub(crate) fn new(inbound: Inbound, head: &Head, limit: u64) -> Self {
        let is_tunnel = head.request.method() == Method::CONNECT;
        Self { inbound, limit, is_tunnel, left: head.content_length, phase: Phase::Body }
    }

    /// The next piece of the body, never empty; `None` once the body has ended, by the end of the
    /// stream or by trailers.
    ///
    /// # Errors
    ///
    /// Once there was an error it is given again. A body that is not as long as Content-Length says
    /// is [malformed](StreamError::Malformed), which is found at its end, or when it is too long.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StreamError>>> {
        if !matches!(self.phase, Phase::Body) {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.inbound.poll_event(cx)) {
            Ok(Some(Event::Data(data))) => Some(self.count(&data).map(|()| data)),
            Ok(event) => self.end_body(event).err().map(Err),
            Err(error) => Some(Err(error)),
        })
    }

    /// The trailers, once the stream has ended; `None` if there are none. What is left of the body
    /// is thrown away. A second call finds none.
    ///
    /// # Errors
    ///
    /// As for [`poll_data`](Self::poll_data).
    pub fn poll_trailers(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<HeaderMap>, StreamError>> {
        while let Some(data) = ready!(self.poll_data(cx)) {
            data?;
        }
        if let Phase::Trailers(trailers) = &mut self.phase {
            if ready!(self.inbound.poll_event(cx))?.is_some() {
                return Poll::Ready(Err(self.unexpected("a frame behind the trailers")));
            }
            let trailers = std::mem::take(trailers);
            self.phase = Phase::Ended;
            return Poll::Ready(Ok(Some(trailers)));
        }
        Poll::Ready(Ok(None))
    }

    /// Whether the end of the stream has been read or is known to be next: neither data nor
    /// trailers come, nor an error. `false` says nothing.
    pub fn is_ended(&self) -> bool {
        match self.phase {
            Phase::Ended => true,
            Phase::Body => self.inbound.is_ended() && self.left.is_none_or(|left| left == 0),
            Phase::Trailers(_) => false,
        }
    }

    /// Bytes that the body has yet, if the client said so by Content-Length.
    pub fn remaining(&self) -> Option<u64> {
        self.left
    }

    /// Reads no more, and tells the client so with `code` (STOP_SENDING, RFC 9000 3.5) unless all
    /// has arrived. From here on everything is [closed](StreamError::Closed).
    pub fn stop(&mut self, code: u64) {
        self.inbound.stop(code);
    }

    /// The code that the client is stopped with if this is dropped before it ended.
    pub(crate) fn abandon_with(&mut self, code: u64) {
        self.inbound.abandoned = code;
    }

    /// Whether data, the end or an error can be had without waiting, as far as is known here.
    pub(crate) fn is_ready(&self) -> bool {
        self.inbound.is_ready()
    }

    fn count(&mut self, data: &Bytes) -> Result<(), StreamError> {
        if let Some(left) = &mut self.left {
            match left.checked_sub(data.len() as u64) {
                Some(rest) => *left = rest,
                None => return Err(self.malformed("more than Content-Length says")),
            }
        }
        Ok(())
    }

    /// What follows the body: trailers, or nothing.
    fn end_body(&mut self, event: Option<Event>) -> Result<(), StreamError> {
        if self.is_tunnel && event.is_some() {
            return Err(self.unexpected("a frame in a tunnel"));
        }
        if self.left.is_some_and(|left| left > 0) {
            return Err(self.malformed("less than Content-Length says"));
        }
        let payload = match event {
            Some(Event::Headers(payload)) => payload,
            Some(_) => return Err(self.inbound.fail(StreamError::TooLarge)),
            None => {
                self.phase = Phase::Ended;
                return Ok(());
            }
        };
        let trailers = match decode::section(&payload, self.limit) {
            Ok(fields) => fields::trailers(fields),
            Err(Failure::TooLarge) => Err(Fault::TooMany),
            Err(Failure::Invalid) => return Err(undecodable(&mut self.inbound)),
        };
        match trailers {
            Ok(trailers) => {
                self.phase = Phase::Trailers(trailers);
                Ok(())
            }
            Err(Fault::TooMany) => Err(self.inbound.fail(StreamError::TooLarge)),
            Err(Fault::Malformed(reason)) => Err(self.malformed(reason)),
        }
    }

    fn malformed(&mut self, reason: &'static str) -> StreamError {
        self.inbound.fail(StreamError::Malformed(reason))
    }

    fn unexpected(&mut self, reason: &'static str) -> StreamError {
        self.inbound.violated(Violation::new(code::H3_FRAME_UNEXPECTED, reason))
    }
}
