//! Probes, as the settings that name them use them.

use tidegate_model::{Probe, ProbeHost, ProbeKind, ProbeMatch};

use crate::api::{self, BackendHttpSettings};
use crate::translate::findings::Findings;
use crate::translate::gateway::Context;
use crate::translate::settings::{hostname, in_range, seconds};

/// The probe of this name, for settings that use it; `None` if it cannot be used.
pub(super) fn probe(
    context: &Context<'_>,
    name: &str,
    settings: &BackendHttpSettings,
    path: &str,
    findings: &mut Findings,
) -> Option<Probe> {
    let Some(index) = context.spec.probes.iter().position(|probe| probe.name == name) else {
        let why = format!("there is no {name:?} in probes");
        findings.unresolved(format!("{path}.probe"), why);
        return None;
    };
    let source = &context.spec.probes[index];
    let path = format!("spec.probes[{index}]");
    if source.protocol != settings.protocol {
        let why = format!("it differs from the protocol of {:?}, which use it", settings.name);
        findings.refuse(format!("{path}.protocol"), why);
        return None;
    }
    let host = match (&source.host, source.pick_host_name_from_backend_http_settings) {
        (None, false) => Some(ProbeHost::Default),
        (None, true) => Some(ProbeHost::FromSettings),
        (Some(name), false) => {
            hostname(name, format!("{path}.host"), findings).map(ProbeHost::Fixed)
        }
        (Some(_), true) => {
            let path = format!("{path}.pickHostNameFromBackendHttpSettings");
            findings.refuse(path, "it and host exclude each other");
            None
        }
    };
    let target_is_right = source.path.starts_with('/')
        && source.path.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'#');
    if !target_is_right {
        let why = format!("{:?} does not begin with / or has characters no path has", source.path);
        findings.refuse(format!("{path}.path"), why);
    }
    let mut number = |value: i32, range, field: &str| {
        in_range(value, range, &format!("{path}.{field}"), findings)
    };
    let interval = number(source.interval, 1..=86400, "interval");
    let timeout = number(source.timeout, 1..=86400, "timeout");
    let threshold = number(source.unhealthy_threshold, 1..=20, "unhealthyThreshold");
    let port = match source.port {
        None => Some(None),
        Some(port) => number(port, 1..=65535, "port").map(Some),
    };
    let min_servers = number(source.min_servers, 0..=1200, "minServers");
    if source.timeout > source.interval {
        let why = format!(
            "it is longer than the interval of {} s: the next probe waits for the end of the last",
            source.interval
        );
        findings.warn_once(format!("{path}.timeout"), why);
    }
    let kind = kind(source, &path, findings);
    let matching = matching(source, &path, findings);
    Some(Probe {
        name: Some(source.name.as_str().into()),
        kind: kind?,
        host: host?,
        path: target_is_right.then(|| source.path.as_str().into())?,
        port: port?.and_then(|port| u16::try_from(port).ok()),
        interval: seconds(interval?),
        timeout: seconds(timeout?),
        unhealthy_threshold: u32::try_from(threshold?).ok()?,
        matching: matching?,
        min_servers: u32::try_from(min_servers?).ok()?,
    })
}

/// What it asks for: a page, unless it says something else.
fn kind(source: &api::Probe, path: &str, findings: &mut Findings) -> Option<ProbeKind> {
    let kind = match (&source.grpc, source.web_socket) {
        (None, false) => return Some(ProbeKind::Http),
        (Some(_), true) => {
            findings.refuse(format!("{path}.webSocket"), "it and grpc exclude each other");
            return None;
        }
        (Some(grpc), false) => ProbeKind::Grpc(grpc.service.as_deref().unwrap_or("").into()),
        (None, true) => ProbeKind::WebSocket,
    };
    let name = if source.web_socket { "webSocket" } else { "grpc" };
    if source.matching.is_some() {
        findings.warn_once(format!("{path}.match"), format!("it has no effect beside {name}"));
    }
    if source.grpc.is_some() && source.path != "/" {
        findings.warn_once(format!("{path}.path"), "it has no effect beside grpc");
    }
    Some(kind)
}

fn matching(source: &api::Probe, path: &str, findings: &mut Findings) -> Option<ProbeMatch> {
    let Some(matching) = &source.matching else {
        return Some(ProbeMatch::default());
    };
    let mut statuses = Vec::new();
    for (index, text) in matching.status_codes.iter().enumerate() {
        match text.parse() {
            Ok(range) => statuses.push(range),
            Err(error) => {
                let path = format!("{path}.match.statusCodes[{index}]");
                findings.refuse(path, format!("{error}"));
                return None;
            }
        }
    }
    ProbeMatch::new(statuses, matching.body.as_deref().unwrap_or(""))
        .map_err(|error| findings.refuse(format!("{path}.match.body"), error.to_string()))
        .ok()
}
