//! The server's side of HTTP/3 on the wire (RFC 9114), over [`quinn`]: connections to requests,
//! responses to frames, and the streams of WebSocket over HTTP/3 (RFC 9220) to bytes.
//!
//! It is our own because hyperium's `h3` cannot do RFC 9220: its `:protocol` is an enum without
//! `websocket`, closed to others, and a head with another value is refused (h3 0.0.8; its pull
//! request 236 would change that and is not merged). Nothing here is needed once it can.
//!
//! Left out: server push, the dynamic table of QPACK (RFC 9204; none is announced, so peers use
//! none), datagrams and capsules (RFC 9297), priorities (RFC 9218).
//!
//! A [`Connection`] gives out [`Incoming`] streams. Each is read by whoever holds it, and becomes a
//! request, a [`Receiver`] and a [`Sender`]; those of an extended CONNECT become a [`Tunnel`].
//! Nothing is spawned, and there are no timers. Nothing is read that is not asked for, so what a
//! peer can make us hold is QUIC's windows, and for a stream one field section.

pub mod code;
mod connection;
mod control;
mod error;
mod fields;
mod frame;
mod head;
mod inbound;
mod incoming;
#[cfg(feature = "internals")]
pub mod internals;
mod protocol;
mod qpack;
mod receiver;
mod sender;
mod shared;
mod tunnel;
mod uni;
mod varint;

pub use connection::{Connection, Limits};
pub use error::{Error, RequestError, StreamError, Violation};
pub use incoming::Incoming;
pub use protocol::Protocol;
pub use receiver::Receiver;
pub use sender::Sender;
pub use tunnel::Tunnel;
