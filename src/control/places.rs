//! Where frontends listen.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tidegate_model::ObjectName;

/// Ports of this process by what clients connect to: gateway, frontend, port.
pub(crate) type Ports = HashMap<(ObjectName, Box<str>, u16), u16>;

/// How the place of a frontend is found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Places {
    /// Frontends bind their own ports, and their own address or this one.
    Own(IpAddr),
    /// Every port of every frontend has a port of this process, to which a Service maps it.
    Allocated {
        /// The address that all of them bind.
        bind: IpAddr,
        /// Those that have one so far.
        ports: Arc<Ports>,
    },
}

impl Places {
    /// Where a port listens; `None` if it has no place yet.
    pub(crate) fn of(
        &self,
        gateway: &ObjectName,
        frontend: &str,
        own: Option<IpAddr>,
        port: u16,
    ) -> Option<SocketAddr> {
        match self {
            Self::Own(bind) => Some(SocketAddr::new(own.unwrap_or(*bind), port)),
            Self::Allocated { bind, ports } => {
                let key = (gateway.clone(), frontend.into(), port);
                Some(SocketAddr::new(*bind, *ports.get(&key)?))
            }
        }
    }
}
