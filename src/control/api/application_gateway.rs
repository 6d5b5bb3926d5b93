//! `ApplicationGateway`: the ARM resource's names and values, flattened, with references by name.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{
    Access, CustomErrorConfiguration, GatewayStatus, GlobalConfiguration, GrpcProbe,
    LoadDistributionAlgorithm, LoadDistributionPolicy, OutlierEjection, RateLimit,
    RedirectConfiguration, RewriteRuleSet, SslPolicy, SslProfile, TrustedClientCertificate,
    UrlPathMap, WebSocket,
};

/// A gateway: listeners take requests, rules send them to pools of members.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "tidegate.dev",
    version = "v1alpha1",
    kind = "ApplicationGateway",
    namespaced,
    shortname = "appgw",
    status = "GatewayStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Class","type":"string","jsonPath":".spec.gatewayClassName"}"#,
    printcolumn = r#"{"name":"Address","type":"string","jsonPath":".status.addresses[0]"}"#,
    printcolumn = r#"{"name":"Programmed","type":"string","jsonPath":".status.conditions[?(@.type==\"Programmed\")].status"}"#,
    printcolumn = r#"{"name":"Healthy","type":"string","jsonPath":".status.healthy"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ApplicationGatewaySpec {
    /// The class of controllers that serve this gateway: the name of their IngressClass.
    #[schemars(length(min = 1, max = 253), extend("default" = "tidegate"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_class_name: Option<String>,
    /// Addresses that the gateway is reached at.
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[serde(rename = "frontendIPConfigurations")]
    pub frontend_ip_configurations: Vec<FrontendIpConfiguration>,
    /// Ports that listeners listen on.
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub frontend_ports: Vec<FrontendPort>,
    /// Certificates that HTTPS listeners show.
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub ssl_certificates: Vec<CertificateRef>,
    /// Authorities that HTTPS members' certificates are judged by.
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub trusted_root_certificates: Vec<CertificateRef>,
    /// Certificates that members have to show exactly as they are, whoever signed them.
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authentication_certificates: Vec<CertificateRef>,
    /// What is listened for. A listener belongs to exactly one rule.
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub http_listeners: Vec<HttpListener>,
    /// Pools of members.
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub backend_address_pools: Vec<BackendAddressPool>,
    /// How members are spoken to.
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub backend_http_settings_collection: Vec<BackendHttpSettings>,
    /// How the health of members is found.
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub probes: Vec<Probe>,
    /// Which listener's requests go to which pool. `priority` is on every rule or on none; without
    /// it, exact hosts go before wildcards, those before listeners without a host, then in order.
    #[schemars(length(max = 400), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub request_routing_rules: Vec<RequestRoutingRule>,
    /// HTTP/2 towards HTTPS clients, WebSocket over it included; on unless it is false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_http2: Option<bool>,
    /// What decides which of several listeners takes a host that all of them cover: the priority
    /// of their rules, if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_precedence: Option<HostPrecedence>,
    /// Which path goes where, for rules of type PathBasedRouting.
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub url_path_maps: Vec<UrlPathMap>,
    /// Where clients are sent in place of a pool.
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redirect_configurations: Vec<RedirectConfiguration>,
    /// Rules that rewrite headers, path and query.
    #[schemars(length(max = 400), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rewrite_rule_sets: Vec<RewriteRuleSet>,
    /// Pages for answers that the gateway makes itself.
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["statusCode"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub custom_error_configurations: Vec<CustomErrorConfiguration>,
    /// Versions and suites of TLS that clients are offered; without it, all that are safe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_policy: Option<SslPolicy>,
    /// How listeners speak TLS that name them: a policy of their own, and clients' certificates.
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssl_profiles: Vec<SslProfile>,
    /// Whose certificates clients may show.
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_client_certificates: Vec<TrustedClientCertificate>,
    /// Several pools as one, each with a weight: what a canary gets of the requests, for example.
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub load_distribution_policies: Vec<LoadDistributionPolicy>,
    /// What concerns all requests: collecting of bodies, and their size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_configuration: Option<GlobalConfiguration>,
    /// Without effect: the replicas of the Deployment carry the load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<Later>,
    /// Without effect: the Deployment is scaled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscale_configuration: Option<Later>,
    /// Without effect: there is no firewall here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_application_firewall_configuration: Option<Later>,
    /// Without effect: there is no firewall here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firewall_policy: Option<Later>,
}

/// Something that Application Gateway has and a cluster or Tidegate does not: it is refused, or
/// said to have no effect, and never ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Later(pub Value);

impl JsonSchema for Later {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Later".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
    }
}

/// What decides which of several listeners takes a host that all of them cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HostPrecedence {
    /// The smallest priority, however wide the hosts of its listener are.
    Priority,
    /// The narrowest host: a name before wildcards, wildcards with more letters before those with
    /// fewer, listeners without a host last. Of equally narrow ones, the smallest priority.
    MostSpecific,
}

