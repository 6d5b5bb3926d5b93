//! The stream of an extended CONNECT as one of bytes (RFC 9220 3).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::code;
use crate::error::StreamError;
use crate::receiver::Receiver;
use crate::sender::Sender;

/// Bytes of a DATA frame at most, so that what a writer can leave queued is little.
const LONGEST_DATA: usize = 16 * 1024;

/// Both halves of a stream that became a tunnel, as bytes within DATA frames.
///
/// The end of the client's half is an end of file, and a shutdown is the end of ours; either half
/// may end first. A reset is an error, whatever its code. A write leaves one frame at most that is
/// not in QUIC's hands, until the next write or a flush. Dropped before both halves have ended, it
/// resets ours and stops the client's with H3_REQUEST_CANCELLED.
#[derive(Debug)]
pub struct Tunnel {
    receiver: Receiver,
    sender: Sender,
    /// What of a frame did not fit into the reader's buffer.
    rest: Bytes,
}

impl Tunnel {
    /// Makes a tunnel of the halves of a CONNECT's stream, of which a 2xx head has been
    /// [queued](Sender::start_response). The head is given to QUIC here, if there is room for it.
    pub fn new(mut receiver: Receiver, mut sender: Sender) -> Self {
        // As the sender does by itself.
        receiver.abandon_with(code::H3_REQUEST_CANCELLED);
        // The client waits for the head, and the first to move may be the client. Should QUIC not
        // take all of it now, it goes with the first write or flush, and so do errors.
        let _ = sender.poll_ready(&mut Context::from_waker(Waker::noop()));
        Self { receiver, sender, rest: Bytes::new() }
    }

    /// Ends both halves with `code`, for example H3_CONNECT_ERROR (RFC 9114 4.4).
    pub fn reset(&mut self, code: u64) {
        self.sender.reset(code);
        self.receiver.stop(code);
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        while buf.remaining() > 0 {
            if this.rest.is_empty() {
                // Another wait for QUIC is not worth its lock once there is something.
                if buf.filled().len() > before && !this.receiver.is_ready() {
                    break;
                }
                match this.receiver.poll_data(cx) {
                    Poll::Ready(Some(Ok(data))) => this.rest = data,
                    // An end and an error are found again by the next call.
                    _ if buf.filled().len() > before => break,
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error.into())),
                    Poll::Ready(None) => break,
                    Poll::Pending => return Poll::Pending,
                }
            }
            let length = this.rest.len().min(buf.remaining());
            buf.put_slice(this.rest.get(..length).unwrap_or_default());
            this.rest.advance(length);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.sender.poll_ready(cx))?;
        let data = buf.get(..LONGEST_DATA).unwrap_or(buf);
        this.sender.send_data(Bytes::copy_from_slice(data))?;
        // What QUIC does not take now goes with the next write or flush, and so do errors.
        let _ = this.sender.poll_ready(cx);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().sender.poll_ready(cx).map_err(Into::into)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().sender.poll_finish(cx).map_err(Into::into)
    }
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
        let kind = match &error {
            StreamError::Reset(_) => io::ErrorKind::ConnectionReset,
            StreamError::Stopped(_) | StreamError::Closed => io::ErrorKind::BrokenPipe,
            StreamError::Malformed(_) | StreamError::TooLarge => io::ErrorKind::InvalidData,
            StreamError::OutOfOrder(_) => io::ErrorKind::InvalidInput,
            StreamError::Connection(_) => io::ErrorKind::ConnectionAborted,
        };
        Self::new(kind, error)
    }
}
