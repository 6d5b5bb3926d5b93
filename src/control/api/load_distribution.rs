//! How requests are spread over members, and over pools.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which member a request or handshake goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LoadDistributionAlgorithm {
    /// Each in its turn.
    #[default]
    RoundRobin,
    /// The one with the fewest requests in progress and open WebSockets, as this replica sees it.
    LeastConnections,
    /// The same one for all requests of a client's address, for as long as it takes requests.
    IpHash,
}

/// Several pools, and how requests are spread over them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadDistributionPolicy {
    /// Its name, which rules refer to.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// Which member a request goes to, in place of what the settings say.
    #[serde(default)]
    pub load_distribution_algorithm: LoadDistributionAlgorithm,
    /// The pools.
    #[schemars(length(min = 1, max = 100))]
    pub load_distribution_targets: Vec<LoadDistributionTarget>,
}

/// A pool of a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadDistributionTarget {
    /// Its name; nothing refers to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub name: Option<String>,
    /// What each member of the pool weighs: it gets so much more than a member that weighs 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub weight_per_server: i64,
    /// The pool, by name.
    pub backend_address_pool: String,
}

fn one() -> i64 {
    1
}