/// An address of the gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FrontendIpConfiguration {
    /// Its name, which listeners refer to.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// The address to listen on; without it, the one that the process was started with. In a
    /// cluster, the address to ask the cluster's load balancer for.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "privateIPAddress")]
    pub private_ip_address: Option<String>,
    /// Annotations of the Service that a cluster gives this address.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub service_annotations: BTreeMap<String, String>,
}

/// A port of the gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FrontendPort {
    /// Its name, which listeners refer to.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// The port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

/// A certificate or authority in a Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateRef {
    /// Its name, which listeners or settings refer to.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// The Secret: of a certificate `tls.crt` and `tls.key`, of an authority `ca.crt` or `tls.crt`.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
    /// The Secret's namespace, if it is another one: that one's ReferenceGrants have to allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub secret_namespace: Option<String>,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// HTTP over plain TCP.
    Http,
    /// HTTP over TLS.
    Https,
}

/// What is listened for: an address and port, a protocol, and the hosts that are meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!(has(self.hostName) && has(self.hostNames) && size(self.hostNames) > 0)", "message": "hostName and hostNames exclude each other"},
    {"rule": "self.protocol != 'Https' || has(self.sslCertificate) || (has(self.sslCertificates) && size(self.sslCertificates) > 0)", "message": "an Https listener needs sslCertificate"},
]))]
pub struct HttpListener {
    /// Its name, which a rule refers to.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// The address, by name; with one address it may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "frontendIPConfiguration")]
    pub frontend_ip_configuration: Option<String>,
    /// The port, by name.
    pub frontend_port: String,
    /// What clients speak.
    pub protocol: Protocol,
    /// The one host that is meant; without a host any is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub host_name: Option<String>,
    /// Hosts that are meant, with `*` for any run of characters and `?` for one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub host_names: Vec<String>,
    /// The certificate that an Https listener shows, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_certificate: Option<String>,
    /// More certificates, by name: a client is shown the first that it can verify, for preference
    /// one for the name that it asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub ssl_certificates: Vec<String>,
    /// The profile that says how TLS is spoken, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_profile: Option<String>,
    /// Only clients that ask for one of the listener's hosts in the handshake are served by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_server_name_indication: bool,
    /// Who may send requests to this listener, by address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// How many requests this listener lets through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Pages for answers that the gateway makes itself, in place of all of the gateway's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["statusCode"]))]
    pub custom_error_configurations: Vec<CustomErrorConfiguration>,
    /// Refuses the listener: there is no firewall here, and it would be open without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall_policy: Option<Later>,
}

/// A pool of members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendAddressPool {
    /// Its name, which rules refer to.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// Where its members are; a pool without is answered with 502.
    #[serde(default)]
    #[schemars(length(max = 1200))]
    pub backend_addresses: Vec<BackendAddress>,
}

/// Members of a pool: one of an address, a host name, or a Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BackendAddress {
    /// One address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// All addresses of a host name, looked up again when their time to live is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fqdn: Option<String>,
    /// The endpoints of a Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceRef>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceRef {
    /// The Service.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its namespace, if it is another one: that one's ReferenceGrants have to allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Its port, by number or name.
    pub port: IntOrString,
}

/// Whether a client's requests stay with one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CookieBasedAffinity {
    /// They do: a cookie names the member.
    Enabled,
    /// They do not.
    #[default]
    Disabled,
}

/// How members are spoken to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!(has(self.hostName) && has(self.pickHostNameFromBackendAddress) && self.pickHostNameFromBackendAddress)", "message": "hostName and pickHostNameFromBackendAddress exclude each other"},
    {"rule": "!(has(self.dedicatedBackendConnection) && self.dedicatedBackendConnection && has(self.backendHttpVersion) && self.backendHttpVersion == 'Http2')", "message": "dedicatedBackendConnection needs backendHttpVersion Http1"},
]))]
pub struct BackendHttpSettings {
    /// Their name, which rules refer to.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// The port of members that have none of their own; a Service's endpoints have.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// What members speak.
    pub protocol: Protocol,
    /// Whether a client's requests stay with one member. Does not concern WebSocket traffic unless
    /// webSocket.affinity is set.
    #[serde(default)]
    pub cookie_based_affinity: CookieBasedAffinity,
    /// Seconds that a member may take to begin its response, and between two parts of it. Does not
    /// concern WebSocket traffic once it is open.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 86400))]
    pub request_timeout: i32,
    /// How long connections to members that left the pool, or are terminating, may live on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_draining: Option<ConnectionDraining>,
    /// The `Host` that members see, in place of the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub host_name: Option<String>,
    /// Members see their own name or address as `Host`.
    #[serde(default)]
    pub pick_host_name_from_backend_address: bool,
    /// The probe, by name; without it, the default probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// Authorities that may have signed Https members' certificates, by name; without any, the
    /// well-known ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub trusted_root_certificates: Vec<String>,
    /// What the path begins with that members see: it goes before the client's path, and in a path
    /// rule in the place of what its pattern has before `*`. The query stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub path: Option<String>,
    /// The name of the cookie that affinity goes by, `ApplicationGatewayAffinity` by default. A
    /// second one has the same name with `CORS` at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$"))]
    pub affinity_cookie_name: Option<String>,
    /// Certificates of which Https members have to show one exactly, by name; neither its signer
    /// nor its dates or names are looked at then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub authentication_certificates: Vec<String>,
    /// The certificate that Https members are shown when they ask for one: the name of one of
    /// sslCertificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<String>,
    /// Which member a request or handshake goes to.
    #[serde(default)]
    pub load_distribution_algorithm: LoadDistributionAlgorithm,
    /// Takes members out because requests to them fail, whatever their probe finds; off without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlier_ejection: Option<OutlierEjection>,
    /// Seconds in which the share of a member that has come up grows from a tenth to the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub slow_start_in_sec: Option<i32>,
    /// Limits on WebSocket traffic, and what is added to it. WebSocket needs no setting; without
    /// this nothing is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_socket: Option<WebSocket>,
    /// The name that Https members are asked for in the handshake and have to prove, in place of
    /// the one that follows from the `Host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub sni_name: Option<String>,
    /// Whether the certificate of an Https member has to be for the name that it was asked for. It
    /// is not safe without.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "validateSNI")]
    pub validate_sni: Option<bool>,
    /// Whether the certificate of an Https member has to come from an authority that is trusted,
    /// and to be valid today. It is not safe without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate_cert_chain_and_expiry: Option<bool>,
    /// Each connection of a client has connections to members of its own, which nobody else uses and
    /// which end with it: for members that know a client by its connection (NTLM, Negotiate).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dedicated_backend_connection: bool,
    /// Which version of HTTP requests are sent to members with. WebSocket handshakes have a choice
    /// of their own.
    #[serde(default, skip_serializing_if = "is_http1")]
    pub backend_http_version: BackendHttpVersion,
}

