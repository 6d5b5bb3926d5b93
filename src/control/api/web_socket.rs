//! The block of the settings that is about WebSocket traffic.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits on WebSocket traffic, and what is added to it. Everything is off where it is not set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebSocket {
    /// Seconds in which nothing may move, pings and pongs included, before a WebSocket is closed
    /// with 1001.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604800))]
    pub idle_timeout_in_sec: Option<i32>,
    /// Seconds that a member may take to answer a handshake; without it, requestTimeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub handshake_timeout_in_sec: Option<i32>,
    /// Seconds that a WebSocket may last; then it is closed with 1001.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2592000))]
    pub max_lifetime_in_sec: Option<i32>,
    /// Up to so many seconds more that each may last, by chance, so that not all end together;
    /// without it, a tenth of maxLifetimeInSec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2592000))]
    pub max_lifetime_jitter_in_sec: Option<i32>,
    /// Bytes that a message of a client may have; a larger one closes the WebSocket with 1009.
    /// Compressed messages count as they are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_message_size_in_bytes: Option<i64>,
    /// Bytes that a frame of a client may have; a larger one closes the WebSocket with 1009.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_frame_size_in_bytes: Option<i64>,
    /// Messages per second that a client may send, a second's worth of them at once; more close
    /// the WebSocket with 1008.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000))]
    pub max_messages_per_second: Option<i32>,
    /// WebSockets that one rule, or path rule, may have at once in each replica; more are answered
    /// 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_tunnels_per_rule: Option<i32>,
    /// WebSockets that one member may have at once from each replica; other members are chosen
    /// then, and if none is left the answer is 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_tunnels_per_member: Option<i32>,
    /// WebSockets that one client address may have at once through one rule, or path rule, of each
    /// replica; more are answered 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_tunnels_per_client: Option<i32>,
    /// Origins whose pages may connect, such as `https://app.example.com`, or all below a domain,
    /// `https://*.example.com`. Handshakes of others, and without an Origin, are answered 403.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 300)))]
    pub allowed_origins: Vec<String>,
    /// Subprotocols that may be spoken. Others are taken out of what a client offers, and a
    /// handshake that offers none of these is answered 400.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 100),
        inner(length(min = 1, max = 100), regex(pattern = r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$"))
    )]
    pub allowed_subprotocols: Vec<String>,
    /// Pings of the gateway, to clients and members. Their pongs are kept from the other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping: Option<WebSocketPing>,
    /// Seconds without a packet after which the kernel asks a peer whether it is there; without
    /// it, 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32767))]
    pub tcp_keep_alive_in_sec: Option<i32>,
    /// Seconds that what was sent may stay unacknowledged before the kernel gives the connection
    /// up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub tcp_user_timeout_in_sec: Option<i32>,
    /// WebSockets that are closed per second by each replica, at most, when many have to end.
    /// Without it, they are spread over most of the time that connectionDraining gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100000))]
    pub closes_per_second: Option<i32>,
    /// Whether cookieBasedAffinity applies to handshakes as to requests.
    #[serde(default)]
    pub affinity: bool,
    /// Moves WebSockets to members that have fewer after members have joined. Needs
    /// loadDistributionAlgorithm: LeastConnections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebalance: Option<WebSocketRebalance>,
    /// What handshakes are sent to members with.
    #[serde(default)]
    pub member_version: WebSocketMemberVersion,
}

/// Pings of the gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebSocketPing {
    /// Seconds between two of them.
    #[schemars(range(min = 1, max = 86400))]
    pub interval_in_sec: i32,
    /// Seconds that a peer may say nothing at all after one; then the WebSocket is closed.
    #[schemars(range(min = 1, max = 86400))]
    pub timeout_in_sec: i32,
}

/// How WebSockets are moved to members that have fewer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebSocketRebalance {
    /// The share of a member's WebSockets, in percent, that may be moved each time that members
    /// have joined.
    #[serde(default = "twenty_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub max_percent: i32,
    /// How many are moved per second by each replica.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 10000))]
    pub per_second: i32,
    /// No member is left with fewer than this, in each replica.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub floor: i32,
}

fn twenty_percent() -> i32 {
    20
}

fn ten() -> i32 {
    10
}

/// What handshakes are sent to members with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WebSocketMemberVersion {
    /// HTTP/2 (RFC 8441) to Https members that offer it, else HTTP/1.1.
    #[default]
    Offered,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone; to Http members without an upgrade (prior knowledge).
    Http2,
}
