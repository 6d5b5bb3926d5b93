//! What is known of a rule's tunnels, for a status page.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::metrics::RuleSeries;
use crate::metrics::counters::Observed;
use crate::tunnel::{CloseLabel, Side};

/// Tunnels of a rule, or of several.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TunnelFigures {
    /// Handshakes that became tunnels.
    pub opened: u64,
    /// Those that are open.
    pub open: u64,
    /// Handshakes that did not become tunnels.
    pub handshake_failures: u64,
    /// Messages from clients.
    pub messages_received: u64,
    /// Messages to clients.
    pub messages_sent: u64,
    /// Bytes from clients.
    pub bytes_received: u64,
    /// Bytes to clients.
    pub bytes_sent: u64,
    /// Tunnels that the gateway told to close.
    pub drained: u64,
    /// How long those lasted that have ended.
    pub duration: Lengths,
    /// From a ping of the gateway to the client's pong.
    pub client_ping: Lengths,
    /// From a ping of the gateway to the member's pong.
    pub member_ping: Lengths,
    /// Tunnels that ended, by the code of the first Close frame and whose it was: `1001 gateway`.
    pub closes: BTreeMap<String, u64>,
}

/// How long things took, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Lengths {
    /// How many there were.
    pub count: u64,
    /// What they took, in seconds.
    pub seconds: f64,
}

impl Lengths {
    fn add(&mut self, observed: &Observed) {
        self.count += observed.count();
        self.seconds += observed.sum();
    }
}

impl TunnelFigures {
    /// Adds those of a series.
    pub(crate) fn add(&mut self, series: &RuleSeries) {
        self.opened += series.sum(|shard| &shard.tunnels);
        self.open += series.open_tunnels();
        let failures = 0..crate::metrics::HandshakeFailure::LABELS.len();
        let of = |why| series.sum(move |shard| &shard.handshake_failures[why]);
        self.handshake_failures += failures.map(of).sum::<u64>();
        self.messages_received += series.sum(|shard| &shard.messages_received);
        self.messages_sent += series.sum(|shard| &shard.messages_sent);
        self.bytes_received += series.sum(|shard| &shard.tunnel_received);
        self.bytes_sent += series.sum(|shard| &shard.tunnel_sent);
        self.drained +=
            [0, 1].map(|answered| series.sum(|s| &s.drained[answered])).iter().sum::<u64>();
        self.duration.add(&series.observed(|shard| &shard.tunnel_duration));
        self.client_ping.add(&series.observed(|shard| &shard.pings[Side::Client as usize]));
        self.member_ping.add(&series.observed(|shard| &shard.pings[Side::Member as usize]));
        for (side, who) in Side::LABELS.iter().enumerate() {
            for (code, label) in CloseLabel::LABELS.iter().enumerate() {
                let count = series.sum(|shard| &shard.closes[side][code]);
                if count > 0 {
                    *self.closes.entry(format!("{label} {who}")).or_default() += count;
                }
            }
        }
    }
}
