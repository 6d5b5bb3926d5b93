//! How the certificates of members are judged.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rcgen::date_time_ymd;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;

use super::{Files, Site, curl, files, with};
use crate::authority::{Authority, Signed};
use crate::gateway::{Gateway, until};
use crate::peers;

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
    for (member, settings, expected) in [
        (plain, with(roots.clone(), &json!({"hostName": name})), true),
        (plain, with(roots.clone(), &json!({"hostName": "other.example"})), false),
        (plain, with(roots.clone(), &json!({"hostName": "other.example", "sniName": name})), true),
        (plain, with(roots.clone(), &json!({"sniName": name})), true),
        (plain, with(roots.clone(), &json!({"sniName": "other.example"})), false),
        (
            plain,
            with(roots.clone(), &json!({"sniName": "other.example", "validateSNI": false})),
            true,
        ),
        (plain, json!({"hostName": name}), false),
        (plain, json!({"hostName": name, "validateCertChainAndExpiry": false}), true),
        (plain, json!({"hostName": "o.example", "validateCertChainAndExpiry": false}), false),
        (expired, with(roots.clone(), &json!({"hostName": name})), false),
        (expired, with(roots.clone(), &json!({"hostName": name, "validateSNI": false})), false),
        (expired, json!({"hostName": name, "validateCertChainAndExpiry": false}), true),
        (plain, json!({"authenticationCertificates": ["good"]}), true),
        (expired, json!({"authenticationCertificates": ["good"]}), false),
        (asks, with(roots.clone(), &json!({"hostName": name})), false),
        (asks, with(roots.clone(), &json!({"hostName": name, "clientCertificate": "mine"})), true),
        (newest, with(roots.clone(), &json!({"hostName": name})), true),
        (older, with(roots.clone(), &json!({"hostName": name})), true),
        (oldest, with(roots.clone(), &json!({"hostName": name})), false),
    ] {
        let mut site = Site::new().await;
        site.certificate("mine", &mine);
        site.listener("basic", &[], json!({"sslCertificate": "mine"}));
        site.secret("ca", json!({"ca.crt": ca}));
        site.secret("good", json!({"ca.crt": good.chain}));
        site.spec["trustedRootCertificates"] = json!([{"name": "ca", "secretName": "ca"}]);
        site.spec["authenticationCertificates"] = json!([{"name": "good", "secretName": "good"}]);
        let base = json!({"name": "s", "port": member.port(), "protocol": "Https", "probe": "h"});
        site.spec["backendHttpSettingsCollection"] = json!([with(base, &settings)]);
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

/// The names that handshakes with a member asked for.
#[derive(Default)]
struct Names {
    by_probes: Vec<Option<String>>,
    by_requests: Vec<Option<String>>,
}

/// A member that answers everything, and writes down the names; its port.
async fn names_asked() -> (u16, Arc<Mutex<Names>>) {
    let names = Arc::new(Mutex::new(Names::default()));
    let acceptor = TlsAcceptor::from(peers::server_config(&peers::certificate(&["any.example"])));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let record = names.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, record) = (acceptor.clone(), record.clone());
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(tcp).await else { return };
                let name = tls.get_ref().1.server_name().map(str::to_owned);
                let service = service_fn(move |request: Request<Incoming>| {
                    let agent = request.headers().get("user-agent");
                    let is_probe =
                        agent.is_some_and(|agent| agent.as_bytes().starts_with(b"tidegate-probe/"));
                    let mut names = record.lock();
                    let list = if is_probe { &mut names.by_probes } else { &mut names.by_requests };
                    list.push(name.clone());
                    async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("page"))) }
                });
                let serving = hyper::server::conn::http1::Builder::new();
                let _ = serving.serve_connection(TokioIo::new(tls), service).await;
            });
        }
    });
    (port, names)
}

/// The rows of reference 2.7 on the names that members are asked for.
#[tokio::test]
async fn members_are_asked_for_the_name_of_the_settings_else_their_own_else_the_clients() {
    let mine = Authority::new("names").client("gateway", |_| {});
    let (address, name) = (json!({"ipAddress": "127.0.0.1"}), json!({"fqdn": "localhost"}));
    let pick = json!({"pickHostNameFromBackendAddress": true});
    let set = json!({"hostName": "set.example"});
    let both = json!({"hostName": "set.example", "sniName": "sni.example"});
    let (nothing, host) = (json!({}), json!({"host": "probe.example"}));
    for (member, settings, probe, by_requests, by_probes) in [
        (&address, &set, &nothing, Some("set.example"), Some("set.example")),
        (&address, &set, &host, Some("set.example"), Some("probe.example")),
        (&name, &set, &nothing, Some("set.example"), Some("set.example")),
        (&address, &nothing, &host, Some("a.example"), Some("probe.example")),
        (&address, &nothing, &nothing, Some("a.example"), None),
        (&name, &nothing, &nothing, Some("a.example"), Some("localhost")),
        (&name, &pick, &nothing, Some("localhost"), Some("localhost")),
        (&name, &pick, &host, Some("localhost"), Some("probe.example")),
        (&address, &pick, &nothing, None, None),
        (&address, &both, &host, Some("sni.example"), Some("sni.example")),
    ] {
        let (port, names) = names_asked().await;
        let mut site = Site::new().await;
        site.certificate("mine", &mine);
        site.listener("basic", &[], json!({"sslCertificate": "mine"}));
        site.spec["backendAddressPools"] = json!([{"name": "p", "backendAddresses": [member]}]);
        let base = json!({
            "name": "s", "port": port, "protocol": "Https", "probe": "h",
            "validateSNI": false, "validateCertChainAndExpiry": false,
        });
        site.spec["backendHttpSettingsCollection"] = json!([with(base, settings)]);
        let base = json!({"name": "h", "protocol": "Https", "interval": 1, "timeout": 1});
        site.spec["probes"] = json!([with(base, probe)]);
        let case = format!("{member} {settings} {probe}");
        let gateway = Gateway::start_yaml(site.plan.clone(), &site.yaml()).await;
        until(&case, async || curl(gateway.https(), "a.example", &[]).await == 200).await;
        drop(gateway);
        let names = names.lock();
        for (asked, expected) in [(&names.by_requests, by_requests), (&names.by_probes, by_probes)]
        {
            assert!(!asked.is_empty(), "{case}");
            let as_expected = asked.iter().all(|name| name.as_deref() == expected);
            assert!(as_expected, "{case}: {asked:?}, expected {expected:?}");
        }
    }
}
