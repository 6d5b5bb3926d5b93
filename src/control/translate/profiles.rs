//! How listeners speak TLS: the gateway's policy, profiles, and what is asked of clients.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use tidegate_model::{ClientAuth, ListenerTls, RevocationLists, TlsPolicy, TrustedRoots};

use crate::api::{
    ClientAuthConfiguration, ClientAuthMode, ClientRevocation, HttpListener, SslProfile,
    TrustedClientCertificate,
};
use crate::translate::certificates::{certificate, client_authorities, revocation_lists};
use crate::translate::findings::Findings;
use crate::translate::gateway::{Context, duplicates};
use crate::translate::policy::policy;

/// What listeners choose from.
pub(super) struct Profiles {
    /// The gateway's policy; `None` if it is refused.
    policy: Option<Arc<TlsPolicy>>,
    /// By place; `None` for those that are refused.
    profiles: Vec<Option<Profile>>,
}

struct Profile {
    /// In place of the gateway's.
    policy: Option<Arc<TlsPolicy>>,
    client_auth: Option<Arc<ClientAuth>>,
}

impl Profiles {
    pub(super) fn of(context: &Context<'_>, findings: &mut Findings) -> Self {
        let spec = context.spec;
        duplicates(&spec.ssl_profiles, |profile| &profile.name, "sslProfiles", findings);
        let all = &spec.trusted_client_certificates;
        duplicates(all, |trusted| &trusted.name, "trustedClientCertificates", findings);
        let policy = match &spec.ssl_policy {
            None => Some(Arc::default()),
            Some(source) => policy(source, "spec.sslPolicy", findings),
        };
        let profiles = (spec.ssl_profiles.iter().enumerate())
            .map(|(index, source)| profile(context, index, source, findings))
            .collect();
        Self { policy, profiles }
    }

    /// How an Https listener speaks TLS, if it has its certificates, and whether it may serve. One
    /// whose policy or profile is refused must serve nobody, and yet keep its hosts: another listener
    /// would take their requests without asking what this one was meant to ask.
    pub(super) fn listener(
        &self,
        context: &Context<'_>,
        source: &HttpListener,
        path: &str,
        findings: &mut Findings,
    ) -> (Option<Arc<ListenerTls>>, bool) {
        let names = source.ssl_certificate.iter().map(|name| (name, "sslCertificate".to_owned()));
        let more = source.ssl_certificates.iter().enumerate();
        let more = more.map(|(index, name)| (name, format!("sslCertificates[{index}]")));
        let mut tls: Option<ListenerTls> = None;
        let mut is_named = false;
        for (name, field) in names.chain(more) {
            is_named = true;
            let path = format!("{path}.{field}");
            let Some(certificate) = certificate(context, name, &path, findings) else {
                return (None, false);
            };
            match &mut tls {
                None => tls = Some(ListenerTls::showing(certificate)),
                Some(tls) => tls.add(certificate),
            }
        }
        if !is_named {
            let path = format!("{path}.sslCertificate");
            findings.refuse(path, "an Https listener needs a certificate");
        }
        let Some(mut tls) = tls else { return (None, false) };
        let profile = match &source.ssl_profile {
            None => Some(None),
            Some(name) => {
                self.named(context, name, &format!("{path}.sslProfile"), findings).map(Some)
            }
        };
        let own = profile.flatten();
        let policy = own.and_then(|profile| profile.policy.clone()).or(self.policy.clone());
        if policy.is_none() {
            findings.refuse(path, "it answers 502: spec.sslPolicy is refused");
        }
        let serves = profile.is_some() && policy.is_some();
        tls.policy = policy.unwrap_or_default();
        tls.client_auth = own.and_then(|profile| profile.client_auth.clone());
        tls.requires_server_name = source.require_server_name_indication;
        tls.http2 = context.spec.enable_http2 != Some(false);
        (Some(Arc::new(tls)), serves)
    }

