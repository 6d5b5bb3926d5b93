//! What is remembered of a tunnel for its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tidegate_model::ObjectName;

use crate::access_log::TunnelEnd;
use crate::core::Core;
use crate::member::Member;
use crate::metrics::RuleSeries;
use crate::request::{Details, End, Served};

/// Counters and the access log's line of one tunnel. Holds no rule and no table: only what ends
/// with the tunnel.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) core: Arc<Core>,
    pub(super) gateway: Arc<ObjectName>,
    pub(super) series: Arc<RuleSeries>,
    pub(super) member: Arc<Member>,
    pub(super) started: Instant,
    pub(super) client: SocketAddr,
    pub(super) served: Served,
    pub(super) details: Option<Box<Details>>,
    counted: (u64, u64),
}

impl Record {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn open(
        core: Arc<Core>,
        gateway: Arc<ObjectName>,
        series: Arc<RuleSeries>,
        member: Arc<Member>,
        started: Instant,
        client: SocketAddr,
        served: Served,
        details: Option<Box<Details>>,
    ) -> Self {
        series.tunnel_opened(core.id);
        member.series.tunnel_opened(core.id);
        Self { core, gateway, series, member, started, client, served, details, counted: (0, 0) }
    }

    /// So many bytes have moved until now, from the client and to it.
    pub(super) fn moved(&mut self, received: u64, sent: u64) {
        let (before_received, before_sent) = self.counted;
        if (received, sent) != self.counted {
            self.series.tunnel_moved(self.core.id, received - before_received, sent - before_sent);
            self.counted = (received, sent);
        }
    }

    /// The tunnel is over.
    pub(super) fn close(&self, end: TunnelEnd) {
        let (received, sent) = self.counted;
        let took = self.started.elapsed();
        self.series.tunnel_closed(self.core.id, took, end);
        self.member.series.tunnel_closed(self.core.id);
        tracing::debug!(client = %self.client, member = %self.member.address, ?end, "tunnel ended");
        if let Some(details) = &self.details {
            details.log(&End {
                gateway: Some(&self.gateway),
                names: Some(&self.series),
                member: Some(&self.member),
                status: 101,
                received,
                sent,
                took,
                served: self.served,
                error_info: "ERRORINFO_NO_ERROR",
                tunnel: Some(end),
            });
        }
    }
}
