//! Certificates and authorities that a gateway names, found in Secrets.

use std::sync::Arc;

use tidegate_model::{Certificate, ObjectName, TrustedRoots};

use crate::api::CertificateRef;
use crate::resources::Secret;
use crate::translate::findings::Findings;
use crate::translate::gateway::{Context, not_granted};

/// The certificate with this name.
pub(super) fn certificate(
    context: &Context<'_>,
    name: &str,
    path: &str,
    findings: &mut Findings,
) -> Option<Arc<Certificate>> {
    let all = &context.spec.ssl_certificates;
    let secret = secret(context, all, "sslCertificates", name, path, findings)?;
    match &secret.1.certificate {
        Some(Ok(certificate)) => Some(certificate.clone()),
        Some(Err(why)) => {
            findings.refuse(path, format!("Secret {}: {why}", secret.0));
            None
        }
        None => {
            findings.refuse(path, format!("Secret {} has neither tls.crt nor tls.key", secret.0));
            None
        }
    }
}

/// The authorities with this name.
pub(super) fn roots(
    context: &Context<'_>,
    name: &str,
    path: &str,
    findings: &mut Findings,
) -> Option<Arc<TrustedRoots>> {
    let all = &context.spec.trusted_root_certificates;
    let secret = secret(context, all, "trustedRootCertificates", name, path, findings)?;
    match &secret.1.roots {
        Some(Ok(roots)) => Some(roots.clone()),
        Some(Err(why)) => {
            findings.refuse(path, format!("Secret {}: {why}", secret.0));
            None
        }
        None => {
            findings.refuse(path, format!("Secret {} has neither ca.crt nor tls.crt", secret.0));
            None
        }
    }
}

fn secret<'a>(
    context: &Context<'a>,
    all: &[CertificateRef],
    collection: &str,
    name: &str,
    path: &str,
    findings: &mut Findings,
) -> Option<(ObjectName, &'a Secret)> {
    let Some(index) = all.iter().position(|certificate| certificate.name == name) else {
        findings.unresolved(path, format!("there is no {name:?} in {collection}"));
        return None;
    };
    let source = &all[index];
    let namespace = source.secret_namespace.as_deref().unwrap_or(&context.name.namespace);
    let secret = ObjectName::new(namespace, source.secret_name.as_str());
    if !context.may_refer("Secret", &secret) {
        let path = format!("spec.{collection}[{index}].secretNamespace");
        findings.unresolved(path, not_granted("Secret", &secret));
        return None;
    }
    let Some(found) = context.uses.secret(context.resources, &secret) else {
        let path = format!("spec.{collection}[{index}].secretName");
        findings.unresolved(path, format!("there is no Secret {secret}"));
        return None;
    };
    if let Some(fault) = &found.newer_fault {
        let path = format!("spec.{collection}[{index}].secretName");
        findings.warn(path, format!("Secret {secret}: {fault}; the last good one goes on serving"));
    }
    Some((secret, found))
}
