//! Which Ingresses are ours, and where they are served.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_model::ObjectName;

/// How Ingresses are translated.
#[derive(Clone, Debug)]
pub(crate) struct IngressOptions {
    /// The class that is ours.
    pub(crate) class: String,
    /// The name of the gateway that they become.
    pub(crate) gateway: ObjectName,
    /// What our IngressClass names as its controller.
    pub(crate) controller: String,
    pub(crate) without_class: WithoutClass,
    /// Whether a Service may be an alias for a name outside, which anyone who may write Services
    /// could point at what they cannot reach themselves.
    pub(crate) allow_external_name: bool,
    pub(crate) addresses: Addresses,
    /// The port at which clients reach what is served for 443, if it is another one.
    pub(crate) https_port: Option<u16>,
}

/// Whose an Ingress is that names no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WithoutClass {
    /// Ours: nobody else reads these files.
    Ours,
    #[cfg_attr(not(test), allow(dead_code, reason = "files have no classes to look at"))]
    /// Ours if our IngressClass is there and marked as the default.
    ByDefaultClass,
}

/// Where a port of Ingresses is served; `None` if it is not.
#[derive(Clone)]
pub(crate) struct Addresses(Arc<dyn Fn(u16) -> Option<SocketAddr> + Send + Sync>);

impl Addresses {
    pub(crate) fn new(of: impl Fn(u16) -> Option<SocketAddr> + Send + Sync + 'static) -> Self {
        Self(Arc::new(of))
    }

    pub(super) fn of(&self, port: u16) -> Option<SocketAddr> {
        (self.0)(port)
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Addresses")
    }
}
