//! TLS towards clients and members, with OpenSSL's `s_client` and curl as the clients.

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;

use http::{Request, Response};
use http_body_util::Full;
use rcgen::{SerialNumber, date_time_ymd};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::authority::{Authority, Signed, ecdsa, rsa};
use crate::gateway::{Gateway, Plan, until};
use crate::peers;

/// A gateway with Https listeners on one port.
struct Site {
    spec: Value,
    secrets: Vec<Value>,
    plan: Plan,
}

impl Site {
    async fn new() -> Self {
        let member = peers::serve(|_, _| Response::new(Full::from("page"))).await;
        let plan = Plan::to(member);
        let spec = json!({
            "frontendPorts": [{"name": "https", "port": plan.https}],
            "sslCertificates": [], "httpListeners": [], "requestRoutingRules": [],
            "backendAddressPools": [{"name": "p", "backendAddresses": [{"ipAddress": "127.0.0.1"}]}],
            "backendHttpSettingsCollection":
                [{"name": "s", "port": member.port(), "protocol": "Http"}],
        });
        Self { spec, secrets: Vec::new(), plan }
    }

    fn secret(&mut self, name: &str, data: Value) {
        self.secrets.retain(|secret| secret["metadata"]["name"] != name);
        self.secrets.push(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data,
        }));
    }

    fn certificate(&mut self, name: &str, signed: &Signed) {
        self.secret(name, json!({"tls.crt": signed.chain, "tls.key": signed.key}));
        let item = json!({"name": name, "secretName": name});
        self.spec["sslCertificates"].as_array_mut().unwrap().push(item);
    }

    /// A listener with its rule: hosts, none for any, and more fields.
    fn listener(&mut self, name: &str, hosts: &[&str], fields: Value) {
        let mut listener = json!({"name": name, "frontendPort": "https", "protocol": "Https"});
        if !hosts.is_empty() {
            listener["hostNames"] = json!(hosts);
        }
        let fields = fields.as_object().unwrap().clone();
        listener.as_object_mut().unwrap().extend(fields);
        self.spec["httpListeners"].as_array_mut().unwrap().push(listener);
        let rules = self.spec["requestRoutingRules"].as_array_mut().unwrap();
        let priority = 10 + rules.len();
        rules.push(json!({
            "name": name, "ruleType": "Basic", "priority": priority, "httpListener": name,
            "backendAddressPool": "p", "backendHttpSettings": "s",
        }));
    }

    fn yaml(&self) -> String {
        let gateway = json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "ApplicationGateway",
            "metadata": {"name": "g"}, "spec": self.spec,
        });
        let all = std::iter::once(&gateway).chain(&self.secrets);
        all.map(|document| format!("---\n{document}\n")).collect()
    }

    async fn start(&self) -> Gateway {
        Gateway::start_ingresses(self.plan.clone(), &self.yaml()).await
    }

    /// Gives a running gateway what is here now.
    async fn apply(&self, gateway: &Gateway) {
        let before = gateway.status().await["revision"].as_u64().unwrap();
        gateway.write(&self.yaml());
        until("the table is swapped", async || {
            gateway.status().await["revision"].as_u64().unwrap() > before
        })
        .await;
    }
}

/// What `openssl s_client` says of a handshake; `None` if it failed.
async fn s_client(address: SocketAddr, name: Option<&str>, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-brief", "-connect", &address.to_string()]).args(arguments);
    match name {
        Some(name) => command.args(["-servername", name]),
        None => command.arg("-noservername"),
    };
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.contains("CONNECTION ESTABLISHED").then_some(text)
}

fn line<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim()
}

/// The status of curl's request; 0 if there was no answer.
async fn curl(address: SocketAddr, host: &str, arguments: &[&str]) -> u16 {
    let port = address.port();
    let output = Command::new("curl")
        .args(["--silent", "--insecure", "--max-time", "20", "--output", "/dev/null"])
        .args(["--write-out", "%{http_code}", "--resolve"])
        .arg(format!("{host}:{port}:127.0.0.1"))
        .args(arguments)
        .arg(format!("https://{host}:{port}/"))
        .output()
        .await
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}

/// A certificate in files, as curl wants it.
struct Files {
    _folder: TempDir,
    arguments: Vec<String>,
}

fn files(signed: &Signed) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("chain"), folder.path().join("key"));
    fs::write(&chain, &signed.chain).unwrap();
    fs::write(&key, &signed.key).unwrap();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let arguments = vec!["--cert".into(), path(&chain), "--key".into(), path(&key)];
    Files { _folder: folder, arguments }
}

impl Files {
    fn arguments(&self) -> Vec<&str> {
        self.arguments.iter().map(String::as_str).collect()
    }
}

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
        let told = s_client(gateway.https(), Some("a.example"), &["-alpn", "h2,http/1.1"]).await;
        told.is_some_and(|told| told.contains("h2"))
    };
    let version = async || {
        let output = Command::new("curl")
            .args(["-sk", "-o", "/dev/null", "-w", "%{http_version}"])
            .arg(format!("https://{}/", gateway.https()))
            .output();
        String::from_utf8(output.await.unwrap().stdout).unwrap()
    };
    assert_eq!(version().await, "2");
    site.spec["enableHttp2"] = json!(false);
    site.apply(&gateway).await;
    assert_eq!(version().await, "1.1");
    assert!(!alpn().await);
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

