//! What the product promises in a cluster, tested against a real control plane.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod chart;
mod clients;
mod cluster;
mod empty;
mod fixture;
#[path = "../product/gateway.rs"]
mod gateway;
mod held;
mod latency;
#[path = "../product/peers.rs"]
mod peers;
#[path = "../product/quic.rs"]
mod quic;
mod references;
mod replica;
mod statuses;