fn twenty() -> i32 {
    20
}

/// Which version of HTTP requests are sent to members with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BackendHttpVersion {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, as gRPC needs it: by ALPN to Https members; to Http members without an upgrade (prior
    /// knowledge).
    Http2,
}

fn is_http1(version: &BackendHttpVersion) -> bool {
    *version == BackendHttpVersion::Http1
}

/// How long connections to members that left the pool may live on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionDraining {
    /// Off means 30 seconds.
    pub enabled: bool,
    /// Seconds.
    #[schemars(range(min = 1, max = 3600))]
    pub drain_timeout_in_sec: i32,
}

/// How the health of members is found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!(has(self.grpc) && has(self.webSocket) && self.webSocket)", "message": "grpc and webSocket exclude each other"},
]))]
pub struct Probe {
    /// Its name, which settings refer to.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// The same as that of the settings.
    pub protocol: Protocol,
    /// The `Host` that it sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub host: Option<String>,
    /// What it asks for, beginning with `/`.
    #[serde(default = "slash")]
    #[schemars(length(min = 1, max = 2048))]
    pub path: String,
    /// Seconds from one probe to the next.
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 86400))]
    pub interval: i32,
    /// Seconds that one may take.
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 86400))]
    pub timeout: i32,
    /// After so many failures in a row a member is down.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 20))]
    pub unhealthy_threshold: i32,
    /// It sends the `Host` that the settings give to requests.
    #[serde(default)]
    pub pick_host_name_from_backend_http_settings: bool,
    /// The port that is asked, in place of the member's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Which answers are healthy.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<ProbeMatch>,
    /// So many members always count as healthy: if fewer are, those that are not for the shortest
    /// time.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 1200))]
    pub min_servers: i32,
    /// Asks for the health of a gRPC server (`grpc.health.v1.Health/Check`), over HTTP/2, in place of
    /// a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcProbe>,
    /// Opens a WebSocket at the path, and closes it, in place of asking for a page: for members that
    /// speak nothing else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub web_socket: bool,
}

fn is_zero(value: &i32) -> bool {
    *value == 0
}

fn slash() -> String {
    "/".to_owned()
}

fn thirty() -> i32 {
    30
}

fn three() -> i32 {
    3
}

/// Which answers to a probe are healthy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProbeMatch {
    /// Text that the body must contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4090))]
    pub body: Option<String>,
    /// Status codes and ranges, such as `200` and `200-399`.
    #[schemars(length(max = 20))]
    pub status_codes: Vec<String>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RuleType {
    /// Sends all requests of the listener to one pool.
    Basic,
    /// Chooses by path.
    PathBasedRouting,
}

/// Which listener's requests go to which pool, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestRoutingRule {
    /// Its name.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// What it does.
    pub rule_type: RuleType,
    /// Its rank, 1 first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20000))]
    pub priority: Option<i64>,
    /// The listener, by name.
    pub http_listener: String,
    /// The pool, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_address_pool: Option<String>,
    /// The settings, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_http_settings: Option<String>,
    /// Of a rule of type PathBasedRouting: the path map, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_path_map: Option<String>,
    /// Where clients are sent, by name; in place of a pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_configuration: Option<String>,
    /// The rewrite rules of a Basic rule, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite_rule_set: Option<String>,
    /// Who may send requests to this rule, by address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// How many requests this rule lets through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// The policy that spreads requests over several pools, by name: in place of the pool, which
    /// has no effect beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_distribution_policy: Option<String>,
}
