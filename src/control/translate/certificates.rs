//! Certificates and authorities that a gateway names, found in Secrets.

use std::sync::Arc;

use tidegate_model::{Certificate, ObjectName, TrustedRoots};

use crate::api::CertificateRef;
use crate::resources::{Part, Secret};
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
    let named = secret(context, all, "sslCertificates", name, path, findings)?;
    certificate_in(&named, path, findings)
}

/// The certificate in a Secret.
pub(super) fn certificate_in(
    named: &Named<'_>,
    path: &str,
    findings: &mut Findings,
) -> Option<Arc<Certificate>> {
    part(named, &named.found.certificate, "neither tls.crt nor tls.key", path, findings)
}

/// The authorities with this name.
pub(super) fn roots(
    context: &Context<'_>,
    name: &str,
    path: &str,
    findings: &mut Findings,
) -> Option<Arc<TrustedRoots>> {
    let all = &context.spec.trusted_root_certificates;
    let named = secret(context, all, "trustedRootCertificates", name, path, findings)?;
    part(&named, &named.found.roots, "neither ca.crt nor tls.crt", path, findings)
}

/// A Secret, and where it is named.
pub(super) struct Named<'a> {
    pub(super) name: ObjectName,
    pub(super) found: &'a Secret,
    pub(super) place: String,
}

/// What is wanted of a Secret; tells if it is not there, wrong, or not the newest.
fn part<T>(
    named: &Named<'_>,
    part: &Part<T>,
    missing: &str,
    path: &str,
    findings: &mut Findings,
) -> Option<Arc<T>> {
    let Named { name, place, .. } = named;
    if let Some(fault) = &part.newer_fault {
        let why = format!("Secret {name}: {fault}; the last good one goes on serving");
        findings.warn(place, why);
    }
    match &part.found {
        Some(Ok(found)) => return Some(found.clone()),
        Some(Err(why)) => findings.refuse(path, format!("Secret {name}: {why}")),
        None => findings.refuse(path, format!("Secret {name} has {missing}")),
    }
    None
}

fn secret<'a>(
    context: &Context<'a>,
    all: &[CertificateRef],
    collection: &str,
    name: &str,
    path: &str,
    findings: &mut Findings,
) -> Option<Named<'a>> {
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
    let place = format!("spec.{collection}[{index}].secretName");
    let Some(found) = context.uses.secret(context.resources, &secret) else {
        findings.unresolved(place, format!("there is no Secret {secret}"));
        return None;
    };
    Some(Named { name: secret, found, place })
}
