//! The `webSocket` block of the settings.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use tidegate_model::{
    Lifetime, LoadDistribution, MemberVersion, MessageLimits, OriginPattern, Ping, Rebalance,
    TcpOptions, TunnelLimits, WebSocket,
};

use crate::api::{self, WebSocketMemberVersion};
use crate::translate::findings::Findings;
use crate::translate::settings::in_range;

/// Seconds that a limit may last, at most.
const DAY: i32 = 86_400;

/// What a block says, at `path`; `None` if it cannot be used.
pub(super) fn web_socket(
    source: &api::WebSocket,
    distribution: LoadDistribution,
    has_affinity: bool,
    path: &str,
    findings: &mut Findings,
) -> Option<WebSocket> {
    let mut block = Block { path, findings, usable: true };
    let limit = block.seconds(source.max_lifetime_in_sec, 1..=30 * DAY, "maxLifetimeInSec");
    let jitter =
        block.seconds(source.max_lifetime_jitter_in_sec, 0..=30 * DAY, "maxLifetimeJitterInSec");
    if limit.is_none() && jitter.is_some() {
        block.warn("maxLifetimeJitterInSec", "it has no effect without maxLifetimeInSec");
    }
    if source.affinity && !has_affinity {
        block.warn("affinity", "it has no effect without cookieBasedAffinity: Enabled");
    }
    let model = WebSocket {
        idle_timeout: block.seconds(source.idle_timeout_in_sec, 1..=7 * DAY, "idleTimeoutInSec"),
        handshake_timeout: block.seconds(
            source.handshake_timeout_in_sec,
            1..=DAY,
            "handshakeTimeoutInSec",
        ),
        lifetime: limit.map(|limit| Lifetime { limit, jitter: jitter.unwrap_or(limit / 10) }),
        messages: MessageLimits {
            frame_size: block.bytes(source.max_frame_size_in_bytes, "maxFrameSizeInBytes"),
            message_size: block.bytes(source.max_message_size_in_bytes, "maxMessageSizeInBytes"),
            per_second: block.count(
                source.max_messages_per_second,
                1_000_000,
                "maxMessagesPerSecond",
            ),
        },
        tunnels: TunnelLimits {
            per_rule: block.count(source.max_tunnels_per_rule, i32::MAX, "maxTunnelsPerRule"),
            per_member: block.count(source.max_tunnels_per_member, i32::MAX, "maxTunnelsPerMember"),
            per_client: block.count(source.max_tunnels_per_client, i32::MAX, "maxTunnelsPerClient"),
        },
        allowed_origins: block.origins(&source.allowed_origins),
        allowed_subprotocols: block.subprotocols(&source.allowed_subprotocols),
        ping: source.ping.as_ref().and_then(|ping| block.ping(ping)),
        tcp: TcpOptions {
            keep_alive: block.seconds(source.tcp_keep_alive_in_sec, 1..=32767, "tcpKeepAliveInSec"),
            user_timeout: block.seconds(
                source.tcp_user_timeout_in_sec,
                1..=DAY,
                "tcpUserTimeoutInSec",
            ),
        },
        closes_per_second: block.count(source.closes_per_second, 100_000, "closesPerSecond"),
        affinity: source.affinity,
        rebalance: source.rebalance.as_ref().and_then(|r| block.rebalance(r, distribution)),
        member_version: match source.member_version {
            WebSocketMemberVersion::Offered => MemberVersion::Offered,
            WebSocketMemberVersion::Http1 => MemberVersion::Http1,
            WebSocketMemberVersion::Http2 => MemberVersion::Http2,
        },
    };
    block.usable.then_some(model)
}

/// A block that is being read. What is out of range makes it unusable, and is `None`.
struct Block<'a> {
    path: &'a str,
    findings: &'a mut Findings,
    usable: bool,
}

impl Block<'_> {
    fn number(&mut self, value: i32, range: RangeInclusive<i32>, field: &str) -> Option<u32> {
        let value = in_range(value, range, &format!("{}.{field}", self.path), self.findings);
        self.usable &= value.is_some();
        u32::try_from(value?).ok()
    }

    fn seconds(
        &mut self,
        value: Option<i32>,
        range: RangeInclusive<i32>,
        field: &str,
    ) -> Option<Duration> {
        let seconds = self.number(value?, range, field)?;
        Some(Duration::from_secs(seconds.into()))
    }

    fn count(&mut self, value: Option<i32>, most: i32, field: &str) -> Option<NonZeroU32> {
        NonZeroU32::new(self.number(value?, 1..=most, field)?)
    }

    fn bytes(&mut self, value: Option<i64>, field: &str) -> Option<u64> {
        let path = format!("{}.{field}", self.path);
        let value = in_range(value?, 1..=i64::MAX, &path, self.findings);
        self.usable &= value.is_some();
        u64::try_from(value?).ok()
    }

    fn refuse(&mut self, field: &str, why: String) {
        self.usable = false;
        self.findings.refuse(format!("{}.{field}", self.path), why);
    }

    fn warn(&mut self, field: &str, why: &str) {
        self.findings.warn(format!("{}.{field}", self.path), why);
    }

    fn origins(&mut self, source: &[String]) -> Vec<OriginPattern> {
        let mut origins = Vec::with_capacity(source.len());
        for (index, text) in source.iter().enumerate() {
            match OriginPattern::new(text) {
                Ok(origin) => origins.push(origin),
                Err(error) => {
                    self.refuse(&format!("allowedOrigins[{index}]"), format!("{text:?}: {error}"));
                }
            }
        }
        origins
    }

    fn subprotocols(&mut self, source: &[String]) -> Vec<Box<str>> {
        for (index, text) in source.iter().enumerate() {
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if text.is_empty() || !text.chars().all(is_token) {
                let why = format!("{text:?} is not a token (RFC 9110 5.6.2)");
                self.refuse(&format!("allowedSubprotocols[{index}]"), why);
            }
        }
        source.iter().map(|text| text.as_str().into()).collect()
    }

    fn ping(&mut self, source: &api::WebSocketPing) -> Option<Ping> {
        let interval = self.seconds(Some(source.interval_in_sec), 1..=DAY, "ping.intervalInSec");
        let timeout = self.seconds(Some(source.timeout_in_sec), 1..=DAY, "ping.timeoutInSec");
        Some(Ping { interval: interval?, timeout: timeout? })
    }

    fn rebalance(
        &mut self,
        source: &api::WebSocketRebalance,
        distribution: LoadDistribution,
    ) -> Option<Rebalance> {
        if distribution != LoadDistribution::LeastConnections {
            let why = "it needs loadDistributionAlgorithm: LeastConnections: in turns, those that \
                       come back would go to any member";
            self.refuse("rebalance", why.to_owned());
        }
        let max_percent = self.number(source.max_percent, 1..=100, "rebalance.maxPercent");
        let per_second = self.count(Some(source.per_second), 10_000, "rebalance.perSecond");
        let floor = self.number(source.floor, 0..=i32::MAX, "rebalance.floor");
        Some(Rebalance {
            max_percent: u8::try_from(max_percent?).ok()?,
            per_second: per_second?,
            floor: floor?,
        })
    }
}
