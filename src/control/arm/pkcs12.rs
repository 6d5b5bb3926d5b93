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

#[cfg(test)]
mod tests {
    use p12_keystore::{
        Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, PrivateKey,
        PrivateKeyChain,
    };
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    /// A leaf, what signed it, the root, and the leaf's key, all in DER.
    fn made() -> (Vec<Vec<u8>>, Vec<u8>) {
        let authority = |name: &str| {
            let mut params = CertificateParams::new([]).unwrap();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let key = || KeyPair::generate().unwrap();
        let (root_params, root_key) = (authority("root"), key());
        let root = root_params.self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(root_params, root_key);
        let (middle_params, middle_key) = (authority("middle"), key());
        let middle = middle_params.signed_by(&middle_key, &root_issuer).unwrap();
        let middle_issuer = Issuer::new(middle_params, middle_key);
        let leaf_key = key();
        let leaf = CertificateParams::new(["a.example".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&leaf_key, &middle_issuer).unwrap();
        let chain = [leaf, middle, root].map(|made| made.der().to_vec());
        (chain.to_vec(), leaf_key.serialize_der())
    }

    fn archive(chain: &[Vec<u8>], key: &[u8], password: &str, how: EncryptionAlgorithm) -> Vec<u8> {
        let certs = chain.iter().map(|der| Certificate::from_der(der).unwrap());
        let key = PrivateKey::from_der(key).unwrap();
        let mut store = KeyStore::new();
        let entry = KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new("1", key, certs));
        store.add_entry("leaf", entry);
        let writer = store.writer(password).encryption_algorithm(how);
        writer
            .mac_algorithm(MacAlgorithm::HmacSha1)
            .encryption_iterations(10)
            .mac_iterations(10)
            .write()
            .unwrap()
    }

    #[test]
    fn archives_old_and_new_open_with_their_password_alone() {
        let (chain, key) = made();
        let expected: String =
            chain[..2].iter().map(|der| pem::block("CERTIFICATE", der)).collect();
        for how in [
            EncryptionAlgorithm::PbeWithHmacSha256AndAes256,
            EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc,
            EncryptionAlgorithm::PbeWithShaAnd40BitRc4Cbc,
        ] {
            for password in ["secret", "", "pässword"] {
                let archive = archive(&chain, &key, password, how);
                let opened = open(&archive, password).unwrap();
                assert_eq!(opened.chain, expected);
                assert_eq!(opened.key, pem::block("PRIVATE KEY", &key));
                let why = open(&archive, "other").unwrap_err();
                assert_eq!(why, "the password does not open it");
            }
        }
    }

    #[test]
    fn a_key_without_its_certificate_is_no_certificate() {
        let ((chain, _), (_, other)) = (made(), made());
        let how = EncryptionAlgorithm::PbeWithHmacSha256AndAes256;
        let archive = archive(&chain, &other, "x", how);
        assert_eq!(open(&archive, "x").unwrap_err(), "it has no certificate for its private key");
        assert!(open(b"0\x03abc", "x").unwrap_err().starts_with("it is no PKCS#12 archive"));
    }
}
