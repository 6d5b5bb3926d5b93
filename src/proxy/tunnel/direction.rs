//! One of the two ways through a tunnel.

use std::io;
use std::task::{Context, Poll, ready};

use thiserror::Error;
use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::conn::io::Io;
use crate::tunnel::buffer::{self, Leftover};
use crate::tunnel::follow::{Follow, Insert};
use crate::tunnel::frame::{self, LONGEST_HEAD, Parsed};
use crate::tunnel::pipe::Pipe;
use crate::tunnel::rules::{Judgement, Refusal, Rules};

/// A read of so much makes a direction bulk: copying it would cost more than two system calls.
const BULK: usize = 32 * 1024;
/// How often a direction reads before other tasks of its thread have their turn.
const TURNS: usize = 16;

/// Why a direction failed.
#[derive(Debug, Error)]
pub(crate) enum Broken {
    /// Its source could not be read.
    #[error("read: {0}")]
    Source(io::Error),
    /// Its sink took no more.
    #[error("write: {0}")]
    Sink(io::Error),
}

/// What a direction comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The source has ended. The next poll passes that on.
    SourceEnded,
    /// The source sent what the rules do not let pass; nothing after it passes either.
    Refused(Refusal),
    /// The source has ended and the sink knows.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The source has ended; what was read is still to be written, and the sink to be shut down.
    Ending,
    Done,
}

/// What becomes of the next frame of a direction that is bulk.
enum Large {
    /// It is begun, and moves whole.
    Moves,
    /// It is not large, or cannot be told yet; nothing was done with it.
    No,
    /// It is begun, and does not pass.
    Refused(Refusal),
}

/// Bytes on their way from a source to a sink.
#[derive(Debug)]
pub(crate) struct Direction {
    state: State,
    /// The sink may hold back bytes until it is flushed.
    unflushed: bool,
    bulk: bool,
    /// What comes is read and not passed on: the sink was told Close, or takes no more.
    muted: bool,
    sink_is_gone: bool,
    leftover: Leftover,
    /// The source was refused; the sink's stream stands between two frames.
    refused: bool,
    /// What is held was read ahead of the tunnel and not looked at yet.
    fresh: bool,
    /// Read, and not to be judged before more has come.
    held: Box<[u8]>,
    follow: Follow,
    insert: Option<Box<Insert>>,
    rules: Option<Box<Rules>>,
    // Boxed: most tunnels never need it.
    pipe: Option<Box<Pipe>>,
    read: u64,
    moved: u64,
}

impl Direction {
    /// A direction that begins with bytes read ahead of it.
    pub(crate) fn starting_with(ahead: &[u8]) -> Self {
        Self {
            state: State::Open,
            unflushed: false,
            bulk: false,
            muted: false,
            sink_is_gone: false,
            refused: false,
            fresh: !ahead.is_empty(),
            leftover: Leftover::default(),
            held: ahead.into(),
            follow: Follow::default(),
            insert: None,
            rules: None,
            pipe: None,
            read: ahead.len() as u64,
            moved: 0,
        }
    }

    /// From now on not everything passes.
    pub(crate) fn set_rules(&mut self, rules: Rules) {
        self.rules = Some(Box::new(rules));
    }

    pub(super) fn rules(&mut self) -> Option<&mut Rules> {
        self.rules.as_deref_mut()
    }

