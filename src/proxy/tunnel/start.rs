//! From a handshake that succeeded to a tunnel: takes both connections out of the HTTP library.

use std::sync::Arc;

use http::{Request, StatusCode};
use hyper::upgrade::{OnUpgrade, Parts, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use crate::conn::http3::Later;
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
pub(crate) fn start(exchange: Exchange, status: StatusCode, client: Leg, member: Leg) {
    let Some((record, listener)) = exchange.into_tunnel(status.as_u16()) else {
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
                let (client, member) = with_rules(client, member, &record);
                // A task of its own: this one is as large as the hand-over needed.
                tokio::spawn(Tunnel::new(client, member, record, listener, ticket, entered));
            }
            None => {
                let closing = record.core.closing();
                let end = why_ended(&listener, &record.member, closing, TunnelEnd::ClientError);
                record.close(end, Closing { side: end.side(), code: None }, [None; 2]);
                drop(entered);
            }
        }
    });
}

/// Waits until both sides are free, or the tunnel's ticket says that it ends.
async fn hand_over(ticket: &Ticket, client: Leg, member: Leg) -> Option<(Side, Side)> {
    let ordered = std::future::poll_fn(|cx| {
        ticket.register(cx.waker());
        if ticket.order().ends() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    });
    tokio::select! {
        (client, member) = async { tokio::join!(client.take(), member.take()) } => {
            Some((client?, member?))
        }
        () = ordered => None,
    }
}

/// A side of a tunnel, and the way from it.
type Side = (Io, Direction);

/// A side of a tunnel to be.
#[derive(Debug)]
pub(crate) enum Leg {
    /// In the HTTP library's hands until the answer to the handshake is written.
    Upgrade(OnUpgrade),
    /// Ours already.
    Stream(Io),
    /// A stream of HTTP/3, given when the answer to the handshake is written.
    Later(oneshot::Receiver<Io>),
}

impl Leg {
    /// The client's side of a handshake.
    pub(crate) fn of<B>(request: &mut Request<B>) -> Self {
        let later = request.extensions_mut().remove::<Later>();
        match later.and_then(|later| later.take()) {
            Some(later) => Self::Later(later),
            None => Self::Upgrade(hyper::upgrade::on(request)),
        }
    }

    /// Waits until it is ours.
    async fn take(self) -> Option<Side> {
        match self {
            Self::Upgrade(upgrade) => Some(take_out(upgrade.await.ok()?)),
            Self::Stream(io) => Some((io, Direction::starting_with(&[]))),
            Self::Later(io) => Some((io.await.ok()?, Direction::starting_with(&[]))),
        }
    }
}

/// The connection, and the way from it, which begins with what was read together with the head. The
/// latter is copied so that the library's read buffer, of which it is a part, is let go of.
fn take_out(upgraded: Upgraded) -> Side {
    match upgraded.downcast::<TokioIo<Stream>>() {
        Ok(Parts { io, read_buf, .. }) => {
            (io.into_inner().into_io(), Direction::starting_with(&read_buf))
        }
        // A stream of HTTP/2.
        Err(stream) => {
            let stream = Box::new(TokioIo::new(stream));
            (Io::Multiplexed(stream), Direction::starting_with(&[]))
        }
    }
}

/// Sets what both sides have to keep to.
fn with_rules((client, mut up): Side, (member, mut down): Side, record: &Record) -> (Side, Side) {
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
    fn into_tunnel(self, status: u16) -> Option<(Record, Arc<Scope>)> {
        let parts = self.into_parts()?;
        let (route, listener) = (parts.route.clone(), parts.route.scope.clone());
        let model = route.settings()?.web_socket.clone();
        let (gateway, series) = (route.gateway.clone(), route.series.clone());
        Some((Record::new(parts, gateway, series, model, status), listener))
    }
}
