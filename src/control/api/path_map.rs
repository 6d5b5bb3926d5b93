//! Path maps of an `ApplicationGateway`: which path goes where.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{Access, Later, RateLimit};

/// Path rules, and what happens to requests that none of them takes: a pool with settings, or a
/// redirect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UrlPathMap {
    /// Its name, which rules refer to.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// The pool of requests that no path rule takes, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_backend_address_pool: Option<String>,
    /// The settings of requests that no path rule takes, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_backend_http_settings: Option<String>,
    /// Where requests are sent that no path rule takes, by name; in place of a pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_redirect_configuration: Option<String>,
    /// The rewrite rules of requests that no path rule takes, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_rewrite_rule_set: Option<String>,
    /// The policy that spreads requests that no path rule takes over several pools, by name; in place
    /// of a pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_load_distribution_policy: Option<String>,
    /// The first that has a pattern for the path takes the request, however long it is.
    #[serde(default)]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub path_rules: Vec<PathRule>,
}

/// What happens to some paths: a pool with settings, or a redirect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathRule {
    /// Its name, unique in the map.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// The paths that it takes, such as `/login`, or `/images/*` for all that begin with
    /// `/images/`. Letters of another case are the same letters.
    #[schemars(length(min = 1, max = 100))]
    pub paths: Vec<String>,
    /// The pool, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_address_pool: Option<String>,
    /// The settings, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_http_settings: Option<String>,
    /// Where requests are sent, by name; in place of a pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_configuration: Option<String>,
    /// The rewrite rules, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite_rule_set: Option<String>,
    /// Who may send requests to these paths, by address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// How many requests these paths let through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// The policy that spreads requests over several pools, by name; in place of a pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_distribution_policy: Option<String>,
    /// Not supported: a path rule that has one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall_policy: Option<Later>,
}
