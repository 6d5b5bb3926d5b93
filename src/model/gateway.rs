//! A snapshot: everything the data plane serves at one time.

use std::net::SocketAddr;
use std::sync::Arc;

use thiserror::Error;

use crate::{Bodies, ErrorPages, HostPrecedence, Listener, ObjectName, Pool, Protocol};

/// One immutable set of gateways; what a table is compiled from.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Gateways in the order in which they claim addresses.
    pub gateways: Vec<Arc<Gateway>>,
}

/// One gateway: the sockets it listens on and what is behind them.
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    /// The resource it was made from.
    pub name: ObjectName,
    /// Its sockets. No two frontends of a snapshot have the same address.
    pub frontends: Vec<Frontend>,
    /// All its pools, used by a rule or not: a member that is in one of them keeps the tunnels
    /// that it has, whatever became of the rule that they came by.
    pub pools: Vec<Arc<Pool>>,
    /// All its listeners, served or not: one that cannot be served for now keeps its tunnels.
    pub listeners: Vec<KnownListener>,
    /// How bodies pass.
    pub bodies: Bodies,
}

/// A listener that the resource has, whether it can be served or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KnownListener {
    /// Its name.
    pub name: Box<str>,
    /// Where it would listen; `None` if the resource does not say so any more.
    pub address: Option<SocketAddr>,
}

/// One socket of a gateway, and the listeners that share it.
#[derive(Clone, Debug, PartialEq)]
pub struct Frontend {
    address: SocketAddr,
    port: u16,
    protocol: Protocol,
    listeners: Vec<Arc<Listener>>,
    precedence: HostPrecedence,
    error_pages: Option<Arc<ErrorPages>>,
}

/// Why listeners cannot share a socket.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FrontendError {
    /// A frontend without listeners would accept connections that nothing can answer.
    #[error("a frontend needs at least one listener")]
    NoListener,
    /// HTTP and HTTPS cannot be told apart on one port.
    #[error("listeners {first} and {second} share {address} but one is Http and the other Https")]
    MixedProtocols {
        /// The listener that came first and keeps the port.
        first: Box<str>,
        /// The listener that is refused.
        second: Box<str>,
        /// The address they share.
        address: SocketAddr,
    },
    /// An HTTPS listener cannot do without a certificate.
    #[error("listener {listener} is Https and has no certificate")]
    NoCertificate {
        /// The listener.
        listener: Box<str>,
    },
}

impl Frontend {
    /// A socket shared by `listeners`, which come in the order in which the resource lists their
    /// rules. Clients connect to `port`, which is another one than that of `address` where something
    /// in between maps one to the other.
    ///
    /// # Errors
    /// If there is no listener, if protocols are mixed, or if an HTTPS listener that forwards has
    /// no certificate.
    pub fn new(
        address: SocketAddr,
        port: u16,
        listeners: Vec<Arc<Listener>>,
    ) -> Result<Self, FrontendError> {
        let first = listeners.first().ok_or(FrontendError::NoListener)?;
        let protocol = first.protocol;
        for listener in &listeners {
            if listener.protocol != protocol {
                return Err(FrontendError::MixedProtocols {
                    first: first.name.clone(),
                    second: listener.name.clone(),
                    address,
                });
            }
            if protocol == Protocol::Https && listener.tls.is_none() {
                return Err(FrontendError::NoCertificate { listener: listener.name.clone() });
            }
        }
        let precedence = HostPrecedence::default();
        Ok(Self { address, port, protocol, listeners, precedence, error_pages: None })
    }

    /// The same, where this decides between listeners that cover the same host.
    #[must_use]
    pub fn with_precedence(self, precedence: HostPrecedence) -> Self {
        Self { precedence, ..self }
    }

    /// The same, with these pages for requests that no listener takes.
    #[must_use]
    pub fn with_error_pages(self, error_pages: Option<Arc<ErrorPages>>) -> Self {
        Self { error_pages, ..self }
    }

    /// The address it binds.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port that clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What clients speak on it.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// What decides between listeners that cover the same host.
    pub fn precedence(&self) -> HostPrecedence {
        self.precedence
    }

    /// Pages for answers to requests that no listener takes.
    pub fn error_pages(&self) -> Option<&Arc<ErrorPages>> {
        self.error_pages.as_ref()
    }

    /// Its listeners, in rule order.
    pub fn listeners(&self) -> &[Arc<Listener>] {
        &self.listeners
    }
}

impl PartialEq for Snapshot {
    /// Gateways are compared only where they are not the same in memory: most are.
    fn eq(&self, other: &Self) -> bool {
        self.gateways.len() == other.gateways.len()
            && self.gateways.iter().zip(&other.gateways).all(|(a, b)| Arc::ptr_eq(a, b) || a == b)
    }
}

impl Snapshot {
    /// The number of rules over all gateways.
    pub fn rule_count(&self) -> usize {
        self.gateways.iter().flat_map(|g| &g.frontends).map(|f| f.listeners.len()).sum()
    }
}
