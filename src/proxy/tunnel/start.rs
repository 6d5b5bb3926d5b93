//! From a handshake that succeeded to a tunnel: takes both connections out of the HTTP library.

use std::sync::Arc;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;

use crate::conn::io::{Io, Stream};
use crate::conn::ticket::Ticket;
use crate::core::{Pace, Scope, TunnelOwner};
use crate::request::Exchange;
use crate::tunnel::direction::Direction;
use crate::tunnel::end::{Closing, TunnelEnd};
use crate::tunnel::record::Record;
use crate::tunnel::rules::Rules;
use crate::tunnel::task::{Tunnel, why_ended};

/// Begins a tunnel that starts when both sides have been handed over.
pub(crate) fn start(exchange: Exchange, client: OnUpgrade, member: OnUpgrade) {
    let Some((record, listener)) = exchange.into_tunnel() else {
        return;
    };
    record.open();
    let pace = record.model.closes_per_second;
    let owner = TunnelOwner {
        listener: listener.id(),
        member: record.member.scope.id(),
        pace: pace.map(|per_second| Pace { group: record.series.target(), per_second }),
    };
    let ticket = Arc::new(Ticket::new());
    let entered = record.core.tunnels.enter(ticket.clone(), owner);
    tokio::spawn(async move {
        let handed_over = hand_over(&ticket, client, member).await;
        match handed_over {
            Some((client, member)) => {
                let (client, member) = (take_out(client), take_out(member));
                let (client, member) = with_rules(client, member, &record);
                // A task of its own: this one is as large as the hand-over needed.
                tokio::spawn(Tunnel::new(client, member, record, listener, ticket, entered));
            }
            None => {
                let closing = record.core.closing();
                let end = why_ended(&listener, &record.member, closing, TunnelEnd::ClientError);
                record.close(end, Closing { side: end.side(), code: None });
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

/// The connection, and the way from it, which begins with what was read together with the head. The
/// latter is copied so that the library's read buffer, of which it is a part, is let go of.
fn take_out(parts: TokioStream) -> (Io, Direction) {
    (parts.io.into_inner().into_io(), Direction::starting_with(&parts.read_buf))
}

/// Sets what both sides have to keep to.
fn with_rules(
    (client, mut up): (Io, Direction),
    (member, mut down): (Io, Direction),
    record: &Record,
) -> ((Io, Direction), (Io, Direction)) {
    let model = &record.model;
    let limits = &model.messages;
    if *limits != Default::default() || model.ping.is_some() {
        up.set_rules(Rules::new(limits.frame_size, limits.message_size, limits.per_second));
    }
    if model.ping.is_some() {
        down.set_rules(Rules::new(None, None, None));
    }
    client.set_tcp_options(&model.tcp);
    member.set_tcp_options(&model.tcp);
    ((client, up), (member, down))
}

impl Exchange {
    /// What the tunnel remembers of the handshake, and the listener that it belongs to.
    fn into_tunnel(self) -> Option<(Record, Arc<Scope>)> {
        let parts = self.into_parts()?;
        let (route, listener) = (parts.route.clone(), parts.route.scope.clone());
        let model = route.target()?.model.settings.web_socket.clone();
        Some((Record::new(parts, route.gateway.clone(), route.series.clone(), model), listener))
    }
}
