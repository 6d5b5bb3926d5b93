//! What HTTPS members are connected to with.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use tidegate_model::{BackendTls, Trust};

use crate::tls::member_judge::{Judge, Takes};

/// One configuration for each way of judging members, so that sessions are resumed across settings
/// and swaps, and never by who would judge otherwise.
#[derive(Debug, Default)]
pub(crate) struct Backends(Mutex<Vec<(BackendTls, Arc<ClientConfig>)>>);

impl Backends {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The configuration that judges members so.
    ///
    /// # Errors
    /// If a certificate among the authorities is no authority's, or the key of the certificate that
    /// members are shown cannot be used.
    pub(crate) fn config(&self, tls: &BackendTls) -> Result<Arc<ClientConfig>, rustls::Error> {
        let mut known = self.0.lock();
        if let Some((_, config)) = known.iter().find(|(other, _)| other == tls) {
            return Ok(config.clone());
        }
        // Those that nobody uses any more make room.
        known.retain(|(_, config)| Arc::strong_count(config) > 1);
        let builder = ClientConfig::builder_with_provider(super::provider())
            .with_safe_default_protocol_versions()?;
        let builder = match (takes(&tls.trust)?, tls.checks_name) {
            (Takes::SignedBy(roots), true) => builder.with_root_certificates(roots),
            (takes, checks_name) => {
                let algorithms = super::provider().signature_verification_algorithms;
                let judge = Judge { takes, checks_name, algorithms };
                builder.dangerous().with_custom_certificate_verifier(Arc::new(judge))
            }
        };
        let mut config = match &tls.identity {
            None => builder.with_no_client_auth(),
            Some(own) => {
                builder.with_client_auth_cert(own.chain().to_vec(), own.key().clone_key())?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let config = Arc::new(config);
        known.push((tls.clone(), config.clone()));
        Ok(config)
    }
}

fn takes(trust: &Trust) -> Result<Takes, rustls::Error> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::WellKnown => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Trust::Roots(own) => {
            for certificate in own.certificates() {
                roots.add(certificate.clone())?;
            }
        }
        Trust::Pinned(own) => return Ok(Takes::Exactly(own.clone())),
        Trust::Anyone => return Ok(Takes::Any),
    }
    Ok(Takes::SignedBy(roots))
}
