//! How HTTPS members are judged, and what they are shown.

use std::sync::Arc;

use tidegate_model::{BackendTls, Trust, TrustedRoots};

use crate::api::{BackendHttpSettings, Protocol};
use crate::translate::certificates::{certificate, pinned, roots};
use crate::translate::findings::Findings;
use crate::translate::gateway::Context;
use crate::translate::settings::hostname;

/// What the settings say of TLS: `Some(None)` for plain HTTP, `None` if it cannot be done.
pub(super) fn backend_tls(
    context: &Context<'_>,
    source: &BackendHttpSettings,
    path: &str,
    findings: &mut Findings,
) -> Option<Option<BackendTls>> {
    if source.protocol == Protocol::Http {
        for (is_set, field) in [
            (!source.trusted_root_certificates.is_empty(), "trustedRootCertificates"),
            (!source.authentication_certificates.is_empty(), "authenticationCertificates"),
            (source.client_certificate.is_some(), "clientCertificate"),
            (source.sni_name.is_some(), "sniName"),
            (source.validate_sni == Some(false), "validateSNI"),
            (source.validate_cert_chain_and_expiry == Some(false), "validateCertChainAndExpiry"),
        ] {
            if is_set {
                findings.warn(format!("{path}.{field}"), "it has no effect with protocol Http");
            }
        }
        return Some(None);
    }
    let trust = trust(context, source, path, findings);
    let server_name = match &source.sni_name {
        None => Some(None),
        Some(name) => hostname(name, format!("{path}.sniName"), findings).map(Some),
    };
    let checks_name = source.validate_sni != Some(false);
    if !checks_name {
        let why = "not safe: whoever has a certificate of a trusted authority, for any name, can \
                   pose as a member";
        findings.warn(format!("{path}.validateSNI"), why);
    }
    let identity = match &source.client_certificate {
        None => Some(None),
        Some(name) => {
            certificate(context, name, &format!("{path}.clientCertificate"), findings).map(Some)
        }
    };
    Some(Some(BackendTls {
        trust: trust?,
        server_name: server_name?,
        checks_name,
        identity: identity?,
    }))
}

fn trust(
    context: &Context<'_>,
    source: &BackendHttpSettings,
    path: &str,
    findings: &mut Findings,
) -> Option<Trust> {
    let mut found: Vec<Arc<TrustedRoots>> = Vec::new();
    for (index, name) in source.trusted_root_certificates.iter().enumerate() {
        let path = format!("{path}.trustedRootCertificates[{index}]");
        found.push(roots(context, name, &path, findings)?);
    }
    let mut pins: Vec<Arc<TrustedRoots>> = Vec::new();
    for (index, name) in source.authentication_certificates.iter().enumerate() {
        let path = format!("{path}.authenticationCertificates[{index}]");
        pins.push(pinned(context, name, &path, findings)?);
    }
    let at = format!("{path}.validateCertChainAndExpiry");
    let unchecked = source.validate_cert_chain_and_expiry == Some(false);
    if !pins.is_empty() {
        if !found.is_empty() {
            let path = format!("{path}.authenticationCertificates");
            findings.refuse(path, "it and trustedRootCertificates exclude each other");
            return None;
        }
        if unchecked {
            findings.warn(at, "it has no effect with authenticationCertificates");
        }
        return Some(Trust::Pinned(union(pins)));
    }
    if unchecked {
        if !found.is_empty() {
            let path = format!("{path}.trustedRootCertificates");
            findings.warn(path, "it has no effect with validateCertChainAndExpiry: false");
        }
        findings.warn(at, "not safe: any certificate is taken, whoever signed it and however old");
        return Some(Trust::Anyone);
    }
    if found.is_empty() {
        return Some(Trust::WellKnown);
    }
    // Else a client would choose, by its Host, what a member has to prove.
    let is_named = source.host_name.is_some()
        || source.pick_host_name_from_backend_address
        || source.sni_name.is_some()
        || source.validate_sni == Some(false);
    if !is_named {
        let why = "it needs hostName, pickHostNameFromBackendAddress or sniName: the name that \
                   members have to prove";
        findings.refuse(format!("{path}.trustedRootCertificates"), why);
        return None;
    }
    Some(Trust::Roots(union(found)))
}

fn union(mut sets: Vec<Arc<TrustedRoots>>) -> Arc<TrustedRoots> {
    match sets.len() {
        1 => sets.swap_remove(0),
        _ => Arc::new(TrustedRoots::union(sets.iter().map(Arc::as_ref))),
    }
}
