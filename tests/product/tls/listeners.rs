//! What clients are offered and shown.

use std::process::Stdio;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Site, curl, line, s_client};
use crate::authority::{ecdsa, rsa};
use crate::peers;

#[tokio::test]
async fn policies_offer_their_versions_and_suites_in_their_order() {
    let mut site = Site::new().await;
    site.certificate("rsa", &rsa(&["a.example"]));
    const AES128: &str = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
    const AES256: &str = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";
    let custom = |kind: &str, suites: &[&str]| json!({"policyType": kind, "cipherSuites": suites});
    site.spec["sslProfiles"] = json!([
        {"name": "old", "sslPolicy": {"policyName": "AppGwSslPolicy20170401S"}},
        {"name": "new", "sslPolicy": {"policyType": "CustomV2", "minProtocolVersion": "TLSv1_3"}},
        {"name": "first128", "sslPolicy": custom("Custom", &[AES128, AES256])},
        {"name": "first256", "sslPolicy": custom("CustomV2", &[AES256, AES128])},
    ]);
    site.spec["sslPolicy"] = json!({"policyName": "AppGwSslPolicy20220101S"});
    for profile in ["old", "new", "first128", "first256"] {
        let host = format!("{profile}.example");
        let fields = json!({"sslCertificate": "rsa", "sslProfile": profile});
        site.listener(profile, &[&host], fields);
    }
    site.listener("basic", &[], json!({"sslCertificate": "rsa"}));
    let gateway = site.start().await;
    let weak = ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256:AES128-GCM-SHA256@SECLEVEL=0"];
    let (aes128, aes256) = ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384");
    let both = format!("{aes256}:{aes128}");
    let one_to_two = ["-tls1_2", "-cipher", &both];
    let swapped = format!("{aes128}:{aes256}");
    let two_to_one = ["-tls1_2", "-cipher", &swapped];
    let before = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"];
    for (name, arguments, expected) in [
        ("old.example", &[][..], Some(("TLSv1.2", ""))),
        ("old.example", &["-tls1_3"], None),
        ("new.example", &[], Some(("TLSv1.3", ""))),
        ("new.example", &["-tls1_2"], None),
        ("first128.example", &one_to_two, Some(("TLSv1.2", aes128))),
        ("first128.example", &two_to_one, Some(("TLSv1.2", aes128))),
        ("first128.example", &["-tls1_3"], None),
        ("first256.example", &two_to_one, Some(("TLSv1.2", aes256))),
        ("first256.example", &[], Some(("TLSv1.3", "TLS_AES_256_GCM_SHA384"))),
        ("other.example", &[], Some(("TLSv1.3", ""))),
        ("other.example", &["-tls1_2"], Some(("TLSv1.2", ""))),
        ("other.example", &weak, None),
        ("old.example", &weak, None),
        ("old.example", &before, None),
        ("other.example", &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], None),
    ] {
        let told = s_client(gateway.https(), Some(name), arguments).await;
        assert_eq!(told.is_some(), expected.is_some(), "{name} {arguments:?} {told:?}");
        if let (Some(told), Some((version, suite))) = (told, expected) {
            assert_eq!(line(&told, "Protocol version:"), version, "{name} {arguments:?}");
            assert!(line(&told, "Ciphersuite:").contains(suite), "{name} {arguments:?} {told}");
        }
    }
    // A host whose policy the connection does not meet is asked for on another one.
    for (host, expected) in [("old.example", 200), ("new.example", 421)] {
        let field = format!("Host: {host}");
        assert_eq!(curl(gateway.https(), "old.example", &["-H", &field]).await, expected, "{host}");
    }
}

#[tokio::test]
async fn http_2_can_be_switched_off() {
    let mut site = Site::new().await;
    site.certificate("own", &ecdsa(&["a.example"], 2040));
    site.listener("basic", &[], json!({"sslCertificate": "own"}));
    let gateway = site.start().await;
    let alpn = async || {
        let mut command = Command::new("openssl");
        let address = gateway.https().to_string();
        command.args(["s_client", "-connect", &address, "-alpn", "h2,http/1.1"]);
        let output = command.stdin(Stdio::null()).output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        line(&told, "ALPN protocol:").to_owned()
    };
    let version = async || {
        let output = Command::new("curl")
            .args(["-sk", "-o", "/dev/null", "-w", "%{http_version}"])
            .arg(format!("https://{}/", gateway.https()))
            .output();
        String::from_utf8(output.await.unwrap().stdout).unwrap()
    };
    assert_eq!((version().await.as_str(), alpn().await.as_str()), ("2", "h2"));
    site.spec["enableHttp2"] = json!(false);
    site.apply(&gateway).await;
    assert_eq!((version().await.as_str(), alpn().await.as_str()), ("1.1", "http/1.1"));
}

