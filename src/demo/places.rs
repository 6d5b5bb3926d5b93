//! The files of the demo, and what it says when it starts.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use crate::demo::BackEnds;

/// Where the files are.
#[derive(Debug)]
pub(crate) struct Places {
    /// The gateway that runs, to be edited.
    pub(crate) gateway: PathBuf,
    /// The members of its pool.
    pub(crate) back_ends: PathBuf,
    /// Its certificate.
    pub(crate) secret: PathBuf,
    pub(crate) access_log: PathBuf,
    /// The gateway as it was when the demo started.
    yaml: String,
}

impl Places {
    /// Writes the files into `folder`, or a new one. A gateway that is there already stays as it
    /// is: someone may have edited it.
    pub(crate) fn prepare(
        folder: Option<PathBuf>,
        http_port: u16,
        https_port: u16,
        back_ends: &BackEnds,
    ) -> anyhow::Result<Self> {
        let folder = folder.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("tidegate-demo-{}", std::process::id()))
        });
        fs::create_dir_all(&folder).with_context(|| format!("--dir {}", folder.display()))?;
        let place = |name: &str| folder.join(name);
        let (gateway, secret) = (place("gateway.yaml"), place("certificate.yaml"));
        if !gateway.exists() {
            write(&gateway, &gateway_yaml(http_port, https_port), 0o644)?;
        }
        let yaml = fs::read_to_string(&gateway)
            .with_context(|| format!("cannot read {}", gateway.display()))?;
        let back_ends_file = place("back-ends.yaml");
        write(&back_ends_file, &back_ends_yaml(back_ends), 0o644)?;
        write(&secret, &secret_yaml()?, 0o600)?;
        Ok(Self {
            gateway,
            back_ends: back_ends_file,
            secret,
            access_log: place("access.log"),
            yaml,
        })
    }
}

impl Places {
    /// What the gateway is read from.
    pub(crate) fn resources(&self) -> Vec<PathBuf> {
        vec![self.gateway.clone(), self.back_ends.clone(), self.secret.clone()]
    }
}

fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    let file = options.create(true).write(true).truncate(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn gateway_yaml(http_port: u16, https_port: u16) -> String {
    format!(
        "\
# The gateway of the demo. Edit it while the demo runs: what you save is applied at once.
apiVersion: tidegate.dev/v1alpha1
kind: ApplicationGateway
metadata: {{name: chat}}
spec:
  frontendIPConfigurations:
  - {{name: public}}
  frontendPorts:
  - {{name: http, port: {http_port}}}
  - {{name: https, port: {https_port}}}
  sslCertificates:
  - {{name: app, secretName: chat-tls}}
  httpListeners:
  - {{name: web, frontendPort: http, protocol: Http}}
  - {{name: web-tls, frontendPort: https, protocol: Https, sslCertificate: app}}
  backendAddressPools:
  - name: chat
    backendAddresses:
    - service: {{name: chat, port: 80}}
  backendHttpSettingsCollection:
  - {{name: plain, port: 80, protocol: Http, requestTimeout: 30, probe: healthz}}
  probes:
  - {{name: healthz, protocol: Http, path: /healthz, interval: 1, timeout: 1, unhealthyThreshold: 2}}
  requestRoutingRules:
  - name: r1
    ruleType: Basic
    priority: 10
    httpListener: web
    backendAddressPool: chat
    backendHttpSettings: plain
  - name: r2
    ruleType: Basic
    priority: 20
    httpListener: web-tls
    backendAddressPool: chat
    backendHttpSettings: plain
"
    )
}

/// The Service of the back ends and its endpoints, as a cluster would tell of them.
fn back_ends_yaml(back_ends: &BackEnds) -> String {
    let mut yaml = "\
# Where the two back ends are. Written anew at every start.
apiVersion: v1
kind: Service
metadata: {name: chat}
spec: {ports: [{port: 80}]}
"
    .to_owned();
    for (name, address) in back_ends.addresses() {
        let (ip, port) = (address.ip(), address.port());
        yaml += &format!(
            "\
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: chat-{name}, labels: {{kubernetes.io/service-name: chat}}}}
addressType: IPv4
ports: [{{port: {port}}}]
endpoints: [{{addresses: [{ip}]}}]
"
        );
    }
    yaml
}

/// A certificate for this machine, made now and trusted by nobody.
fn secret_yaml() -> anyhow::Result<String> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).context("cannot make a certificate")?;
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": "chat-tls" },
        "type": "kubernetes.io/tls",
        "stringData": {
            "tls.crt": made.cert.pem(),
            "tls.key": made.signing_key.serialize_pem(),
        },
    });
    // JSON is YAML.
    serde_json::to_string_pretty(&secret).context("cannot write the certificate")
}

/// What the demo says when it serves.
pub(crate) fn banner(
    places: &Places,
    http: SocketAddr,
    https: SocketAddr,
    admin: SocketAddr,
) -> String {
    format!(
        "{yaml}
The gateway above serves two chat back ends, red and blue.

  chat      http://{http}/  or  https://{https}/ (its certificate is made for this demo)
  status    http://{admin}/status
  gateway   {gateway}  (edit it: what you save is applied at once)
  log       {log}

Ctrl-C drains.",
        yaml = places.yaml,
        gateway = places.gateway.display(),
        log = places.access_log.display(),
    )
}
