//! What HTTPS members are connected to with.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use tidegate_model::Trust;

/// One configuration for each set of authorities, so that sessions are resumed across settings and
/// swaps.
#[derive(Debug, Default)]
pub(crate) struct Backends(Mutex<Vec<(Trust, Arc<ClientConfig>)>>);

impl Backends {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The configuration that trusts these authorities.
    ///
    /// # Errors
    /// If a certificate among them is no authority's.
    pub(crate) fn config(&self, trust: &Trust) -> Result<Arc<ClientConfig>, rustls::Error> {
        let mut known = self.0.lock();
        if let Some((_, config)) = known.iter().find(|(other, _)| other == trust) {
            return Ok(config.clone());
        }
        // Those that nobody uses any more make room.
        known.retain(|(_, config)| Arc::strong_count(config) > 1);
        let mut roots = RootCertStore::empty();
        match trust {
            Trust::WellKnown => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Trust::Roots(own) => {
                for certificate in own.certificates() {
                    roots.add(certificate.clone())?;
                }
            }
        }
        let mut config = ClientConfig::builder_with_provider(super::provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let config = Arc::new(config);
        known.push((trust.clone(), config.clone()));
        Ok(config)
    }
}
