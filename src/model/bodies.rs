//! How the bodies of a gateway's requests and responses pass.

use std::num::NonZeroU64;

/// Whether bodies are collected, and how large they may be. Concerns no WebSocket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bodies {
    /// Request bodies that say their length are collected before a member is asked.
    pub collect_requests: bool,
    /// Response bodies that say their length are collected before the client is answered.
    pub collect_responses: bool,
    /// The largest request body, in bytes.
    pub largest_request: Option<NonZeroU64>,
}
