//! What a connection and its streams know of each other.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use parking_lot::Mutex;
use quinn::{ConnectionError, SendStream, VarInt, WriteError};

use crate::code;
use crate::error::{Error, Violation};

/// Completes when a stream has been read, stopped or lost by the peer.
pub(crate) type Stopped =
    Pin<Box<dyn Future<Output = Result<Option<VarInt>, quinn::StoppedError>> + Send + Sync>>;

/// Finished streams are looked through for ones that have arrived when there are this many.
const FEW: usize = 32;

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    quic: quinn::Connection,
    /// What a field section of ours may have, in bytes (RFC 9114 4.2.2).
    peer_limit: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Halves of request streams that are held by somebody.
    halves: usize,
    /// Streams that have been finished, and of which the peer may not have everything yet. There
    /// are no more than twice as many as QUIC has open, or [`FEW`].
    finished: Vec<Stopped>,
    enough: usize,
    waker: Option<Waker>,
    violation: Option<Violation>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("halves", &self.halves).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(quic: quinn::Connection) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self { quic, peer_limit: AtomicU64::new(u64::MAX), state })
    }

    pub(crate) fn set_peer_limit(&self, limit: u64) {
        self.peer_limit.store(limit, Ordering::Relaxed);
    }

    pub(crate) fn peer_limit(&self) -> u64 {
        self.peer_limit.load(Ordering::Relaxed)
    }

    /// Closes the connection because of what the peer did.
    pub(crate) fn violated(&self, violation: Violation) -> Error {
        let first = *self.state.lock().violation.get_or_insert(violation);
        self.quic.close(quic_code(first.code), first.reason.as_bytes());
        Error::Protocol(first)
    }

    /// Why QUIC's connection is over: a violation, if that was why we closed it.
    pub(crate) fn lost(&self, error: ConnectionError) -> Error {
        match (&error, self.state.lock().violation) {
            (ConnectionError::LocallyClosed, Some(violation)) => Error::Protocol(violation),
            _ => Error::Quic(error),
        }
    }

    /// Remembers a stream that was finished.
    pub(crate) fn finished(&self, stream: Stopped) {
        let mut state = self.state.lock();
        if state.finished.len() >= state.enough.max(FEW) {
            state.sweep(&mut Context::from_waker(Waker::noop()));
            state.enough = state.finished.len() * 2;
        }
        state.finished.push(stream);
    }

    /// Waits until nobody holds a half of a request's stream, and until the peer has everything of
    /// the streams that were finished.
    pub(crate) fn poll_idle(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        state.waker = Some(cx.waker().clone());
        if state.halves > 0 {
            return Poll::Pending;
        }
        state.sweep(cx);
        if state.finished.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl State {
    fn sweep(&mut self, cx: &mut Context<'_>) {
        self.finished.retain_mut(|stream| stream.as_mut().poll(cx).is_pending());
    }
}

/// Held by each half of a request's stream.
#[derive(Debug)]
pub(crate) struct Half(pub(crate) Arc<Shared>);

impl Half {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        shared.state.lock().halves += 1;
        Self(Arc::clone(shared))
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.halves = state.halves.saturating_sub(1);
        let waker = if state.halves == 0 { state.waker.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Writes what is queued, until nothing is. No part of `queue` may be empty.
pub(crate) fn poll_write(
    stream: &mut SendStream,
    queue: &mut Vec<Bytes>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), WriteError>> {
    while !queue.is_empty() {
        // The future has no state of its own, and leaves in the queue what was not written.
        let written = ready!(pin!(stream.write_chunks(queue)).poll(cx))?;
        queue.drain(..written.chunks.min(queue.len()));
    }
    Poll::Ready(Ok(()))
}

/// Completes when the peer has, most likely, everything that QUIC was given before.
///
/// QUIC does not say when a part of a stream has arrived, only when all of one has. So this is a
/// stream of a reserved type (RFC 9114 6.2.3), which means nothing. If the peer allows no stream
/// there is no waiting.
pub(crate) fn probe(quic: &quinn::Connection, cx: &mut Context<'_>) -> Stopped {
    const RESERVED: u8 = 0x21;
    if let Poll::Ready(Ok(mut stream)) = pin!(quic.open_uni()).poll(cx) {
        let mut queue = vec![Bytes::from_static(&[RESERVED])];
        if poll_write(&mut stream, &mut queue, cx).is_ready() && stream.finish().is_ok() {
            return Box::pin(stream.stopped());
        }
        let _ = stream.reset(quic_code(code::H3_NO_ERROR));
    }
    Box::pin(std::future::ready(Ok(None)))
}

/// An error code as QUIC has it.
pub(crate) fn quic_code(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}
