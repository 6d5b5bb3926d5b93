//! How the members of a pool are spoken to.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    Certificate, CookieName, Hostname, PathOverride, Pool, Probe, Protocol, TrustedRoots, WebSocket,
};

/// A pool with the settings it is used with: what is probed and balanced over.
///
/// The same pool under other settings is another target, with its own health and connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The members.
    pub pool: Arc<Pool>,
    /// How they are spoken to.
    pub settings: Arc<Settings>,
}

/// Back-end HTTP settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Their name, unique in the gateway.
    pub name: Box<str>,
    /// The port of members that have none of their own.
    pub port: u16,
    /// Plain, or TLS and how the member's certificate is judged.
    pub tls: Option<BackendTls>,
    /// How long a member may take to begin its response, and between two parts of its body.
    /// WebSocket traffic is not subject to it.
    pub request_timeout: Duration,
    /// How long connections to a member that left its pool may live on. Tunnels are closed in this
    /// time, one after the other, from when the member begins to terminate.
    pub drain_timeout: Duration,
    /// The `Host` that members see.
    pub host: HostOverride,
    /// What the path that members see begins with, in place of what a path rule takes it by.
    pub path: Option<PathOverride>,
    /// The cookie by which a client's requests stay with one member. WebSocket traffic is not
    /// subject to it.
    pub affinity: Option<CookieName>,
    /// Which member a request or handshake goes to.
    pub distribution: LoadDistribution,
    /// Which version of HTTP requests are sent with; handshakes have a choice of their own.
    pub http_version: MemberHttp,
    /// Whether each client's connection has connections to members of its own, which end with it.
    pub dedicated_connections: bool,
    /// Whether members are taken out for what requests find.
    pub outlier_ejection: Option<OutlierEjection>,
    /// How long a member that has come up gets less than its share.
    pub slow_start: Option<Duration>,
    /// How tunnels are carried.
    pub web_socket: Arc<WebSocket>,
    /// How their health is found.
    pub probe: Probe,
}

/// Which member a request or handshake goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadDistribution {
    /// Each in its turn.
    #[default]
    RoundRobin,
    /// The one with the fewest requests in progress and open tunnels.
    LeastConnections,
    /// The same one for all requests of a client's address, as long as it takes requests.
    IpHash,
}

/// Which version of HTTP requests are sent to members with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberHttp {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: agreed by ALPN, or without TLS by knowing it before.
    Http2,
}

/// When a member is taken out because requests to it fail, whatever its probe finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlierEjection {
    /// After so many failures in a row: no answer, or one of 5xx.
    pub failures: NonZeroU32,
    /// For so long.
    pub time: Duration,
    /// Of a pool at most so many members at once, in percent, rounded down.
    pub max_percent: u8,
}

impl Settings {
    /// What is spoken to members.
    pub fn protocol(&self) -> Protocol {
        if self.tls.is_some() { Protocol::Https } else { Protocol::Http }
    }
}

/// The `Host` field that members see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostOverride {
    /// The client's.
    Keep,
    /// The member's own name or address (`pickHostNameFromBackendAddress`).
    FromMember,
    /// This name.
    Fixed(Hostname),
}

/// How the certificate of a member is judged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendTls {
    /// Who may have signed it.
    pub trust: Trust,
    /// The name that members are asked for, in place of the one that follows from the `Host`.
    pub server_name: Option<Hostname>,
    /// Whether the certificate has to be for that name.
    pub checks_name: bool,
    /// What members are shown that ask for a certificate.
    pub identity: Option<Arc<Certificate>>,
}

impl BackendTls {
    /// Members are judged by `trust` and by their name, and shown nothing.
    pub fn trusting(trust: Trust) -> Self {
        Self { trust, server_name: None, checks_name: true, identity: None }
    }
}

/// Which certificates of members are taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// The well-known authorities of the web.
    WellKnown,
    /// These and no other.
    Roots(Arc<TrustedRoots>),
    /// Exactly these certificates, whoever signed them and however old they are.
    Pinned(Arc<TrustedRoots>),
    /// Any, of any age: only that the member has its key is proved.
    Anyone,
}
