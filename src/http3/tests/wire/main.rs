//! The crate against clients on a real QUIC connection: others' for requests, and one of our own
//! that can do what no other does or may.

#![allow(clippy::unwrap_used)]

mod direct;
mod goaway;
mod malformed;
mod raw;
mod requests;
mod server;
mod tunnels;
