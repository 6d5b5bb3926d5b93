//! TLS towards clients and members, with OpenSSL's `s_client` and curl as the clients.

mod clients;
mod listeners;
mod members;

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;

use http::Response;
use http_body_util::Full;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::authority::{Authority, Signed, ecdsa};
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
        self.spec["httpListeners"].as_array_mut().unwrap().push(with(listener, &fields));
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

/// An object with more fields.
fn with(mut base: Value, more: &Value) -> Value {
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
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
