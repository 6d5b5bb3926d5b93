//! A connection: its control streams, and the request streams that it gives out.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use quinn::{AcceptBi, AcceptUni, ConnectionError, SendStream, WriteError};

use crate::error::{Error, Violation};
use crate::incoming::Incoming;
use crate::shared::{Shared, Stopped, poll_write, probe, quic_code};
use crate::uni::{Kind, Turn, Uni};
use crate::{code, control};

/// Streams of the peer's that have not said what they are for. More are not taken from QUIC until
/// these have.
const UNKNOWN: usize = 16;

/// What a peer may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a field section: of names, of values and 32 for each field (RFC 9114 4.2.2). The
    /// peer is told. 32 KiB by default.
    pub max_field_section: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_field_section: 32 * 1024 }
    }
}

/// The server's end of a connection.
///
/// It does nothing unless [`accept`](Self::accept) is waited for, which also reads the control
/// streams. Dropped, it leaves the streams that it gave out alone; QUIC's connection is closed when
/// they are gone too.
pub struct Connection {
    quic: quinn::Connection,
    limits: Limits,
    shared: Arc<Shared>,
    /// Our control stream, and what QUIC has not taken of it.
    control: SendStream,
    queue: Vec<Bytes>,
    /// The peer's streams that are known, each of which there may be once.
    known: [Option<Uni>; 3],
    unknown: Vec<Uni>,
    /// The first stream that has not been given out.
    next: u64,
    drain: Drain,
}

/// How far the end that [`shutdown`](Connection::shutdown) began has come. After the first, no
/// request is given out any more.
enum Drain {
    No,
    /// GOAWAY is queued.
    Begun,
    /// GOAWAY is on its way; this completes when it has arrived.
    Told(Stopped),
    /// The peer knows.
    Known,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { quic, next, .. } = self;
        f.debug_struct("Connection").field("quic", quic).field("next", next).finish()
    }
}

impl Connection {
    /// Opens our control stream and sends SETTINGS. It waits for the peer to allow the stream.
    ///
    /// # Errors
    ///
    /// The connection was lost.
    pub async fn new(quic: quinn::Connection, limits: Limits) -> Result<Self, Error> {
        let control = quic.open_uni().await?;
        let mut connection = Self {
            shared: Shared::new(quic.clone()),
            quic,
            limits,
            control,
            queue: vec![control::opening(limits.max_field_section)],
            known: [None, None, None],
            unknown: Vec::new(),
            next: 0,
            drain: Drain::No,
        };
        // What is not taken at once goes while requests are waited for.
        poll_fn(|cx| Poll::Ready(connection.write(cx))).await?;
        Ok(connection)
    }

    /// The next request stream. Dropping the future loses nothing.
    ///
    /// `None` when the connection is over without an error: the peer closed it with H3_NO_ERROR or
    /// left it idle, or we did. After [`shutdown`](Self::shutdown) also when the peer knows of it,
    /// everything that was given out has been dropped, and the peer has all responses that were
    /// finished; the connection is closed with H3_NO_ERROR then.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol, here or on a request's stream, and the connection has been
    /// closed with the error's code; or QUIC's connection failed.
    pub async fn accept(&mut self) -> Result<Option<Incoming>, Error> {
        let quic = self.quic.clone();
        let mut bi = pin!(quic.accept_bi());
        let mut uni = pin!(quic.accept_uni());
        poll_fn(|cx| {
            match self.poll_accept(cx, &quic, bi.as_mut(), uni.as_mut()) {
                // One place to close for what is found here.
                Poll::Ready(Err(Error::Protocol(violation))) => {
                    Poll::Ready(Err(self.shared.violated(violation)))
                }
                other => other,
            }
        })
        .await
    }

    /// Sends GOAWAY with the first stream that was not given out (RFC 9114 5.2), and gives out no
    /// more: [`accept`](Self::accept) sends it, refuses what comes with H3_REQUEST_REJECTED, and
    /// has to be called until it finds nothing. There is no limit of time.
    pub fn shutdown(&mut self) {
        if matches!(self.drain, Drain::No) {
            self.drain = Drain::Begun;
            self.queue.push(control::goaway(self.next));
        }
    }

    /// The QUIC connection.
    pub fn quic(&self) -> &quinn::Connection {
        &self.quic
    }

