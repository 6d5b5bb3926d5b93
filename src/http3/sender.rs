//! The response: heads, body and trailers, put into frames.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode};
use quinn::{SendStream, WriteError};

use crate::code;
use crate::error::StreamError;
use crate::qpack::encode::Section;
use crate::shared::{Half, Stopped, poll_write, quic_code};
use crate::{fields, frame};

/// Heads that may be queued; more are refused until some have been sent.
const HEADS: usize = 8;

/// The half of a request's stream that we send.
///
/// Everything is queued and then given to QUIC by [`poll_ready`](Self::poll_ready), which waits for
/// the client's windows. Dropped before it was [finished](Self::poll_finish), it resets the stream
/// with H3_REQUEST_CANCELLED, so that nobody takes what was cut off for whole.
pub struct Sender {
    stream: SendStream,
    half: Half,
    /// What QUIC has not taken; no part is empty.
    queue: Vec<Bytes>,
    has_data: bool,
    phase: Phase,
    stopped: Option<Stopped>,
    /// The code to reset with if this is dropped before it is finished.
    pub(crate) abandoned: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head,
    Body,
    /// Trailers have been queued.
    Trailers,
    Finished,
    Reset,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stream, phase, .. } = self;
        f.debug_struct("Sender").field("id", &stream.id()).field("phase", phase).finish()
    }
}

impl Sender {
    pub(crate) fn new(stream: SendStream, half: Half) -> Self {
        Self {
            stream,
            half,
            queue: Vec::new(),
            has_data: false,
            phase: Phase::Head,
            stopped: None,
            abandoned: code::H3_REQUEST_REJECTED,
        }
    }

    /// The id of the QUIC stream (RFC 9000 2.1).
    pub fn id(&self) -> u64 {
        self.stream.id().into()
    }

