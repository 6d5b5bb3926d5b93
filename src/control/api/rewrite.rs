//! Sets of rules that rewrite requests and responses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rules that rewrite headers, path and query; rules and path rules refer to the set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RewriteRuleSet {
    /// Its name, which rules refer to.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// Its rules. At most 40 conditions and 40 actions in all of them together.
    #[serde(default)]
    #[schemars(length(max = 80))]
    pub rewrite_rules: Vec<RewriteRule>,
}

/// Changes that are made if all conditions hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RewriteRule {
    /// Its name, unique in its set.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// Rules with a smaller number go first, and of equal ones the first of the list.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 1000000))]
    pub rule_sequence: i32,
    /// All of them have to hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40))]
    pub conditions: Vec<RewriteCondition>,
    /// What is changed.
    pub action_set: RewriteActionSet,
}

fn hundred() -> i32 {
    100
}

/// Holds if a pattern is found in the value of a variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RewriteCondition {
    /// `http_req_NAME` and `http_resp_NAME` for headers, or a server variable such as
    /// `var_uri_path`. What is not there is empty.
    #[schemars(length(min = 1, max = 300))]
    pub variable: String,
    /// What is looked for: a regular expression without look-around and back references.
    #[schemars(length(max = 2048))]
    pub pattern: String,
    /// Whether letters of another case are the same.
    #[serde(default)]
    pub ignore_case: bool,
    /// Whether the pattern must not be found.
    #[serde(default)]
    pub negate: bool,
}

/// What is changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RewriteActionSet {
    /// Headers of requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40))]
    pub request_header_configurations: Vec<HeaderConfiguration>,
    /// Headers of responses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40))]
    pub response_header_configurations: Vec<HeaderConfiguration>,
    /// Path and query of requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_configuration: Option<UrlConfiguration>,
}

/// Sets or deletes a header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderConfiguration {
    /// The header.
    #[schemars(length(min = 1, max = 256))]
    pub header_name: String,
    /// What it becomes: text, `{http_req_NAME}`, `{http_resp_NAME}`, `{var_NAME}`, and the groups of
    /// a condition on the same variable such as `{var_uri_path_1}`. Without it, or if it comes out
    /// empty, the header is deleted.
    #[serde(default)]
    #[schemars(length(max = 8192))]
    pub header_value: String,
    /// Of several Set-Cookie headers of a response, those that are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_value_matcher: Option<HeaderValueMatcher>,
}

/// Which of several Set-Cookie headers are meant. Values refer to it by
/// `{capt_header_value_matcher}` and its groups by `{capt_header_value_matcher_1}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderValueMatcher {
    /// What is looked for.
    #[schemars(length(max = 2048))]
    pub pattern: String,
    /// Whether letters of another case are the same.
    #[serde(default)]
    pub ignore_case: bool,
    /// Whether the pattern must not be found.
    #[serde(default)]
    pub negate: bool,
}

/// Changes path and query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct UrlConfiguration {
    /// The new path; without it, the path stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub modified_path: Option<String>,
    /// The new query, without its `?`; without it, the query stays, and an empty one leaves none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub modified_query_string: Option<String>,
    /// Whether the path map is looked at again with the new path.
    pub reroute: bool,
}
