//! A running `tidegate serve`, and the YAML that it is given.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::peers::{self, Answer};

/// How long anything that is waited for may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A port that nobody uses. It is below those that the kernel gives to outgoing connections, of
/// which the tests have thousands, and no other test gets it.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id() as u16);
        let port = 20_000 + offset % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until `condition` holds, and says what did not happen if it never does.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What a gateway's YAML is made from.
#[derive(Clone)]
pub struct Plan {
    pub http: u16,
    pub https: u16,
    pub members: Vec<SocketAddr>,
    /// Those of the members that are on their way out.
    pub terminating: Vec<SocketAddr>,
    /// More fields of the settings, each beginning with a comma.
    pub settings: String,
    /// More fields of the probe, each beginning with a comma.
    pub probe: String,
    /// A port that answers probes for the members.
    pub health: Option<u16>,
    /// More listeners and rules, by name and host.
    pub hosts: Vec<(String, String)>,
    /// The name of the settings.
    pub settings_name: String,
    /// The pool of the rules: `p`, or `q` with one member that nobody is.
    pub pool: String,
    /// More documents.
    pub documents: String,
    pub certificate: (String, String),
}

impl Plan {
    /// A gateway in front of one member.
    pub fn to(member: SocketAddr) -> Self {
        Self {
            http: free_port(),
            https: free_port(),
            members: vec![member],
            terminating: Vec::new(),
            settings: String::new(),
            probe: String::new(),
            health: None,
            hosts: Vec::new(),
            settings_name: "s".into(),
            pool: "p".into(),
            documents: String::new(),
            certificate: peers::certificate(&["server.example.com", "localhost"]),
        }
    }

    /// Its members speak TLS, with this certificate for `member.example`.
    pub fn with_tls_members(mut self, certificate: &str) -> Self {
        let secret = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "members"},
            "stringData": {"ca.crt": certificate},
        });
        self.documents = secret.to_string();
        self.settings += ", protocol: Https, hostName: member.example, \
            trustedRootCertificates: [members]";
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn yaml(&self) -> String {
        let Self { http, https, settings, probe, settings_name, pool, .. } = self;
        let slices: String = (self.members.iter().enumerate())
            .map(|(index, member)| {
                format!(
                    "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: s{index}, labels: {{kubernetes.io/service-name: s}}}}\naddressType: IPv4\nports: [{{port: {}}}]\nendpoints: [{{addresses: [{}], conditions: {{ready: {}, serving: true, terminating: {}}}}}]\n",
                    member.port(),
                    member.ip(),
                    !self.terminating.contains(member),
                    self.terminating.contains(member)
                )
            })
            .collect();
        let health = self.health.map(|port| format!(", port: {port}")).unwrap_or_default();
        let protocol = if settings.contains("protocol:") { "" } else { ", protocol: Http" };
        let probe_protocol = if settings.contains("protocol: Https") { "Https" } else { "Http" };
        let (mut listeners, mut rules) = (String::new(), String::new());
        for (index, (name, host)) in self.hosts.iter().enumerate() {
            listeners += &format!(
                "  - {{name: {name}, frontendPort: http, protocol: Http, hostNames: ['{host}']}}\n"
            );
            rules += &format!(
                "  - {{name: r-{name}, ruleType: Basic, priority: {}, httpListener: {name}, backendAddressPool: {pool}, backendHttpSettings: {settings_name}}}\n",
                100 + index
            );
        }
        let (chain, key) = &self.certificate;
        let secret = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app"},
            "stringData": {"tls.crt": chain, "tls.key": key},
        });
        format!(
            "\
apiVersion: tidegate.dev/v1alpha1
kind: ApplicationGateway
metadata: {{name: g}}
spec:
  frontendPorts: [{{name: http, port: {http}}}, {{name: https, port: {https}}}]
  sslCertificates: [{{name: app, secretName: app}}]
  trustedRootCertificates: [{{name: members, secretName: members}}]
  httpListeners:
  - {{name: web, frontendPort: http, protocol: Http}}
  - {{name: web-tls, frontendPort: https, protocol: Https, sslCertificate: app}}
{listeners}  backendAddressPools:
  - {{name: p, backendAddresses: [{{service: {{name: s, port: 80}}}}]}}
  - {{name: q, backendAddresses: [{{ipAddress: 127.0.0.9}}]}}
  backendHttpSettingsCollection:
  - {{name: {settings_name}, port: 80, probe: h{protocol}{settings}}}
  probes: [{{name: h, protocol: {probe_protocol}, interval: 1, timeout: 1, unhealthyThreshold: 1{health}{probe}}}]
  requestRoutingRules:
  - {{name: r1, ruleType: Basic, priority: 10001, httpListener: web, backendAddressPool: {pool}, backendHttpSettings: {settings_name}}}
  - {{name: r2, ruleType: Basic, priority: 10002, httpListener: web-tls, backendAddressPool: {pool}, backendHttpSettings: {settings_name}}}
{rules}---
{secret}
---
apiVersion: v1
kind: Service
metadata: {{name: s}}
spec: {{ports: [{{port: 80}}]}}
{slices}{}",
            if self.documents.is_empty() { String::new() } else { format!("---\n{}", self.documents) }
        )
    }
}

