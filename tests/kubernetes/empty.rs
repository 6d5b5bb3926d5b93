//! A cluster that nothing is installed in yet, for one test alone.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::{Command, Output};

use serde_json::Value;

use crate::cluster::{Settings, script};
use crate::gateway::until;

/// Its addresses and name are others than those of the cluster that tests share.
const NAME: [(&str, &str); 2] = [("CLUSTER_NAME", "chart"), ("CLUSTER_INDEX", "3")];

/// This machine as the cluster's pods see it.
pub const HOST: &str = "10.203.0.1";

pub struct EmptyCluster(Settings);

impl EmptyCluster {
    pub fn new() -> Self {
        down();
        Self(Settings::of(&NAME))
    }

    /// Runs a script of the folder with the cluster's.
    pub fn script(&self, name: &str, words: &[&str]) {
        let output = Command::new(script(name)).args(words).envs(NAME).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} {words:?}: {error}");
    }

    /// Runs a line as a person types it, in the root of the repository; what it printed.
    pub fn shell(&self, line: &str) -> String {
        println!("$ {line}");
        self.quietly(line)
    }

    fn quietly(&self, line: &str) -> String {
        self.0.run("bash", &["-c", &format!("cd '{}' && {line}", env!("CARGO_MANIFEST_DIR"))])
    }

    /// The same, where failing is no surprise.
    pub fn try_shell(&self, line: &str) -> Output {
        self.0.try_run("bash", &["-c", line])
    }

    /// Applies a manifest.
    pub fn apply(&self, manifest: &Value) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("manifest.json");
        std::fs::write(&file, manifest.to_string()).unwrap();
        self.0.run("kubectl", &["apply", "-f", file.to_str().unwrap()]);
    }

    /// What `kubectl get` says of something.
    pub fn get(&self, what: &str) -> Value {
        let words: Vec<&str> =
            ["get", "-o", "json"].into_iter().chain(what.split_whitespace()).collect();
        serde_json::from_str(&self.0.run("kubectl", &words)).unwrap()
    }

    pub fn items(&self, what: &str) -> Vec<Value> {
        self.get(what)["items"].as_array().unwrap().clone()
    }

    /// Waits until something is there and is as wanted.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut found = Value::Null;
        until(what, async || {
            let asked = self.try_shell(&format!("kubectl get -o json {what}"));
            found = serde_json::from_slice(&asked.stdout).unwrap_or_default();
            asked.status.success() && wanted(&found)
        })
        .await;
        found
    }

    /// Names of all objects that have to do with Tidegate.
    pub fn traces(&self) -> BTreeSet<String> {
        let kinds = self
            .quietly("kubectl api-resources --verbs=list -o name | grep -v '^events' | paste -sd,");
        let all = self.quietly(&format!(
            "kubectl get {} -A --ignore-not-found --no-headers -o \
             custom-columns=KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name",
            kinds.trim()
        ));
        let lines = all.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| line.contains("tidegate")).collect()
    }

    /// Addresses of the pods with a label that are there for good.
    pub fn pods(&self, namespace: &str, label: &str) -> Vec<(String, IpAddr)> {
        let pods = self.items(&format!("pods -n {namespace} -l {label}"));
        let lasting = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let running = lasting.filter(|pod| pod["status"]["phase"] == "Running");
        running
            .map(|pod| {
                let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
                (name, pod["status"]["podIP"].as_str().unwrap().parse().unwrap())
            })
            .collect()
    }
}

impl Drop for EmptyCluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in [
                "kubectl get pods,services,applicationgateways,ingresses -A -o wide",
                "kubectl get events -A | tail -20",
                "kubectl logs -n tidegate-system -l app.kubernetes.io/name=tidegate --tail 20",
            ] {
                let output = self.try_shell(line);
                eprintln!("$ {line}\n{}", String::from_utf8_lossy(&output.stdout));
            }
        }
        down();
    }
}

fn down() {
    let _ = Command::new(script("down")).envs(NAME).output();
}
