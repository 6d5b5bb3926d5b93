//! Request streams whose head has not been read.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use http::Request;
use quinn::{RecvStream, SendStream};

use crate::code;
use crate::error::{RequestError, StreamError, Violation};
use crate::fields::Fault;
use crate::frame::Event;
use crate::head;
use crate::inbound::Inbound;
use crate::qpack::{Failure, decode};
use crate::receiver::Receiver;
use crate::sender::Sender;
use crate::shared::{Half, Shared};

/// A request stream of which nothing has been read.
///
/// Dropped, also while its head is being read, it is refused with H3_REQUEST_REJECTED, which says
/// that the request may be sent again (RFC 9114 4.1.1).
#[derive(Debug)]
pub struct Incoming {
    inbound: Inbound,
    sender: Sender,
    limit: u64,
}

impl Incoming {
    pub(crate) fn new(
        send: SendStream,
        recv: RecvStream,
        shared: &Arc<Shared>,
        limit: u64,
    ) -> Self {
        let inbound = Inbound::new(recv, Half::new(shared), limit);
        Self { inbound, sender: Sender::new(send, Half::new(shared)), limit }
    }

    /// The id of the QUIC stream (RFC 9000 2.1).
    pub fn id(&self) -> u64 {
        self.sender.id()
    }

    /// Reads the head of the request. There is no limit of time.
    ///
    /// The request's version is HTTP/3; an extended CONNECT (RFC 9220) has a
    /// [`Protocol`](crate::Protocol) in its extensions. Its URI has scheme, authority and path; that
    /// of another CONNECT has the authority alone. The authority is Host's value if there is no
    /// `:authority`.
    ///
    /// # Errors
    ///
    /// The stream has been ended with the error's code, but for one that is
    /// [too large](RequestError::TooLarge) and can be answered. An error of the
    /// [connection](StreamError::Connection) is one of all its streams.
    pub async fn head(mut self) -> Result<(Request<()>, Receiver, Sender), RequestError> {
        let event = poll_fn(|cx| self.inbound.poll_event(cx)).await?;
        // From here on it cannot be said that nothing was done.
        self.sender.abandoned = code::H3_REQUEST_CANCELLED;
        self.inbound.abandoned = code::H3_NO_ERROR;
        let payload = match event {
            Some(Event::Headers(payload)) => payload,
            Some(Event::TooLong) => return Err(RequestError::TooLarge(Box::new(self.sender))),
            Some(Event::Data(_) | Event::Control(..)) => {
                let violation = Violation::new(code::H3_FRAME_UNEXPECTED, "DATA before HEADERS");
                return Err(self.inbound.violated(violation).into());
            }
            None => {
                self.end(code::H3_REQUEST_INCOMPLETE);
                return Err(RequestError::Incomplete);
            }
        };
        let head = match decode::section(&payload, self.limit) {
            Ok(fields) => head::request(fields),
            Err(Failure::TooLarge) => Err(Fault::TooMany),
            Err(Failure::Invalid) => return Err(undecodable(&mut self.inbound).into()),
        };
        match head {
            Ok(head) => {
                // Mostly the end has come with the head, and then the body is known to be empty.
                poll_fn(|cx| Poll::Ready(self.inbound.poll_fill(cx).is_ready())).await;
                let receiver = Receiver::new(self.inbound, &head, self.limit);
                Ok((head.request, receiver, self.sender))
            }
            Err(Fault::TooMany) => Err(RequestError::TooLarge(Box::new(self.sender))),
            Err(Fault::Malformed(reason)) => {
                self.end(code::H3_MESSAGE_ERROR);
                Err(RequestError::Malformed(reason))
            }
        }
    }

    fn end(&mut self, code: u64) {
        self.inbound.stop(code);
        self.sender.reset(code);
    }
}

/// Ends the connection because a field section cannot be decoded.
pub(crate) fn undecodable(inbound: &mut Inbound) -> StreamError {
    let reason = "a field section that cannot be decoded";
    inbound.violated(Violation::new(code::QPACK_DECOMPRESSION_FAILED, reason))
}
