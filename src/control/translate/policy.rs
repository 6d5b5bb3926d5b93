//! Policies: from what Application Gateway's have to what is offered.
//!
//! Suites without forward secrecy or authentication of the record (CBC, 3DES, RSA key exchange) and
//! versions before TLS 1.2 are never offered. A policy of which something is left is used, and it is
//! said what is left out; one of which nothing is left is refused.

use std::sync::Arc;

use tidegate_model::{CipherSuite, TlsPolicy, TlsVersion};

use crate::api::{SslPolicy, SslPolicyType, SslProtocol};
use crate::translate::findings::Findings;

/// The suites of TLS 1.3, which no policy leaves out.
const TLS13: [CipherSuite; 2] = [CipherSuite::Aes256Gcm, CipherSuite::Aes128Gcm];

/// A predefined policy.
struct Predefined {
    name: &'static str,
    versions: &'static [TlsVersion],
    suites: &'static [CipherSuite],
    /// What it has besides and is not offered.
    left_out: &'static str,
}

use CipherSuite::{EcdheEcdsaAes128Gcm, EcdheEcdsaAes256Gcm, EcdheRsaAes128Gcm, EcdheRsaAes256Gcm};
use TlsVersion::{Tls12, Tls13};

const RSA_FIRST: &[CipherSuite] =
    &[EcdheRsaAes256Gcm, EcdheRsaAes128Gcm, EcdheEcdsaAes256Gcm, EcdheEcdsaAes128Gcm];
const ECDSA_FIRST: &[CipherSuite] =
    &[EcdheEcdsaAes256Gcm, EcdheEcdsaAes128Gcm, EcdheRsaAes256Gcm, EcdheRsaAes128Gcm];

const PREDEFINED: [Predefined; 5] = [
    Predefined {
        name: "AppGwSslPolicy20150501",
        versions: &[Tls12],
        suites: RSA_FIRST,
        left_out: "TLS 1.0 and 1.1, and its suites with CBC, 3DES, DHE, DSS or RSA key exchange",
    },
    Predefined {
        name: "AppGwSslPolicy20170401",
        versions: &[Tls12],
        suites: ECDSA_FIRST,
        left_out: "TLS 1.1, and its suites with CBC or RSA key exchange",
    },
    Predefined {
        name: "AppGwSslPolicy20170401S",
        versions: &[Tls12],
        suites: ECDSA_FIRST,
        left_out: "its suites with CBC or RSA key exchange",
    },
    Predefined {
        name: "AppGwSslPolicy20220101",
        versions: &[Tls12, Tls13],
        suites: ECDSA_FIRST,
        left_out: "its suites with CBC",
    },
    Predefined {
        name: "AppGwSslPolicy20220101S",
        versions: &[Tls12, Tls13],
        suites: ECDSA_FIRST,
        left_out: "",
    },
];

/// The policy at `path`; `None` if it is refused.
pub(super) fn policy(
    source: &SslPolicy,
    path: &str,
    findings: &mut Findings,
) -> Option<Arc<TlsPolicy>> {
    let kind = match (source.policy_type, &source.policy_name) {
        (Some(kind), _) => kind,
        (None, Some(_)) => SslPolicyType::Predefined,
        // Only versions that are not wanted, as the oldest gateways say it.
        (None, None) if source.cipher_suites.is_empty() => return default(source, path, findings),
        (None, None) => SslPolicyType::Custom,
    };
    match kind {
        SslPolicyType::Predefined => predefined(source, path, findings),
        SslPolicyType::Custom => custom(source, Tls12, path, findings),
        SslPolicyType::CustomV2 => custom(source, Tls13, path, findings),
    }
}

fn default(source: &SslPolicy, path: &str, findings: &mut Findings) -> Option<Arc<TlsPolicy>> {
    let versions = versions(source, Tls13);
    finish(&versions, CipherSuite::ALL, path, findings)
}

fn predefined(source: &SslPolicy, path: &str, findings: &mut Findings) -> Option<Arc<TlsPolicy>> {
    let at = format!("{path}.policyName");
    let Some(name) = source.policy_name.as_deref() else {
        findings.refuse(at, "a Predefined policy needs a name");
        return None;
    };
    let Some(found) = PREDEFINED.iter().find(|policy| policy.name == name) else {
        let names: Vec<&str> = PREDEFINED.iter().map(|policy| policy.name).collect();
        findings.refuse(at, format!("{name:?} is none of {}", names.join(", ")));
        return None;
    };
    for (is_set, field) in [
        (source.min_protocol_version.is_some(), "minProtocolVersion"),
        (!source.cipher_suites.is_empty(), "cipherSuites"),
    ] {
        if is_set {
            findings.warn(format!("{path}.{field}"), "it has no effect in a Predefined policy");
        }
    }
    if !found.left_out.is_empty() {
        findings.warn(at, format!("not offered: {}; all else of {name} is", found.left_out));
    }
    let mut versions = found.versions.to_vec();
    versions.retain(|version| !is_disabled(source, *version));
    finish(&versions, &[&TLS13, found.suites].concat(), path, findings)
}

