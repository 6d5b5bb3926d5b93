//! How listeners speak TLS: versions and suites, certificates, and what is asked of clients.

use std::sync::Arc;

use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::{self, PemObject};
use thiserror::Error;

use crate::{Certificate, CertificateError, TrustedRoots};

/// A version of TLS that is spoken. Older ones are broken, and no listener can be made to offer them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

macro_rules! suites {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $version:ident;)+) => {
        /// A cipher suite that is spoken: forward secret and authenticated.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum CipherSuite { $(#[doc = $text] $name,)+ }

        impl CipherSuite {
            /// All of them, the first before the others where nobody prefers another order.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name in IANA's registry.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The version that it belongs to.
            pub fn version(self) -> TlsVersion {
                match self { $(Self::$name => TlsVersion::$version,)+ }
            }
        }
    };
}

suites! {
    Aes256Gcm = "TLS_AES_256_GCM_SHA384", Tls13;
    Aes128Gcm = "TLS_AES_128_GCM_SHA256", Tls13;
    ChaCha20 = "TLS_CHACHA20_POLY1305_SHA256", Tls13;
    EcdheEcdsaAes256Gcm = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", Tls12;
    EcdheEcdsaAes128Gcm = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", Tls12;
    EcdheEcdsaChaCha20 = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", Tls12;
    EcdheRsaAes256Gcm = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", Tls12;
    EcdheRsaAes128Gcm = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Tls12;
    EcdheRsaChaCha20 = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", Tls12;
}

impl CipherSuite {
    /// The suite with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|suite| suite.name() == name)
    }
}

/// Versions and suites that a listener offers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsPolicy {
    suites: Vec<CipherSuite>,
    ordered: bool,
}

/// A policy by which no handshake could succeed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("no version of TLS with a suite of its own is left")]
pub struct NothingOffered;

impl TlsPolicy {
    /// Of `suites`, those of `versions`, the one that is preferred first.
    ///
    /// # Errors
    /// If none is left.
    pub fn new(versions: &[TlsVersion], suites: &[CipherSuite]) -> Result<Self, NothingOffered> {
        let mut offered: Vec<CipherSuite> = Vec::with_capacity(suites.len());
        for suite in suites {
            if versions.contains(&suite.version()) && !offered.contains(suite) {
                offered.push(*suite);
            }
        }
        if offered.is_empty() {
            return Err(NothingOffered);
        }
        Ok(Self { suites: offered, ordered: true })
    }

    /// The suites, the one that is preferred first.
    pub fn suites(&self) -> &[CipherSuite] {
        &self.suites
    }

    /// Whether their order counts, and not the client's.
    pub fn is_ordered(&self) -> bool {
        self.ordered
    }

    /// Whether a version is offered.
    pub fn offers(&self, version: TlsVersion) -> bool {
        self.suites.iter().any(|suite| suite.version() == version)
    }
}

/// Everything that is safe, in the client's order: a telephone knows best whether it computes AES or
/// ChaCha20 faster.
impl Default for TlsPolicy {
    fn default() -> Self {
        Self { suites: CipherSuite::ALL.to_vec(), ordered: false }
    }
}

/// How a listener speaks TLS.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerTls {
    certificates: Vec<Arc<Certificate>>,
    /// What it offers.
    pub policy: Arc<TlsPolicy>,
    /// What it asks of clients.
    pub client_auth: Option<Arc<ClientAuth>>,
    /// Whether a client has to ask for one of its hosts in the handshake.
    pub requires_server_name: bool,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

impl ListenerTls {
    /// Shows a certificate, and does everything else as it is done by default.
    pub fn showing(certificate: Arc<Certificate>) -> Self {
        Self {
            certificates: vec![certificate],
            policy: Arc::default(),
            client_auth: None,
            requires_server_name: false,
            http2: true,
        }
    }

    /// Shows another certificate to clients that can do nothing with those before it.
    pub fn add(&mut self, certificate: Arc<Certificate>) {
        self.certificates.push(certificate);
    }

    /// The certificates, the one that is preferred first; never empty.
    pub fn certificates(&self) -> &[Arc<Certificate>] {
        &self.certificates
    }
}

/// What a listener asks of clients' certificates.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientAuth {
    /// Chains of authorities, each with its root; a certificate may come from any of them.
    pub chains: Vec<Arc<TrustedRoots>>,
    /// Whether the authority right above the certificate has to be the lowest one of a chain.
    pub verifies_issuer: bool,
    /// What was revoked; with it, a certificate whose authority has no list is not taken.
    pub revocation: Option<Vec<Arc<RevocationLists>>>,
    /// Whether requests without a good certificate are refused. Otherwise they are only told of.
    pub required: bool,
}

/// Lists of certificates that were revoked (RFC 5280 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationLists {
    lists: Vec<CertificateRevocationListDer<'static>>,
}

impl RevocationLists {
    /// Reads one or more lists in PEM, or one in DER.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(bytes: &[u8]) -> Result<Self, CertificateError> {
        // DER begins with a sequence.
        if bytes.first() == Some(&0x30) {
            let list = CertificateRevocationListDer::from(bytes.to_vec());
            return Ok(Self { lists: vec![list] });
        }
        let lists = CertificateRevocationListDer::pem_slice_iter(bytes)
            .collect::<Result<Vec<_>, pem::Error>>()
            .map_err(|error| CertificateError::NotPem(error.to_string()))?;
        if lists.is_empty() { Err(CertificateError::NoList) } else { Ok(Self { lists }) }
    }

    /// The lists; never empty.
    pub fn lists(&self) -> &[CertificateRevocationListDer<'static>] {
        &self.lists
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_offers_the_suites_of_its_versions_and_is_never_empty() {
        use CipherSuite::{Aes128Gcm, EcdheRsaAes128Gcm, EcdheRsaAes256Gcm};
        let suites = [EcdheRsaAes128Gcm, Aes128Gcm, EcdheRsaAes256Gcm, EcdheRsaAes128Gcm];
        let both = TlsPolicy::new(&[TlsVersion::Tls12, TlsVersion::Tls13], &suites).unwrap();
        assert_eq!(both.suites(), [EcdheRsaAes128Gcm, Aes128Gcm, EcdheRsaAes256Gcm]);
        let old = TlsPolicy::new(&[TlsVersion::Tls12], &suites).unwrap();
        assert_eq!(old.suites(), [EcdheRsaAes128Gcm, EcdheRsaAes256Gcm]);
        assert!(old.is_ordered() && !old.offers(TlsVersion::Tls13));
        assert_eq!(TlsPolicy::new(&[TlsVersion::Tls13], &[EcdheRsaAes128Gcm]), Err(NothingOffered));
        assert!(TlsPolicy::default().offers(TlsVersion::Tls13));
    }

    #[test]
    fn suites_are_found_by_name() {
        for suite in CipherSuite::ALL {
            assert_eq!(CipherSuite::named(suite.name()), Some(*suite));
        }
        assert_eq!(CipherSuite::named("TLS_RSA_WITH_AES_128_CBC_SHA"), None);
    }

    #[test]
    fn text_without_a_list_is_no_list() {
        assert_eq!(RevocationLists::read(b"x"), Err(CertificateError::NoList));
        assert_eq!(RevocationLists::read(b""), Err(CertificateError::NoList));
        assert_eq!(RevocationLists::read(&[0x30, 0]).unwrap().lists().len(), 1);
    }
}
