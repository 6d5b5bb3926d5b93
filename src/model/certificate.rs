//! Certificates and authorities, read from PEM.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// A certificate chain with its private key, both in DER.
///
/// That the key belongs to the certificate is for the reader of the resource to check: it takes a
/// cryptographic library, which the model has not.
pub struct Certificate {
    /// Its name in the gateway.
    pub name: Box<str>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Why PEM text is no certificate.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CertificateError {
    /// No `CERTIFICATE` block.
    #[error("no CERTIFICATE block in the PEM text")]
    NoCertificate,
    /// No private key block.
    #[error("no PRIVATE KEY block in the PEM text")]
    NoKey,
    /// Text that is not PEM.
    #[error("not PEM: {0}")]
    NotPem(String),
}

impl CertificateError {
    fn from_pem(error: pem::Error, missing: Self) -> Self {
        match error {
            pem::Error::NoItemsFound => missing,
            other => Self::NotPem(other.to_string()),
        }
    }
}

impl Certificate {
    /// Reads a chain, leaf first, and its key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// If either has no block of its kind or is not PEM.
    pub fn from_pem(name: &str, chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain = read_chain(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| CertificateError::from_pem(error, CertificateError::NoKey))?;
        Ok(Self { name: name.into(), chain, key })
    }

    /// The chain, leaf first; never empty.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The private key.
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.chain == other.chain
            && self.key.secret_der() == other.key.secret_der()
    }
}

/// Leaves the key out: a certificate may be logged.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hasher = DefaultHasher::new();
        self.chain.hash(&mut hasher);
        f.debug_struct("Certificate")
            .field("name", &self.name)
            .field("chain", &format_args!("{} ({:016x})", self.chain.len(), hasher.finish()))
            .finish_non_exhaustive()
    }
}

/// Authorities that may sign the certificates of members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrustedRoots {
    certificates: Vec<CertificateDer<'static>>,
}

impl TrustedRoots {
    /// Reads one or more certificates.
    ///
    /// # Errors
    /// If there is none, or the text is not PEM.
    pub fn from_pem(text: &[u8]) -> Result<Self, CertificateError> {
        Ok(Self { certificates: read_chain(text)? })
    }

    /// Several sets as one.
    pub fn union<'a>(sets: impl IntoIterator<Item = &'a Self>) -> Self {
        let certificates = sets.into_iter().flat_map(|set| set.certificates.clone()).collect();
        Self { certificates }
    }

    /// The certificates; never empty unless made from no set.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }
}

fn read_chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CertificateError::from_pem(error, CertificateError::NoCertificate))?;
    if chain.is_empty() { Err(CertificateError::NoCertificate) } else { Ok(chain) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_and_its_key_are_read_and_the_key_is_never_shown() {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let certificate = Certificate::from_pem("app", chain.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(certificate.chain().len(), 1);
        assert!(!format!("{certificate:?}").contains("key"));
        assert_eq!(
            Certificate::from_pem("app", b"", key.as_bytes()).unwrap_err(),
            CertificateError::NoCertificate
        );
        assert_eq!(
            Certificate::from_pem("app", chain.as_bytes(), chain.as_bytes()).unwrap_err(),
            CertificateError::NoKey
        );
    }
}
