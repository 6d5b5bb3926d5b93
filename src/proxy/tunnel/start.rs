//! From a 101 to a tunnel: takes both connections out of the HTTP library.

use std::sync::Arc;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;

use crate::access_log::TunnelEnd;
use crate::conn::io::{Io, Stream};
use crate::conn::ticket::Ticket;
use crate::core::{Scope, TunnelOwner};
use crate::request::Exchange;
use crate::tunnel::direction::Direction;
use crate::tunnel::record::Record;
use crate::tunnel::task::{Tunnel, why_ended};

/// Begins a tunnel that starts when both sides have been handed over.
pub(crate) fn start(exchange: Exchange, client: OnUpgrade, member: OnUpgrade) {
    let Some((record, listener)) = exchange.into_tunnel() else {
        return;
    };
    let owner = TunnelOwner { listener: listener.id(), member: record.member.scope.id() };
    let ticket = Arc::new(Ticket::new());
    let entered = record.core.tunnels.enter(ticket.clone(), owner);
    tokio::spawn(async move {
        let mut record = record;
        let handed_over = hand_over(&ticket, client, member).await;
        match handed_over {
            Some((client, member)) => {
                let (client, from_client) = take_out(client);
                let (member, from_member) = take_out(member);
                let up = Direction::starting_with(&from_client);
                let down = Direction::starting_with(&from_member);
                drop((from_client, from_member));
                // A task of its own: this one is as large as the hand-over needed.
                tokio::spawn(Tunnel::new(
                    client, member, up, down, record, listener, ticket, entered,
                ));
            }
            None => {
                record.moved(0, 0);
                record.close(why_ended(&listener, &record.member, TunnelEnd::ClientError));
                drop(entered);
            }
        }
    });
}

/// Waits until both sides are free, or the tunnel's ticket says that it ends.
async fn hand_over(
    ticket: &Ticket,
    client: OnUpgrade,
    member: OnUpgrade,
) -> Option<(TokioStream, TokioStream)> {
    let ordered = std::future::poll_fn(|cx| {
        ticket.register(cx.waker());
        if ticket.order().ends() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    });
    tokio::select! {
        both = async { tokio::try_join!(client, member) } => {
            let (client, member) = both.ok()?;
            Some((downcast(client)?, downcast(member)?))
        }
        () = ordered => None,
    }
}

type TokioStream = hyper::upgrade::Parts<TokioIo<Stream>>;

/// Both sides were made from our own stream type, so this is always one.
fn downcast(upgraded: Upgraded) -> Option<TokioStream> {
    let stream = upgraded.downcast::<TokioIo<Stream>>().ok();
    debug_assert!(stream.is_some(), "an upgraded connection is of another type");
    stream
}

/// The connection, and what was read of it together with the head. The latter is copied so that
/// the library's read buffer, of which it is a part, is let go of.
fn take_out(parts: TokioStream) -> (Io, Box<[u8]>) {
    (parts.io.into_inner().into_io(), parts.read_buf[..].into())
}

impl Exchange {
    /// What the tunnel remembers of the handshake, and the listener that it belongs to.
    fn into_tunnel(self) -> Option<(Record, Arc<Scope>)> {
        let parts = self.into_parts()?;
        let (route, listener) = (&parts.route, parts.route.scope.clone());
        let record = Record::open(
            parts.client.core.clone(),
            route.gateway.clone(),
            route.series.clone(),
            parts.member,
            parts.started,
            parts.client.peer,
            parts.served,
            parts.details,
        );
        Some((record, listener))
    }
}