/// A running gateway; ended when dropped.
pub struct Gateway {
    pub plan: Plan,
    pub admin: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Gateway {
    /// Starts `tidegate serve` and waits until it is ready and its members are up.
    pub async fn start(plan: Plan) -> Self {
        let gateway = Self::start_with(plan, &[]).await;
        gateway.until_up().await;
        gateway
    }

    /// Starts it with more flags, and waits until it is ready.
    pub async fn start_with(plan: Plan, flags: &[&str]) -> Self {
        let yaml = plan.yaml();
        Self::serve(plan, &yaml, flags).await
    }

    /// Starts it with Ingresses on the plan's ports, and waits until all members are up.
    pub async fn start_ingresses(plan: Plan, yaml: &str) -> Self {
        let (http, https) = (plan.http.to_string(), plan.https.to_string());
        let flags = [
            "--ingress-http-port",
            &http,
            "--ingress-https-port",
            &https,
            "--access-log",
            "log.json",
        ];
        let gateway = Self::serve(plan, yaml, &flags).await;
        until("all members are up", async || {
            let status = gateway.status().await;
            let targets = status["targets"].as_array().cloned().unwrap_or_default();
            let mut members = targets.iter().flat_map(|t| t["members"].as_array().unwrap());
            members.all(|member| member["health"]["state"] == "Up")
        })
        .await;
        gateway
    }

    /// Starts it with this file, and waits until it is ready.
    pub async fn start_yaml(plan: Plan, yaml: &str) -> Self {
        Self::serve(plan, yaml, &[]).await
    }

    /// Starts it with this file and more flags, and waits until it is ready.
    pub async fn serve(plan: Plan, yaml: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("gateway.yaml"), yaml).unwrap();
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["serve", "--threads", "2", "--admin", &admin.to_string()])
            .env("TIDEGATE_BIND", "127.0.0.1")
            .env("TIDEGATE_SHUTDOWN_DELAY", "0")
            .args(flags)
            .current_dir(folder.path())
            .arg(folder.path().join("gateway.yaml"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let gateway = Self { plan, admin, child, folder };
        until("the gateway is ready", async || {
            gateway.ask("/readyz").await.is_some_and(|a| a.status == 200)
        })
        .await;
        gateway
    }

    pub fn http(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.plan.http))
    }

    pub fn https(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.plan.https))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the process has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The lines of the access log `log.json` so far.
    pub fn access_log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("log.json")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// A page of the admin port; `None` if nobody answers.
    pub async fn ask(&self, path: &str) -> Option<Answer> {
        peers::get(self.admin, path).await
    }

    pub async fn status(&self) -> Value {
        serde_json::from_slice(&self.ask("/status.json").await.unwrap().body).unwrap()
    }

    pub async fn metrics(&self) -> String {
        String::from_utf8(self.ask("/metrics").await.unwrap().body).unwrap()
    }

    /// The states of all members, in order.
    pub async fn members(&self) -> Vec<String> {
        let status = self.status().await;
        let members = status["targets"][0]["members"].as_array().cloned().unwrap_or_default();
        members.iter().map(|m| m["health"]["state"].as_str().unwrap().to_owned()).collect()
    }

    async fn until_up(&self) {
        until("all members are up", async || {
            let members = self.members().await;
            !members.is_empty() && members.iter().all(|state| state == "Up")
        })
        .await;
    }

    /// Replaces the file as editors do, and waits until the table has been swapped.
    pub async fn apply(&mut self, plan: Plan) {
        let before = self.status().await["revision"].as_u64().unwrap();
        self.write(&plan.yaml());
        self.plan = plan;
        until("the table is swapped", async || {
            self.status().await["revision"].as_u64().unwrap() > before
        })
        .await;
    }

    /// Replaces the file.
    pub fn write(&self, yaml: &str) {
        fs::write(self.path("next"), yaml).unwrap();
        fs::rename(self.path("next"), self.path("gateway.yaml")).unwrap();
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the process to end; its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let child = &mut self.child;
        let mut code = None;
        until("the process ends", async || {
            code = child.try_wait().unwrap();
            code.is_some()
        })
        .await;
        code.unwrap().code()
    }

    /// Memory that the process has in use, in bytes.
    pub fn resident(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let mut log = String::new();
            let _ =
                fs::File::open(self.path("log")).and_then(|mut file| file.read_to_string(&mut log));
            eprintln!("the gateway said:\n{log}");
        }
    }
}