#[tokio::test]
async fn the_name_asked_for_chooses_the_certificate_as_application_gateway_says() {
    let mut site = Site::new().await;
    for name in ["one", "two", "basic"] {
        site.certificate(name, &ecdsa(&[&format!("{name}.cert")], 2040));
    }
    site.listener("l1", &["*.example"], json!({"sslCertificate": "one"}));
    site.listener("l2", &["b.test"], json!({"sslCertificate": "two"}));
    let gateway = site.start().await;
    let host = async |name: Option<&str>| {
        let mut command = Command::new("openssl");
        let address = gateway.https().to_string();
        command.args(["s_client", "-connect", &address]);
        match name {
            Some(name) => command.args(["-servername", name]),
            None => command.arg("-noservername"),
        };
        let output = command.stdin(Stdio::null()).output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let pem = text.split_once("-----BEGIN CERTIFICATE-----")?.1;
        let pem = pem.split_once("-----END CERTIFICATE-----")?.0;
        let pem = format!("-----BEGIN CERTIFICATE-----{pem}-----END CERTIFICATE-----\n");
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        ["one.cert", "two.cert", "basic.cert"]
            .into_iter()
            .find(|name| der.windows(name.len()).any(|window| window == name.as_bytes()))
    };
    for (name, expected) in [
        (Some("a.example"), Some("one.cert")),
        (Some("b.test"), Some("two.cert")),
        // No match, and no name: without a basic listener, the first by rule order.
        (Some("c.test"), Some("one.cert")),
        (None, Some("one.cert")),
    ] {
        assert_eq!(host(name).await, expected, "{name:?}");
    }
    // With one, that one's.
    site.listener("l3", &[], json!({"sslCertificate": "basic"}));
    site.apply(&gateway).await;
    for (name, expected) in [
        (Some("a.example"), Some("one.cert")),
        (Some("c.test"), Some("basic.cert")),
        (None, Some("basic.cert")),
    ] {
        assert_eq!(host(name).await, expected, "{name:?}");
    }
    // With requireServerNameIndication on all, a handshake without a match is refused.
    let rules = site.spec["requestRoutingRules"].as_array_mut().unwrap();
    rules.pop();
    let listeners = site.spec["httpListeners"].as_array_mut().unwrap();
    listeners.pop();
    listeners.iter_mut().for_each(|its| its["requireServerNameIndication"] = json!(true));
    site.apply(&gateway).await;
    for (name, expected) in
        [(Some("b.test"), Some("two.cert")), (Some("c.test"), None), (None, None)]
    {
        assert_eq!(host(name).await, expected, "{name:?}");
    }
    // A host is not served by a handshake for another one.
    for (field, expected) in [("Host: b.test", 200), ("Host: a.example", 421)] {
        assert_eq!(curl(gateway.https(), "b.test", &["-H", field]).await, expected, "{field}");
    }
}

#[tokio::test]
async fn of_two_certificates_a_client_gets_the_one_that_it_can_verify() {
    let mut site = Site::new().await;
    site.certificate("ecdsa", &ecdsa(&["a.example"], 2040));
    site.certificate("rsa", &rsa(&["a.example"]));
    site.listener("basic", &[], json!({"sslCertificate": "ecdsa", "sslCertificates": ["rsa"]}));
    let gateway = site.start().await;
    for (arguments, expected) in [
        (&["-sigalgs", "ECDSA+SHA256"][..], "ECDSA"),
        (&["-sigalgs", "RSA-PSS+SHA256"], "RSA-PSS"),
        (&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "RSA"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "ECDSA"),
        (&[], "ECDSA"),
    ] {
        let told = s_client(gateway.https(), Some("a.example"), arguments).await.unwrap();
        let kind = line(&told, "Signature type:");
        assert!(kind.starts_with(expected), "{arguments:?} {told}");
    }
}

#[tokio::test]
async fn a_certificate_is_replaced_under_open_connections_and_its_expiry_is_told() {
    let mut site = Site::new().await;
    site.certificate("own", &ecdsa(&["a.example"], 2040));
    site.listener("basic", &[], json!({"sslCertificate": "own"}));
    let gateway = site.start().await;
    let chain = site.secrets[0]["stringData"]["tls.crt"].as_str().unwrap().to_owned();
    let mut open = peers::tls(gateway.https(), &chain, "a.example").await;
    let metric = "tidegate_certificate_expiry_timestamp_seconds{gateway=\"default/g\",\
                  certificate=\"default/own\"}";
    let told = gateway.metrics().await;
    assert!(told.contains(&format!("{metric} 2208988801")), "{told}");
    let next = ecdsa(&["a.example"], 2020);
    site.secret("own", json!({"tls.crt": next.chain, "tls.key": next.key}));
    site.apply(&gateway).await;
    assert!(gateway.metrics().await.contains(&format!("{metric} 1577836801")));
    let problems = gateway.status().await["problems"].to_string();
    assert!(problems.contains("expired, at 2020-01-01"), "{problems}");
    open.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await.unwrap();
    assert!(peers::read_response(&mut open).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_listener_without_its_certificate_keeps_its_hosts() {
    let mut site = Site::new().await;
    site.certificate("own", &ecdsa(&["a.example"], 2040));
    site.listener("gone", &["gone.example"], json!({"sslCertificate": "other"}));
    site.listener("basic", &[], json!({"sslCertificate": "own"}));
    let gateway = site.start().await;
    // The basic listener was never meant to see what is asked of the other one.
    for (host, expected) in [("gone.example", 502), ("other.example", 200)] {
        assert_eq!(curl(gateway.https(), host, &[]).await, expected, "{host}");
    }
    site.certificate("other", &ecdsa(&["gone.example"], 2040));
    site.apply(&gateway).await;
    assert_eq!(curl(gateway.https(), "gone.example", &[]).await, 200);
    // Lost again, and with it every certificate of the port: nothing can be answered any more.
    site.spec["sslCertificates"] = json!([]);
    site.apply(&gateway).await;
    assert_eq!(curl(gateway.https(), "gone.example", &[]).await, 0);
}
