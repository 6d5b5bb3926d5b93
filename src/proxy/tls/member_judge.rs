//! Judging members' certificates where the settings leave out a part of it.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tidegate_model::TrustedRoots;

/// Whose certificates are taken.
#[derive(Debug)]
pub(super) enum Takes {
    /// Of these authorities, and not expired.
    SignedBy(RootCertStore),
    /// These. Who holds the key of one is who is meant, whatever name or date stands in it.
    Exactly(Arc<TrustedRoots>),
    /// Any.
    Any,
}

/// Judges by what is asked for. That the member has the key is always asked for.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) takes: Takes,
    pub(super) checks_name: bool,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.takes {
            Takes::Exactly(pinned) => {
                if pinned.certificates().iter().any(|pin| pin == own) {
                    return Ok(ServerCertVerified::assertion());
                }
                let wrong = CertificateError::ApplicationVerificationFailure;
                return Err(Error::InvalidCertificate(wrong));
            }
            Takes::SignedBy(roots) => {
                let read = ParsedCertificate::try_from(own)?;
                let algorithms = self.algorithms.all;
                verify_server_cert_signed_by_trust_anchor(&read, roots, others, now, algorithms)?;
            }
            Takes::Any => {}
        }
        if self.checks_name {
            verify_server_name(&ParsedCertificate::try_from(own)?, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
