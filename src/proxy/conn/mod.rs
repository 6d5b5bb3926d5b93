//! The life of one client connection: TLS, then HTTP/1.1 or HTTP/2 until one side ends it.
//!
//! # Lifecycle
//! ```text
//! accepted -> handshake (TLS) -> quiet <-> reading a head -> serving -> quiet ...
//!                                  |            |               |
//!                                idle: close   late: 408      101: the bytes leave for a tunnel
//! ```
//! Each arrow arms or disarms the deadline of the connection's ticket; the core's sweep fires it.

pub(crate) mod client;
pub(crate) mod http3;
pub(crate) mod io;
mod noted;
mod refusal;
pub(crate) mod registry;
mod rtt;
pub(crate) mod serve;
pub(crate) mod ticket;

pub(crate) use noted::Noted;
