//! What the product promises, tested on the built binary over real sockets.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod affinity;
mod authority;
mod cli;
mod convert;
mod crowd;
mod dedicated;
mod distribution;
mod docs;
mod draining;
mod error_pages;
mod foreign;
mod gateway;
mod guards;
mod handshake;
mod http;
mod http2_members;
mod http3;
mod ingress;
mod limits;
mod paths;
mod peers;
mod pools;
mod probes;
mod probing;
mod quic;
mod redirects;
mod retry;
mod rewrites;
mod see;
mod spec;
mod statuses;
mod stop;
mod strict;
mod swap;
mod tls;
mod tunnel;
mod versions;
mod websocket;
mod wire;
