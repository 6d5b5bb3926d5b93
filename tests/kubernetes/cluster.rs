//! The one cluster that all tests share, and how they speak to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::sync::RwLock;

/// Held for reading by tests that need the control plane, for writing by those that kill parts
/// of it.
pub static PEACE: RwLock<()> = RwLock::const_new(());

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The settings that a shell needs to use a cluster.
pub struct Settings(BTreeMap<String, String>);

/// Brings the cluster up, once for all tests.
fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let settings = Settings::of(&[]);
        let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
        settings.run("kubectl", &["apply", "--server-side", "--force-conflicts", "-f", crds]);
        let grants = script("manifests/referencegrants.yaml");
        settings.run("kubectl", &["apply", "--server-side", "-f", grants.to_str().unwrap()]);
        for crd in ["applicationgateways.tidegate.dev", "referencegrants.gateway.networking.k8s.io"]
        {
            let crd = format!("crd/{crd}");
            settings.run("kubectl", &["wait", "--for=condition=Established", &crd]);
        }
        settings
    })
}

impl Settings {
    /// Of the cluster that the scripts take for meant in this environment; brings it up.
    pub fn of(environment: &[(&str, &str)]) -> Self {
        let ready = Command::new(script("ready")).envs(environment.iter().copied()).output();
        let output = ready.unwrap();
        assert!(
            output.status.success(),
            "these tests need a cluster, and it cannot be had:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        // What a shell makes of the lines is asked of a shell.
        let lines = String::from_utf8(output.stdout).unwrap();
        let asked = Command::new("bash")
            .args(["-c", &format!("{lines}\nprintf '%s\\n' \"$KUBECONFIG\" \"$PATH\"")])
            .output()
            .unwrap();
        let said = String::from_utf8(asked.stdout).unwrap();
        let mut lines = said.lines().map(str::to_owned);
        Self(BTreeMap::from([
            ("KUBECONFIG".to_owned(), lines.next().unwrap()),
            ("PATH".to_owned(), lines.next().unwrap()),
        ]))
    }

    pub fn run(&self, program: &str, words: &[&str]) -> String {
        let output = self.try_run(program, words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {words:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn try_run(&self, program: &str, words: &[&str]) -> Output {
        Command::new(program).args(words).envs(&self.0).output().unwrap()
    }
}

/// A script of the folder with the cluster's.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster").join(name)
}

/// Runs a program that uses the cluster; what it printed.
pub fn run(program: &str, words: &[&str]) -> String {
    settings().run(program, words)
}

/// The same, where failing is no surprise.
pub fn try_run(program: &str, words: &[&str]) -> Output {
    settings().try_run(program, words)
}

/// The file that says how to reach the cluster.
pub fn kubeconfig() -> String {
    settings().0["KUBECONFIG"].clone()
}

/// The name of a namespace that nobody has used.
pub fn fresh(name: &str) -> String {
    format!("{name}-{}-{}", std::process::id() % 10_000, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A client with all rights, whose connections belong to this test's runtime.
pub async fn client() -> Client {
    let path = tokio::task::spawn_blocking(kubeconfig).await.unwrap();
    let file = Kubeconfig::read_from(path).unwrap();
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// A namespace with objects; deleted when dropped.
pub struct Space {
    pub name: String,
    pub client: Client,
}

impl Space {
    pub async fn new(name: &str) -> Self {
        let client = client().await;
        let space = Self { name: fresh(name), client };
        let manifest = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space.name},
        });
        space.apply_cluster_wide(manifest).await;
        space
    }

    async fn apply_cluster_wide(&self, manifest: Value) {
        let (resource, name) = resource(&manifest);
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let params = PatchParams::apply("test").force();
        api.patch(&name, &params, &Patch::Apply(manifest)).await.unwrap();
    }

    pub fn api(&self, manifest: &Value) -> (Api<DynamicObject>, String) {
        let (resource, name) = resource(manifest);
        (Api::namespaced_with(self.client.clone(), &self.name, &resource), name)
    }

    /// Applies an object, as `kubectl apply --server-side` does.
    pub async fn apply(&self, manifest: Value) -> DynamicObject {
        self.try_apply(manifest).await.unwrap()
    }

    pub async fn try_apply(&self, manifest: Value) -> kube::Result<DynamicObject> {
        let (api, name) = self.api(&manifest);
        let params = PatchParams::apply("test").force();
        api.patch(&name, &params, &Patch::Apply(manifest)).await
    }

    /// Deletes an object that a manifest describes.
    pub async fn delete(&self, manifest: &Value) {
        let (api, name) = self.api(manifest);
        api.delete(&name, &DeleteParams::default()).await.unwrap();
    }

    /// An ApplicationGateway as the API server has it.
    pub async fn gateway(&self, name: &str) -> Value {
        let manifest = json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "ApplicationGateway",
            "metadata": {"name": name},
        });
        let (api, name) = self.api(&manifest);
        serde_json::to_value(api.get(&name).await.unwrap()).unwrap()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        try_run("kubectl", &["delete", "namespace", &self.name, "--wait=false"]);
    }
}

/// What the API server calls the kind of a manifest, and the object's name.
fn resource(manifest: &Value) -> (ApiResource, String) {
    let api_version = manifest["apiVersion"].as_str().unwrap();
    let kind = manifest["kind"].as_str().unwrap();
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let plural = match kind {
        "Ingress" | "IngressClass" => format!("{}es", kind.to_lowercase()),
        other => format!("{}s", other.to_lowercase()),
    };
    let resource = ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: api_version.into(),
        kind: kind.into(),
        plural,
    };
    (resource, manifest["metadata"]["name"].as_str().unwrap().to_owned())
}