    /// Whether the source has ended and the sink knows, or takes no more.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done || self.sink_is_gone
    }

    /// Whether the source has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.state != State::Open
    }

    /// The sink takes no more: what is under way, and all that comes, is dropped.
    pub(super) fn give_up(&mut self) {
        self.leftover = Leftover::default();
        self.pipe = None;
        self.insert = None;
        self.muted = true;
        self.sink_is_gone = true;
    }

    /// The source cannot be read any more.
    pub(super) fn end(&mut self) {
        if self.state == State::Open {
            self.state = State::Ending;
        }
    }

    /// Bytes that have come from the source.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Bytes that the sink has taken.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// Data messages that have passed.
    pub(super) fn messages(&self) -> u64 {
        self.follow.messages()
    }

    /// The code of the Close frame that the source has sent.
    pub(super) fn close(&self) -> Option<u16> {
        self.follow.close()
    }

    /// Whether this was never, or is no longer, a stream of frames.
    pub(super) fn is_lost(&self) -> bool {
        self.follow.is_lost()
    }

    /// Puts frames into the stream at its next boundary; if they end it, nothing else passes after
    /// them. `false` if there is no boundary to come, or nothing may pass any more.
    pub(crate) fn insert(&mut self, frames: &[u8], ends: bool) -> bool {
        if ends && std::mem::take(&mut self.refused) {
            self.leftover.append(frames);
            return true;
        }
        let ended_inside = self.has_ended() && !self.follow.is_between_frames();
        if self.muted || self.is_lost() || ended_inside || self.state == State::Done {
            return false;
        }
        let insert = self.insert.get_or_insert_with(|| Insert { frames: vec![], ends }.into());
        insert.frames.extend_from_slice(frames);
        insert.ends |= ends;
        true
    }

    /// Whether inserted frames are still waiting for their boundary or for the sink.
    pub(super) fn is_inserting(&self) -> bool {
        self.insert.is_some() || !self.leftover.rest().is_empty()
    }

    /// Moves bytes until one side has to be waited for, or something is to be told.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Io,
        sink: &mut Io,
    ) -> Poll<Result<Event, Broken>> {
        for _ in 0..TURNS {
            if self.state == State::Done {
                return Poll::Ready(Ok(Event::Done));
            }
            if !self.sink_is_gone {
                ready!(self.poll_write_out(cx, sink)).map_err(Broken::Sink)?;
            }
            if self.state == State::Ending {
                self.give_back_pipe();
                if !self.sink_is_gone {
                    ready!(sink.poll_shutdown(cx)).map_err(Broken::Sink)?;
                }
                self.state = State::Done;
                continue;
            }
            let before = self.state;
            let moved = match (self.bulk && !self.muted, &*source, &*sink) {
                (true, Io::Plain(from), Io::Plain(_)) => self.poll_splice(cx, from),
                _ => self.poll_copy(cx, source, sink),
            };
            match moved? {
                Poll::Pending => {
                    self.give_back_pipe();
                    return self.poll_flush(cx, sink);
                }
                Poll::Ready(Some(refusal)) => return Poll::Ready(Ok(Event::Refused(refusal))),
                Poll::Ready(None) if before != self.state => {
                    return Poll::Ready(Ok(Event::SourceEnded));
                }
                Poll::Ready(None) => {}
            }
        }
        // Much is under way; the others first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what an earlier turn could not, and what is to be inserted if this is a boundary.
    fn poll_write_out(&mut self, cx: &mut Context<'_>, sink: &mut Io) -> Poll<io::Result<()>> {
        loop {
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
            if !self.follow.is_between_frames() || self.muted {
                return Poll::Ready(Ok(()));
            }
            match self.insert.take() {
                Some(insert) => {
                    self.muted = insert.ends;
                    self.leftover = Leftover::of(&insert.frames);
                }
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Reads once into the thread's buffer and writes what the sink takes. Pending only if there
    /// was nothing to read.
    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Io,
        sink: &mut Io,
    ) -> Result<Poll<Option<Refusal>>, Broken> {
        if std::mem::take(&mut self.fresh) {
            let ahead = std::mem::take(&mut self.held);
            return self.pass(cx, &ahead, 0, sink);
        }
        buffer::with(|buffer| {
            let held = self.held.len();
            buffer[..held].copy_from_slice(&self.held);
            let mut read = ReadBuf::new(buffer);
            read.set_filled(held);
            let polled = source.poll_read(cx, &mut read);
            let length = read.filled().len() - held;
            match polled {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(())) if length > 0 => {}
                // A TLS peer that left without close_notify: the stream has ended all the same,
                // and what ends it inside the tunnel is the WebSocket's own close.
                Poll::Ready(Ok(())) => self.state = State::Ending,
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.state = State::Ending;
                }
                Poll::Ready(Err(error)) => return Err(Broken::Source(error)),
            }
            self.read += length as u64;
            self.pass(cx, read.filled(), length, sink)
        })
    }

    /// Passes on what may pass of `bytes`, of which the last `read` have just come.
    fn pass(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        read: usize,
        sink: &mut Io,
    ) -> Result<Poll<Option<Refusal>>, Broken> {
        let muted = self.muted;
        let ends = self.insert.as_ref().is_some_and(|insert| insert.ends);
        let rules = self.rules.as_deref_mut().filter(|_| !muted);
        let mut walked = self.follow.walk(bytes, &mut self.insert, rules);
        self.refused |= walked.refused.is_some();
        self.muted |= ends && self.insert.is_none() || self.refused;
        if self.state == State::Ending && !walked.held.is_empty() && !self.muted {
            // There is no more to come that it could be judged with.
            walked.out.to_mut().extend_from_slice(walked.held);
            walked.held = &[];
            self.follow.lose();
        }
        if *self.held != *walked.held {
            self.held = walked.held.into();
        }
        self.bulk = read >= BULK && self.follow.length() >= BULK as u64;
        if !muted {
            self.write(cx, &walked.out, sink)?;
        }
        Ok(Poll::Ready(walked.refused))
    }

    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8], sink: &mut Io) -> Result<(), Broken> {
        let mut rest = bytes;
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
        Ok(())
    }

    /// Moves what the source has of a large frame into the pipe, to be written out next. Pending only
    /// if there was nothing to move.
    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        source: &TcpStream,
    ) -> Result<Poll<Option<Refusal>>, Broken> {
        if self.follow.is_between_frames() {
            match self.poll_large(cx, source).map_err(Broken::Source)? {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Large::Moves) => {}
                Poll::Ready(Large::No) => {
                    self.bulk = false;
                    return Ok(Poll::Ready(None));
                }
                Poll::Ready(Large::Refused(refusal)) => {
                    // What comes of it is still gone over, for the answer behind it.
                    self.refused = true;
                    self.muted = true;
                    return Ok(Poll::Ready(Some(refusal)));
                }
            }
        }
        let most = self.follow.left();
        let Some(mut pipe) = self.pipe.take().or_else(|| Pipe::borrow().map(Box::new)) else {
            self.bulk = false;
            return Ok(Poll::Ready(None));
        };
        let filled = loop {
            if source.poll_read_ready(cx).map_err(Broken::Source)?.is_pending() {
                self.pipe = Some(pipe);
                return Ok(Poll::Pending);
            }
            match source.try_io(Interest::READABLE, || pipe.fill(source, most)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => break other,
            }
        };
        match filled {
            Ok(0) => self.state = State::Ending,
            Ok(length) => {
                self.read += length as u64;
                self.follow.skip(length as u64);
            }
            Err(error) => return Err(Broken::Source(error)),
        }
        self.pipe = Some(pipe);
        Ok(Poll::Ready(None))
    }

    /// Looks at the head of the next frame without taking it: whether all of the frame can be moved
    /// unseen.
    fn poll_large(&mut self, cx: &mut Context<'_>, source: &TcpStream) -> io::Result<Poll<Large>> {
        // What is held begins the head.
        if !self.held.is_empty() {
            return Ok(Poll::Ready(Large::No));
        }
        let mut head = [0; LONGEST_HEAD];
        let mut head = ReadBuf::new(&mut head);
        if source.poll_peek(cx, &mut head)?.is_pending() {
            return Ok(Poll::Pending);
        }
        let Parsed::Head(head) = frame::parse(head.filled()) else {
            return Ok(Poll::Ready(Large::No));
        };
        if head.length < BULK as u64 {
            return Ok(Poll::Ready(Large::No));
        }
        // Of a frame this large the head alone is judged: it is no pong.
        let judgement = self.rules.as_deref_mut().map(|rules| rules.judge(&head, &[]));
        self.follow.begin_whole(&head);
        Ok(Poll::Ready(match judgement {
            Some(Judgement::Refuse(refusal)) => Large::Refused(refusal),
            _ => Large::Moves,
        }))
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
    fn poll_flush(&mut self, cx: &mut Context<'_>, sink: &mut Io) -> Poll<Result<Event, Broken>> {
        if self.unflushed && !self.sink_is_gone {
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
