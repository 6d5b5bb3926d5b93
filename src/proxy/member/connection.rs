//! One HTTP/1.1 connection to a member.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;

use crate::conn::io::Stream;
use crate::conn::ticket::{Order, Ticket};
use crate::core::{Core, Owner};
use crate::member::Member;
use crate::member::connect::Name;
use crate::request::body::RequestBody;

/// A connection that can send one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<RequestBody>,
    pub(crate) ticket: Arc<Ticket>,
    pub(super) name: Name,
    /// Our port on it.
    pub(crate) local_port: u16,
    /// It has carried a request before: the member may be closing it right now.
    pub(crate) reused: bool,
}

/// A request that got no answer.
#[derive(Debug)]
pub(crate) struct Lost {
    /// The request, if not a byte of it was written.
    pub(crate) unsent: Option<Request<RequestBody>>,
    /// Why the connection was ended, if it was by us.
    pub(crate) order: Order,
    /// What else it was.
    pub(crate) cause: Cause,
}

/// Why a request got no answer, unless we ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The connection was closed.
    Closed,
    /// The member answered, but not in HTTP.
    Malformed,
    /// The member ended this request alone (RFC 9113 5.4.2).
    Reset,
    /// The client's body broke off.
    Client,
}

impl Connection {
    pub(super) fn new(
        sender: SendRequest<RequestBody>,
        ticket: Arc<Ticket>,
        name: Name,
        local_port: u16,
    ) -> Self {
        Self { sender, ticket, name, local_port, reused: false }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Stops the time that it may wait; `false` if it is over, or the connection closed.
    pub(super) fn wake(&self) -> bool {
        self.ticket.disarm() && !self.sender.is_closed()
    }

    /// Waits until the last response is read to its end; `false` if the member closed instead.
    pub(super) async fn ready(&mut self) -> bool {
        self.sender.is_ready() || self.sender.ready().await.is_ok()
    }

    /// Sends a request and waits for the head of its response for `limit` at most.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
        limit: Duration,
    ) -> Result<Response<Incoming>, Lost> {
        self.ticket.arm(limit);
        let outcome = self.sender.try_send_request(request).await;
        outcome.map_err(|mut error| Lost {
            unsent: error.take_message(),
            order: self.ticket.order(),
            cause: match error.error() {
                error if error.is_parse() => Cause::Malformed,
                error if error.is_user() => Cause::Client,
                _ => Cause::Closed,
            },
        })
    }
}

impl Member {
    /// A connection that waits, if there is one that lives.
    pub(crate) async fn kept(&self, core: &Core, name: &Name) -> Option<Connection> {
        loop {
            let mut connection = self.kept.pop(core.id, name)?;
            if connection.ready().await {
                connection.reused = true;
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose response was read to its end.
    pub(crate) fn keep(&self, core: &Core, connection: Connection) {
        if connection.is_closed() || self.scope.has_left() {
            return;
        }
        connection.ticket.arm(core.shared.timeouts.member_keep_alive);
        self.kept.push(core.id, connection);
        // It may have left in between, after its stacks were cleared.
        if self.scope.has_left() {
            self.close_kept();
        }
    }
}

/// Drives a connection until it ends or its ticket says so.
pub(super) fn drive(
    core: &Arc<Core>,
    member: u64,
    ticket: Arc<Ticket>,
    connection: hyper::client::conn::http1::Connection<TokioIo<Stream>, RequestBody>,
) {
    let entered = core.connections.enter(ticket.clone(), Owner::Member { id: member });
    tokio::spawn(async move {
        let _entered = entered;
        let mut connection = connection.with_upgrades();
        poll_fn(|cx| {
            ticket.register(cx.waker());
            if ticket.order().ends() {
                return std::task::Poll::Ready(());
            }
            Pin::new(&mut connection).poll(cx).map(|outcome| {
                if let Err(error) = outcome {
                    tracing::debug!(%error, "connection to a member ended");
                }
            })
        })
        .await;
    });
}
