//! One address of a pool, and our connections to it.
//!
//! A member outlives tables. It keeps the connections that wait for the next request, on a stack
//! for each core, because a connection belongs to the runtime it was made on.

mod connect;
mod connection;
mod kept;

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;

pub(crate) use connect::{ConnectError, Name};
pub(crate) use connection::{Connection, Lost};

use crate::core::Scope;
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
    tls: Option<Arc<rustls::ClientConfig>>,
    kept: Kept,
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
            tls,
            kept: Kept::new(cores),
        }
    }

    /// It left the table: what waits for requests is closed.
    pub(crate) fn close_kept(&self) {
        self.kept.clear();
    }
}
