//! A request's body on its way into a stream of HTTP/2.

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;

use crate::request::body::RequestBody;

/// As much of a body is kept to be sent again until the member has answered: the messages of most
/// calls of gRPC as a whole.
const KEPT: usize = 64 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Upload {
    body: RequestBody,
    /// `None` when nothing more is to be sent.
    send: Option<SendStream<Bytes>>,
    /// What has come and found no room yet.
    pending: Bytes,
    /// Nothing comes after it.
    is_last: bool,
    /// What has gone out; `None` if it is too much to be sent again.
    sent: Option<Vec<Bytes>>,
    kept: usize,
}

/// The body broke off, by the client's fault or because its time was over.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientGone;

impl Upload {
    /// Of a body into a stream, which has ended already if the body has.
    pub(super) fn new(body: RequestBody, send: SendStream<Bytes>) -> Self {
        let send = (!body.is_end_stream()).then_some(send);
        let sent = Some(Vec::new());
        Self { body, send, pending: Bytes::new(), is_last: false, sent, kept: 0 }
    }

    /// Whether nothing more is to be sent.
    pub(super) fn is_over(&self) -> bool {
        self.send.is_none()
    }

    /// The body as it was, if as much of it as was sent is still there.
    pub(super) fn into_unsent(self) -> Option<RequestBody> {
        Some(self.body.again(self.sent?))
    }

    /// Sends what is left, now that it cannot be sent again.
    pub(super) async fn finish(mut self) {
        self.sent = None;
        // Who gets the answer hears of it if the body breaks off.
        let _ = poll_fn(|cx| self.poll_more(cx)).await;
    }

    /// Sends as much as there is and has room; ready when that was all, or the member wants no more.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientGone>> {
        while let Some(send) = &mut self.send {
            if send.poll_reset(cx).is_ready() {
                // Why, the answer says.
                self.send = None;
            } else if self.pending.is_empty() {
                let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
                let Some(frame) = frame else {
                    let _ = send.send_data(Bytes::new(), true);
                    self.send = None;
                    continue;
                };
                let frame = match frame {
                    Ok(frame) => frame,
                    Err(error) => {
                        send.send_reset(reason(&error));
                        self.send = None;
                        return Poll::Ready(Err(ClientGone));
                    }
                };
                match frame.into_data() {
                    Ok(data) => {
                        self.is_last = self.body.is_end_stream();
                        if data.is_empty() && self.is_last {
                            let _ = send.send_data(Bytes::new(), true);
                            self.send = None;
                        }
                        self.keep(&data);
                        self.pending = data;
                    }
                    Err(other) => {
                        if let Ok(trailers) = other.into_trailers() {
                            self.sent = None;
                            let _ = send.send_trailers(trailers);
                            self.send = None;
                        }
                    }
                }
            } else {
                // What is reserved and not used is kept from others.
                send.reserve_capacity(self.pending.len());
                if send.capacity() == 0 {
                    match ready!(send.poll_capacity(cx)) {
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => self.send = None,
                    }
                    continue;
                }
                let part = self.pending.split_to(send.capacity().min(self.pending.len()));
                let is_end = self.is_last && self.pending.is_empty();
                let is_over = send.send_data(part, is_end).is_err() || is_end;
                send.reserve_capacity(0);
                if is_over {
                    self.send = None;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn keep(&mut self, data: &Bytes) {
        self.kept = self.kept.saturating_add(data.len());
        match &mut self.sent {
            Some(_) if self.kept > KEPT => self.sent = None,
            Some(sent) => sent.push(data.clone()),
            None => {}
        }
    }
}

/// The reason for which the client's own stream ended, if it says one.
fn reason(error: &(dyn Error + 'static)) -> Reason {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.reason().unwrap_or(Reason::CANCEL);
        }
        cause = error.source();
    }
    Reason::CANCEL
}
