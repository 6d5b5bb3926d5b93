//! What is asked of clients.

use std::fs;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Request;
use rcgen::{SerialNumber, date_time_ymd};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::process::Command;

use super::{Files, Site, asking, curl, files};
use crate::authority::{Authority, Signed, ecdsa};
use crate::gateway::{Gateway, until};
use crate::peers;

#[tokio::test]
async fn requests_without_a_good_client_certificate_are_answered_400() {
    let (root, stranger) = (Authority::new("root"), Authority::new("stranger"));
    let (below, beside) = (root.below("below"), root.below("beside"));
    let mut site = Site::new().await;
    asking(
        &mut site,
        &root,
        &below,
        json!({"verifyClientCertIssuerDN": true, "verifyClientRevocation": "CRL"}),
    );
    let chain = root.pem() + &below.pem();
    let crl = |lists: String| json!({"ca.crt": chain.clone(), "ca.crl": lists});
    site.secret("clients", crl(below.revoked(&[66], 2040) + &beside.revoked(&[], 2040)));
    let gateway = site.start().await;
    let signed = |authority: &Authority, serial: u64, until: i32| {
        authority.client("device", |params| {
            params.serial_number = Some(SerialNumber::from(serial));
            params.not_after = date_time_ymd(until, 1, 1);
        })
    };
    let good = signed(&below, 7, 2040);
    let mut of_beside = signed(&beside, 8, 2040);
    of_beside.chain += &beside.pem();
    let early = below.client("device", |params| params.not_before = date_time_ymd(2039, 1, 1));
    let server = below.client("device", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    let ask = async |signed: Option<&Signed>, more: &[&str]| {
        let files = signed.map(files);
        let own = files.as_ref().map(Files::arguments).unwrap_or_default();
        curl(gateway.https(), "m.example", &[&own[..], more].concat()).await
    };
    let handshake = [
        "-H",
        "Connection: Upgrade",
        "-H",
        "Upgrade: websocket",
        "-H",
        "Sec-WebSocket-Version: 13",
        "-H",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "--http1.1",
    ];
    for (signed, expected, verification) in [
        (Some(&good), 200, "SUCCESS"),
        (None, 400, "NONE"),
        (Some(&signed(&below, 9, 2021)), 400, "FAILED:certificate has expired"),
        (Some(&early), 400, "FAILED:certificate is not yet valid"),
        (Some(&signed(&stranger, 9, 2040)), 400, "FAILED:issuer is not trusted"),
        (Some(&of_beside), 400, "FAILED:issuer is not the one wanted"),
        (Some(&signed(&below, 66, 2040)), 400, "FAILED:certificate revoked"),
        (Some(&signed(&root, 9, 2040)), 400, "FAILED:no revocation list of the issuer"),
        (Some(&server), 400, "FAILED:certificate is not for clients"),
    ] {
        for version in [&[][..], &["--http1.1"], &["--tls-max", "1.2"]] {
            assert_eq!(ask(signed, version).await, expected, "{verification} {version:?}");
        }
        if expected == 400 {
            assert_eq!(ask(signed, &handshake).await, 400, "{verification}");
        }
        until(&format!("the access log tells of {verification}"), async || {
            let log = fs::read_to_string(gateway.path("log.json")).unwrap_or_default();
            log.contains(&format!("\"sslClientVerify\":\"{verification}\""))
        })
        .await;
    }
    let log = fs::read_to_string(gateway.path("log.json")).unwrap();
    assert!(log.contains("ERRORINFO_HTTPS_NO_CERT") && log.contains("ERRORINFO_HTTPS_CERT_ERROR"));
    assert!(log.contains("\"sslClientCertificateIssuerName\":\"CN=below\""), "{log}");
    // Another listener asks for nothing; its connections do not reach this one's.
    assert_eq!(curl(gateway.https(), "other.example", &[]).await, 200);
    let host = ["-H", "Host: m.example"];
    assert_eq!(curl(gateway.https(), "other.example", &host).await, 421);
    // What is revoked is not taken from then on, whatever session is resumed.
    site.secret("clients", crl(below.revoked(&[7, 66], 2040)));
    site.apply(&gateway).await;
    assert_eq!(ask(Some(&good), &[]).await, 400);
    // A list that has run out says nothing.
    site.secret("clients", crl(below.revoked(&[66], 2025)));
    site.apply(&gateway).await;
    assert_eq!(ask(Some(&good), &[]).await, 400);
}

#[tokio::test]
async fn a_certificate_that_is_optional_lets_every_request_through() {
    let (root, stranger) = (Authority::new("root"), Authority::new("stranger"));
    let below = root.below("below");
    let mut site = Site::new().await;
    asking(&mut site, &root, &below, json!({"verifyClientAuthMode": "Passthrough"}));
    let gateway = site.start().await;
    let (good, bad) = (below.client("a", |_| {}), stranger.client("b", |_| {}));
    for (signed, verification) in
        [(None, "NONE"), (Some(&good), "SUCCESS"), (Some(&bad), "FAILED:issuer is not trusted")]
    {
        let files = signed.map(files);
        let arguments = files.as_ref().map(Files::arguments).unwrap_or_default();
        assert_eq!(curl(gateway.https(), "m.example", &arguments).await, 200, "{verification}");
        until(&format!("the access log tells of {verification}"), async || {
            let log = fs::read_to_string(gateway.path("log.json")).unwrap_or_default();
            log.contains(&format!("\"sslClientVerify\":\"{verification}\""))
        })
        .await;
    }
}

/// The status of a request over HTTP/3; `None` if the handshake failed.
async fn http3(gateway: &Gateway, host: &str, own: Option<&Signed>, trusted: &str) -> Option<u16> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let builder = rustls::ClientConfig::builder_with_provider(peers::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let chain = CertificateDer::pem_slice_iter(own.chain.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h3".to_vec()];
    let config = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
    let mut endpoint = quinn::Endpoint::client("0.0.0.0:0".parse().unwrap()).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(config)));
    let quic = endpoint.connect(gateway.https(), host).unwrap().await.ok()?;
    let (mut driver, mut send) = h3::client::new(h3_quinn::Connection::new(quic)).await.ok()?;
    let driver =
        tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
    let request = Request::get(format!("https://{host}/")).body(()).unwrap();
    let mut stream = send.send_request(request).await.ok()?;
    stream.finish().await.ok()?;
    let status = stream.recv_response().await.ok()?.status().as_u16();
    driver.abort();
    Some(status)
}

