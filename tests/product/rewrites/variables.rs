//! Every server variable, with plain and TLS connections, HTTP/1.1, HTTP/2 and HTTP/3, and with a
//! client's certificate.

use std::fs;
use std::process::Stdio;

use bytes::Buf;
use http::Request;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::{Seen, mirror, over_http2};
use crate::authority::Authority;
use crate::gateway::Gateway;
use crate::peers::{header, read_response};
use crate::quic;
use crate::spec::Spec;

/// All that have a value before the member has answered.
const OF_REQUESTS: [&str; 20] = [
    "add_x_forwarded_for_proxy",
    "ciphers_supported",
    "ciphers_used",
    "client_ip",
    "client_port",
    "client_tcp_rtt",
    "client_user",
    "host",
    "cookie_Id",
    "http_method",
    "http_version",
    "query_string",
    "received_bytes",
    "request_query",
    "request_scheme",
    "request_uri",
    "server_port",
    "ssl_connection_protocol",
    "ssl_enabled",
    "uri_path",
];

const OF_CERTIFICATES: [&str; 8] = [
    "client_certificate",
    "client_certificate_end_date",
    "client_certificate_fingerprint",
    "client_certificate_issuer",
    "client_certificate_serial",
    "client_certificate_start_date",
    "client_certificate_subject",
    "client_certificate_verification",
];

fn field(variable: &str) -> String {
    format!("x-{}", variable.replace('_', "-").to_lowercase())
}

/// A set that shows all variables to the member.
fn showing() -> Value {
    let all = OF_REQUESTS.iter().chain(&OF_CERTIFICATES);
    let actions: Vec<Value> = all
        .map(|its| json!({"headerName": field(its), "headerValue": format!("{{var_{its}}}")}))
        .collect();
    let response =
        json!([{"headerName": "x-answer", "headerValue": "{var_http_status} {var_sent_bytes}"}]);
    json!([{"name": "s", "rewriteRules": [{"name": "r", "ruleSequence": 1, "actionSet":
        {"requestHeaderConfigurations": actions, "responseHeaderConfigurations": response}}]}])
}

async fn spec() -> Spec {
    Spec::to(mirror().await).with(|spec| {
        spec["rewriteRuleSets"] = showing();
        for rule in spec["requestRoutingRules"].as_array_mut().unwrap() {
            rule["rewriteRuleSet"] = json!("s");
        }
    })
}

/// The value of a variable; empty if the member saw none.
fn shown(seen: &Seen, variable: &str) -> String {
    seen.request(&field(variable)).join("|")
}

#[tokio::test]
async fn every_server_variable_has_its_value_over_http1() {
    let gateway = spec().await.start().await;
    let mut client = TcpStream::connect(gateway.http()).await.unwrap();
    let head = "POST /a/b?c=d&e HTTP/1.1\r\nHost: Shop.example:99\r\nX-Forwarded-For: 1.2.3.4\r\n\
        Authorization: Basic dXNlcjpwYXNz\r\nCookie: a=b; Id=7\r\nContent-Length: 5\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(b"12345").await.unwrap();
    let port = client.local_addr().unwrap().port().to_string();
    let answer = read_response(&mut client).await;
    assert_eq!(header(&answer, "x-answer"), Some("200 0"));
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let member = serde_json::from_str(body).unwrap();
    let seen = Seen { status: 200, member, headers: Default::default() };
    let length = (head.len() + 5).to_string();
    let server_port = gateway.plan.http.to_string();
    for (variable, expected) in [
        ("add_x_forwarded_for_proxy", "1.2.3.4, 127.0.0.1"),
        ("ciphers_supported", ""),
        ("ciphers_used", ""),
        ("client_ip", "127.0.0.1"),
        ("client_port", &port),
        ("client_user", "user"),
        ("host", "shop.example"),
        ("cookie_Id", "7"),
        ("http_method", "POST"),
        ("http_version", "HTTP/1.1"),
        ("query_string", "c=d&e"),
        ("received_bytes", &length),
        ("request_query", "c=d&e"),
        ("request_scheme", "http"),
        ("request_uri", "/a/b?c=d&e"),
        ("server_port", &server_port),
        ("ssl_connection_protocol", ""),
        ("ssl_enabled", ""),
        ("uri_path", "/a/b"),
        ("client_certificate", ""),
        ("client_certificate_verification", "NONE"),
    ] {
        assert_eq!(shown(&seen, variable), expected, "{variable}");
    }
    let rtt: u64 = shown(&seen, "client_tcp_rtt").parse().unwrap();
    assert!(rtt > 0 && rtt < 10_000_000, "{rtt} microseconds");
}

fn check_tls(seen: &Seen, gateway: &Gateway, version: &str) {
    let server_port = gateway.plan.https.to_string();
    for (variable, expected) in [
        ("add_x_forwarded_for_proxy", "127.0.0.1"),
        ("client_ip", "127.0.0.1"),
        ("client_user", ""),
        ("host", "localhost"),
        ("cookie_Id", "7"),
        ("http_method", "GET"),
        ("http_version", version),
        ("query_string", "c=d"),
        ("request_scheme", "https"),
        ("request_uri", "/a?c=d"),
        ("server_port", &server_port),
        ("ssl_connection_protocol", "TLSv1.3"),
        ("ssl_enabled", "On"),
        ("uri_path", "/a"),
        ("client_certificate", ""),
        ("client_certificate_subject", ""),
        ("client_certificate_verification", "NONE"),
    ] {
        assert_eq!(shown(seen, variable), expected, "{variable} over {version}");
    }
    let rtt: u64 = shown(seen, "client_tcp_rtt").parse().unwrap();
    assert!(rtt > 0 && rtt < 10_000_000, "{rtt} microseconds");
    let received: u64 = shown(seen, "received_bytes").parse().unwrap();
    assert!(received > 20, "{received}");
    let port: u16 = shown(seen, "client_port").parse().unwrap();
    assert!(port > 1023, "{port}");
    assert!(!shown(seen, "ciphers_used").is_empty());
}

