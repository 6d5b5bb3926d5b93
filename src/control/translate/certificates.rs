//! Certificates and authorities that a gateway names, found in Secrets.

use std::sync::Arc;

use tidegate_model::{Certificate, ObjectName, RevocationLists, TrustedRoots};

use crate::api::{CertificateRef, TrustedClientCertificate};
use crate::pem;
use crate::resources::{Part, Secret, read_roots};
use crate::translate::expiry;
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
    let found = certificate_in(&named, path, context.resources.now, findings)?;
    context.uses.until(expiry::next(&found, context.resources.now));
    Some(found)
}

/// The certificate in a Secret; warns if it is about to expire.
pub(super) fn certificate_in(
    named: &Named<'_>,
    path: &str,
    now: i64,
    findings: &mut Findings,
) -> Option<Arc<Certificate>> {
    let found = &named.found.certificate;
    let found = part(named, found, "neither tls.crt nor tls.key", path, findings)?;
    if let Some(why) = expiry::warning(&found, now) {
        findings.warn_once(&named.place, format!("Secret {}: {why}", named.name));
    }
    Some(found)
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
    part(&named, &named.found.roots, NO_ROOTS, path, findings)
}

const NO_ROOTS: &str = "neither ca.crt nor tls.crt";

/// The certificates with this name that members have to show exactly.
pub(super) fn pinned(
    context: &Context<'_>,
    name: &str,
    path: &str,
    findings: &mut Findings,
) -> Option<Arc<TrustedRoots>> {
    let all = &context.spec.authentication_certificates;
    let named = secret(context, all, "authenticationCertificates", name, path, findings)?;
    part(&named, &named.found.roots, NO_ROOTS, path, findings)
}

/// The authorities of clients at `index`, which `path` refers to.
pub(super) fn client_authorities(
    context: &Context<'_>,
    index: usize,
    source: &TrustedClientCertificate,
    path: &str,
    findings: &mut Findings,
) -> Option<Arc<TrustedRoots>> {
    let place = format!("spec.trustedClientCertificates[{index}]");
    match (&source.secret_name, &source.data) {
        (Some(name), None) => {
            let named = client_secret(context, &place, "secretName", name, source, findings)?;
            part(&named, &named.found.roots, NO_ROOTS, path, findings)
        }
        (None, Some(data)) => match pem::certificates(data).and_then(|text| read_roots(&text)) {
            Ok(roots) => Some(roots),
            Err(why) => {
                findings.refuse_once(format!("{place}.data"), why);
                None
            }
        },
        _ => {
            findings.refuse_once(place, "one of secretName and data is needed");
            None
        }
    }
}

/// What the authorities of clients at `index` have revoked.
pub(super) fn revocation_lists(
    context: &Context<'_>,
    index: usize,
    source: &TrustedClientCertificate,
    path: &str,
    findings: &mut Findings,
) -> Option<Arc<RevocationLists>> {
    let place = format!("spec.trustedClientCertificates[{index}]");
    let (field, name) = match (&source.crl_secret_name, &source.secret_name) {
        (Some(name), _) => ("crlSecretName", name),
        (None, Some(name)) => ("secretName", name),
        (None, None) => {
            findings.refuse_once(place, "verifyClientRevocation CRL needs crlSecretName with data");
            return None;
        }
    };
    let named = client_secret(context, &place, field, name, source, findings)?;
    part(&named, &named.found.revocation, "no ca.crl, which CRL needs", path, findings)
}

fn client_secret<'a>(
    context: &Context<'a>,
    place: &str,
    field: &str,
    name: &str,
    source: &TrustedClientCertificate,
    findings: &mut Findings,
) -> Option<Named<'a>> {
    let place = format!("{place}.{field}");
    find(context, name, source.secret_namespace.as_deref(), place, findings)
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
    let place = format!("spec.{collection}[{index}].secretName");
    find(context, &source.secret_name, source.secret_namespace.as_deref(), place, findings)
}

/// The Secret that `place` names.
fn find<'a>(
    context: &Context<'a>,
    name: &str,
    namespace: Option<&str>,
    place: String,
    findings: &mut Findings,
) -> Option<Named<'a>> {
    let secret = ObjectName::new(namespace.unwrap_or(&context.name.namespace), name);
    if !context.may_refer("Secret", &secret) {
        let item = place.rsplit_once('.').map_or(&*place, |(item, _)| item);
        findings.unresolved(format!("{item}.secretNamespace"), not_granted("Secret", &secret));
        return None;
    }
    let Some(found) = context.uses.secret(context.resources, &secret) else {
        findings.unresolved(place, format!("there is no Secret {secret}"));
        return None;
    };
    Some(Named { name: secret, found, place })
}
