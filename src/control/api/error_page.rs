//! Pages of an `ApplicationGateway` for answers that it makes itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The page that goes with a status code, where the gateway answers in place of a member: a URL, or
/// a key of a ConfigMap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.customErrorPageUrl) != has(self.configMap)", "message": "one of customErrorPageUrl and configMap is needed"},
]))]
pub struct CustomErrorConfiguration {
    /// The status code.
    #[schemars(extend("enum" = ["HttpStatus400", "HttpStatus403", "HttpStatus404", "HttpStatus405", "HttpStatus408", "HttpStatus413", "HttpStatus429", "HttpStatus500", "HttpStatus502", "HttpStatus503", "HttpStatus504"]))]
    pub status_code: String,
    /// Where the page is, `.htm` or `.html`, 1 MB at most: it is asked for once, and again when the
    /// gateway's configuration changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub custom_error_page_url: Option<String>,
    /// Where the page is, in the gateway's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapKey>,
}

/// A key of a ConfigMap in the gateway's namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapKey {
    /// The ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key, of `data` or `binaryData`.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
