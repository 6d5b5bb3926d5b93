//! PKCS#12, the form in which certificates with their keys are given to Application Gateway.

use std::sync::Arc;

use p12_keystore::error::Error;
use p12_keystore::{CertificateBag, Pkcs12Archive};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::pem;

/// A chain and its key, as PEM.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) chain: String,
    pub(super) key: String,
}

/// Opens an archive with a password.
pub(super) fn open(archive: &[u8], password: &str) -> Result<Opened, String> {
    let archive = Pkcs12Archive::from_pkcs12(archive, password).map_err(|error| match error {
        Error::MacError(_) => "the password does not open it".to_owned(),
        Error::DerError(_) => format!("it is no PKCS#12 archive: {error}"),
        other => format!("it cannot be opened: {other}"),
    })?;
    let mut last = "it has no private key".to_owned();
    for key in &archive.keys {
        let its_own = |bag: &&CertificateBag| {
            let id = key.local_key_id.as_ref().map(AsRef::as_ref);
            bag.local_key_id.as_deref() == id
        };
        let marked = archive.certs.iter().filter(its_own);
        let others = archive.certs.iter().filter(|bag| !its_own(bag));
        last = "it has no certificate for its private key".to_owned();
        for leaf in marked.chain(others) {
            let der = key.key.as_der();
            if belongs(leaf.cert.as_der(), der) {
                let chain = chain(leaf, &archive.certs);
                return Ok(Opened { chain, key: pem::block("PRIVATE KEY", der) });
            }
        }
    }
    Err(last)
}

fn belongs(certificate: &[u8], key: &[u8]) -> bool {
    let chain = vec![CertificateDer::from(certificate.to_vec())];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_vec()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    CertifiedKey::from_der(chain, key, &provider).is_ok_and(|pair| pair.keys_match().is_ok())
}

/// The leaf and what signed it, without the root, which every client has or will not believe.
fn chain(leaf: &CertificateBag, all: &[CertificateBag]) -> String {
    let mut chain = vec![&leaf.cert];
    while let Some(last) = chain.last().filter(|last| last.issuer() != last.subject()) {
        let signer = all.iter().map(|bag| &bag.cert).find(|cert| {
            cert.subject() == last.issuer()
                && cert.issuer() != cert.subject()
                && !chain.contains(cert)
        });
        match signer {
            Some(signer) => chain.push(signer),
            None => break,
        }
    }
    chain.into_iter().map(|cert| pem::block("CERTIFICATE", cert.as_der())).collect()
}
