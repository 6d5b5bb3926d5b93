//! Where the listeners of a gateway listen, those that cannot be served included.

use std::net::{IpAddr, SocketAddr};

use tidegate_model::KnownListener;

use crate::api::HttpListener;
use crate::translate::gateway::Context;

/// Every listener of the resource, right or wrong: one that cannot be served keeps its tunnels.
pub(super) fn known_listeners(context: &Context<'_>) -> Vec<KnownListener> {
    let spec = context.spec;
    let known = |listener: &HttpListener| {
        let port = spec.frontend_ports.iter().find(|port| port.name == listener.frontend_port);
        let port = port.and_then(|port| u16::try_from(port.port).ok());
        // What is wrong with it was told when it was checked.
        let ip = find_address(context, listener).ok();
        let address = ip.zip(port).map(|(ip, port)| SocketAddr::new(ip, port));
        KnownListener { name: listener.name.as_str().into(), address }
    };
    spec.http_listeners.iter().map(known).collect()
}

/// The address that a listener listens on; else the field that is wrong, why, and whether it names
/// something that is not there.
pub(super) fn find_address(
    context: &Context<'_>,
    source: &HttpListener,
) -> Result<IpAddr, (Option<String>, String, bool)> {
    let all = &context.spec.frontend_ip_configurations;
    let index = match &source.frontend_ip_configuration {
        Some(name) => {
            let place = all.iter().position(|configuration| configuration.name == *name);
            place.ok_or_else(|| {
                (None, format!("there is no {name:?} in frontendIPConfigurations"), true)
            })?
        }
        None if all.len() == 1 => 0,
        None if all.is_empty() => return Ok(context.bind),
        None => {
            let why = "it is needed: the gateway has several addresses";
            return Err((None, why.to_owned(), false));
        }
    };
    let Some(text) = &all[index].private_ip_address else {
        return Ok(context.bind);
    };
    text.parse().map_err(|_| {
        let path = format!("spec.frontendIPConfigurations[{index}].privateIPAddress");
        (Some(path), format!("{text:?} is not an IP address"), false)
    })
}
