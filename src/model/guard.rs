//! What a listener, rule or path rule lets through: by address, and by how much there is.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::AccessList;

/// What is asked of a request before anything is done with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// Who may come.
    pub access: Option<Arc<AccessList>>,
    /// How often.
    pub rate: Option<RateLimit>,
}

/// A guard, and where it stands: requests are counted by that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// Unique in the gateway, such as `httpListeners/web`.
    pub place: Box<str>,
    /// What is asked there.
    pub guard: Guard,
}

impl Guard {
    /// Whether it lets everything through.
    pub fn is_open(&self) -> bool {
        self.access.is_none() && self.rate.is_none()
    }
}

/// How many requests are let through; a handshake is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateLimit {
    /// In the long run.
    pub per_second: NonZeroU32,
    /// At once, after a time without any.
    pub burst: NonZeroU32,
    /// Whose requests are counted together.
    pub per: RateLimitPer,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateLimitPer {
    /// Those of one address; of IPv6, of one network of 64 bits, which one client has.
    Client,
    /// Everybody's.
    All,
}
