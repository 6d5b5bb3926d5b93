//! A gateway with one plain and one TLS listener, whose resource tests change as they like.

use std::fs;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::gateway::{Gateway, Plan, until};

pub struct Spec {
    pub value: Value,
    pub plan: Plan,
}

impl Spec {
    /// In front of one member.
    pub fn to(member: SocketAddr) -> Self {
        let plan = Plan::to(member);
        let value = json!({
            "frontendPorts": [
                {"name": "http", "port": plan.http}, {"name": "https", "port": plan.https},
            ],
            "sslCertificates": [{"name": "app", "secretName": "app"}],
            "httpListeners": [
                {"name": "web", "frontendPort": "http", "protocol": "Http"},
                {"name": "web-tls", "frontendPort": "https", "protocol": "Https",
                 "sslCertificate": "app"},
            ],
            "backendAddressPools": [{"name": "p", "backendAddresses": [{"ipAddress": "127.0.0.1"}]}],
            "backendHttpSettingsCollection":
                [{"name": "s", "port": member.port(), "protocol": "Http", "probe": "h"}],
            "probes": [{"name": "h", "protocol": "Http", "interval": 1, "timeout": 1,
                        "unhealthyThreshold": 20}],
            "requestRoutingRules": [
                {"name": "r1", "ruleType": "Basic", "priority": 10, "httpListener": "web",
                 "backendAddressPool": "p", "backendHttpSettings": "s"},
                {"name": "r2", "ruleType": "Basic", "priority": 20, "httpListener": "web-tls",
                 "backendAddressPool": "p", "backendHttpSettings": "s"},
            ],
        });
        Self { value, plan }
    }

    /// The port that answers probes.
    pub fn probed_at(mut self, port: u16) -> Self {
        self.value["probes"][0]["port"] = json!(port);
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.value);
        self
    }

    pub fn yaml(&self) -> String {
        let (chain, key) = &self.plan.certificate;
        let gateway = json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "ApplicationGateway",
            "metadata": {"name": "g"}, "spec": self.value,
        });
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app"},
            "stringData": {"tls.crt": chain, "tls.key": key},
        });
        format!("---\n{gateway}\n---\n{secret}\n{}", self.plan.documents)
    }

    /// Starts it, and waits until its members are up.
    pub async fn start(&self) -> Gateway {
        Gateway::start_ingresses(self.plan.clone(), &self.yaml()).await
    }
}

/// What `tidegate check` says of it, line by line.
pub fn check(spec: &Spec) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    fs::write(&file, spec.yaml()).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("check")
        .arg(&file)
        .output()
        .unwrap();
    let all = [output.stdout, output.stderr].concat();
    String::from_utf8(all).unwrap().lines().map(str::to_owned).collect()
}

/// Lines of the access log whose path and query are these, as soon as there are some.
pub async fn logged(gateway: &Gateway, target: &str) -> Vec<Value> {
    let mut found = Vec::new();
    until(&format!("{target} is logged"), async || {
        found = (gateway.access_log().into_iter())
            .filter(|line| line["properties"]["originalRequestUriWithArgs"] == target)
            .map(|line| {
                let mut properties = line["properties"].clone();
                properties["ruleName"] = line["ruleName"].clone();
                properties
            })
            .collect();
        !found.is_empty()
    })
    .await;
    found
}
