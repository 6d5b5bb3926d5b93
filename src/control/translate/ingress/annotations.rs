//! Annotations of Application Gateway's ingress controller, under its prefix and ours.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use tidegate_model::{
    HostPattern, Hostname, PathOverride, Priority, Probe, ProbeHost, ProbeKind, ProbeMatch,
    StatusRange,
};

use crate::resources::{AGIC_PREFIX, Ingress, OWN_PREFIX};
use crate::translate::findings::Findings;

/// What has no counterpart yet, but a meaning that someone may rely on.
const UNSUPPORTED: [&str; 3] =
    ["rewrite-rule-set", "rewrite-rule-set-custom-resource", "appgw-trusted-root-certificate"];

/// The same of what guards an Ingress: it would be open to more than was meant.
const GUARDS: [&str; 4] =
    ["waf-policy-for-path", "use-private-ip", "appgw-ssl-certificate", "appgw-ssl-profile"];

/// Of all these, the one that asks for nothing when it says `false`.
const SWITCH: &str = "use-private-ip";

/// A client's requests stay with one member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Affinity {
    /// Every Service has a cookie of its own.
    pub(super) distinct: bool,
}

/// What the annotations of one Ingress say.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    pub(super) backend_hostname: Option<Hostname>,
    /// What the path that members see begins with.
    pub(super) backend_path: Option<PathOverride>,
    /// Whether members speak HTTPS, if it is said.
    pub(super) https: Option<bool>,
    pub(super) ssl_redirect: bool,
    pub(super) affinity: Option<Affinity>,
    pub(super) drain: Option<Duration>,
    pub(super) request_timeout: Option<Duration>,
    /// The port to listen on in place of 443 for hosts with TLS, else of 80.
    pub(super) port: Option<u16>,
    pub(super) probe: Option<Probe>,
    /// More hosts of every rule that has one.
    pub(super) hosts: Vec<HostPattern>,
    pub(super) priority: Option<Priority>,
    /// Full names by what follows the prefix.
    written: BTreeMap<String, String>,
}

impl Annotations {
    /// Reads all; what is wrong or not supported is told and left out. `None` if the Ingress has to
    /// be left out with it.
    pub(super) fn read(ingress: &Ingress, findings: &mut Findings) -> Option<Self> {
        let mut reader = Reader::new(ingress, findings);
        let written: BTreeMap<String, String> =
            reader.values.iter().map(|(name, (full, _))| (name.clone(), full.clone())).collect();
        let draining = reader.take("connection-draining", parse::<bool>).unwrap_or(false);
        let drain = reader.take("connection-draining-timeout", |text| seconds(text, 1..=3600));
        if drain.is_some() && !draining {
            let path = place(&written, "connection-draining-timeout");
            reader.findings.warn(path, "it has no effect without connection-draining: \"true\"");
        }
        let affinity = reader.take("cookie-based-affinity", parse::<bool>).unwrap_or(false);
        let distinct = reader.take("cookie-based-affinity-distinct-name", parse::<bool>);
        if distinct == Some(true) && !affinity {
            let path = place(&written, "cookie-based-affinity-distinct-name");
            reader.findings.warn(path, "it has no effect without cookie-based-affinity: \"true\"");
        }
        let distinct = distinct.unwrap_or(false);
        let annotations = Self {
            affinity: affinity.then_some(Affinity { distinct }),
            backend_hostname: reader.take("backend-hostname", hostname),
            backend_path: reader.take("backend-path-prefix", |text| {
                PathOverride::new(text).map_err(|error| error.to_string())
            }),
            https: reader.take("backend-protocol", |text| {
                match text.to_ascii_lowercase().as_str() {
                    "http" => Ok(false),
                    "https" => Ok(true),
                    _ => Err("only http and https are known".to_owned()),
                }
            }),
            ssl_redirect: reader.take("ssl-redirect", parse::<bool>).unwrap_or(false),
            drain: drain.filter(|_| draining),
            request_timeout: reader.take("request-timeout", |text| seconds(text, 1..=86400)),
            port: reader.take("override-frontend-port", |text| within(text, 1..=64999)),
            probe: reader.probe(),
            hosts: reader.take("hostname-extension", hosts).unwrap_or_default(),
            priority: reader.take("rule-priority", |text| {
                Priority::try_from(parse::<i64>(text)?).map_err(|error| error.to_string())
            }),
            written,
        };
        reader.tell_rest();
        (!findings.has_errors()).then_some(annotations)
    }

    /// The path of an annotation in findings, by what follows its prefix.
    pub(super) fn place(&self, name: &str) -> String {
        place(&self.written, name)
    }
}

