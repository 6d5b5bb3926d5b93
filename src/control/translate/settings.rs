//! Settings: how members are spoken to.

use std::fmt::Display;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::{
    CookieName, HostOverride, Hostname, LoadDistribution, MemberHttp, OutlierEjection,
    PathOverride, Probe, Settings, WebSocket,
};

use crate::api::{BackendHttpSettings, BackendHttpVersion, CookieBasedAffinity};
use crate::translate::backend_tls::backend_tls;
use crate::translate::distribution::algorithm;
use crate::translate::findings::Findings;
use crate::translate::gateway::Context;
use crate::translate::probes::probe;
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
    let distribution = algorithm(source.load_distribution_algorithm);
    let web_socket = match &source.web_socket {
        None => Some(WebSocket::default()),
        Some(block) => {
            let has_affinity = matches!(&affinity, Some(Some(_)));
            let path = format!("{path}.webSocket");
            web_socket(block, distribution, has_affinity, &path, findings)
        }
    };
    let ejection = outlier_ejection(source, &path, findings);
    let http_version = http_version(source, &path, findings);
    let slow_start = slow_start(source, distribution, &path, findings);
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
        http_version: http_version?,
        dedicated_connections: source.dedicated_backend_connection,
        outlier_ejection: ejection?,
        slow_start: slow_start?,
        web_socket: Arc::new(web_socket?),
        probe: probe?,
    };
    usable.then_some(settings)
}

pub(super) fn seconds(value: i32) -> Duration {
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

/// When members are taken out for what requests find, if that is asked for.
fn outlier_ejection(
    source: &BackendHttpSettings,
    path: &str,
    findings: &mut Findings,
) -> Option<Option<OutlierEjection>> {
    let Some(source) = &source.outlier_ejection else { return Some(None) };
    let mut number = |value: i32, most, field: &str| {
        let path = format!("{path}.outlierEjection.{field}");
        in_range(value, 1..=most, &path, findings)
    };
    let failures = number(source.consecutive_failures, 1000, "consecutiveFailures");
    let time = number(source.ejection_time_in_sec, 86400, "ejectionTimeInSec");
    let percent = number(source.max_ejected_percent, 100, "maxEjectedPercent");
    Some(Some(OutlierEjection {
        failures: NonZeroU32::new(u32::try_from(failures?).ok()?)?,
        time: seconds(time?),
        max_percent: u8::try_from(percent?).ok()?,
    }))
}

/// Which version requests are sent with.
fn http_version(
    source: &BackendHttpSettings,
    path: &str,
    findings: &mut Findings,
) -> Option<MemberHttp> {
    match source.backend_http_version {
        BackendHttpVersion::Http1 => Some(MemberHttp::Http1),
        BackendHttpVersion::Http2 if source.dedicated_backend_connection => {
            let why = "it needs backendHttpVersion: Http1: requests over HTTP/2 share connections";
            findings.refuse(format!("{path}.dedicatedBackendConnection"), why);
            None
        }
        BackendHttpVersion::Http2 => Some(MemberHttp::Http2),
    }
}

fn slow_start(
    source: &BackendHttpSettings,
    distribution: LoadDistribution,
    path: &str,
    findings: &mut Findings,
) -> Option<Option<Duration>> {
    let Some(value) = source.slow_start_in_sec else { return Some(None) };
    let path = format!("{path}.slowStartInSec");
    let time = seconds(in_range(value, 1..=3600, &path, findings)?);
    if distribution == LoadDistribution::IpHash {
        let why =
            "it has no effect with loadDistributionAlgorithm: IpHash: clients would move twice";
        findings.warn(path, why);
    }
    Some(Some(time))
}
