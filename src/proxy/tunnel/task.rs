//! The task of a tunnel: both directions, and how it ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::access_log::TunnelEnd;
use crate::conn::io::Io;
use crate::conn::registry::Entered;
use crate::conn::ticket::Ticket;
use crate::core::{Scope, TunnelOwner};
use crate::member::Member;
use crate::tunnel::direction::{Broken, Direction};
use crate::tunnel::record::Record;

/// A running tunnel.
#[derive(Debug)]
pub(super) struct Tunnel {
    client: Io,
    member: Io,
    /// From the client to the member.
    up: Direction,
    /// From the member to the client.
    down: Direction,
    /// Who ended its stream first.
    first: Option<TunnelEnd>,
    listener: Arc<Scope>,
    ticket: Arc<Ticket>,
    // Boxed: looked at when bytes were moved, not needed in the task's first cache lines.
    record: Box<Record>,
    _entered: Entered<TunnelOwner>,
}

impl Tunnel {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        client: Io,
        member: Io,
        up: Direction,
        down: Direction,
        record: Record,
        listener: Arc<Scope>,
        ticket: Arc<Ticket>,
        entered: Entered<TunnelOwner>,
    ) -> Self {
        let record = Box::new(record);
        Self { client, member, up, down, first: None, listener, ticket, record, _entered: entered }
    }

    /// Moves what can be moved; the end of the tunnel, if this is it.
    fn advance(&mut self, cx: &mut Context<'_>) -> Option<TunnelEnd> {
        let up = self.up.poll(cx, &mut self.client, &mut self.member);
        if self.first.is_none() && self.up.has_ended() {
            self.first = Some(TunnelEnd::ClientClosed);
        }
        let down = self.down.poll(cx, &mut self.member, &mut self.client);
        if self.first.is_none() && self.down.has_ended() {
            self.first = Some(TunnelEnd::MemberClosed);
        }
        let mut ended = None;
        if let Poll::Ready(Err(broken)) = up {
            ended = self.broken(broken, true);
        }
        if let Poll::Ready(Err(broken)) = down
            && ended.is_none()
        {
            ended = self.broken(broken, false);
        }
        if ended.is_none() && self.up.is_done() && self.down.is_done() {
            ended = Some(self.first.unwrap_or(TunnelEnd::ClientClosed));
        }
        ended
    }

    /// A side failed. One that cannot be read has nothing more to say, and the tunnel ends. One
    /// that cannot be written to may have sent its last words before: only the direction to it is
    /// over.
    fn broken(&mut self, broken: Broken, upwards: bool) -> Option<TunnelEnd> {
        let end = match (&broken, upwards) {
            (Broken::Source(_), true) | (Broken::Sink(_), false) => TunnelEnd::ClientError,
            (Broken::Source(_), false) | (Broken::Sink(_), true) => TunnelEnd::MemberError,
        };
        tracing::debug!(%broken, ?end, "a side of a tunnel failed");
        // Whoever ended or failed first is why the tunnel ends; what follows is the consequence.
        let end = *self.first.get_or_insert(end);
        match broken {
            Broken::Source(_) => Some(end),
            Broken::Sink(_) => {
                if upwards {
                    self.up.give_up();
                } else {
                    self.down.give_up();
                }
                None
            }
        }
    }
}

impl Future for Tunnel {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.ticket.register(cx.waker());
        let ended = if this.ticket.order().ends() {
            Some(why_ended(&this.listener, &this.record.member, TunnelEnd::Shutdown))
        } else {
            this.advance(cx)
        };
        this.record.moved(this.up.moved(), this.down.moved());
        match ended {
            None => Poll::Pending,
            Some(end) => {
                this.record.close(end);
                Poll::Ready(())
            }
        }
    }
}

/// Who took the tunnel's ground away, or else `otherwise`.
pub(super) fn why_ended(listener: &Scope, member: &Member, otherwise: TunnelEnd) -> TunnelEnd {
    if listener.has_left() {
        TunnelEnd::ListenerRemoved
    } else if member.scope.has_left() {
        TunnelEnd::MemberRemoved
    } else {
        otherwise
    }
}
