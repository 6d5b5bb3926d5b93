//! Sockets that listen: bound once per address, kept across swaps.
//!
//! Every core has a socket of its own on the same address (`SO_REUSEPORT`), opened and closed
//! together, so that accepting needs no hand-over and the kernel's choice among them never changes
//! while the listener lives.

pub(crate) mod accept;
pub(crate) mod bind;
pub(crate) mod quic;
