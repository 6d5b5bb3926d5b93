//! Who may send requests, and how often.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may send requests, by the address that their connection comes from. Others are answered 403.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Access {
    /// Networks such as `10.0.0.0/8` or `2001:db8::/32`, or single addresses; without any,
    /// everybody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 50)))]
    pub allow: Vec<String>,
    /// Networks that are kept out, also if they are among those allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 50)))]
    pub deny: Vec<String>,
}

/// How many requests are let through by each replica. More are answered 429.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// Requests per second in the long run; a WebSocket is one.
    #[schemars(range(min = 1, max = 1000000))]
    pub requests_per_second: i32,
    /// Requests at once after a time without any; without it, as many as requestsPerSecond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000))]
    pub burst: Option<i32>,
    /// Whose requests are counted together.
    #[serde(default)]
    pub per: RateLimitPer,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RateLimitPer {
    /// Those of one address; of IPv6, of one network of 64 bits.
    #[default]
    Client,
    /// Everybody's.
    All,
}