fn custom(
    source: &SslPolicy,
    newest: TlsVersion,
    path: &str,
    findings: &mut Findings,
) -> Option<Arc<TlsPolicy>> {
    if source.policy_name.is_some() {
        findings.warn(format!("{path}.policyName"), "it has no effect in a custom policy");
    }
    let at = format!("{path}.minProtocolVersion");
    match source.min_protocol_version {
        Some(SslProtocol::Tls10 | SslProtocol::Tls11) => {
            findings.warn(at, "versions before TLS 1.2 are not offered");
        }
        Some(SslProtocol::Tls13) if newest == Tls12 => {
            findings.refuse(at, "TLS 1.3 needs policyType CustomV2");
            return None;
        }
        _ => {}
    }
    let mut suites = TLS13.to_vec();
    let mut left_out = Vec::new();
    for (index, name) in source.cipher_suites.iter().enumerate() {
        let at = format!("{path}.cipherSuites[{index}]");
        match CipherSuite::named(name) {
            Some(suite) if suites.contains(&suite) && !TLS13.contains(&suite) => {
                findings.warn(at, format!("{name} stands twice"));
            }
            Some(suite) => suites.push(suite),
            None if is_known(name) => left_out.push(name.as_str()),
            None => {
                findings.refuse(at, format!("there is no suite {name:?}"));
                return None;
            }
        }
    }
    if !left_out.is_empty() {
        let why = format!(
            "not offered, because they lack forward secrecy or authenticated encryption: {}",
            left_out.join(", ")
        );
        findings.warn(format!("{path}.cipherSuites"), why);
    }
    finish(&versions(source, newest), &suites, path, findings)
}

/// A suite of Application Gateway that is not offered.
fn is_known(name: &str) -> bool {
    let Some((exchange, record)) =
        name.strip_prefix("TLS_").and_then(|rest| rest.split_once("_WITH_"))
    else {
        return false;
    };
    let exchanges = ["ECDHE_RSA", "ECDHE_ECDSA", "DHE_RSA", "DHE_DSS", "RSA"];
    let records = [
        "AES_256_GCM_SHA384",
        "AES_128_GCM_SHA256",
        "AES_256_CBC_SHA384",
        "AES_256_CBC_SHA256",
        "AES_128_CBC_SHA256",
        "AES_256_CBC_SHA",
        "AES_128_CBC_SHA",
        "3DES_EDE_CBC_SHA",
    ];
    exchanges.contains(&exchange) && records.contains(&record)
}

fn is_disabled(source: &SslPolicy, version: TlsVersion) -> bool {
    source.disabled_ssl_protocols.contains(&match version {
        Tls12 => SslProtocol::Tls12,
        Tls13 => SslProtocol::Tls13,
    })
}

fn versions(source: &SslPolicy, newest: TlsVersion) -> Vec<TlsVersion> {
    let lowest = source.min_protocol_version;
    let mut versions = Vec::with_capacity(2);
    if lowest.is_none_or(|lowest| lowest <= SslProtocol::Tls12) {
        versions.push(Tls12);
    }
    if newest == Tls13 {
        versions.push(Tls13);
    }
    versions.retain(|version| !is_disabled(source, *version));
    versions
}

