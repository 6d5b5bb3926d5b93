//! What concerns all requests of a gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What concerns all requests of a gateway. None of it concerns WebSocket traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GlobalConfiguration {
    /// Whether request bodies that say their length are collected, up to 1 MiB of each, before a
    /// member is asked. Unlike in Application Gateway they are not if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_request_buffering: Option<bool>,
    /// The same of response bodies, before the client is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_response_buffering: Option<bool>,
    /// The largest request body in units of 1024 bytes; larger ones are answered 413. Without it
    /// there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4194304))]
    pub max_request_body_size_in_kb: Option<i32>,
}
