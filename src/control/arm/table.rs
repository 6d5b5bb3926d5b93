//! What Application Gateway has and the resource has not: the one table of exceptions. Everything that
//! is in neither is told of as unknown.

/// What becomes of a field that the resource does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It belongs to the template's own making, or was looked at elsewhere.
    Silent,
    /// The cloud writes it, or it says what happens anyway: all of them are told of together.
    Idle,
    /// It has no meaning in a cluster, and this is what there is in its place.
    NoMeaning(&'static str),
    /// It is not done here: something is missing without it.
    NotServed(&'static str),
}

use Verdict::{Idle, NoMeaning, NotServed, Silent};

const SCALING: &str = "replicas of the Deployment carry the load: the chart's replicaCount";
const ADDRESS: &str = "pods get their addresses from the cluster";
const LINK: &str = "there are no private links in a cluster";
const FIREWALL: &str = "there is no web application firewall: put one before or behind the gateway";
const TOKENS: &str = "tokens are not looked at: the members have to";
const LAYER_4: &str =
    "TCP and TLS are not carried on: give a Service of the cluster to these ports";
const CARDS: &str = "members that are network cards are not in a template: add their addresses to \
                     backendAddresses";

/// By collection and field. The gateway itself is the empty collection, and `*` is any.
const ALL: &[(&str, &str, Verdict)] = &[
    ("*", "id", Silent),
    ("*", "name", Silent),
    ("*", "type", Silent),
    ("", "apiVersion", Silent),
    ("", "dependsOn", Silent),
    ("", "comments", Silent),
    ("", "resourceId", Silent),
    ("", "copy", Silent),
    ("", "condition", Silent),
    ("", "metadata", Silent),
    ("*", "properties", Silent),
    ("*", "etag", Idle),
    ("*", "resourceGroup", Idle),
    ("*", "resourceGuid", Idle),
    ("*", "provisioningState", Idle),
    ("", "operationalState", Idle),
    ("", "defaultPredefinedSslPolicy", Idle),
    ("", "privateEndpointConnections", Idle),
    ("", "location", NoMeaning("a cluster is where it is")),
    ("", "tags", NoMeaning("labels and annotations are not made of them: add them to metadata")),
    (
        "",
        "zones",
        NoMeaning("where replicas run is for the chart to say: topologySpreadConstraints"),
    ),
    ("", "identity", NoMeaning("certificates come from Secrets, not from a key vault")),
    ("", "managedBy", NoMeaning("nothing of it in a cluster")),
    ("", "extendedLocation", NoMeaning("a cluster is where it is")),
    ("", "sku", NoMeaning(SCALING)),
    ("", "autoscaleConfiguration", NoMeaning(SCALING)),
    ("", "gatewayIPConfigurations", NoMeaning(ADDRESS)),
    ("", "privateLinkConfigurations", NoMeaning(LINK)),
    ("", "enableFips", NoMeaning("there is no such mode")),
    ("", "forceFirewallPolicyAssociation", Idle),
    ("", "webApplicationFirewallConfiguration", NotServed(FIREWALL)),
    ("*", "firewallPolicy", NotServed(FIREWALL)),
    ("", "entraJWTValidationConfigs", NotServed(TOKENS)),
    ("requestRoutingRules", "entraJWTValidationConfig", NotServed(TOKENS)),
    ("", "listeners", NotServed(LAYER_4)),
    ("", "routingRules", NotServed(LAYER_4)),
    ("", "backendSettingsCollection", NotServed(LAYER_4)),
    ("frontendIPConfigurations", "publicIPAddress", Silent),
    ("frontendIPConfigurations", "privateIPAllocationMethod", Silent),
    ("frontendIPConfigurations", "subnet", Silent),
    ("frontendIPConfigurations", "privateLinkConfiguration", NoMeaning(LINK)),
    ("frontendIPConfigurations", "httpListeners", Idle),
    ("frontendPorts", "httpListeners", Idle),
    ("sslCertificates", "data", Silent),
    ("sslCertificates", "password", Silent),
    ("sslCertificates", "keyVaultSecretId", Silent),
    ("sslCertificates", "publicCertData", Idle),
    ("sslCertificates", "httpListeners", Idle),
    ("trustedRootCertificates", "data", Silent),
    ("trustedRootCertificates", "keyVaultSecretId", Silent),
    ("authenticationCertificates", "data", Silent),
    ("trustedClientCertificates", "validatedCertData", Idle),
    ("trustedClientCertificates", "clientCertIssuerDN", Idle),
    ("backendAddressPools", "backendIPConfigurations", NotServed(CARDS)),
    ("backendAddressPools", "requestRoutingRules", Idle),
    ("backendAddressPools", "urlPathMaps", Idle),
    ("backendHttpSettingsCollection", "probeEnabled", Idle),
    ("backendHttpSettingsCollection", "requestRoutingRules", Idle),
    ("backendHttpSettingsCollection", "urlPathMaps", Idle),
    ("probes", "pickHostNameFromBackendSettings", NotServed(LAYER_4)),
    ("probes", "enableProbeProxyProtocolHeader", NotServed(LAYER_4)),
    ("probes", "backendHttpSettings", Idle),
    ("httpListeners", "requestRoutingRules", Idle),
    ("urlPathMaps", "requestRoutingRules", Idle),
    ("redirectConfigurations", "requestRoutingRules", Idle),
    ("redirectConfigurations", "urlPathMaps", Idle),
    ("redirectConfigurations", "pathRules", Idle),
    ("loadDistributionPolicies", "requestRoutingRules", Idle),
    ("loadDistributionPolicies", "urlPathMaps", Idle),
];

/// What becomes of a field of an item of a collection; `None` if nothing is known of it.
pub(super) fn verdict(collection: &str, field: &str) -> Option<Verdict> {
    let is_it = |(its, name, _): &&(&str, &str, Verdict)| {
        (*its == "*" || *its == collection) && name.eq_ignore_ascii_case(field)
    };
    let found = ALL.iter().find(is_it).map(|(.., verdict)| *verdict);
    // What an export by PowerShell has twice, the second time as text.
    let is_twice = || field.len() > 4 && field.to_ascii_lowercase().ends_with("text");
    found.or_else(|| is_twice().then_some(Idle))
}

/// Fields in which no text is the same as none.
const EMPTY: [&str; 12] = [
    "affinityCookieName",
    "body",
    "fqdn",
    "host",
    "hostName",
    "ipAddress",
    "modifiedPath",
    "path",
    "privateIPAddress",
    "sniName",
    "targetUrl",
    "policyName",
];

/// Whether a field without text says nothing.
pub(super) fn may_be_empty(field: &str) -> bool {
    EMPTY.contains(&field)
}

/// The collection that a field refers into by name.
pub(super) fn collection_of(field: &str) -> Option<&'static str> {
    Some(match field {
        "frontendIPConfiguration" => "frontendIPConfigurations",
        "frontendPort" => "frontendPorts",
        "sslCertificate" | "sslCertificates" | "clientCertificate" => "sslCertificates",
        "sslProfile" => "sslProfiles",
        "httpListener" | "targetListener" => "httpListeners",
        "backendAddressPool" | "defaultBackendAddressPool" => "backendAddressPools",
        "backendHttpSettings" | "defaultBackendHttpSettings" => "backendHttpSettingsCollection",
        "probe" => "probes",
        "trustedRootCertificates" => "trustedRootCertificates",
        "authenticationCertificates" => "authenticationCertificates",
        "trustedClientCertificates" => "trustedClientCertificates",
        "urlPathMap" => "urlPathMaps",
        "redirectConfiguration" | "defaultRedirectConfiguration" => "redirectConfigurations",
        "rewriteRuleSet" | "defaultRewriteRuleSet" => "rewriteRuleSets",
        "loadDistributionPolicy" | "defaultLoadDistributionPolicy" => "loadDistributionPolicies",
        _ => return None,
    })
}
