//! How the certificates of members are judged.

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;

use rcgen::date_time_ymd;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{Files, Site, curl, files};
use crate::authority::{Authority, Signed};
use crate::gateway::{Gateway, until};

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
