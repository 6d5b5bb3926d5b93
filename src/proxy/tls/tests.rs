use std::sync::Arc;

use rustls::{ClientConnection, RootCertStore, ServerConnection};
use tidegate_model::{Certificate, HostPattern, Trust, TrustedRoots};

use super::{Backends, Profile};

struct Made {
    certificate: Arc<Certificate>,
    pem: String,
}

fn make(name: &str) -> Made {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let certificate = Certificate::from_pem(name, pem.as_bytes(), key.as_bytes()).unwrap();
    Made { certificate: Arc::new(certificate), pem }
}

fn hosts(names: &[&str]) -> Vec<HostPattern> {
    names.iter().map(|name| HostPattern::new(name).unwrap()).collect()
}

/// Shakes hands in memory; the certificate that the server showed, and whether it resumed.
fn shake(
    profile: &Profile,
    config: &Arc<rustls::ClientConfig>,
    name: &str,
) -> Result<(Vec<u8>, bool), rustls::Error> {
    let name = name.to_owned().try_into().unwrap();
    let mut client = ClientConnection::new(config.clone(), name).unwrap();
    let mut server = ServerConnection::new(profile.config()).unwrap();
    for _ in 0..8 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    let shown = client.peer_certificates().unwrap()[0].to_vec();
    let resumed = client.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    Ok((shown, resumed))
}

fn trusting(all: &[&Made]) -> Arc<rustls::ClientConfig> {
    let mut roots = RootCertStore::empty();
    for made in all {
        roots.add(made.certificate.chain()[0].clone()).unwrap();
    }
    let config = rustls::ClientConfig::builder_with_provider(super::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[test]
fn the_name_asked_for_chooses_the_certificate() {
    let (a, wild, basic) = (make("a.example"), make("*.w.example"), make("basic.test"));
    let profile = Profile::new(
        &[
            (hosts(&["*.w.example"]), wild.certificate.clone()),
            (hosts(&["a.example"]), a.certificate.clone()),
            (hosts(&[]), basic.certificate.clone()),
        ],
        None,
        &Arc::default(),
        "f",
    )
    .unwrap();
    let client = trusting(&[&a, &wild, &basic]);
    for (name, expected) in [("a.example", &a), ("b.w.example", &wild), ("basic.test", &basic)] {
        let (shown, _) = shake(&profile, &client, name).unwrap();
        assert_eq!(shown, expected.certificate.chain()[0].to_vec(), "{name}");
    }
}

#[test]
fn without_a_match_or_a_basic_listener_the_first_certificate_is_shown() {
    let (a, b) = (make("a.example"), make("b.example"));
    let certificates = [
        (hosts(&["a.example"]), a.certificate.clone()),
        (hosts(&["b.example"]), b.certificate.clone()),
    ];
    let profile = Profile::new(&certificates, None, &Arc::default(), "f").unwrap();
    let error = shake(&profile, &trusting(&[&a, &b]), "c.example").unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[test]
fn sessions_are_resumed_after_a_swap() {
    let a = make("a.example");
    let certificates = [(hosts(&[]), a.certificate.clone())];
    let first = Profile::new(&certificates, None, &Arc::default(), "f").unwrap();
    let client = trusting(&[&a]);
    assert!(!shake(&first, &client, "a.example").unwrap().1);
    let second = Profile::new(&certificates, Some(&first), &Arc::default(), "f").unwrap();
    assert!(shake(&second, &client, "a.example").unwrap().1);
    assert!(Arc::ptr_eq(&first.keys[0].1, &second.keys[0].1), "the key was parsed again");
    let unrelated = Profile::new(&certificates, None, &Arc::default(), "f").unwrap();
    assert!(!shake(&unrelated, &client, "a.example").unwrap().1);
}

#[test]
fn members_are_trusted_by_the_authorities_given_and_no_other() {
    let (a, b) = (make("a.example"), make("b.example"));
    let profile =
        Profile::new(&[(hosts(&[]), a.certificate.clone())], None, &Arc::default(), "f").unwrap();
    let backends = Backends::new();
    let trust =
        |made: &Made| Trust::Roots(Arc::new(TrustedRoots::from_pem(made.pem.as_bytes()).unwrap()));
    let right = backends.config(&trust(&a)).unwrap();
    assert!(shake(&profile, &right, "a.example").is_ok());
    assert!(Arc::ptr_eq(&right, &backends.config(&trust(&a)).unwrap()));
    assert!(shake(&profile, &backends.config(&trust(&b)).unwrap(), "a.example").is_err());
    assert!(shake(&profile, &backends.config(&Trust::WellKnown).unwrap(), "a.example").is_err());
}