    fn poll_accept<'a>(
        &mut self,
        cx: &mut Context<'_>,
        quic: &'a quinn::Connection,
        mut bi: Pin<&mut AcceptBi<'a>>,
        mut uni: Pin<&mut AcceptUni<'a>>,
    ) -> Poll<Result<Option<Incoming>, Error>> {
        self.write(cx)?;
        loop {
            while self.unknown.len() < UNKNOWN
                && let Poll::Ready(stream) = uni.as_mut().poll(cx)
            {
                uni.set(quic.accept_uni());
                match stream {
                    Ok(stream) => self.unknown.push(Uni::new(stream)),
                    Err(error) => return Poll::Ready(self.lost(error)),
                }
            }
            // Where some have left, others may come.
            let full = self.unknown.len() == UNKNOWN;
            self.read(cx)?;
            if !full || self.unknown.len() == UNKNOWN {
                break;
            }
        }
        while let Poll::Ready(stream) = bi.as_mut().poll(cx) {
            bi.set(quic.accept_bi());
            let (mut send, mut recv) = match stream {
                Ok(stream) => stream,
                Err(error) => return Poll::Ready(self.lost(error)),
            };
            if !matches!(self.drain, Drain::No) {
                let rejected = quic_code(code::H3_REQUEST_REJECTED);
                let _ = send.reset(rejected);
                let _ = recv.stop(rejected);
                continue;
            }
            self.next = u64::from(send.id()).saturating_add(4);
            let limit = self.limits.max_field_section;
            return Poll::Ready(Ok(Some(Incoming::new(send, recv, &self.shared, limit))));
        }
        if self.poll_known(cx).is_ready() && self.shared.poll_idle(cx).is_ready() {
            quic.close(quic_code(code::H3_NO_ERROR), b"");
            return Poll::Ready(Ok(None));
        }
        Poll::Pending
    }

    /// Waits until the peer knows that the connection ends, if it is to. Closed before, it would
    /// take what has just been sent for lost, not for refused.
    fn poll_known(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.drain, Drain::Begun) && self.queue.is_empty() {
            self.drain = Drain::Told(probe(&self.quic, cx));
        }
        if let Drain::Told(probe) = &mut self.drain {
            let _ = ready!(probe.as_mut().poll(cx));
            self.drain = Drain::Known;
        }
        if matches!(self.drain, Drain::Known) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Sends what is queued for our control stream, as far as QUIC takes it.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Violation> {
        match poll_write(&mut self.control, &mut self.queue, cx) {
            Poll::Ready(Err(WriteError::Stopped(_))) => {
                let reason = "our control stream is not read";
                Err(Violation::new(code::H3_CLOSED_CRITICAL_STREAM, reason))
            }
            // The end of the connection is found where streams are accepted.
            _ => Ok(()),
        }
    }

    /// Reads what has come by the peer's unidirectional streams.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), Violation> {
        let mut index = 0;
        while let Some(stream) = self.unknown.get_mut(index) {
            match stream.poll(cx)? {
                Turn::Waits => index += 1,
                Turn::Useless => drop(self.unknown.swap_remove(index)),
                Turn::Known(kind) => {
                    let stream = self.unknown.swap_remove(index);
                    let [control, encoder, decoder] = &mut self.known;
                    let place = match kind {
                        Kind::Control => control,
                        Kind::Encoder => encoder,
                        Kind::Decoder => decoder,
                    };
                    if place.replace(stream).is_some() {
                        let reason = "a stream that is there twice";
                        return Err(Violation::new(code::H3_STREAM_CREATION_ERROR, reason));
                    }
                }
            }
        }
        for stream in self.known.iter_mut().flatten() {
            stream.poll(cx)?;
            if let Some(limit) = stream.max_field_section() {
                self.shared.set_peer_limit(limit);
            }
        }
        Ok(())
    }

    /// The end of the connection, which is an error or not.
    fn lost(&self, error: ConnectionError) -> Result<Option<Incoming>, Error> {
        match self.shared.lost(error) {
            Error::Quic(ConnectionError::LocallyClosed | ConnectionError::TimedOut) => Ok(None),
            error if error.code() == code::H3_NO_ERROR => Ok(None),
            error => Err(error),
        }
    }
}