    /// Queues the head of a response. Informational heads may come before the one that counts.
    /// Fields of the connection (RFC 9114 4.2) are left out.
    ///
    /// # Errors
    ///
    /// [Out of order](StreamError::OutOfOrder) behind the head that counts, for 101
    /// (RFC 9114 4.5) and when eight heads are queued; [too large](StreamError::TooLarge) if the
    /// client takes no such head (RFC 9114 4.2.2). Nothing is queued then.
    pub fn start_response(&mut self, head: Response<()>) -> Result<(), StreamError> {
        self.expect(Phase::Head, "a head behind the head")?;
        if head.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(StreamError::OutOfOrder("101 is not for HTTP/3"));
        }
        if self.queue.len() >= HEADS * 2 {
            return Err(StreamError::OutOfOrder("too many heads that were not sent"));
        }
        let mut section = Section::new();
        section.add(b":status", head.status().as_str().as_bytes(), false);
        fields::put(head.headers(), &mut section);
        self.queue_section(section)?;
        if !head.status().is_informational() {
            self.phase = Phase::Body;
        }
        Ok(())
    }

    /// Waits until everything that was queued is in QUIC's hands.
    ///
    /// # Errors
    ///
    /// [Stopped](StreamError::Stopped) when the client reads no more. That is seen here only while
    /// something is queued; [`poll_stopped`](Self::poll_stopped) sees it always.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        if self.phase == Phase::Reset {
            return Poll::Ready(Err(StreamError::Closed));
        }
        ready!(poll_write(&mut self.stream, &mut self.queue, cx))
            .map_err(|error| self.write_error(error))?;
        self.has_data = false;
        Poll::Ready(Ok(()))
    }

    /// Queues a DATA frame. What is empty is no frame. One frame is queued at a time: call this only
    /// when [ready](Self::poll_ready); a head may still be queued.
    ///
    /// # Errors
    ///
    /// [Out of order](StreamError::OutOfOrder) before the head, behind the trailers, or if a DATA
    /// frame is queued already.
    pub fn send_data(&mut self, data: Bytes) -> Result<(), StreamError> {
        self.expect(Phase::Body, "data that is not between head and trailers")?;
        if self.has_data {
            return Err(StreamError::OutOfOrder("data before the last was sent"));
        }
        if !data.is_empty() {
            self.queue_frame(frame::DATA, data);
            self.has_data = true;
        }
        Ok(())
    }

    /// Queues the trailers. Fields of the connection are left out.
    ///
    /// # Errors
    ///
    /// [Out of order](StreamError::OutOfOrder) before the head and behind trailers;
    /// [too large](StreamError::TooLarge) if the client takes no such trailers.
    pub fn send_trailers(&mut self, trailers: HeaderMap) -> Result<(), StreamError> {
        self.expect(Phase::Body, "trailers that are not behind the head")?;
        let mut section = Section::new();
        fields::put(&trailers, &mut section);
        self.queue_section(section)?;
        self.phase = Phase::Trailers;
        Ok(())
    }

    /// Waits as [`poll_ready`](Self::poll_ready), then ends the stream. It does not wait for the
    /// client to have everything.
    ///
    /// # Errors
    ///
    /// As for `poll_ready`; [out of order](StreamError::OutOfOrder) before the head that counts.
    pub fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        if self.phase == Phase::Finished {
            return Poll::Ready(Ok(()));
        }
        if self.phase == Phase::Head {
            return Poll::Ready(Err(StreamError::OutOfOrder("an end before the head")));
        }
        ready!(self.poll_ready(cx))?;
        // This fails only if it was finished or reset before.
        let _ = self.stream.finish();
        self.phase = Phase::Finished;
        Poll::Ready(Ok(()))
    }

    /// Ends the stream with an error, and drops what was queued. Nothing happens if it has ended.
    pub fn reset(&mut self, code: u64) {
        if !matches!(self.phase, Phase::Finished | Phase::Reset) {
            let _ = self.stream.reset(quic_code(code));
            self.queue = Vec::new();
            self.phase = Phase::Reset;
        }
    }

    /// Waits for the client to read no more (STOP_SENDING, RFC 9000 3.5): the code it gave, or
    /// H3_REQUEST_CANCELLED when the connection is lost. Pending for ever once the client has read
    /// everything. It costs one allocation for a stream.
    pub fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<u64> {
        let stopped = self.stopped.get_or_insert_with(|| Box::pin(self.stream.stopped()));
        let code = match ready!(stopped.as_mut().poll(cx)) {
            Ok(Some(code)) => Some(code.into_inner()),
            Ok(None) => None,
            Err(_) => Some(code::H3_REQUEST_CANCELLED),
        };
        self.stopped = Some(Box::pin(std::future::pending()));
        code.map_or(Poll::Pending, Poll::Ready)
    }

    fn expect(&self, phase: Phase, otherwise: &'static str) -> Result<(), StreamError> {
        match self.phase {
            now if now == phase => Ok(()),
            Phase::Finished | Phase::Reset => Err(StreamError::Closed),
            _ => Err(StreamError::OutOfOrder(otherwise)),
        }
    }

    fn queue_section(&mut self, section: Section) -> Result<(), StreamError> {
        if section.size() > self.half.0.peer_limit() {
            return Err(StreamError::TooLarge);
        }
        self.queue_frame(frame::HEADERS, section.finish());
        Ok(())
    }

    fn queue_frame(&mut self, kind: u64, payload: Bytes) {
        let mut head = BytesMut::with_capacity(16);
        frame::put_head(kind, payload.len() as u64, &mut head);
        self.queue.extend([head.freeze(), payload]);
    }

    fn write_error(&self, error: WriteError) -> StreamError {
        match error {
            WriteError::Stopped(code) => StreamError::Stopped(code.into_inner()),
            WriteError::ConnectionLost(error) => self.half.0.lost(error).into(),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => StreamError::Closed,
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if self.phase == Phase::Finished {
            self.half.0.finished(Box::pin(self.stream.stopped()));
        }
        self.reset(self.abandoned);
    }
}
