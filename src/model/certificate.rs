//! Certificates and authorities, read from PEM.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate chain with its private key, both in DER.
///
/// That the key belongs to the certificate is for the reader of the resource to check: it takes a
/// cryptographic library, which the model has not.
pub struct Certificate {
    /// Its name in the gateway.
    pub name: Box<str>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    expires: i64,
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
    /// A block that is no certificate.
    #[error("its first block is not an X.509 certificate")]
    NotX509,
    /// No `X509 CRL` block.
    #[error("no X509 CRL block in the PEM text")]
    NoList,
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
        let expires = chain.first().and_then(expires).ok_or(CertificateError::NotX509)?;
        Ok(Self { name: name.into(), chain, key, expires })
    }

    /// The chain, leaf first; never empty.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The first second in which it is not valid any more, counted from 1970.
    pub fn expires(&self) -> i64 {
        self.expires
    }

    /// The private key.
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }
}

fn expires(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    // The last second is a valid one (RFC 5280 4.1.2.5).
    Some(certificate.validity().not_after.timestamp().saturating_add(1))
}

impl Eq for Certificate {}

impl Hash for Certificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, &self.chain).hash(state);
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
    fn it_is_known_when_a_certificate_expires() {
        let mut params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        let read = |chain: &str| {
            Certificate::from_pem("app", chain.as_bytes(), key.serialize_pem().as_bytes())
        };
        assert_eq!(read(&made.pem()).unwrap().expires(), 1_893_456_001);
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(read(junk).unwrap_err(), CertificateError::NotX509);
    }

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
