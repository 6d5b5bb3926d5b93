//! Redirects of an `ApplicationGateway`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where clients are sent: to a listener of the gateway, or to any URL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.targetListener) != has(self.targetUrl)", "message": "one of targetListener and targetUrl is needed"},
]))]
pub struct RedirectConfiguration {
    /// Its name, which rules and path maps refer to.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// The status code.
    pub redirect_type: RedirectType,
    /// A listener, by name: clients are sent to its protocol, port and host. It takes one host, or
    /// any; then clients keep the host that they asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_listener: Option<String>,
    /// An absolute URL of HTTP or HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub target_url: Option<String>,
    /// Whether the path that was asked for is appended.
    #[serde(default)]
    pub include_path: bool,
    /// Whether the query that was asked for is appended.
    #[serde(default)]
    pub include_query_string: bool,
}

/// The status code of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RedirectType {
    /// 301.
    Permanent,
    /// 302.
    Found,
    /// 303: what follows is asked for with GET.
    SeeOther,
    /// 307: the method stays.
    Temporary,
}
