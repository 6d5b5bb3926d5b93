//! TLS towards clients and towards members. Its settings are made when a table is compiled; what
//! sessions can be resumed by outlives tables.

mod backends;
mod client_certificate;
mod distinguished_name;
mod profile;
#[cfg(test)]
mod tests;
mod tickets;

pub(crate) use backends::Backends;
pub(crate) use client_certificate::{ClientCertificate, Verification};
pub(crate) use profile::Profile;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use crate::access_log::TlsInfo;

/// What a client's handshake came to.
#[derive(Debug)]
pub(crate) struct Agreed {
    pub(crate) info: TlsInfo,
    /// What the client showed, where it was asked for a certificate.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
}

/// The one cryptography of the process.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())).clone()
}

/// The same for tests of other modules.
#[cfg(test)]
pub(crate) fn test_provider() -> Arc<CryptoProvider> {
    provider()
}