fn place(written: &BTreeMap<String, String>, name: &str) -> String {
    let full = written.get(name).cloned().unwrap_or_else(|| format!("{AGIC_PREFIX}{name}"));
    format!("metadata.annotations[{full}]")
}

struct Reader<'a> {
    /// Full name and value by what follows the prefix, of those that are not taken yet.
    values: BTreeMap<String, (String, String)>,
    findings: &'a mut Findings,
}

impl<'a> Reader<'a> {
    fn new(ingress: &Ingress, findings: &'a mut Findings) -> Self {
        let mut values: BTreeMap<String, (String, String)> = BTreeMap::new();
        for prefix in [AGIC_PREFIX, OWN_PREFIX] {
            for (full, value) in &ingress.annotations {
                let Some(name) = full.strip_prefix(prefix) else {
                    continue;
                };
                let other = values.insert(name.to_owned(), (full.clone(), value.clone()));
                if let Some((hidden, other)) = other.filter(|(_, other)| other != value) {
                    let path = format!("metadata.annotations[{hidden}]");
                    findings.warn(path, format!("{other:?} has no effect: {full} goes before it"));
                }
            }
        }
        Self { values, findings }
    }

    fn take<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let (full, value) = self.values.remove(name)?;
        let told = |why| {
            let path = format!("metadata.annotations[{full}]");
            self.findings.warn(path, format!("{value:?} has no effect: {why}"));
        };
        parse(value.trim()).map_err(told).ok()
    }

    /// The probe, if anything is said of it.
    fn probe(&mut self) -> Option<Probe> {
        let probe = Probe::default();
        let host = self.take("health-probe-hostname", hostname).map(ProbeHost::Fixed);
        let path = self.take("health-probe-path", probe_path);
        let port = self.take("health-probe-port", |text| within(text, 1..=65535));
        let interval = self.take("health-probe-interval", |text| seconds(text, 1..=86400));
        let timeout = self.take("health-probe-timeout", |text| seconds(text, 1..=86400));
        let threshold = self.take("health-probe-unhealthy-threshold", |text| within(text, 1..=20));
        let matching = self.take("health-probe-status-codes", statuses);
        let said = [
            host.is_some(),
            path.is_some(),
            port.is_some(),
            interval.is_some(),
            timeout.is_some(),
            threshold.is_some(),
            matching.is_some(),
        ];
        said.contains(&true).then(|| Probe {
            name: None,
            kind: ProbeKind::Http,
            host: host.unwrap_or(probe.host),
            path: path.unwrap_or(probe.path),
            port,
            interval: interval.unwrap_or(probe.interval),
            timeout: timeout.unwrap_or(probe.timeout),
            unhealthy_threshold: threshold.unwrap_or(probe.unhealthy_threshold),
            matching: matching.unwrap_or(probe.matching),
            min_servers: 0,
        })
    }

    /// What was not taken has no effect.
    fn tell_rest(self) {
        for (name, (full, value)) in self.values {
            if name == SWITCH && value.trim() == "false" {
                continue;
            }
            let path = format!("metadata.annotations[{full}]");
            if GUARDS.contains(&&*name) {
                self.findings.refuse(path, "not supported yet: the whole Ingress is left out");
                continue;
            }
            let why = match UNSUPPORTED.contains(&&*name) {
                true => "not supported yet: it has no effect",
                false => "there is no such annotation: it has no effect",
            };
            self.findings.warn(path, why);
        }
    }
}

fn parse<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn within<T: TryFrom<i64>>(text: &str, range: RangeInclusive<i64>) -> Result<T, String> {
    let value = parse::<i64>(text)?;
    let number = range.contains(&value).then(|| T::try_from(value).ok()).flatten();
    number.ok_or_else(|| format!("it is not within {} to {}", range.start(), range.end()))
}

fn seconds(text: &str, range: RangeInclusive<i64>) -> Result<Duration, String> {
    within(text, range).map(Duration::from_secs)
}

fn hostname(text: &str) -> Result<Hostname, String> {
    Hostname::new(text).map_err(|error| error.to_string())
}

fn hosts(text: &str) -> Result<Vec<HostPattern>, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let parsed = names
        .map(|name| HostPattern::kubernetes(name).map_err(|error| format!("{name:?}: {error}")));
    parsed.collect()
}

fn probe_path(text: &str) -> Result<Box<str>, String> {
    let right = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if right { Ok(text.into()) } else { Err("it is not a path that begins with /".to_owned()) }
}

fn statuses(text: &str) -> Result<ProbeMatch, String> {
    let ranges = text.split(',').map(|range| parse::<StatusRange>(range.trim()));
    let ranges = ranges.collect::<Result<Vec<_>, _>>()?;
    ProbeMatch::new(ranges, "").map_err(|error| error.to_string())
}
