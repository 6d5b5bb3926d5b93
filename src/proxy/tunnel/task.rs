//! The task of a tunnel: both directions, and how it ends.
//!
//! # Ending with manners
//! When a tunnel has to end, the client is told first: a Close frame at the next boundary of what
//! goes to it, and nothing after. What it still sends goes on to the member, up to and including
//! the Close frame of its answer; so the member hears of the end from the client, after the
//! client's last message. A client that does not answer in time is given up, and the member told.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_lc_rs::rand;

use crate::conn::io::Io;
use crate::conn::registry::Entered;
use crate::conn::ticket::{Order, Ticket};
use crate::core::{Scope, TunnelOwner};
use crate::member::Member;
use crate::tunnel::direction::{Broken, Direction, Event};
use crate::tunnel::end::{Closing, Side, TunnelEnd};
use crate::tunnel::frame::{self, Opcode};
use crate::tunnel::record::{Record, Traffic};
use crate::tunnel::rules::{Refusal, Token};
use crate::tunnel::watch::{Due, Moved, Progress, Watch};

/// Close codes of RFC 6455 7.4.1 and its registry that the gateway sends.
mod code {
    pub(super) const GOING_AWAY: u16 = 1001;
    pub(super) const POLICY: u16 = 1008;
    pub(super) const TOO_BIG: u16 = 1009;
    pub(super) const SERVICE_RESTART: u16 = 1012;
}

/// A running tunnel.
#[derive(Debug)]
pub(super) struct Tunnel {
    client: Io,
    member: Io,
    /// From the client to the member.
    up: Direction,
    /// From the member to the client.
    down: Direction,
    /// Why it will have ended.
    first: Option<TunnelEnd>,
    /// Whose Close frame came first, and its code.
    closing: Option<Closing>,
    /// The client is told Close by us; the code for the member if it has to be told as well.
    farewell: Option<u16>,
    /// The client's answer came, and our end of stream went.
    parted: bool,
    listener: Arc<Scope>,
    ticket: Arc<Ticket>,
    // Boxed: looked at when bytes were moved, not needed in the task's first cache lines.
    record: Box<Record>,
    watch: Option<Box<Watch>>,
    _entered: Entered<TunnelOwner>,
}

impl Tunnel {
    pub(super) fn new(
        (client, up): (Io, Direction),
        (member, down): (Io, Direction),
        record: Record,
        listener: Arc<Scope>,
        ticket: Arc<Ticket>,
        entered: Entered<TunnelOwner>,
    ) -> Self {
        let mut chance = [0; 2];
        // Only spreads the ends of lives and the first pings.
        let _ = rand::fill(&mut chance);
        let chance = f64::from(u16::from_ne_bytes(chance)) / f64::from(u16::MAX);
        Self {
            client,
            member,
            up,
            down,
            first: None,
            closing: None,
            farewell: None,
            parted: false,
            listener,
            ticket,
            watch: Watch::of(&record.model, chance),
            record: Box::new(record),
            _entered: entered,
        }
    }

    /// Does what time, orders and both sides ask for; the end of the tunnel, if this is it.
    fn advance(&mut self, cx: &mut Context<'_>) -> Option<TunnelEnd> {
        match self.ticket.order() {
            Order::None => {}
            Order::Graceful => self.bid_farewell(self.why(TunnelEnd::Rebalanced)),
            Order::Expired | Order::Abort | Order::ClientStalled => {
                return Some(self.cut(cx, self.why(TunnelEnd::Shutdown)));
            }
        }
        loop {
            if let Some(end) = self.poll_ways(cx) {
                return Some(end);
            }
            // Most tunnels have none.
            let mut watch = self.watch.take()?;
            let due = watch.poll(cx, &self.record.model, self.moved(), self.waiting());
            self.watch = Some(watch);
            match due? {
                Due::Over => {
                    if self.farewell.is_none() && self.closing.is_none() {
                        self.first = Some(TunnelEnd::HalfClosed);
                    }
                    return Some(self.cut(cx, TunnelEnd::HalfClosed));
                }
                Due::Ping(side) => self.ping(side),
                // It will not answer a Close frame either, but may yet read it.
                Due::Close(TunnelEnd::ClientSilent) => {
                    return Some(self.cut(cx, TunnelEnd::ClientSilent));
                }
                Due::Close(end) => self.bid_farewell(end),
            }
        }
    }

