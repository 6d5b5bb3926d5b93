//! How the health of members is found besides asking for a page.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks for the health of a gRPC server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GrpcProbe {
    /// The service that is asked for; without it, the server as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub service: Option<String>,
}

/// When members are taken out because requests to them fail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutlierEjection {
    /// After so many failures in a row: no answer in time, or one of 5xx.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub consecutive_failures: i32,
    /// Seconds that a member is out.
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 86400))]
    pub ejection_time_in_sec: i32,
    /// Of a pool at most so many members are out at once, in percent, rounded down.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 100))]
    pub max_ejected_percent: i32,
}

fn five() -> i32 {
    5
}

fn thirty() -> i32 {
    30
}

fn fifty() -> i32 {
    50
}
