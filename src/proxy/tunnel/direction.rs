//! One of the two ways through a tunnel.

use std::io;
use std::task::{Context, Poll, ready};

use thiserror::Error;
use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::conn::io::Io;
use crate::tunnel::buffer::{self, Leftover};
use crate::tunnel::pipe::Pipe;

/// A read of so much makes a direction bulk: copying it would cost more than two system calls.
const BULK: usize = 32 * 1024;
/// How often a direction reads before other tasks of its thread have their turn.
const TURNS: usize = 16;

/// Why a direction failed.
#[derive(Debug, Error)]
pub(crate) enum Broken {
    /// Its source could not be read: the whole tunnel ends.
    #[error("read: {0}")]
    Source(io::Error),
    /// Its sink took no more.
    #[error("write: {0}")]
    Sink(io::Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The source has ended; what was read is still to be written, and the sink to be shut down.
    Ending,
    Done,
}

/// Bytes on their way from a source to a sink.
#[derive(Debug)]
pub(crate) struct Direction {
    state: State,
    /// The sink may hold back bytes until it is flushed.
    unflushed: bool,
    bulk: bool,
    leftover: Leftover,
    // Boxed: most tunnels never need it.
    pipe: Option<Box<Pipe>>,
    moved: u64,
}

impl Direction {
    /// A direction that begins with bytes read ahead of it.
    pub(crate) fn starting_with(ahead: &[u8]) -> Self {
        Self {
            state: State::Open,
            unflushed: false,
            bulk: false,
            leftover: if ahead.is_empty() { Leftover::default() } else { Leftover::of(ahead) },
            pipe: None,
            moved: 0,
        }
    }

    /// Whether the source has ended and the sink knows.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the source has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.state != State::Open
    }

    /// The sink takes no more: what is under way is dropped.
    pub(super) fn give_up(&mut self) {
        self.leftover = Leftover::default();
        self.pipe = None;
        self.state = State::Done;
    }

    /// Bytes that the sink has taken.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// Moves bytes until one side has to be waited for. Ready when done.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Io,
        sink: &mut Io,
    ) -> Poll<Result<(), Broken>> {
        for _ in 0..TURNS {
            match self.state {
                State::Done => return Poll::Ready(Ok(())),
                State::Ending => {
                    ready!(self.poll_write_out(cx, sink)).map_err(Broken::Sink)?;
                    self.give_back_pipe();
                    ready!(sink.poll_shutdown(cx)).map_err(Broken::Sink)?;
                    self.state = State::Done;
                }
                State::Open => {
                    ready!(self.poll_write_out(cx, sink)).map_err(Broken::Sink)?;
                    let moved = match (self.bulk, &*source, &*sink) {
                        (true, Io::Plain(from), Io::Plain(_)) => self.poll_splice(cx, from),
                        _ => self.poll_copy(cx, source, sink),
                    };
                    if moved?.is_pending() {
                        self.give_back_pipe();
                        return self.poll_flush(cx, sink);
                    }
                }
            }
        }
        // Much is under way; the others first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what an earlier turn could not.
    fn poll_write_out(&mut self, cx: &mut Context<'_>, sink: &mut Io) -> Poll<io::Result<()>> {
        while !self.leftover.rest().is_empty() {
            let written = ready!(sink.poll_write(cx, self.leftover.rest()))?;
            let written = self.wrote(written)?;
            self.leftover.take(written);
        }
        if let (Some(pipe), Io::Plain(sink)) = (&mut self.pipe, &*sink) {
            while pipe.held() > 0 {
                ready!(sink.poll_write_ready(cx))?;
                match sink.try_io(Interest::WRITABLE, || pipe.empty(sink)) {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Ok(written) => self.moved += written as u64,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once into the thread's buffer and writes what the sink takes. Pending only if there
    /// was nothing to read.
    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Io,
        sink: &mut Io,
    ) -> Result<Poll<()>, Broken> {
        buffer::with(|buffer| {
            let mut read = ReadBuf::new(buffer);
            match source.poll_read(cx, &mut read) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(())) => {}
                // A TLS peer that left without close_notify: the stream has ended all the same,
                // and what ends it inside the tunnel is the WebSocket's own close.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Poll::Ready(Err(error)) => return Err(Broken::Source(error)),
            }
            let mut rest = read.filled();
            if rest.is_empty() {
                self.state = State::Ending;
            }
            self.bulk = rest.len() >= BULK;
            while !rest.is_empty() {
                match sink.poll_write(cx, rest) {
                    Poll::Pending => {
                        self.leftover = Leftover::of(rest);
                        break;
                    }
                    Poll::Ready(written) => {
                        let written = written.and_then(|written| self.wrote(written));
                        rest = &rest[written.map_err(Broken::Sink)?..];
                    }
                }
            }
            Ok(Poll::Ready(()))
        })
    }

    /// Moves what the source has into the pipe, to be written out next. Pending only if there was
    /// nothing to move.
    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        source: &TcpStream,
    ) -> Result<Poll<()>, Broken> {
        let Some(mut pipe) = self.pipe.take().or_else(|| Pipe::borrow().map(Box::new)) else {
            self.bulk = false;
            return Ok(Poll::Ready(()));
        };
        let filled = loop {
            if source.poll_read_ready(cx).map_err(Broken::Source)?.is_pending() {
                self.pipe = Some(pipe);
                // The next message is as likely small as large.
                self.bulk = false;
                return Ok(Poll::Pending);
            }
            match source.try_io(Interest::READABLE, || pipe.fill(source)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => break other,
            }
        };
        match filled {
            Ok(0) => self.state = State::Ending,
            Ok(_) => {}
            Err(error) => return Err(Broken::Source(error)),
        }
        self.pipe = Some(pipe);
        Ok(Poll::Ready(()))
    }

    fn wrote(&mut self, written: usize) -> io::Result<usize> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.moved += written as u64;
        self.unflushed = true;
        Ok(written)
    }

    /// Nothing to read: what a TLS session holds back goes out now.
    fn poll_flush(&mut self, cx: &mut Context<'_>, sink: &mut Io) -> Poll<Result<(), Broken>> {
        if self.unflushed {
            ready!(sink.poll_flush(cx)).map_err(Broken::Sink)?;
            self.unflushed = false;
        }
        Poll::Pending
    }

    fn give_back_pipe(&mut self) {
        if let Some(pipe) = self.pipe.take_if(|pipe| pipe.held() == 0) {
            pipe.give_back();
        }
    }
}