fn finish(
    versions: &[TlsVersion],
    suites: &[CipherSuite],
    path: &str,
    findings: &mut Findings,
) -> Option<Arc<TlsPolicy>> {
    match TlsPolicy::new(versions, suites) {
        Ok(policy) => {
            if versions.contains(&Tls12) && !policy.offers(Tls12) {
                let why = "TLS 1.2 is not offered: none of its suites is";
                findings.warn(format!("{path}.cipherSuites"), why);
            }
            Some(Arc::new(policy))
        }
        Err(_) => {
            let why = "refused: nothing that it asks for is safe to offer. What is: TLS 1.2 with \
                       ECDHE and GCM (or ChaCha20), and TLS 1.3";
            findings.refuse(path, why);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tidegate_model::ObjectName;

    use super::*;

    fn translated(source: Value) -> (Option<Arc<TlsPolicy>>, Vec<String>) {
        let source: SslPolicy = serde_json::from_value(source).unwrap();
        let mut findings = Findings::of("ApplicationGateway", &ObjectName::new("n", "g"));
        let policy = policy(&source, "spec.sslPolicy", &mut findings);
        let told = findings.into_all();
        (
            policy,
            told.into_iter().map(|f| format!("{:?} {}: {}", f.severity, f.path, f.why)).collect(),
        )
    }

    fn names(policy: &TlsPolicy) -> Vec<&'static str> {
        policy.suites().iter().map(|suite| suite.name()).collect()
    }

    #[test]
    fn predefined_policies_offer_what_is_safe_of_them_and_say_what_is_not() {
        for (name, tls13, left_out) in [
            ("AppGwSslPolicy20150501", false, Some("TLS 1.0 and 1.1")),
            ("AppGwSslPolicy20170401", false, Some("TLS 1.1, and")),
            ("AppGwSslPolicy20170401S", false, Some("RSA key exchange")),
            ("AppGwSslPolicy20220101", true, Some("with CBC")),
            ("AppGwSslPolicy20220101S", true, None),
        ] {
            let (policy, told) =
                translated(json!({"policyType": "Predefined", "policyName": name}));
            let policy = policy.unwrap();
            assert_eq!(policy.offers(Tls13), tls13, "{name}");
            assert!(policy.offers(Tls12), "{name}");
            assert_eq!(policy.suites().len(), if tls13 { 6 } else { 4 }, "{name}");
            assert!(policy.suites().iter().all(|suite| !suite.name().contains("CHACHA")));
            match left_out {
                None => assert!(told.is_empty(), "{told:?}"),
                Some(text) => assert!(told[0].starts_with("Warning") && told[0].contains(text)),
            }
        }
    }

    #[test]
    fn custom_policies_keep_their_order_and_lose_what_is_broken() {
        let (policy, told) = translated(json!({
            "policyType": "Custom", "minProtocolVersion": "TLSv1_0",
            "cipherSuites": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA256",
                "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"],
        }));
        assert_eq!(
            names(&policy.unwrap()),
            ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"]
        );
        assert!(told.iter().any(|t| t.contains("before TLS 1.2")), "{told:?}");
        assert!(told.iter().any(|t| t.contains("TLS_RSA_WITH_AES_128_CBC_SHA256")), "{told:?}");
    }

    #[test]
    fn a_policy_of_which_nothing_is_safe_is_refused() {
        for (source, why) in [
            (
                json!({"policyType": "Custom", "cipherSuites": ["TLS_RSA_WITH_AES_128_CBC_SHA"]}),
                "nothing that it asks for",
            ),
            (json!({"policyType": "Custom"}), "nothing that it asks for"),
            (
                json!({"policyType": "Custom", "minProtocolVersion": "TLSv1_3", "cipherSuites": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]}),
                "CustomV2",
            ),
            (json!({"policyType": "Custom", "cipherSuites": ["TLS_NULL"]}), "no suite"),
            (
                json!({"policyType": "Custom", "cipherSuites": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"], "disabledSslProtocols": ["TLSv1_2"]}),
                "nothing",
            ),
            (
                json!({"policyType": "CustomV2", "disabledSslProtocols": ["TLSv1_2", "TLSv1_3"]}),
                "nothing",
            ),
            (json!({"policyType": "Predefined"}), "needs a name"),
            (json!({"policyName": "AppGwSslPolicy20300101"}), "none of"),
        ] {
            let (policy, told) = translated(source.clone());
            assert!(policy.is_none(), "{source}");
            assert!(told.iter().any(|t| t.starts_with("Error") && t.contains(why)), "{told:?}");
        }
    }

    #[test]
    fn tls_1_3_is_there_with_custom_v2_and_2022_alone_unless_it_is_disabled() {
        for (source, expected) in [
            (json!({"policyType": "CustomV2", "minProtocolVersion": "TLSv1_3"}), (false, true)),
            (
                json!({"policyType": "CustomV2", "cipherSuites": ["TLS_RSA_WITH_AES_128_CBC_SHA"]}),
                (false, true),
            ),
            (
                json!({"policyType": "CustomV2", "cipherSuites": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]}),
                (true, true),
            ),
            (
                json!({"policyType": "CustomV2", "cipherSuites": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"], "disabledSslProtocols": ["TLSv1_3"]}),
                (true, false),
            ),
            (
                json!({"policyType": "Custom", "cipherSuites": ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]}),
                (true, false),
            ),
            (
                json!({"policyName": "AppGwSslPolicy20220101S", "disabledSslProtocols": ["TLSv1_2"]}),
                (false, true),
            ),
            (json!({"disabledSslProtocols": ["TLSv1_0", "TLSv1_1"]}), (true, true)),
        ] {
            let policy = translated(source.clone()).0.unwrap();
            assert_eq!((policy.offers(Tls12), policy.offers(Tls13)), expected, "{source}");
        }
    }
}
