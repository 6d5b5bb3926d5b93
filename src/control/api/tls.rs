//! TLS of an `ApplicationGateway`: policies, profiles and whose certificates are trusted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Versions and suites that clients are offered. Only what is safe is: see docs/tls.md.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SslPolicy {
    /// Where the rest comes from; Predefined with policyName alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_type: Option<SslPolicyType>,
    /// The predefined policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["AppGwSslPolicy20150501", "AppGwSslPolicy20170401", "AppGwSslPolicy20170401S", "AppGwSslPolicy20220101", "AppGwSslPolicy20220101S"]))]
    pub policy_name: Option<String>,
    /// The lowest version of a custom policy; TLS 1.2 is the lowest that there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_protocol_version: Option<SslProtocol>,
    /// Suites of a custom policy, the one that is preferred first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40))]
    pub cipher_suites: Vec<String>,
    /// Versions that are not offered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub disabled_ssl_protocols: Vec<SslProtocol>,
}

/// Where a policy's versions and suites come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SslPolicyType {
    /// A name.
    Predefined,
    /// Suites of TLS 1.2.
    Custom,
    /// Suites of TLS 1.2, and TLS 1.3 as it is.
    CustomV2,
}

/// A version of TLS.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum SslProtocol {
    /// Never offered.
    #[serde(rename = "TLSv1_0")]
    Tls10,
    /// Never offered.
    #[serde(rename = "TLSv1_1")]
    Tls11,
    /// TLS 1.2.
    #[serde(rename = "TLSv1_2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "TLSv1_3")]
    Tls13,
}

/// How listeners that name it speak TLS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SslProfile {
    /// Its name, which listeners refer to.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// In place of the gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_policy: Option<SslPolicy>,
    /// Whose certificates clients have to show, by name; without any, clients are not asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub trusted_client_certificates: Vec<String>,
    /// How clients' certificates are judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth_configuration: Option<ClientAuthConfiguration>,
}

/// How clients' certificates are judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClientAuthConfiguration {
    /// Whether the issuer of the certificate has to be the lowest authority of a chain that is
    /// trusted.
    #[serde(rename = "verifyClientCertIssuerDN")]
    pub verify_client_cert_issuer_dn: bool,
    /// Whether what was revoked is refused.
    pub verify_client_revocation: ClientRevocation,
    /// What becomes of requests without a good certificate.
    pub verify_client_auth_mode: ClientAuthMode,
}

/// Where it stands what was revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClientRevocation {
    /// It is not looked at.
    #[default]
    None,
    /// Not supported: it would make every handshake wait for a server of others. Use CRL.
    #[serde(rename = "OCSP")]
    Ocsp,
    /// In the lists of the authorities: `ca.crl` of their Secret, or crlSecretName.
    #[serde(rename = "CRL")]
    Crl,
}

/// What becomes of requests without a good certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClientAuthMode {
    /// They are answered with 400.
    #[default]
    Strict,
    /// They are forwarded; what was found stands in the access log and in server variables.
    Passthrough,
}

/// A chain of authorities whose certificates clients may show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.secretName) != has(self.data)", "message": "one of secretName and data is needed"},
]))]
pub struct TrustedClientCertificate {
    /// Its name, which profiles refer to.
    #[schemars(length(min = 1, max = 80))]
    pub name: String,
    /// The Secret with the chain, its root among it: `ca.crt` or `tls.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
    /// The Secret's namespace, if it is another one: that one's ReferenceGrants have to allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub secret_namespace: Option<String>,
    /// The chain itself in place of a Secret: PEM, or PEM or DER in Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub data: Option<String>,
    /// The Secret whose `ca.crl` has what was revoked, in place of the chain's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub crl_secret_name: Option<String>,
}
