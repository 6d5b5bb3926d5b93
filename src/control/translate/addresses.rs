//! Where the listeners of a gateway listen, those that cannot be served included.

use std::net::{IpAddr, SocketAddr};

use tidegate_model::KnownListener;

use crate::api::HttpListener;
use crate::translate::findings::Findings;
use crate::translate::gateway::Context;

/// Every listener of the resource, right or wrong: one that cannot be served keeps its tunnels.
pub(super) fn known_listeners(context: &Context<'_>) -> Vec<KnownListener> {
    let spec = context.spec;
    let known = |listener: &HttpListener| {
        let port = spec.frontend_ports.iter().find(|port| port.name == listener.frontend_port);
        let port = port.and_then(|port| u16::try_from(port.port).ok());
        // What is wrong with it was told when it was checked.
        let named = named(context, listener).ok();
        let address = named.zip(port).and_then(|(named, port)| place(context, &named, port));
        KnownListener { name: listener.name.as_str().into(), address }
    };
    spec.http_listeners.iter().map(known).collect()
}

/// The address that a listener names.
pub(super) struct Named<'a> {
    /// Its frontend's name; empty for the only one of a gateway that lists none.
    frontend: &'a str,
    /// An address that the gateway asks for.
    own: Option<IpAddr>,
}

/// Why a listener's address cannot be known.
pub(super) struct Wrong {
    /// The field; `None` for the listener's own.
    path: Option<String>,
    why: String,
    /// It names something that is not there.
    unresolved: bool,
}

impl Wrong {
    /// Tells it of the listener at `path`.
    pub(super) fn tell(self, path: &str, findings: &mut Findings) {
        let path = self.path.unwrap_or_else(|| format!("{path}.frontendIPConfiguration"));
        match self.unresolved {
            true => findings.unresolved(path, self.why),
            false => findings.refuse(path, self.why),
        }
    }
}

/// The address that a listener names, or why that cannot be known.
pub(super) fn named<'a>(context: &Context<'a>, source: &HttpListener) -> Result<Named<'a>, Wrong> {
    let all = &context.spec.frontend_ip_configurations;
    let index = match &source.frontend_ip_configuration {
        Some(name) => all.iter().position(|its| its.name == *name).ok_or_else(|| Wrong {
            path: None,
            why: format!("there is no {name:?} in frontendIPConfigurations"),
            unresolved: true,
        })?,
        None if all.is_empty() => return Ok(Named { frontend: "", own: None }),
        None if all.len() == 1 => 0,
        None => {
            let why = "it is needed: the gateway has several addresses".to_owned();
            return Err(Wrong { path: None, why, unresolved: false });
        }
    };
    let own = all[index].private_ip_address.as_ref().map(|text| {
        text.parse().map_err(|_| Wrong {
            path: Some(format!("spec.frontendIPConfigurations[{index}].privateIPAddress")),
            why: format!("{text:?} is not an IP address"),
            unresolved: false,
        })
    });
    Ok(Named { frontend: &all[index].name, own: own.transpose()? })
}

/// Where a port listens; `None` if it has no place yet.
pub(super) fn place(context: &Context<'_>, named: &Named<'_>, port: u16) -> Option<SocketAddr> {
    context.uses.place(context.places, context.name, named.frontend, named.own, port)
}
