//! The resources that users write.

mod application_gateway;
mod error_page;
mod global;
mod guard;
mod load_distribution;
mod member_health;
#[cfg(test)]
mod page;
mod path_map;
mod redirect;
mod rewrite;
mod status;
mod tls;
mod unsupported;
mod web_socket;

pub use application_gateway::{
    ApplicationGateway, ApplicationGatewaySpec, BackendAddress, BackendAddressPool,
    BackendHttpSettings, BackendHttpVersion, CertificateRef, ConnectionDraining,
    CookieBasedAffinity, FrontendIpConfiguration, FrontendPort, HostPrecedence, HttpListener,
    Later, Probe, ProbeMatch, Protocol, RequestRoutingRule, RuleType, ServiceRef,
};
pub use error_page::{ConfigMapKey, CustomErrorConfiguration};
pub use global::GlobalConfiguration;
pub use guard::{Access, RateLimit, RateLimitPer};
pub use load_distribution::{
    LoadDistributionAlgorithm, LoadDistributionPolicy, LoadDistributionTarget,
};
pub use member_health::{GrpcProbe, OutlierEjection};
pub use path_map::{PathRule, UrlPathMap};
pub use redirect::{RedirectConfiguration, RedirectType};
pub use rewrite::{
    HeaderConfiguration, HeaderValueMatcher, RewriteActionSet, RewriteCondition, RewriteRule,
    RewriteRuleSet, UrlConfiguration,
};
pub use status::{Condition, GatewayStatus, ItemStatus, PoolStatus};
pub use tls::{
    ClientAuthConfiguration, ClientAuthMode, ClientRevocation, SslPolicy, SslPolicyType,
    SslProfile, SslProtocol, TrustedClientCertificate,
};
pub(crate) use unsupported::{Part, Unsupported, unsupported};
pub use web_socket::{WebSocket, WebSocketMemberVersion, WebSocketPing, WebSocketRebalance};

use kube::CustomResourceExt;
use serde_json::Value;

/// The custom resource definitions as YAML: what `tidegate crd` prints and `crds/` holds.
pub fn crd_yaml() -> String {
    let mut crd = serde_json::to_value(ApplicationGateway::crd()).unwrap_or_default();
    drop_closed(&mut crd);
    // A definition made of strings, numbers and maps always serialises.
    serde_yaml::to_string(&crd).unwrap_or_default()
}

/// The API server takes `additionalProperties: false` in no schema that has properties; it drops
/// or refuses unknown fields by itself.
fn drop_closed(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("additionalProperties") == Some(&Value::Bool(false)) {
                map.remove("additionalProperties");
            }
            map.values_mut().for_each(drop_closed);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_closed),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set `UPDATE_CRDS=1` to write the file anew.
    #[test]
    fn the_crd_in_the_repository_is_the_one_that_is_printed() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../crds/applicationgateways.tidegate.dev.yaml"
        );
        let printed = crd_yaml();
        if std::env::var_os("UPDATE_CRDS").is_some() {
            std::fs::write(path, &printed).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == printed, "run `tidegate crd > crds/applicationgateways.tidegate.dev.yaml`");
    }

    #[test]
    fn the_schema_is_structural_and_its_collections_merge_by_name() {
        let crd: Value = serde_yaml::from_str(&crd_yaml()).unwrap();
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let properties = spec["properties"].as_object().unwrap();
        for name in ["httpListeners", "requestRoutingRules", "backendAddressPools", "probes"] {
            assert_eq!(properties[name]["x-kubernetes-list-type"], "map", "{name}");
            assert_eq!(properties[name]["x-kubernetes-list-map-keys"][0], "name", "{name}");
        }
        assert_eq!(crd["spec"]["names"]["shortNames"][0], "appgw");
        let port = &properties["frontendPorts"]["items"]["properties"]["port"];
        let bounds = (port["minimum"].as_f64(), port["maximum"].as_f64());
        assert_eq!(bounds, (Some(1.0), Some(65535.0)));
    }
}
