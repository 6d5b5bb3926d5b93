//! What a policy of the model is in the words of the TLS library.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WantsServerCert;
use rustls::{
    ConfigBuilder, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion, WantsVerifier,
    version,
};
use tidegate_model::{CipherSuite, TlsPolicy, TlsVersion};

use crate::tls::client_auth::ClientAuth;

fn suite(suite: CipherSuite) -> SupportedCipherSuite {
    use aws_lc_rs::cipher_suite as all;
    match suite {
        CipherSuite::Aes256Gcm => all::TLS13_AES_256_GCM_SHA384,
        CipherSuite::Aes128Gcm => all::TLS13_AES_128_GCM_SHA256,
        CipherSuite::ChaCha20 => all::TLS13_CHACHA20_POLY1305_SHA256,
        CipherSuite::EcdheEcdsaAes256Gcm => all::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheEcdsaAes128Gcm => all::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheEcdsaChaCha20 => all::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite::EcdheRsaAes256Gcm => all::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdheRsaAes128Gcm => all::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdheRsaChaCha20 => all::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    }
}

/// The suites' names as handshakes tell them.
pub(super) fn names(policy: &TlsPolicy) -> Box<[&'static str]> {
    policy.suites().iter().filter_map(|own| suite(*own).suite().as_str()).collect()
}

/// The beginning of a configuration that offers what the policy does, and asks for a certificate if
/// there is someone to judge it.
pub(super) fn begin(
    policy: &TlsPolicy,
    auth: Option<&Arc<ClientAuth>>,
) -> Result<ConfigBuilder<ServerConfig, WantsServerCert>, rustls::Error> {
    let cipher_suites = policy.suites().iter().copied().map(suite).collect();
    let provider = CryptoProvider { cipher_suites, ..(*super::provider()).clone() };
    let mut versions: Vec<&'static SupportedProtocolVersion> = Vec::with_capacity(2);
    if policy.offers(TlsVersion::Tls13) {
        versions.push(&version::TLS13);
    }
    if policy.offers(TlsVersion::Tls12) {
        versions.push(&version::TLS12);
    }
    let builder: ConfigBuilder<ServerConfig, WantsVerifier> =
        ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&versions)?;
    Ok(match auth {
        None => builder.with_no_client_auth(),
        Some(auth) => builder.with_client_cert_verifier(auth.asking()),
    })
}
