//! `tidegate run` as a process of this machine, with the rights that the chart gives it.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use crate::cluster;
use crate::gateway::{free_port, until};
use crate::peers::{self, Answer};

static NEXT: AtomicU8 = AtomicU8::new(0);

/// What several replicas have in common.
pub struct Installation {
    pub class: String,
    pub namespace: String,
    kubeconfig: TempDir,
}

impl Installation {
    /// Gives a class its rights: the chart's, with no pod.
    pub async fn new(name: &str) -> Self {
        let class = cluster::fresh(name);
        let namespace = format!("sys-{class}");
        let its = class.clone();
        tokio::task::spawn_blocking(move || Self::install(its, namespace)).await.unwrap()
    }

    fn install(class: String, namespace: String) -> Self {
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/tidegate");
        cluster::run(
            "helm",
            &[
                "install",
                &class,
                chart,
                "--namespace",
                &namespace,
                "--create-namespace",
                "--set",
                "replicaCount=0",
                "--set",
                "crds.install=false",
                "--set",
                "fullnameOverride=tidegate",
                "--set",
                &format!("ingressClass.name={class}"),
            ],
        );
        let token = cluster::run("kubectl", &["create", "token", "tidegate", "-n", &namespace]);
        let kubeconfig = tempfile::tempdir().unwrap();
        let path = kubeconfig.path().join("config");
        let mut config: serde_json::Value = serde_json::from_str(&cluster::run(
            "kubectl",
            &["config", "view", "--raw", "-o", "json"],
        ))
        .unwrap();
        config["users"][0]["user"] = serde_json::json!({"token": token.trim()});
        fs::write(path, config.to_string()).unwrap();
        Self { class, namespace, kubeconfig }
    }

    /// Starts a replica that listens on an address of its own, and waits until it serves.
    pub async fn replica(&self, name: &str, flags: &[&str]) -> Replica {
        // All of 127.0.0.0/8 is this machine, and each replica has the same ports.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let bind = &format!("127.1.{}.{}", number, 1 + std::process::id() % 250);
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let folder = tempfile::tempdir().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["run", "--class", &self.class, "--namespace", &self.namespace])
            .args(["--pod-name", name, "--bind", bind, "--admin", &admin.to_string()])
            .args(["--service-type", "ClusterIP", "--threads", "2", "--shutdown-delay", "0"])
            .args(flags)
            .env("TIDEGATE_DRAIN_TIMEOUT", "5")
            .env("KUBECONFIG", self.kubeconfig.path().join("config"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let replica = Replica { admin, child, folder, bind: bind.to_owned() };
        until("the replica is ready", async || {
            peers::get(replica.admin, "/readyz").await.is_some_and(|answer| answer.status == 200)
        })
        .await;
        replica
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        cluster::try_run("helm", &["uninstall", &self.class, "--namespace", &self.namespace]);
        cluster::try_run("kubectl", &["delete", "namespace", &self.namespace, "--wait=false"]);
    }
}

/// A running replica; ended when dropped.
pub struct Replica {
    pub admin: SocketAddr,
    bind: String,
    child: Child,
    folder: TempDir,
}

impl Replica {
    pub async fn ask(&self, path: &str) -> Option<Answer> {
        peers::get(self.admin, path).await
    }

    pub async fn status(&self) -> Value {
        serde_json::from_slice(&self.ask("/status.json").await.unwrap().body).unwrap()
    }

    /// Where a listener of a gateway listens; waits for it.
    pub async fn listener(&self, namespace: &str, gateway: &str, listener: &str) -> SocketAddr {
        let mut found = None;
        until(&format!("{namespace}/{gateway} listens for {listener}"), async || {
            found = self.try_listener(namespace, gateway, listener).await;
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// The same without waiting.
    pub async fn try_listener(
        &self,
        namespace: &str,
        gateway: &str,
        listener: &str,
    ) -> Option<SocketAddr> {
        let status = self.status().await;
        let frontends = status["frontends"].as_array().unwrap();
        let frontend = frontends.iter().find(|frontend| {
            frontend["gateway"]["namespace"] == namespace
                && frontend["gateway"]["name"] == gateway
                && frontend["listeners"].as_array().unwrap().iter().any(|l| l["name"] == listener)
        })?;
        Some(frontend["address"].as_str().unwrap().parse().unwrap())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Memory that the process has in use, in bytes.
    pub fn resident(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let mut log = String::new();
            let _ = fs::File::open(self.folder.path().join("log"))
                .and_then(|mut file| file.read_to_string(&mut log));
            let from = log.len().saturating_sub(6000);
            let from = (from..log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(0);
            eprintln!("the replica on {} said:\n{}", self.bind, &log[from..]);
        }
    }
}