#[tokio::test]
async fn http_3_goes_by_the_name_as_well() {
    let root = Authority::new("root");
    let below = root.below("below");
    let mut site = Site::new().await;
    let own = ecdsa(&["m.example", "old.example", "other.example"], 2040);
    asking(&mut site, &root, &below, json!({}));
    site.secret("own", json!({"tls.crt": own.chain, "tls.key": own.key}));
    let profiles = site.spec["sslProfiles"].as_array_mut().unwrap();
    let old = json!({"policyName": "AppGwSslPolicy20170401S"});
    profiles.push(json!({"name": "old", "sslPolicy": old}));
    let fields = json!({"sslCertificate": "own", "sslProfile": "old"});
    site.listener("old", &["old.example"], fields);
    // Priorities decide which listener takes a name: the basic one is the last.
    site.spec["requestRoutingRules"][1]["priority"] = json!(100);
    let gateway = site.start().await;
    let good = below.client("a", |_| {});
    for (host, signed, expected) in [
        ("other.example", None, Some(200)),
        ("m.example", None, Some(400)),
        ("m.example", Some(&good), Some(200)),
        ("old.example", None, None),
    ] {
        assert_eq!(http3(&gateway, host, signed, &own.chain).await, expected, "{host}");
    }
    let head = async |host: &str| {
        let field = format!("{host}:{}:127.0.0.1", gateway.plan.https);
        let url = format!("https://{host}:{}/", gateway.plan.https);
        let arguments = ["-skD", "-", "-o", "/dev/null", "--resolve", &field, &url];
        let output = Command::new("curl").args(arguments).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap().to_lowercase()
    };
    assert!(head("other.example").await.contains("alt-svc:"));
    assert!(!head("old.example").await.contains("alt-svc:"));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_the_reason() {
    let root = Authority::new("root");
    for (change, why) in [
        (
            json!({"sslProfiles": [{"name": "mutual", "trustedClientCertificates": ["clients"],
            "clientAuthConfiguration": {"verifyClientRevocation": "OCSP"}}]}),
            "OCSP is not supported",
        ),
        (
            json!({"sslProfiles": [{"name": "mutual", "trustedClientCertificates": ["clients"],
            "clientAuthConfiguration": {"verifyClientRevocation": "CRL"}}]}),
            "no ca.crl",
        ),
        (
            json!({"sslProfiles": [{"name": "mutual", "trustedClientCertificates": ["others"]}]}),
            "in trustedClientCertificates",
        ),
        (
            json!({"sslProfiles": [{"name": "mutual", "sslPolicy": {"policyType": "Custom",
            "cipherSuites": ["TLS_RSA_WITH_3DES_EDE_CBC_SHA"]}}]}),
            "nothing that it asks for is safe",
        ),
    ] {
        let mut site = Site::new().await;
        asking(&mut site, &root, &root.below("below"), json!({}));
        site.spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let gateway = site.start().await;
        let problems = gateway.status().await["problems"].to_string();
        assert!(problems.contains(why), "{problems}");
        // Its hosts are not served without what it asks for, by itself or by the basic listener.
        assert_eq!(curl(gateway.https(), "m.example", &[]).await, 502, "{why}");
        assert_eq!(curl(gateway.https(), "other.example", &[]).await, 200, "{why}");
    }
}

#[tokio::test]
async fn the_authorities_of_clients_are_found_wherever_they_may_stand() {
    let (root, stranger) = (Authority::new("root"), Authority::new("stranger"));
    let below = root.below("below");
    let (good, bad) = (below.client("a", |_| {}), stranger.client("b", |_| {}));
    let pem = root.pem() + &below.pem();
    let der = CertificateDer::from_pem_slice(below.pem().as_bytes()).unwrap();
    let granted = json!({
        "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
        "metadata": {"name": "grant", "namespace": "other"},
        "spec": {
            "from": [{
                "group": "tidegate.dev", "kind": "ApplicationGateway", "namespace": "default",
            }],
            "to": [{"group": "", "kind": "Secret"}],
        },
    });
    let elsewhere = json!({"name": "clients", "secretName": "c", "secretNamespace": "other"});
    for (what, source, grant, expected) in [
        ("PEM", json!({"name": "clients", "data": pem}), false, 200),
        ("Base64", json!({"name": "clients", "data": BASE64_STANDARD.encode(&pem)}), false, 200),
        ("DER", json!({"name": "clients", "data": BASE64_STANDARD.encode(&der)}), false, 200),
        ("nonsense", json!({"name": "clients", "data": "nonsense"}), false, 502),
        ("not granted", elsewhere.clone(), false, 502),
        ("granted", elsewhere, true, 200),
    ] {
        let mut site = Site::new().await;
        asking(&mut site, &root, &below, json!({}));
        site.spec["trustedClientCertificates"] = json!([source]);
        site.secret("c", json!({"ca.crt": pem}));
        let secret = site.secrets.last_mut().unwrap();
        secret["metadata"]["namespace"] = json!("other");
        site.secrets.extend(grant.then(|| granted.clone()));
        let gateway = site.start().await;
        for (signed, expected) in
            [(&good, expected), (&bad, if expected == 200 { 400 } else { expected })]
        {
            let files = files(signed);
            let status = curl(gateway.https(), "m.example", &files.arguments()).await;
            assert_eq!(status, expected, "{what}");
        }
    }
}
