//! A connection's bytes, plain or through TLS: one type on both sides, so that a tunnel can take
//! both ends out of the HTTP library as they are.

use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tidegate_model::TcpOptions;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use crate::conn::ticket::Ticket;

/// Plain TCP, or TLS over it.
#[derive(Debug)]
pub(crate) enum Io {
    /// As it is.
    Plain(TcpStream),
    /// Boxed: a TLS session has a kilobyte that plain connections should not carry.
    Tls(Box<TlsStream<TcpStream>>),
    /// One of many streams of a connection.
    Multiplexed(Box<dyn Multiplexed>),
}

/// A stream of a connection that others have streams of, too.
pub(crate) trait Multiplexed: AsyncRead + AsyncWrite + Unpin + Send + Debug {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Debug> Multiplexed for T {}

/// What is written to one of many streams at once: libraries keep a copy until it is sent.
const LONGEST_WRITE: usize = 16 * 1024;

/// What the HTTP library reads and writes.
#[derive(Debug)]
pub(crate) struct Stream {
    io: Io,
    /// What was read before the HTTP library was asked.
    ahead: Box<[u8]>,
    /// On a client's HTTP/1.1 connection: told when a request begins to arrive.
    head_watch: Option<(Arc<Ticket>, Duration)>,
}

impl Stream {
    pub(crate) fn new(io: Io) -> Self {
        Self { io, ahead: Box::default(), head_watch: None }
    }

    /// Begins with bytes that were read already, and arms the ticket's deadline with `limit` at the
    /// first byte of each request after the first.
    pub(crate) fn with_head_watch(
        io: Io,
        ahead: Box<[u8]>,
        ticket: Arc<Ticket>,
        limit: Duration,
    ) -> Self {
        Self { io, ahead, head_watch: Some((ticket, limit)) }
    }

    /// The bytes alone.
    pub(crate) fn into_io(self) -> Io {
        self.io
    }
}

macro_rules! each {
    ($self:ident, $io:ident => $call:expr) => {
        match $self {
            Io::Plain($io) => $call,
            Io::Tls($io) => $call,
            Io::Multiplexed($io) => $call,
        }
    };
}

impl Io {
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_read(cx, buf))
    }

    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
            Self::Multiplexed(stream) => {
                Pin::new(stream).poll_write(cx, &buf[..buf.len().min(LONGEST_WRITE)])
            }
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            // TCP has nothing to flush.
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Self::Multiplexed(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// Has the kernel look after the connection as `options` say. One that refuses is about to fail.
    pub(crate) fn set_tcp_options(&self, options: &TcpOptions) {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
            // Its connection is not this tunnel's alone.
            Self::Multiplexed(_) => return,
        };
        let socket = SockRef::from(tcp);
        if let Some(after) = options.keep_alive {
            let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(after));
        }
        if let Some(limit) = options.user_timeout {
            let _ = socket.set_tcp_user_timeout(Some(limit));
        }
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => Pin::new(io).poll_shutdown(cx))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            // All of it at once if it fits, and it does: the library's first buffer is larger.
            let taken = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead[..taken]);
            self.ahead = self.ahead[taken..].into();
            return Poll::Ready(Ok(()));
        }
        ready!(self.io.poll_read(cx, buf))?;
        if let Some((ticket, limit)) = &self.head_watch
            && ticket.begins_request()
        {
            ticket.arm(*limit);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let io = &mut self.io;
        each!(io, io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        let io = &self.io;
        each!(io, io => io.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_shutdown(cx)
    }
}