    fn named(
        &self,
        context: &Context<'_>,
        name: &str,
        path: &str,
        findings: &mut Findings,
    ) -> Option<&Profile> {
        let all = &context.spec.ssl_profiles;
        let Some(place) = all.iter().position(|profile| profile.name == name) else {
            findings.unresolved(path, format!("there is no {name:?} in sslProfiles"));
            return None;
        };
        let profile = self.profiles.get(place).and_then(Option::as_ref);
        if profile.is_none() {
            findings.refuse(path, format!("{name:?} cannot be used: see its own problems"));
        }
        profile
    }
}

fn profile(
    context: &Context<'_>,
    index: usize,
    source: &SslProfile,
    findings: &mut Findings,
) -> Option<Profile> {
    let path = format!("spec.sslProfiles[{index}]");
    let own = match &source.ssl_policy {
        None => Some(None),
        Some(source) => policy(source, &format!("{path}.sslPolicy"), findings).map(Some),
    };
    let client_auth = client_auth(context, source, &path, findings);
    Some(Profile { policy: own?, client_auth: client_auth.ok()? })
}

/// What a profile asks of clients, if it does; `Err` if it asks for what cannot be done.
fn client_auth(
    context: &Context<'_>,
    source: &SslProfile,
    path: &str,
    findings: &mut Findings,
) -> Result<Option<Arc<ClientAuth>>, ()> {
    let default = ClientAuthConfiguration::default();
    let how = source.client_auth_configuration.as_ref().unwrap_or(&default);
    let at = format!("{path}.clientAuthConfiguration");
    if how.verify_client_revocation == ClientRevocation::Ocsp {
        let why = "OCSP is not supported: every handshake would wait for a server of others, and \
                   fail with it. Use CRL, with the authority's list in ca.crl of its Secret";
        findings.refuse(format!("{at}.verifyClientRevocation"), why);
        return Err(());
    }
    let required = how.verify_client_auth_mode == ClientAuthMode::Strict;
    if source.trusted_client_certificates.is_empty() && required {
        if how.verify_client_cert_issuer_dn
            || how.verify_client_revocation != ClientRevocation::None
        {
            findings.warn(at, "it has no effect without trustedClientCertificates");
        }
        return Ok(None);
    }
    let checks = how.verify_client_revocation == ClientRevocation::Crl;
    let (mut chains, mut lists) = (Vec::new(), Vec::new());
    for (place, name) in source.trusted_client_certificates.iter().enumerate() {
        let at = format!("{path}.trustedClientCertificates[{place}]");
        let all = &context.spec.trusted_client_certificates;
        let Some(index) = all.iter().position(|trusted| trusted.name == *name) else {
            let why = format!("there is no {name:?} in trustedClientCertificates");
            findings.unresolved(at, why);
            return Err(());
        };
        let trusted: &TrustedClientCertificate = &all[index];
        chains.push(client_authorities(context, index, trusted, &at, findings).ok_or(())?);
        if checks {
            lists.push(revocation_lists(context, index, trusted, &at, findings).ok_or(())?);
        }
    }
    if checks && !chains.is_empty() && !is_readable(&chains, &lists) {
        let at = format!("{at}.verifyClientRevocation");
        findings.refuse(at, "a list of the authorities' cannot be read");
        return Err(());
    }
    Ok(Some(Arc::new(ClientAuth {
        chains,
        verifies_issuer: how.verify_client_cert_issuer_dn,
        revocation: checks.then_some(lists),
        required,
    })))
}

/// Whether the TLS library can read the lists.
fn is_readable(chains: &[Arc<TrustedRoots>], lists: &[Arc<RevocationLists>]) -> bool {
    let mut roots = RootCertStore::empty();
    let all = chains.iter().flat_map(|chain| chain.certificates().iter().cloned());
    roots.add_parsable_certificates(all);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls(lists.iter().flat_map(|lists| lists.lists().iter().cloned()))
        .build()
        .is_ok()
}
