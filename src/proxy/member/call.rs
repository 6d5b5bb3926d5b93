//! A request over a stream of HTTP/2 to a member.
//!
//! # Lifecycle
//! ```text
//! head sent -> body goes out while the answer is waited for -> head of the answer
//!                 \-> not processed (REFUSED_STREAM, GOAWAY): what went out is sent again
//! head of the answer -> body comes in, what is left of the request's goes out in a task
//! ```
//! A stream has a ticket of its own, as a connection of HTTP/1.1 has: deadlines and draining are the
//! same, and end the stream alone.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::header::{EXPECT, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Scheme;
use http::{Request, Response, Version};
use http_body::{Body, Frame};
use tokio::task::JoinHandle;

use crate::conn::registry::Entered;
use crate::conn::ticket::Ticket;
use crate::core::{Core, Owner};
use crate::member::connection::{Cause, Lost};
use crate::member::http2::{Lease, target};
use crate::member::upload::{ClientGone, Upload};
use crate::request::body::{BodyError, RequestBody};

/// The body of an answer over HTTP/2, trailers included.
#[derive(Debug)]
pub(crate) struct Streamed {
    receive: RecvStream,
    ticket: Arc<Ticket>,
    _entered: Entered<Owner>,
    /// What is left of the request's body.
    _upload: Option<Uploading>,
    data_ended: bool,
    ended: bool,
}

/// A request's body that goes out while the answer comes in; not any more when this is dropped.
#[derive(Debug)]
struct Uploading(JoinHandle<()>);

impl Drop for Uploading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Streamed {
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.ticket.register(cx.waker());
        if self.ticket.order().ends() {
            self.ended = true;
            return Poll::Ready(Some(Err(BodyError::Ended)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        if !self.data_ended {
            match ready!(self.receive.poll_data(cx)) {
                Some(Ok(data)) => {
                    // A stream that was reset has no window left to give back to.
                    let _ = self.receive.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => {
                    self.ended = true;
                    // The whole answer was sent before: the member only wants no more of the request.
                    if error.reason() == Some(Reason::NO_ERROR) {
                        return Poll::Ready(None);
                    }
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => self.data_ended = true,
            }
        }
        let trailers = ready!(self.receive.poll_trailers(cx));
        self.ended = true;
        match trailers {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) => Poll::Ready(Some(Err(error.into()))),
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.ended || self.receive.is_end_stream()
    }
}

impl Lease {
    /// Sends a request as HTTP/1.1 has it, and waits for the head of its answer for `limit` at most.
    /// One that `repeats` does no harm when it reaches the member twice.
    pub(crate) async fn request(
        &mut self,
        core: &Arc<Core>,
        request: Request<RequestBody>,
        scheme: Scheme,
        limit: Duration,
        repeats: bool,
    ) -> Result<Response<Streamed>, Lost> {
        let ticket = self.begin_call();
        let owner = Owner::Member { id: self.member() };
        let entered = core.connections.enter(ticket.clone(), owner);
        ticket.arm(limit);
        let (head, mut body) = request.into_parts();
        body.attach(&ticket);
        // The member may say that it has not looked at it, or be closing the connection.
        let spare = head.clone();
        let again = |body: Option<RequestBody>| Some(Request::from_parts(spare, body?));
        let lost = |cause| Lost { unsent: None, order: ticket.order(), cause };
        let Some(asked) = plain(head, scheme) else { return Err(lost(Cause::Malformed)) };

        let mut sender = self.sender();
        let ready = until_ended(&ticket, |cx| sender.poll_ready(cx)).await;
        let sent = match ready {
            None => return Err(lost(Cause::Closed)),
            Some(Ok(())) => sender.send_request(asked, body.is_end_stream()),
            Some(Err(error)) => Err(error),
        };
        let (response, send) = match sent {
            Ok(sent) => sent,
            Err(error) => {
                tracing::debug!(%error, "a connection takes no more requests");
                self.spend();
                return Err(Lost { unsent: again(Some(body)), ..lost(Cause::Closed) });
            }
        };
        let is_empty = body.is_empty();
        let mut upload = Upload::new(body, send);
        let mut response = pin!(response);
        let answered = until_ended(&ticket, |cx| match upload.poll_more(cx) {
            Poll::Ready(Err(ClientGone)) => Poll::Ready(Err(None)),
            Poll::Ready(Ok(())) | Poll::Pending => response.as_mut().poll(cx).map_err(Some),
        })
        .await;
        let error = match answered {
            None => return Err(lost(Cause::Closed)),
            Some(Err(None)) => return Err(lost(Cause::Client)),
            Some(Err(Some(error))) => error,
            Some(Ok(response)) => {
                let rest = (!upload.is_over()).then(|| Uploading(tokio::spawn(upload.finish())));
                return Ok(response.map(|receive| Streamed {
                    receive,
                    ticket,
                    _entered: entered,
                    _upload: rest,
                    data_ended: false,
                    ended: false,
                }));
            }
        };
        tracing::debug!(%error, "a request over HTTP/2 failed");
        // The member has looked at neither (RFC 9113 6.8, 8.7).
        let has_gone = error.is_remote() && error.is_go_away();
        let is_refused = error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM);
        if has_gone {
            self.spend();
        }
        let unsent = if has_gone || is_refused {
            again(upload.into_unsent())
        } else if error.is_io() && self.reused && repeats && is_empty {
            again(Some(RequestBody::Empty))
        } else {
            None
        };
        let cause = if error.is_reset() { Cause::Reset } else { Cause::Closed };
        Err(Lost { unsent, ..lost(cause) })
    }
}

/// Waits for something, or for the stream to have to end.
async fn until_ended<T>(
    ticket: &Ticket,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    poll_fn(|cx| {
        ticket.register(cx.waker());
        if ticket.order().ends() { Poll::Ready(None) } else { poll(cx).map(Some) }
    })
    .await
}

/// The request as HTTP/2 has it (RFC 9113 8.3.1): the host in its target, and nothing that concerns
/// a connection.
fn plain(mut head: Parts, scheme: Scheme) -> Option<Request<()>> {
    head.uri = target(&mut head, scheme)?;
    head.version = Version::HTTP_2;
    for name in [TRANSFER_ENCODING, EXPECT] {
        head.headers.remove(name);
    }
    Some(Request::from_parts(head, ()))
}