    /// Moves what can be moved.
    fn poll_ways(&mut self, cx: &mut Context<'_>) -> Option<TunnelEnd> {
        for side in [Side::Client, Side::Member] {
            loop {
                let polled = match side {
                    Side::Client => self.up.poll(cx, &mut self.client, &mut self.member),
                    _ => self.down.poll(cx, &mut self.member, &mut self.client),
                };
                match polled {
                    Poll::Pending | Poll::Ready(Ok(Event::Done)) => break,
                    Poll::Ready(Ok(Event::SourceEnded)) => self.source_ended(side),
                    Poll::Ready(Ok(Event::Refused(refusal))) => self.refused(refusal),
                    Poll::Ready(Err(broken)) => {
                        if let Some(end) = self.broken(&broken, side) {
                            return Some(end);
                        }
                    }
                }
            }
        }
        self.note_closes();
        self.note_answers();
        if self.farewell.is_some() {
            return self.parting(cx);
        }
        let end = self.first.unwrap_or(TunnelEnd::ClientClosed);
        if self.up.is_done() && self.down.is_done() {
            return Some(end);
        }
        let timeouts = &self.record.core.shared.timeouts;
        if self.up.close().is_some() && self.down.close().is_some() {
            let limit = timeouts.close;
            self.end_within(limit, None);
        } else if self.up.has_ended() || self.down.has_ended() {
            let limit = timeouts.half_closed;
            self.end_within(limit, Some(Progress::AnyReads));
        }
        None
    }

    /// The rest of a farewell.
    fn parting(&mut self, cx: &mut Context<'_>) -> Option<TunnelEnd> {
        if !self.down.is_inserting() {
            // It has been told. From here on nothing that it sends gives it more time.
            let limit = self.record.core.shared.timeouts.close;
            self.end_within(limit, None);
        }
        let answered = self.up.close().is_some();
        if answered && !self.parted && !self.down.is_inserting() {
            // The server of a WebSocket is who closes first (RFC 6455 7.1.1). A client that is
            // gone already needs no end of stream.
            self.parted = self.client.poll_shutdown(cx).is_ready();
        }
        let member_knows = answered && self.down.close().is_some();
        (self.up.has_ended() && (self.down.has_ended() || self.up.is_done() || member_knows))
            .then(|| self.first.unwrap_or(TunnelEnd::Shutdown))
    }

    /// Begins to end the tunnel, unless it is ending already.
    fn bid_farewell(&mut self, end: TunnelEnd) {
        if self.farewell.is_some() {
            return;
        }
        let code = self.code_of(end);
        self.first.get_or_insert(end);
        self.farewell = Some(code);
        // Where a Close frame has passed already, both sides are parting by themselves.
        if self.down.close().is_none() && self.down.insert(&frame::close(code, false), true) {
            self.closing.get_or_insert(Closing { side: Side::Gateway, code: Some(code) });
        }
        let limit = self.record.core.shared.timeouts.close;
        self.end_within(limit, Some(Progress::ClientTakes));
    }

    /// Ends the tunnel at once: what can be said without waiting is said.
    fn cut(&mut self, cx: &mut Context<'_>, end: TunnelEnd) -> TunnelEnd {
        let end = *self.first.get_or_insert(end);
        let code = self.farewell.unwrap_or_else(|| self.code_of(end));
        if self.farewell.is_none() && self.down.close().is_none() {
            self.farewell = Some(code);
            if self.down.insert(&frame::close(code, false), true) {
                self.closing.get_or_insert(Closing { side: Side::Gateway, code: Some(code) });
            }
        }
        if self.up.close().is_none() {
            self.up.insert(&frame::close(code, true), true);
        }
        // Whether or not there is room for it.
        let _ = self.down.poll(cx, &mut self.member, &mut self.client);
        let _ = self.up.poll(cx, &mut self.client, &mut self.member);
        let _ = self.client.poll_shutdown(cx);
        let _ = self.member.poll_shutdown(cx);
        end
    }

    fn source_ended(&mut self, side: Side) {
        if side == Side::Client {
            self.first.get_or_insert(TunnelEnd::ClientClosed);
            // The client went without an answer: the member hears of the end from us.
            if let Some(code) = self.farewell.filter(|_| self.up.close().is_none()) {
                self.up.insert(&frame::close(code, true), true);
            }
        } else {
            self.member_ended(TunnelEnd::MemberClosed);
        }
    }

    /// The member said all it had to say. If it is on its way out and went without a word, the
    /// client is told what happened.
    fn member_ended(&mut self, end: TunnelEnd) {
        let leaves = self.record.member.scope.is_leaving();
        if leaves && self.down.close().is_none() && self.up.close().is_none() {
            self.bid_farewell(self.why(end));
        }
        self.first.get_or_insert(end);
    }

    /// The client sent what its rules do not let pass: both sides are told, and it is not waited for
    /// with what it sends.
    fn refused(&mut self, refusal: Refusal) {
        let end = match refusal {
            Refusal::TooBig => TunnelEnd::TooBig,
            Refusal::TooMany => TunnelEnd::TooMany,
        };
        self.up.insert(&frame::close(code::GOING_AWAY, true), true);
        self.bid_farewell(end);
    }

