//! What the process is started with; nothing in here changes while it runs.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::access_log::AccessLog;

/// How to start the data plane.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Core threads, each with its own runtime, accept loops and member connections.
    pub threads: NonZeroUsize,
    /// Limits in time.
    pub timeouts: Timeouts,
    /// Where each request and tunnel is told of; `None` for nowhere.
    pub access_log: Option<AccessLog>,
    /// Whether HTTP/3 is spoken on the UDP ports of HTTPS frontends.
    pub http3: bool,
    /// Whether another process takes over when this one ends: clients of tunnels are then told 1012
    /// (service restart) in place of 1001 (going away).
    pub restarts: bool,
}

impl Settings {
    /// So many threads, and else the defaults.
    pub fn new(threads: NonZeroUsize) -> Self {
        Self {
            threads,
            timeouts: Timeouts::default(),
            access_log: None,
            http3: false,
            restarts: false,
        }
    }
}

/// Limits in time that no resource sets. All are kept to about half a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a TLS handshake with a client.
    pub handshake: Duration,
    /// For a client to send the head of a request, from its first byte; then 408.
    pub header_read: Duration,
    /// For a client to send the next part of a request body; then 408.
    pub body_read: Duration,
    /// Between two requests on a client's HTTP/1.1 connection.
    pub keep_alive: Duration,
    /// Without a stream on a client's HTTP/2 connection.
    pub http2_idle: Duration,
    /// To connect to a member, TLS handshake included.
    pub connect: Duration,
    /// How long a connection to a member is kept for the next request.
    pub member_keep_alive: Duration,
    /// For a WebSocket client to answer a Close frame of ours, and for both sides to end their
    /// streams once each has sent one.
    pub close: Duration,
    /// Without a byte in a tunnel of which one side has ended its stream.
    pub half_closed: Duration,
    /// How long the requests of a removed frontend may go on.
    pub frontend_drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header_read: Duration::from_secs(60),
            body_read: Duration::from_secs(60),
            keep_alive: Duration::from_secs(75),
            http2_idle: Duration::from_secs(180),
            connect: Duration::from_secs(5),
            member_keep_alive: Duration::from_secs(30),
            close: Duration::from_secs(5),
            half_closed: Duration::from_secs(60),
            frontend_drain: Duration::from_secs(30),
        }
    }
}
