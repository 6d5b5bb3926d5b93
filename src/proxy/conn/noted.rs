//! What is noted of a connection when it begins, where a rule asks for it.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::conn::rtt::rtt;
use crate::rewrite::Notes;

/// What can be known when a connection begins alone, or would cost too much for each request.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// The time to the client and back, as far as TCP or QUIC has measured it.
    pub(crate) rtt: Option<Duration>,
    /// The suites that the client offers, in its order.
    pub(crate) suites: Box<str>,
}

impl Noted {
    /// Of a TCP connection.
    pub(super) fn of(notes: Notes, tcp: &TcpStream, suites: String) -> Option<Box<Self>> {
        if notes == Notes::default() {
            return None;
        }
        let rtt = if notes.rtt { rtt(tcp) } else { None };
        Some(Box::new(Self { rtt, suites: suites.into() }))
    }

    /// Of a QUIC connection, of which nobody tells the suites.
    pub(super) fn of_quic(notes: Notes, rtt: Duration) -> Option<Box<Self>> {
        notes.rtt.then(|| Box::new(Self { rtt: Some(rtt), suites: Box::default() }))
    }
}