#[tokio::test]
async fn every_server_variable_has_its_value_over_http2_and_http3() {
    let spec = spec().await;
    let gateway = spec.start().await;
    let seen = over_http2(&gateway, "localhost", "/a?c=d", &[("cookie", "Id=7")]).await;
    check_tls(&seen, &gateway, "HTTP/2.0");
    assert!(shown(&seen, "ciphers_used").starts_with("TLS13_"));
    let offered = shown(&seen, "ciphers_supported");
    assert!(offered.contains("TLS13_AES_128_GCM_SHA256") && offered.contains(':'), "{offered}");
    assert_eq!(seen.response("x-answer"), ["200 0"]);

    let endpoint = quic::endpoint(&gateway.plan.certificate.0);
    let connection = endpoint.connect(gateway.https(), "localhost").unwrap().await.unwrap();
    let (mut driver, mut sender) =
        h3::client::new(h3_quinn::Connection::new(connection)).await.unwrap();
    let driving =
        tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
    let request =
        Request::get("https://localhost/a?c=d").header("cookie", "Id=7").body(()).unwrap();
    let mut stream = sender.send_request(request).await.unwrap();
    stream.finish().await.unwrap();
    let response = stream.recv_response().await.unwrap();
    let mut body = Vec::new();
    while let Some(part) = stream.recv_data().await.unwrap() {
        body.extend_from_slice(part.chunk());
    }
    let member = serde_json::from_slice(&body).unwrap();
    let seen = Seen { status: 200, member, headers: response.headers().clone() };
    check_tls(&seen, &gateway, "HTTP/3.0");
    assert_eq!(seen.response("x-answer"), ["200 0"]);
    drop(sender);
    driving.abort();
}

/// What curl was answered, with these arguments.
async fn curl(gateway: &Gateway, arguments: &[&str]) -> Seen {
    let port = gateway.https().port();
    let output = Command::new("curl")
        .args(["--silent", "--insecure", "--max-time", "20"])
        .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
        .args(arguments)
        .arg(format!("https://localhost:{port}/"))
        .stderr(Stdio::inherit())
        .output()
        .await
        .unwrap();
    let member = serde_json::from_slice(&output.stdout).unwrap();
    Seen { status: 200, member, headers: Default::default() }
}

/// What `openssl x509` prints of a certificate.
async fn openssl(file: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(["x509", "-in", file, "-noout"]).args(arguments);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let value = text.trim().split_once('=').map_or(text.trim(), |(_, value)| value);
    value.to_owned()
}

#[tokio::test]
async fn the_variables_of_a_clients_certificate_say_what_openssl_says() {
    let (authority, stranger) = (Authority::new("Devices"), Authority::new("Strangers"));
    let spec = spec().await.with(|spec| {
        spec["trustedClientCertificates"] = json!([{"name": "devices", "data": authority.pem()}]);
        spec["sslProfiles"] = json!([{
            "name": "mutual", "trustedClientCertificates": ["devices"],
            "clientAuthConfiguration": {"verifyClientAuthMode": "Passthrough"},
        }]);
        spec["httpListeners"][1]["sslProfile"] = json!("mutual");
    });
    let gateway = spec.start().await;
    let folder = tempfile::tempdir().unwrap();
    for (name, by, verification) in [
        ("good", Some(&authority), "SUCCESS"),
        ("bad", Some(&stranger), "FAILED:issuer is not trusted"),
        ("none", None, "NONE"),
    ] {
        let Some(by) = by else {
            let seen = curl(&gateway, &[]).await;
            assert_eq!(shown(&seen, "client_certificate_verification"), verification);
            for variable in &OF_CERTIFICATES[..7] {
                assert_eq!(shown(&seen, variable), "", "{variable}");
            }
            continue;
        };
        let signed = by.client("device-7", |_| {});
        let path =
            |end: &str| folder.path().join(format!("{name}.{end}")).to_str().unwrap().to_owned();
        let (chain, key) = (path("crt"), path("key"));
        fs::write(&chain, &signed.chain).unwrap();
        fs::write(&key, &signed.key).unwrap();
        for version in ["--http1.1", "--http2"] {
            let seen = curl(&gateway, &[version, "--cert", &chain, "--key", &key]).await;
            let names = ["-nameopt", "RFC2253"];
            let fingerprint = openssl(&chain, &["-fingerprint", "-sha1"]).await;
            for (variable, expected) in [
                ("client_certificate_verification", verification.to_owned()),
                (
                    "client_certificate_subject",
                    openssl(&chain, &[&["-subject"][..], &names].concat()).await,
                ),
                (
                    "client_certificate_issuer",
                    openssl(&chain, &[&["-issuer"][..], &names].concat()).await,
                ),
                ("client_certificate_serial", openssl(&chain, &["-serial"]).await),
                ("client_certificate_start_date", openssl(&chain, &["-startdate"]).await),
                ("client_certificate_end_date", openssl(&chain, &["-enddate"]).await),
                ("client_certificate_fingerprint", fingerprint.replace(':', "").to_lowercase()),
            ] {
                assert_eq!(shown(&seen, variable), expected, "{variable} of {name}, {version}");
            }
            let pem = percent_decoded(&shown(&seen, "client_certificate"));
            let only = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(only(&pem), only(&signed.chain));
        }
    }
}

fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        decoded.push(u8::from_str_radix(digits, 16).unwrap().into());
        decoded.push_str(rest);
    }
    decoded
}
