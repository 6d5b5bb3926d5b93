//! Frames of a request's stream, as they come.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use quinn::{ReadError, RecvStream};

use crate::code;
use crate::error::{StreamError, Violation};
use crate::frame::{Event, Frames, Place};
use crate::shared::{Half, quic_code};

/// Pieces that are taken from QUIC at once: each is about what a packet has, and each call takes a
/// lock.
const PIECES: usize = 8;

/// The peer's half of a request's stream.
#[derive(Debug)]
pub(crate) struct Inbound {
    stream: RecvStream,
    half: Half,
    frames: Frames,
    /// What QUIC gave; those before `at` are taken, and empty.
    pieces: [Bytes; PIECES],
    at: usize,
    /// The peer has finished it, and everything is read.
    ended: bool,
    /// Why nothing more comes. QUIC itself would say that the stream has ended.
    failed: Option<StreamError>,
    /// The code to stop the peer with if this is dropped before it ended.
    pub(crate) abandoned: u64,
}

impl Inbound {
    pub(crate) fn new(stream: RecvStream, half: Half, limit: u64) -> Self {
        Self {
            stream,
            half,
            frames: Frames::new(Place::Request { limit }),
            pieces: Default::default(),
            at: 0,
            ended: false,
            failed: None,
            abandoned: code::H3_REQUEST_REJECTED,
        }
    }

    /// The next event; `None` when the peer has finished the stream.
    pub(crate) fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Event>, StreamError>> {
        loop {
            if let Some(error) = &self.failed {
                return Poll::Ready(Err(error.clone()));
            }
            while let Some(piece) = self.pieces.get_mut(self.at) {
                match self.frames.next(piece) {
                    Ok(Some(event)) => return Poll::Ready(Ok(Some(event))),
                    Ok(None) => self.at += 1,
                    Err(violation) => return Poll::Ready(Err(self.violated(violation))),
                }
            }
            if self.ended && !self.frames.is_between_frames() {
                let cut = Violation::new(code::H3_FRAME_ERROR, "a frame that is cut off");
                return Poll::Ready(Err(self.violated(cut)));
            }
            if self.ended {
                return Poll::Ready(Ok(None));
            }
            ready!(self.poll_fill(cx));
        }
    }

    /// Gets something from QUIC: pieces, the end or an error.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ended || self.failed.is_some() || self.has_pieces() {
            return Poll::Ready(());
        }
        // The future has no state of its own.
        match ready!(pin!(self.stream.read_chunks(&mut self.pieces)).poll(cx)) {
            Ok(Some(_)) => self.at = 0,
            Ok(None) => self.ended = true,
            Err(ReadError::Reset(code)) => {
                self.failed = Some(StreamError::Reset(code.into_inner()));
            }
            Err(ReadError::ConnectionLost(error)) => {
                self.failed = Some(self.half.0.lost(error).into());
            }
            Err(_) => self.failed = Some(StreamError::Closed),
        }
        Poll::Ready(())
    }

    fn has_pieces(&self) -> bool {
        self.pieces.get(self.at..).is_some_and(|rest| rest.iter().any(|piece| !piece.is_empty()))
    }

    /// Whether an event may come without waiting.
    pub(crate) fn is_ready(&self) -> bool {
        self.ended || self.failed.is_some() || self.has_pieces()
    }

    /// Whether the stream has ended well, and nothing of it is left.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended && !self.has_pieces() && self.frames.is_between_frames() && self.failed.is_none()
    }

    /// Ends the connection.
    pub(crate) fn violated(&mut self, violation: Violation) -> StreamError {
        self.fail(self.half.0.violated(violation).into())
    }

    /// Ends this half because of `error`.
    pub(crate) fn fail(&mut self, error: StreamError) -> StreamError {
        self.stop(error.code());
        self.failed = Some(error.clone());
        error
    }

    /// Reads no more, and tells the peer so unless it has sent all.
    pub(crate) fn stop(&mut self, code: u64) {
        if !self.ended && self.failed.is_none() {
            let _ = self.stream.stop(quic_code(code));
        }
        self.pieces = Default::default();
        self.failed.get_or_insert(StreamError::Closed);
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        if !self.is_ready() {
            // The end may be there, and then there is nothing to stop.
            let _ = self.poll_fill(&mut Context::from_waker(Waker::noop()));
        }
        self.stop(self.abandoned);
    }
}
