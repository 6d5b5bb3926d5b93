//! Asking clients for certificates, and judging what they show.
//!
//! A handshake takes any certificate whose key the client has: that a request is answered with 400,
//! and not the handshake with an alert that no browser explains, needs a handshake that succeeds.
//! What a certificate is worth is said by [`ClientAuth::judge`], for every connection anew, resumed
//! or not: what was revoked since is not taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_lc_rs::digest::{Context, SHA256};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use tidegate_model::TrustedRoots;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::tls::{ClientCertificate, Verification};

/// What a listener asks of clients, ready to be asked.
#[derive(Debug)]
pub(crate) struct ClientAuth {
    pub(crate) model: Arc<tidegate_model::ClientAuth>,
    /// Tells one from all others that the process has had: verdicts are remembered by it.
    pub(crate) id: u32,
    /// The same for all that ask the same of a handshake.
    pub(crate) question: [u8; 32],
    hints: Arc<[DistinguishedName]>,
    /// Authorities that are not at the top of their chain.
    between: Vec<CertificateDer<'static>>,
    /// Names of the lowest authority of each chain, in DER.
    lowest: Vec<Vec<u8>>,
    /// `None` without authorities.
    judges: Option<Judges>,
}

#[derive(Debug)]
struct Judges {
    chain: Arc<dyn ClientCertVerifier>,
    /// With lists of what was revoked: the certificate itself must be known to one of them.
    own: Option<Arc<dyn ClientCertVerifier>>,
}

/// One chain of authorities, sorted.
#[derive(Default)]
struct Sorted {
    /// Those that no other of the chain has signed.
    top: Vec<CertificateDer<'static>>,
    between: Vec<CertificateDer<'static>>,
    /// Names of those that have signed no other of the chain.
    lowest: Vec<Vec<u8>>,
    names: Vec<Vec<u8>>,
}

fn sorted(chain: &TrustedRoots) -> Sorted {
    let read: Vec<(&CertificateDer<'static>, Vec<u8>, Vec<u8>)> = chain
        .certificates()
        .iter()
        .filter_map(|der| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            let (subject, issuer) = (certificate.subject(), certificate.issuer());
            Some((der, subject.as_raw().to_vec(), issuer.as_raw().to_vec()))
        })
        .collect();
    let mut sorted = Sorted::default();
    for (der, subject, issuer) in &read {
        let signed_by_another =
            subject != issuer && read.iter().any(|(_, other, _)| other == issuer);
        let signs_another = read.iter().any(|(_, other, its)| its == subject && other != subject);
        match signed_by_another {
            true => sorted.between.push((*der).clone()),
            false => sorted.top.push((*der).clone()),
        }
        if !signs_another {
            sorted.lowest.push(subject.clone());
        }
        sorted.names.push(subject.clone());
    }
    sorted
}

impl ClientAuth {
    /// # Errors
    /// If an authority or a list of what was revoked cannot be read.
    pub(crate) fn new(model: Arc<tidegate_model::ClientAuth>) -> Result<Self, rustls::Error> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let mut roots = RootCertStore::empty();
        let (mut between, mut lowest, mut hints) = (Vec::new(), Vec::new(), Vec::new());
        for chain in &model.chains {
            let sorted = sorted(chain);
            for root in sorted.top {
                roots.add(root)?;
            }
            between.extend(sorted.between);
            lowest.extend(sorted.lowest);
            hints.extend(sorted.names.into_iter().map(DistinguishedName::from));
        }
        let judges = match roots.is_empty() {
            true => None,
            false => Some(Judges::new(roots, &model)?),
        };
        Ok(Self {
            question: question(&model),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            hints: hints.into(),
            between,
            lowest,
            judges,
            model,
        })
    }

    /// What asks for a certificate in handshakes.
    pub(super) fn asking(&self) -> Arc<dyn ClientCertVerifier> {
        let algorithms = super::provider().signature_verification_algorithms;
        Arc::new(Asking { hints: self.hints.clone(), algorithms })
    }

    /// What a client's certificate is worth now.
    pub(crate) fn judge(&self, shown: Option<&ClientCertificate>, now: UnixTime) -> Verification {
        let Some((own, rest)) = shown.and_then(|shown| shown.chain.split_first()) else {
            return Verification::None;
        };
        let Some(judges) = &self.judges else { return Verification::UnknownIssuer };
        let others: Vec<CertificateDer<'_>> =
            rest.iter().chain(&self.between).map(|one| CertificateDer::from(&**one)).collect();
        let judged = judges.chain.verify_client_cert(own, &others, now);
        let judged = judged.and_then(|verified| match &judges.own {
            Some(judge) => judge.verify_client_cert(own, &others, now),
            None => Ok(verified),
        });
        match judged {
            Err(error) => why(&error),
            Ok(_) if self.model.verifies_issuer && !self.is_of_lowest(own) => {
                Verification::OtherIssuer
            }
            Ok(_) => Verification::Success,
        }
    }

    fn is_of_lowest(&self, own: &CertificateDer<'_>) -> bool {
        X509Certificate::from_der(own)
            .is_ok_and(|(_, own)| self.lowest.iter().any(|name| name == own.issuer().as_raw()))
    }
}

impl Judges {
    fn new(
        roots: RootCertStore,
        model: &tidegate_model::ClientAuth,
    ) -> Result<Self, rustls::Error> {
        let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), super::provider());
        let unusable = |error| rustls::Error::General(format!("client certificates: {error}"));
        let Some(revocation) = &model.revocation else {
            return Ok(Self { chain: builder.build().map_err(unusable)?, own: None });
        };
        let lists = revocation.iter().flat_map(|lists| lists.lists().iter().cloned());
        let builder = builder.with_crls(lists).enforce_revocation_expiration();
        // An authority's own status is looked at where there is a list that has it.
        let chain = builder.clone().allow_unknown_revocation_status().build().map_err(unusable)?;
        let own = builder.only_check_end_entity_revocation().build().map_err(unusable)?;
        Ok(Self { chain, own: Some(own) })
    }
}

/// What sets sessions that were begun by one question apart from those begun by another.
fn question(model: &tidegate_model::ClientAuth) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(&[u8::from(model.verifies_issuer), u8::from(model.required)]);
    for chain in &model.chains {
        context.update(&(chain.certificates().len() as u64).to_be_bytes());
        for certificate in chain.certificates() {
            context.update(&(certificate.len() as u64).to_be_bytes());
            context.update(certificate);
        }
    }
    let mut question = [0; 32];
    question.copy_from_slice(context.finish().as_ref());
    question
}

fn why(error: &rustls::Error) -> Verification {
    let rustls::Error::InvalidCertificate(error) = error else { return Verification::Invalid };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Verification::Expired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Verification::NotYetValid
        }
        CertificateError::UnknownIssuer => Verification::UnknownIssuer,
        CertificateError::Revoked => Verification::Revoked,
        CertificateError::UnknownRevocationStatus => Verification::NoRevocationList,
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => Verification::OldRevocationList,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Verification::OtherPurpose
        }
        _ => Verification::Invalid,
    }
}

/// Asks every client, and takes every certificate whose key the client has.
#[derive(Debug)]
struct Asking {
    hints: Arc<[DistinguishedName]>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Asking {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // Judged when a request comes: see the top of this file.
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
