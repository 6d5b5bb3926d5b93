//! Listeners and the one rule that each has.

use std::sync::Arc;

use thiserror::Error;

use crate::{Action, ErrorPages, Guarded, HostPattern, ListenerTls};

/// What is spoken on a connection, by clients or to members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub enum Protocol {
    /// HTTP over plain TCP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Protocol {
    /// The URI scheme, `http` or `https`.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A listener: the hosts that it takes on its frontend, and its rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Its name, unique in the gateway.
    pub name: Box<str>,
    /// What clients speak.
    pub protocol: Protocol,
    /// The hosts that it takes; empty for a basic listener, which takes any.
    pub hosts: Vec<HostPattern>,
    /// How it speaks TLS; present on every HTTPS listener.
    pub tls: Option<Arc<ListenerTls>>,
    /// Pages for answers that the gateway makes itself.
    pub error_pages: Option<Arc<ErrorPages>>,
    /// The rule that its requests follow.
    pub rule: Rule,
}

/// What happens to the requests of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name, unique in the gateway.
    pub name: Box<str>,
    /// Its rank among the rules of the gateway: on every rule, or on none.
    pub priority: Option<Priority>,
    /// Who may come, and how often: to the listener, and to the rule.
    pub guards: Vec<Guarded>,
    /// What it does.
    pub action: Action,
}

/// The rank of a rule, 1 (first) to 20000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u16);

/// A priority out of range.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("priority {0} is not within 1 to 20000")]
pub struct PriorityError(i64);

impl Priority {
    /// The value, 1 to 20000.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<i64> for Priority {
    type Error = PriorityError;

    fn try_from(value: i64) -> Result<Self, PriorityError> {
        match u16::try_from(value) {
            Ok(rank @ 1..=20_000) => Ok(Self(rank)),
            _ => Err(PriorityError(value)),
        }
    }
}