    /// A side failed. One that cannot be read has nothing more to say, and the tunnel ends. One
    /// that cannot be written to may have sent its last words before: only the direction to it is
    /// over.
    fn broken(&mut self, broken: &Broken, source: Side) -> Option<TunnelEnd> {
        let end = match (broken, source) {
            (Broken::Source(_), Side::Client) | (Broken::Sink(_), Side::Member) => {
                TunnelEnd::ClientError
            }
            _ => TunnelEnd::MemberError,
        };
        tracing::debug!(%broken, ?end, "a side of a tunnel failed");
        let (way, is_read) = match source {
            Side::Client => (&mut self.up, matches!(broken, Broken::Source(_))),
            _ => (&mut self.down, matches!(broken, Broken::Source(_))),
        };
        if !is_read {
            way.give_up();
            self.first.get_or_insert(end);
            return None;
        }
        way.end();
        if source == Side::Member {
            self.member_ended(end);
        }
        // Whoever ended or failed first is why the tunnel ends; what follows is the consequence.
        let end = *self.first.get_or_insert(end);
        (self.farewell.is_none() || source == Side::Client).then_some(end)
    }

    fn ping(&mut self, side: Side) {
        let token = token();
        let (way, back) = match side {
            Side::Client => (&mut self.down, &mut self.up),
            _ => (&mut self.up, &mut self.down),
        };
        let others = (way.rules().map_or(0, |r| r.pings()), back.rules().map_or(0, |r| r.pongs()));
        let model = &self.record.model;
        if self.watch.as_mut().is_none_or(|watch| watch.spares(side, model, others)) {
            return;
        }
        let frame = frame::control(Opcode::Ping, &token, side == Side::Member);
        if way.insert(&frame, false) {
            if let Some(rules) = back.rules() {
                rules.pinged(token);
            }
        } else if let Some(watch) = &mut self.watch {
            watch.ping_later(side, model);
        }
    }

    /// Takes down who has sent a Close frame first.
    fn note_closes(&mut self) {
        if self.closing.is_none() {
            let close =
                |way: &Direction, side| way.close().map(|code| Closing { side, code: Some(code) });
            self.closing =
                close(&self.up, Side::Client).or_else(|| close(&self.down, Side::Member));
            match self.closing.map(|closing| closing.side) {
                Some(Side::Client) => {
                    self.first.get_or_insert(TunnelEnd::ClientClosed);
                }
                Some(_) => {
                    self.first.get_or_insert(TunnelEnd::MemberClosed);
                }
                None => {}
            }
        }
    }

    fn note_answers(&mut self) {
        for (way, side) in [(&mut self.up, Side::Client), (&mut self.down, Side::Member)] {
            if let Some(took) = way.rules().and_then(|rules| rules.answered()) {
                self.record.answered(side, took);
            }
        }
    }

    /// As [`Watch::end_within`].
    fn end_within(&mut self, limit: Duration, renews: Option<Progress>) {
        self.watch.get_or_insert_with(Watch::bare).end_within(limit, renews);
    }

    fn moved(&self) -> Moved {
        Moved {
            read: [self.up.read(), self.down.read()],
            taken: [self.down.moved(), self.up.moved()],
        }
    }

    fn waiting(&self) -> [bool; 2] {
        [self.down.is_inserting(), self.up.is_inserting()]
    }

    fn why(&self, otherwise: TunnelEnd) -> TunnelEnd {
        let closing = self.record.core.closing();
        why_ended(&self.listener, &self.record.member, closing, otherwise)
    }

    /// What a Close frame says of an end.
    fn code_of(&self, end: TunnelEnd) -> u16 {
        match end {
            TunnelEnd::TooBig => code::TOO_BIG,
            TunnelEnd::TooMany => code::POLICY,
            TunnelEnd::Rebalanced => code::SERVICE_RESTART,
            TunnelEnd::Shutdown if self.record.core.shared.restarts => code::SERVICE_RESTART,
            _ => code::GOING_AWAY,
        }
    }
}

impl Future for Tunnel {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.ticket.register(cx.waker());
        let ended = this.advance(cx);
        this.record.moved(Traffic {
            received: this.up.moved(),
            sent: this.down.moved(),
            messages_received: this.up.messages(),
            messages_sent: this.down.messages(),
        });
        let Some(end) = ended else {
            return Poll::Pending;
        };
        if this.farewell.is_some() {
            this.record.drained(this.up.close().is_some());
        }
        let closing = this.closing.unwrap_or(Closing { side: end.side(), code: None });
        let pings = [&mut this.up, &mut this.down].map(|way| way.rules()?.round_trip());
        this.record.close(end, closing, pings);
        Poll::Ready(())
    }
}

/// Who took the tunnel's ground away, or else `otherwise`.
pub(super) fn why_ended(
    listener: &Scope,
    member: &Member,
    closing: bool,
    otherwise: TunnelEnd,
) -> TunnelEnd {
    if listener.has_left() {
        TunnelEnd::ListenerRemoved
    } else if member.scope.has_left() {
        TunnelEnd::MemberRemoved
    } else if member.scope.is_leaving() {
        TunnelEnd::MemberTerminating
    } else if closing {
        TunnelEnd::Shutdown
    } else {
        otherwise
    }
}

/// What no peer's own ping carries, but by a chance of 1 to 2^64.
fn token() -> Token {
    let mut token = Token::default();
    // A peer that foresees it gains nothing.
    let _ = rand::fill(&mut token);
    token
}
