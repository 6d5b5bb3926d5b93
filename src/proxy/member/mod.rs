//! One address of a pool, and our connections to it.
//!
//! A member outlives tables. It keeps the connections that wait for the next request, on a stack
//! for each core, because a connection belongs to the runtime it was made on.

mod call;
mod connect;
mod connection;
mod http2;
mod kept;
mod own;
mod stream;
mod upload;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::HeaderValue;

pub(crate) use call::Streamed;
pub(crate) use connect::{ConnectError, Name};
pub(crate) use connection::{Cause, Connection, Lost};
pub(crate) use http2::{Carrier, Lease, bytes};
pub(crate) use own::Own;

use crate::core::Scope;
use crate::member::http2::Http2;
use crate::member::kept::Kept;
use crate::metrics::{self, MemberSeries, Metrics};
use crate::table::MemberKey;

/// One member of one pool under one settings.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) scope: Arc<Scope>,
    pub(crate) address: SocketAddr,
    pub(crate) fqdn: Option<Box<str>>,
    /// Its own name or address, as a `Host`.
    pub(crate) host: HeaderValue,
    pub(crate) series: Arc<MemberSeries>,
    /// Tunnels to it, and handshakes that may become some.
    pub(crate) tunnels: AtomicU32,
    tls: Option<Arc<rustls::ClientConfig>>,
    kept: Kept,
    /// Connections that tunnels share.
    http2: Http2,
    /// Connections that requests share, where these are sent with HTTP/2.
    requests: Http2,
}

impl Member {
    pub(crate) fn new(
        key: &MemberKey,
        tls: Option<Arc<rustls::ClientConfig>>,
        metrics: &Arc<Metrics>,
        cores: usize,
    ) -> Self {
        let address = key.address;
        let host = match &key.fqdn {
            Some(name) => HeaderValue::try_from(&**name),
            None if address.is_ipv6() => HeaderValue::try_from(format!("[{}]", address.ip())),
            None => HeaderValue::try_from(address.ip().to_string()),
        };
        Self {
            scope: Arc::new(Scope::new()),
            address,
            fqdn: key.fqdn.clone(),
            host: host.unwrap_or(HeaderValue::from_static("")),
            series: metrics.member(metrics::MemberKey {
                gateway: key.gateway.to_string(),
                pool: key.pool.clone(),
                settings: key.settings.clone(),
                member: address,
            }),
            tunnels: AtomicU32::new(0),
            tls,
            kept: Kept::new(cores),
            http2: Http2::new(cores),
            requests: Http2::new(cores),
        }
    }

    /// Tunnels to it, and handshakes that may become some.
    pub(crate) fn tunnels(&self) -> u32 {
        self.tunnels.load(Ordering::Relaxed)
    }

    /// Whether there are fewer tunnels to it than these.
    pub(crate) fn has_room(&self, most: NonZeroU32) -> bool {
        self.tunnels() < most.get()
    }

    /// Requests in progress and open tunnels. A handshake counts twice until it is answered.
    pub(crate) fn load(&self) -> u64 {
        self.series.in_flight() + u64::from(self.tunnels())
    }

    /// It left the table: what waits for requests is closed.
    pub(crate) fn close_kept(&self) {
        self.kept.clear();
        self.http2.clear();
        self.requests.clear();
    }
}
