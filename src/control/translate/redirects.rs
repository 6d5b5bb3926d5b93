//! Redirects that rules and path maps refer to.

use std::sync::Arc;

use tidegate_model::{
    HostPattern, Hostname, Protocol, Redirect, RedirectStatus, RedirectTo, RedirectUrl,
};

use crate::api::{self, HttpListener, RedirectConfiguration, RedirectType};
use crate::translate::findings::Findings;
use crate::translate::gateway::{Context, duplicates};

/// A redirect that can be used.
#[derive(Debug)]
pub(super) struct Usable<'a> {
    pub(super) redirect: Arc<Redirect>,
    /// The listener that it leads to, by name.
    pub(super) listener: Option<&'a str>,
}

/// All redirects by place; `None` where one cannot be used.
pub(super) fn redirects<'a>(
    context: &Context<'a>,
    findings: &mut Findings,
) -> Vec<Option<Usable<'a>>> {
    let all = &context.spec.redirect_configurations;
    duplicates(all, |redirect| &redirect.name, "redirectConfigurations", findings);
    let usable = |(index, source): (usize, &'a RedirectConfiguration)| {
        let path = format!("spec.redirectConfigurations[{index}]");
        let to = target(context, source, &path, findings)?;
        let status = match source.redirect_type {
            RedirectType::Permanent => RedirectStatus::MovedPermanently,
            RedirectType::Found => RedirectStatus::Found,
            RedirectType::SeeOther => RedirectStatus::SeeOther,
            RedirectType::Temporary => RedirectStatus::Temporary,
        };
        let (keeps_path, keeps_query) = (source.include_path, source.include_query_string);
        let redirect = Arc::new(Redirect { status, to, keeps_path, keeps_query });
        Some(Usable { redirect, listener: source.target_listener.as_deref() })
    };
    all.iter().enumerate().map(usable).collect()
}

fn target(
    context: &Context<'_>,
    source: &RedirectConfiguration,
    path: &str,
    findings: &mut Findings,
) -> Option<RedirectTo> {
    match (&source.target_listener, &source.target_url) {
        (Some(name), None) => listener(context, name, path, findings),
        (None, Some(url)) => match RedirectUrl::new(url) {
            Ok(url) => Some(RedirectTo::Url(url)),
            Err(error) => {
                findings.refuse(format!("{path}.targetUrl"), format!("{url:?}: {error}"));
                None
            }
        },
        (Some(_), Some(_)) => {
            findings
                .refuse(format!("{path}.targetUrl"), "it and targetListener exclude each other");
            None
        }
        (None, None) => {
            findings.refuse(path, "targetListener or targetUrl is needed");
            None
        }
    }
}

fn listener(
    context: &Context<'_>,
    name: &str,
    path: &str,
    findings: &mut Findings,
) -> Option<RedirectTo> {
    let path = format!("{path}.targetListener");
    let spec = context.spec;
    let Some(listener) = spec.http_listeners.iter().find(|its| its.name == name) else {
        findings.unresolved(path, format!("there is no {name:?} in httpListeners"));
        return None;
    };
    let host = match only_host(listener) {
        Ok(host) => host,
        Err(why) => {
            findings.refuse(path, format!("{name:?} {why}"));
            return None;
        }
    };
    let port = spec.frontend_ports.iter().find(|port| port.name == listener.frontend_port);
    let port = port.and_then(|port| u16::try_from(port.port).ok()).filter(|port| *port > 0);
    let Some(port) = port else {
        findings.refuse(path, format!("{name:?} has no port that can be used"));
        return None;
    };
    let protocol = match listener.protocol {
        api::Protocol::Http => Protocol::Http,
        api::Protocol::Https => Protocol::Https,
    };
    Some(RedirectTo::Listener { protocol, host, port })
}

/// The one host of a listener; `None` if it takes any.
fn only_host(listener: &HttpListener) -> Result<Option<Hostname>, &'static str> {
    let mut hosts = listener.host_name.iter().chain(&listener.host_names);
    let first = match (hosts.next(), hosts.next()) {
        (None, _) => return Ok(None),
        (Some(first), None) => first,
        (Some(_), Some(_)) => return Err("has several hosts: clients can be sent to one alone"),
    };
    match HostPattern::new(first) {
        Ok(HostPattern::Exact(name)) => Ok(Some(name)),
        Ok(_) => Err("has wildcards: clients can be sent to a name alone"),
        Err(_) => Err("has a host that cannot be used: see its own problems"),
    }
}
