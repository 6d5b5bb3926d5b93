//! How the health of members is found.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::Hostname;

/// A health probe: each member is asked at every interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The custom probe's name; `None` for the default probe.
    pub name: Option<Box<str>>,
    /// What is asked.
    pub kind: ProbeKind,
    /// The `Host` it sends, and the name in the TLS handshake.
    pub host: ProbeHost,
    /// The path and query it asks for, beginning with `/`.
    pub path: Box<str>,
    /// The port it asks; `None` for the member's.
    pub port: Option<u16>,
    /// From the start of one probe to the start of the next.
    pub interval: Duration,
    /// How long one probe may take.
    pub timeout: Duration,
    /// After so many failures in a row a member is down.
    pub unhealthy_threshold: u32,
    /// Which answers are healthy.
    pub matching: ProbeMatch,
    /// So many members always count as healthy: if fewer are, those that are not for the shortest
    /// time.
    pub min_servers: u32,
}

impl Default for Probe {
    /// The default probe: `GET /` with `Host: 127.0.0.1` every 30 s, 30 s long at most; three
    /// failures in a row take a member out, 200 to 399 is healthy.
    fn default() -> Self {
        Self {
            name: None,
            kind: ProbeKind::Http,
            host: ProbeHost::Default,
            path: "/".into(),
            port: None,
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            unhealthy_threshold: 3,
            matching: ProbeMatch::default(),
            min_servers: 0,
        }
    }
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// An HTTP request, or HTTPS where the settings say so, in the version that requests have.
    Http,
    /// The health of a gRPC service (`grpc.health.v1.Health/Check`), over HTTP/2. An empty name
    /// asks for the server as a whole. Path and answers of HTTP do not matter.
    Grpc(Box<str>),
    /// A WebSocket handshake, which is closed as soon as it has succeeded. Only a 101 with the
    /// right proof is healthy.
    WebSocket,
    /// A connection: a member that takes one is healthy. Host, path and answers do not matter.
    Tcp,
}

/// The host that a probe names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeHost {
    /// `127.0.0.1`; in the TLS handshake the settings' host name or the member's, never this.
    Default,
    /// This name.
    Fixed(Hostname),
    /// What the settings give requests: their host name, or the member's own name or address.
    FromSettings,
}

/// Which answers to a probe are healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeMatch {
    /// Status codes; an answer must be in one of these.
    pub statuses: Vec<StatusRange>,
    /// Text that the body must contain, at most 4090 bytes; empty for any body.
    body: Box<str>,
}

/// The longest text that a probe can look for, in bytes.
const BODY_MATCH_LIMIT: usize = 4090;

/// A body text too long to look for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the text to find in the body has {0} bytes, at most {BODY_MATCH_LIMIT} are allowed")]
pub struct BodyMatchError(usize);

impl Default for ProbeMatch {
    fn default() -> Self {
        Self { statuses: vec![StatusRange { first: 200, last: 399 }], body: "".into() }
    }
}

impl ProbeMatch {
    /// Healthy answers: one of `statuses` (200 to 399 if empty) with `body` somewhere in the body.
    ///
    /// # Errors
    /// If `body` has more than 4090 bytes.
    pub fn new(statuses: Vec<StatusRange>, body: &str) -> Result<Self, BodyMatchError> {
        if body.len() > BODY_MATCH_LIMIT {
            return Err(BodyMatchError(body.len()));
        }
        let statuses = if statuses.is_empty() { Self::default().statuses } else { statuses };
        Ok(Self { statuses, body: body.into() })
    }

    /// Whether a status code is a healthy one.
    pub fn takes_status(&self, status: u16) -> bool {
        self.statuses.iter().any(|range| (range.first..=range.last).contains(&status))
    }

    /// The text that the body must contain; empty for any body.
    pub fn body(&self) -> &str {
        &self.body
    }
}

/// An inclusive range of status codes, written `200-399`, or `200` for a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

/// Not a range of status codes.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is not a status code or range, such as \"200\" or \"200-399\"")]
pub struct StatusRangeError(Box<str>);

impl std::str::FromStr for StatusRange {
    type Err = StatusRangeError;

    fn from_str(text: &str) -> Result<Self, StatusRangeError> {
        let wrong = || StatusRangeError(text.into());
        let code = |part: &str| match part.trim().parse::<u16>() {
            Ok(code @ 100..=599) => Ok(code),
            _ => Err(wrong()),
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Self { first: code(first)?, last: code(last)? };
        if range.first > range.last { Err(wrong()) } else { Ok(range) }
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_range_is_a_code_or_two_in_order() {
        for (text, expected) in
            [("200", Some("200")), ("200-399", Some("200-399")), ("204 - 206", Some("204-206"))]
        {
            assert_eq!(
                text.parse::<StatusRange>().ok().map(|r| r.to_string()).as_deref(),
                expected
            );
        }
        for wrong in ["", "-", "200-", "399-200", "99", "600", "2xx", "+200x", "200-300-400"] {
            assert!(wrong.parse::<StatusRange>().is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn no_status_codes_means_200_to_399() {
        let matching = ProbeMatch::new(vec![], "ok").unwrap();
        assert!(matching.takes_status(200) && matching.takes_status(399));
        assert!(!matching.takes_status(199) && !matching.takes_status(400));
        assert!(ProbeMatch::new(vec![], &"x".repeat(4091)).is_err());
    }
}
