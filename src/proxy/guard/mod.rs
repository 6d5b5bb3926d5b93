//! Guards of listeners, rules and path rules: who may send requests, and how often.

mod buckets;
mod limiter;

pub(crate) use limiter::Limiter;

use std::net::IpAddr;
use std::sync::Arc;

use tidegate_model::AccessList;

use crate::failure::Failure;

/// A guard, ready to be asked.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) access: Option<Arc<AccessList>>,
    pub(crate) limiter: Option<Arc<Limiter>>,
}

impl Guard {
    /// Whether a request of a client may go on. One that is kept out by its address does not count.
    pub(crate) fn admit(&self, client: IpAddr) -> Result<(), Failure> {
        if self.access.as_ref().is_some_and(|list| !list.admits(client)) {
            return Err(Failure::AddressDenied);
        }
        match &self.limiter {
            Some(limiter) => limiter.take(client).map_err(Failure::RateLimited),
            None => Ok(()),
        }
    }
}
