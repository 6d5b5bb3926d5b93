//! What is remembered of a tunnel for its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_model::{ObjectName, WebSocket};

use crate::core::Core;
use crate::member::Member;
use crate::metrics::RuleSeries;
use crate::request::{Details, End, Held, Served, TunnelLine};
use crate::tunnel::count::Counted;
use crate::tunnel::end::{CloseLabel, Closing, Side, TunnelEnd};

/// Counters and the access log's line of one tunnel. Holds no rule and no table: only what ends
/// with the tunnel.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) core: Arc<Core>,
    pub(super) gateway: Arc<ObjectName>,
    pub(super) series: Arc<RuleSeries>,
    pub(super) member: Arc<Member>,
    pub(super) model: Arc<WebSocket>,
    pub(super) started: Instant,
    pub(super) client: SocketAddr,
    /// What the client was answered.
    status: u16,
    pub(super) served: Served,
    pub(super) details: Option<Box<Details>>,
    /// Its place among the tunnels that are limited in number.
    _counted: Counted,
    _held: Held,
    told: Traffic,
}

/// What has moved through a tunnel, from the client and to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) messages_received: u64,
    pub(crate) messages_sent: u64,
}

impl Traffic {
    fn since(self, before: Self) -> Self {
        Self {
            received: self.received - before.received,
            sent: self.sent - before.sent,
            messages_received: self.messages_received - before.messages_received,
            messages_sent: self.messages_sent - before.messages_sent,
        }
    }
}

impl Record {
    /// A tunnel begins.
    pub(super) fn open(&self) {
        self.series.tunnel_opened(self.core.id);
        self.member.series.tunnel_opened(self.core.id);
    }

    pub(super) fn new(
        parts: crate::request::Parts,
        gateway: Arc<ObjectName>,
        series: Arc<RuleSeries>,
        model: Arc<WebSocket>,
        status: u16,
    ) -> Self {
        Self {
            core: parts.client.core.clone(),
            gateway,
            series,
            member: parts.member,
            model,
            started: parts.started,
            client: parts.client.peer,
            status,
            served: parts.served,
            details: parts.details,
            _counted: parts.counted,
            _held: parts.held,
            told: Traffic::default(),
        }
    }

    /// So much has moved until now.
    pub(super) fn moved(&mut self, traffic: Traffic) {
        if traffic != self.told {
            self.series.tunnel_moved(self.core.id, traffic.since(self.told));
            self.told = traffic;
        }
    }

    /// A side answered a ping of ours after so long.
    pub(super) fn answered(&self, side: Side, took: Duration) {
        self.series.tunnel_ping(self.core.id, side, took);
    }

    /// The client was told Close by us; whether it answered.
    pub(super) fn drained(&self, answered: bool) {
        self.series.tunnel_drained(self.core.id, answered);
    }

    /// The tunnel is over; `pings` are the last round trips of client and member.
    pub(super) fn close(&self, end: TunnelEnd, closing: Closing, pings: [Option<Duration>; 2]) {
        let took = self.started.elapsed();
        let label = CloseLabel::of(closing.code);
        self.series.tunnel_closed(self.core.id, took, end, closing.side, label);
        self.member.series.tunnel_closed(self.core.id);
        tracing::debug!(client = %self.client, member = %self.member.address, ?end, ?closing,
            "tunnel ended");
        if let Some(details) = &self.details {
            details.log(&End {
                gateway: Some(&self.gateway),
                names: Some(&self.series),
                member: Some(&self.member),
                status: self.status,
                received: self.told.received,
                sent: self.told.sent,
                took,
                served: self.served,
                error_info: "ERRORINFO_NO_ERROR",
                tunnel: Some(TunnelLine {
                    end,
                    close_code: closing.code,
                    closed_by: closing.side,
                    messages_received: self.told.messages_received,
                    messages_sent: self.told.messages_sent,
                    client_ping: pings[0],
                    member_ping: pings[1],
                }),
            });
        }
    }
}
