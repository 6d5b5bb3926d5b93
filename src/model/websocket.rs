//! What a gateway limits of WebSocket traffic, and what it adds to it.

use std::num::NonZeroU32;
use std::time::Duration;

use thiserror::Error;

/// How tunnels are carried. The default limits nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebSocket {
    /// How long nothing may move before a tunnel is closed.
    pub idle_timeout: Option<Duration>,
    /// How long a member may take to answer a handshake; `None` for as long as any request.
    pub handshake_timeout: Option<Duration>,
    /// How long a tunnel may last.
    pub lifetime: Option<Lifetime>,
    /// What is allowed of messages from clients.
    pub messages: MessageLimits,
    /// How many tunnels there may be at once, in one process.
    pub tunnels: TunnelLimits,
    /// Origins whose scripts may connect; empty for any, requests without `Origin` included.
    pub allowed_origins: Vec<OriginPattern>,
    /// Subprotocols of which a client has to offer one; empty for any, and none.
    pub allowed_subprotocols: Vec<Box<str>>,
    /// Pings of our own, to clients and members.
    pub ping: Option<Ping>,
    /// How the kernel looks after a tunnel's connections.
    pub tcp: TcpOptions,
    /// How many tunnels are closed per second, at most, when many have to end.
    pub closes_per_second: Option<NonZeroU32>,
    /// Whether affinity applies to handshakes as to requests.
    pub affinity: bool,
    /// Whether and how tunnels are moved to members that have fewer.
    pub rebalance: Option<Rebalance>,
    /// What handshakes are sent to members with.
    pub member_version: MemberVersion,
}

/// How long a tunnel may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// At least so long.
    pub limit: Duration,
    /// And up to so much longer, each tunnel by its own chance.
    pub jitter: Duration,
}

/// What is allowed of messages from clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageLimits {
    /// Bytes of payload of one frame; a larger one closes the tunnel with 1009.
    pub frame_size: Option<u64>,
    /// Bytes of payload of all frames of a message; a larger one closes the tunnel with 1009.
    pub message_size: Option<u64>,
    /// Messages per second, a second's worth of them at once; more close the tunnel with 1008.
    pub per_second: Option<NonZeroU32>,
}

/// How many tunnels there may be at once, in one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunnelLimits {
    /// Of one rule or path rule; more handshakes are answered 503.
    pub per_rule: Option<NonZeroU32>,
    /// To one member; others are chosen then, and if none is left the answer is 503.
    pub per_member: Option<NonZeroU32>,
    /// From one client address through one rule or path rule; more handshakes are answered 429.
    pub per_client: Option<NonZeroU32>,
}

/// Pings of our own (RFC 6455 5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// How often.
    pub interval: Duration,
    /// How long a peer may then say nothing at all.
    pub timeout: Duration,
}

/// How the kernel looks after a tunnel's connections; `None` for what all connections have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// After so long without a packet the peer is asked whether it is there (`SO_KEEPALIVE`).
    pub keep_alive: Option<Duration>,
    /// How long what was sent may stay unacknowledged (`TCP_USER_TIMEOUT`, RFC 5482).
    pub user_timeout: Option<Duration>,
}

/// How tunnels are moved to members that have fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebalance {
    /// The share of a member's tunnels, in percent, that may be moved after members have joined.
    pub max_percent: u8,
    /// How many tunnels are moved per second, in one process.
    pub per_second: NonZeroU32,
    /// No member is left with fewer than this.
    pub floor: u32,
}

/// What handshakes are sent to members with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberVersion {
    /// HTTP/2 (RFC 8441) to HTTPS members that offer it, else HTTP/1.1.
    #[default]
    Offered,
    /// HTTP/1.1 (RFC 6455).
    Http1,
    /// HTTP/2 alone, also over plain TCP.
    Http2,
}

/// An origin (RFC 6454 7.1), or all of them below a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern {
    /// In lower case; without the wildcard.
    text: Box<str>,
    /// Where the wildcard was; `None` for one origin.
    wildcard: Option<usize>,
}

/// A text that is no origin.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "not an origin: it is \"null\", or a scheme, \"://\", a host that may begin with \"*.\", and a port if it is not the scheme's own"
)]
pub struct OriginPatternError;

impl OriginPattern {
    /// Reads `https://app.example.com`, `https://*.example.com:8443` or `null`.
    ///
    /// # Errors
    /// If it is none of these.
    pub fn new(text: &str) -> Result<Self, OriginPatternError> {
        let text = text.to_ascii_lowercase();
        if text == "null" {
            return Ok(Self { text: text.into(), wildcard: None });
        }
        let (scheme, authority) = text.split_once("://").ok_or(OriginPatternError)?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let name = host.strip_prefix("*.").unwrap_or(host);
        let is_in = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let port_is_right = port.is_none_or(|port| port.parse::<u16>().is_ok());
        if !is_in(scheme, "+-.") || !is_in(name, "-._[]:") || !port_is_right {
            return Err(OriginPatternError);
        }
        Ok(match text.find("*.") {
            Some(star) => Self { text: text.replacen('*', "", 1).into(), wildcard: Some(star) },
            None => Self { text: text.into(), wildcard: None },
        })
    }

    /// Whether an `Origin` field is one of these; letters are compared in any case.
    pub fn covers(&self, origin: &[u8]) -> bool {
        let text = self.text.as_bytes();
        let Some(star) = self.wildcard else {
            return text.eq_ignore_ascii_case(origin);
        };
        let (scheme, domain) = text.split_at(star);
        let Some(host) = origin.len().checked_sub(domain.len()).filter(|end| *end > star) else {
            return false;
        };
        let label = &origin[star..host];
        origin[..star].eq_ignore_ascii_case(scheme)
            && origin[host..].eq_ignore_ascii_case(domain)
            && label.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_covers_itself_and_a_wildcard_what_is_below() {
        let covers = |pattern: &str, origin: &str| {
            OriginPattern::new(pattern).unwrap().covers(origin.as_bytes())
        };
        assert!(covers("https://app.example.com", "https://APP.example.com"));
        assert!(!covers("https://app.example.com", "http://app.example.com"));
        assert!(!covers("https://app.example.com", "https://app.example.com:8443"));
        assert!(covers("https://*.example.com", "https://a.b.example.com"));
        assert!(!covers("https://*.example.com", "https://example.com"));
        assert!(!covers("https://*.example.com", "https://.example.com"));
        assert!(!covers("https://*.example.com", "https://evil.com/.example.com"));
        assert!(!covers("https://*.example.com", "https://evilexample.com"));
        assert!(covers("https://*.example.com:8443", "https://a.example.com:8443"));
        assert!(covers("null", "null") && !covers("null", "https://a"));
        assert!(covers("http://[::1]:80", "http://[::1]:80"));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in ["", "*", "example.com", "https://", "https://a/b", "https://*a.com", "a://b:x"]
        {
            assert_eq!(OriginPattern::new(text), Err(OriginPatternError), "{text}");
        }
    }
}