/// A site with a listener that asks clients for certificates of an authority below a root.
fn asking(site: &mut Site, root: &Authority, below: &Authority, how: Value) {
    site.certificate("own", &ecdsa(&["a.example"], 2040));
    site.secret("clients", json!({"ca.crt": root.pem() + &below.pem()}));
    site.spec["trustedClientCertificates"] = json!([{"name": "clients", "secretName": "clients"}]);
    site.spec["sslProfiles"] = json!([{
        "name": "mutual", "trustedClientCertificates": ["clients"],
        "clientAuthConfiguration": how,
    }]);
    let fields = json!({"sslCertificate": "own", "sslProfile": "mutual"});
    site.listener("mutual", &["m.example"], fields);
    site.listener("basic", &[], json!({"sslCertificate": "own"}));
}

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

/// A member that is `openssl s_server`, with a certificate and more arguments.
async fn s_server(signed: &Signed, more: &[&str]) -> (tokio::process::Child, SocketAddr, Files) {
    let files = files(signed);
    let address = SocketAddr::from(([127, 0, 0, 1], crate::gateway::free_port()));
    let own: Vec<String> = files.arguments.iter().map(|one| one.replace("--", "-")).collect();
    let child = Command::new("openssl")
        .args(["s_server", "-www", "-quiet", "-accept", &address.to_string()])
        .args(own)
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    until("the member listens", async || tokio::net::TcpStream::connect(address).await.is_ok())
        .await;
    (child, address, files)
}

#[tokio::test]
async fn members_are_judged_as_the_settings_say() {
    let authority = Authority::new("members");
    let member = |name: &str, until: i32| {
        authority.client("member", |params| {
            params.subject_alt_names = vec![rcgen::SanType::DnsName(name.try_into().unwrap())];
            params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
            params.not_after = date_time_ymd(until, 1, 1);
        })
    };
    let (good, old) = (member("member.example", 2040), member("member.example", 2021));
    let mine = authority.client("gateway", |_| {});
    let (ca, folder) = (authority.pem(), tempfile::tempdir().unwrap());
    let ca_file = folder.path().join("ca");
    fs::write(&ca_file, &ca).unwrap();
    let ca_file = ca_file.to_str().unwrap();
    let (_a, plain, _b) = s_server(&good, &[]).await;
    let (_c, expired, _d) = s_server(&old, &[]).await;
    let (_e, asks, _f) =
        s_server(&good, &["-Verify", "2", "-verify_return_error", "-CAfile", ca_file]).await;
    let (_g, newest, _h) = s_server(&good, &["-tls1_3"]).await;
    let (_i, older, _j) = s_server(&good, &["-tls1_2"]).await;
    let (_k, oldest, _l) = s_server(&good, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]).await;
    let roots = json!({"trustedRootCertificates": ["ca"]});
    let name = "member.example";
    let with = |mut base: Value, more: Value| {
        base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        base
    };
    for (member, settings, expected) in [
        (plain, with(roots.clone(), json!({"hostName": name})), true),
        (plain, with(roots.clone(), json!({"hostName": "other.example"})), false),
        (plain, with(roots.clone(), json!({"hostName": "other.example", "sniName": name})), true),
        (plain, with(roots.clone(), json!({"sniName": name})), true),
        (plain, with(roots.clone(), json!({"sniName": "other.example"})), false),
        (
            plain,
            with(roots.clone(), json!({"sniName": "other.example", "validateSNI": false})),
            true,
        ),
        (plain, json!({"hostName": name}), false),
        (plain, json!({"hostName": name, "validateCertChainAndExpiry": false}), true),
        (plain, json!({"hostName": "o.example", "validateCertChainAndExpiry": false}), false),
        (expired, with(roots.clone(), json!({"hostName": name})), false),
        (expired, with(roots.clone(), json!({"hostName": name, "validateSNI": false})), false),
        (expired, json!({"hostName": name, "validateCertChainAndExpiry": false}), true),
        (plain, json!({"authenticationCertificates": ["good"]}), true),
        (expired, json!({"authenticationCertificates": ["good"]}), false),
        (asks, with(roots.clone(), json!({"hostName": name})), false),
        (asks, with(roots.clone(), json!({"hostName": name, "clientCertificate": "mine"})), true),
        (newest, with(roots.clone(), json!({"hostName": name})), true),
        (older, with(roots.clone(), json!({"hostName": name})), true),
        (oldest, with(roots.clone(), json!({"hostName": name})), false),
    ] {
        let mut site = Site::new().await;
        site.certificate("mine", &mine);
        site.listener("basic", &[], json!({"sslCertificate": "mine"}));
        site.secret("ca", json!({"ca.crt": ca}));
        site.secret("good", json!({"ca.crt": good.chain}));
        site.spec["trustedRootCertificates"] = json!([{"name": "ca", "secretName": "ca"}]);
        site.spec["authenticationCertificates"] = json!([{"name": "good", "secretName": "good"}]);
        let base = json!({"name": "s", "port": member.port(), "protocol": "Https", "probe": "h"});
        site.spec["backendHttpSettingsCollection"] = json!([with(base, settings.clone())]);
        site.spec["probes"] = json!([
            {"name": "h", "protocol": "Https", "interval": 1, "timeout": 5, "unhealthyThreshold": 1}
        ]);
        let gateway = Gateway::start_yaml(site.plan.clone(), &site.yaml()).await;
        let state = if expected { "Up" } else { "Down" };
        until(&format!("the member is {state}: {settings}"), async || {
            gateway.members().await == [state]
        })
        .await;
        let status = curl(gateway.https(), "a.example", &[]).await;
        assert_eq!(status, if expected { 200 } else { 502 }, "{settings}");
    }
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
