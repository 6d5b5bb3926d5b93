//! Settings and the probes that belong to them.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::{
    CookieName, HostOverride, Hostname, LoadDistribution, PathOverride, Probe, ProbeHost,
    ProbeKind, ProbeMatch, Settings, WebSocket,
};

use crate::api::{self, BackendHttpSettings, CookieBasedAffinity, LoadDistributionAlgorithm};
use crate::translate::backend_tls::backend_tls;
use crate::translate::findings::Findings;
use crate::translate::gateway::Context;
use crate::translate::web_socket::web_socket;

/// What draining takes when it is not set: Application Gateway's own time.
const DRAIN: Duration = Duration::from_secs(30);

/// The settings at `index`; `None` if they cannot be used, so that rules which name them cannot
/// either.
pub(super) fn settings(
    context: &Context<'_>,
    index: usize,
    source: &BackendHttpSettings,
    findings: &mut Findings,
) -> Option<Settings> {
    let path = format!("spec.backendHttpSettingsCollection[{index}]");
    let usable = !context.is_refused("backendHttpSettingsCollection", index);
    let port = in_range(source.port, 1..=65535, &format!("{path}.port"), findings);
    let timeout =
        in_range(source.request_timeout, 1..=86400, &format!("{path}.requestTimeout"), findings);
    let affinity = affinity(source, &path, findings);
    let host = host_override(source, &path, findings);
    let own_path = own_path(source, &path, findings);
    let tls = backend_tls(context, source, &path, findings);
    let drain = match &source.connection_draining {
        Some(draining) if draining.enabled => {
            let path = format!("{path}.connectionDraining.drainTimeoutInSec");
            in_range(draining.drain_timeout_in_sec, 1..=3600, &path, findings).map(seconds)
        }
        _ => Some(DRAIN),
    };
    let probe = match &source.probe {
        None => Some(Probe::default()),
        Some(name) => probe(context, name, source, &path, findings),
    };
    let distribution = match source.load_distribution_algorithm {
        LoadDistributionAlgorithm::RoundRobin => LoadDistribution::RoundRobin,
        LoadDistributionAlgorithm::LeastConnections => LoadDistribution::LeastConnections,
    };
    let web_socket = match &source.web_socket {
        None => Some(WebSocket::default()),
        Some(block) => {
            let has_affinity = matches!(&affinity, Some(Some(_)));
            let path = format!("{path}.webSocket");
            web_socket(block, distribution, has_affinity, &path, findings)
        }
    };
    let settings = Settings {
        name: source.name.as_str().into(),
        port: u16::try_from(port?).ok()?,
        tls: tls?,
        request_timeout: seconds(timeout?),
        drain_timeout: drain?,
        host: host?,
        path: own_path?,
        affinity: affinity?,
        distribution,
        web_socket: Arc::new(web_socket?),
        probe: probe?,
    };
    usable.then_some(settings)
}

fn seconds(value: i32) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0))
}

/// The value, if it is within what the schema says; files are read without the schema.
pub(super) fn in_range<T: PartialOrd + Display + Copy>(
    value: T,
    range: RangeInclusive<T>,
    path: &str,
    findings: &mut Findings,
) -> Option<T> {
    if range.contains(&value) {
        return Some(value);
    }
    findings.refuse(path, format!("{value} is not within {} to {}", range.start(), range.end()));
    None
}

pub(super) fn hostname(text: &str, path: String, findings: &mut Findings) -> Option<Hostname> {
    Hostname::new(text).map_err(|error| findings.refuse(path, format!("{text:?}: {error}"))).ok()
}

fn host_override(
    source: &BackendHttpSettings,
    path: &str,
    findings: &mut Findings,
) -> Option<HostOverride> {
    match (&source.host_name, source.pick_host_name_from_backend_address) {
        (None, false) => Some(HostOverride::Keep),
        (None, true) => Some(HostOverride::FromMember),
        (Some(name), false) => {
            hostname(name, format!("{path}.hostName"), findings).map(HostOverride::Fixed)
        }
        (Some(_), true) => {
            let path = format!("{path}.pickHostNameFromBackendAddress");
            findings.refuse(path, "it and hostName exclude each other");
            None
        }
    }
}

/// What the path begins with that members see, if it is set.
fn own_path(
    source: &BackendHttpSettings,
    path: &str,
    findings: &mut Findings,
) -> Option<Option<PathOverride>> {
    // Application Gateway's own tools write an empty one where there is none.
    let Some(text) = source.path.as_deref().filter(|text| !text.is_empty()) else {
        return Some(None);
    };
    match PathOverride::new(text) {
        Ok(own) => Some(Some(own)),
        Err(error) => {
            findings.refuse(format!("{path}.path"), format!("{text:?}: {error}"));
            None
        }
    }
}

/// The cookie of affinity, if it is enabled.
fn affinity(
    source: &BackendHttpSettings,
    path: &str,
    findings: &mut Findings,
) -> Option<Option<CookieName>> {
    let path = format!("{path}.affinityCookieName");
    let name = match &source.affinity_cookie_name {
        None => CookieName::default(),
        Some(name) => CookieName::new(name)
            .map_err(|error| findings.refuse(&path, format!("{name:?}: {error}")))
            .ok()?,
    };
    let enabled = source.cookie_based_affinity == CookieBasedAffinity::Enabled;
    if !enabled && source.affinity_cookie_name.is_some() {
        findings.warn(path, "it has no effect without cookieBasedAffinity: Enabled");
    }
    Some(enabled.then_some(name))
}

fn probe(
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
    let matching = matching(source, &path, findings);
    Some(Probe {
        name: Some(source.name.as_str().into()),
        kind: ProbeKind::Http,
        host: host?,
        path: target_is_right.then(|| source.path.as_str().into())?,
        port: port?.and_then(|port| u16::try_from(port).ok()),
        interval: seconds(interval?),
        timeout: seconds(timeout?),
        unhealthy_threshold: u32::try_from(threshold?).ok()?,
        matching: matching?,
    })
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
