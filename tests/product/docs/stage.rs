//! An example made to run here: other ports, other addresses, and what it names and does not hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::docs::members;
use crate::docs::page::Example;
use crate::gateway::{Gateway, Plan, free_port, until};
use crate::peers;

/// A running example.
pub struct Stage {
    /// What has curl ask the gateway whatever the URL.
    pub curl: Vec<String>,
    /// Texts of this machine, and what they are in the page.
    words: Vec<(String, String)>,
    _gateway: Gateway,
}

/// An example that nothing is refused of.
pub struct Scene {
    cast: Cast,
    text: String,
    certificate: (String, String),
}

impl Scene {
    /// Makes an example one that runs here, and has it checked.
    pub fn of(example: &Example) -> Result<Self, String> {
        let mut cast = Cast::default();
        let mut documents = read(&example.yaml)?;
        let instead = read(&example.instead)?;
        for gateway in documents.iter_mut().filter(|d| d["kind"] == "ApplicationGateway") {
            for collections in instead.iter().filter_map(Value::as_object) {
                gateway["spec"].as_object_mut().unwrap().extend(collections.clone());
            }
        }
        documents.iter_mut().filter(|d| d["kind"] == "EndpointSlice").for_each(|d| cast.slice(d));
        let services: BTreeSet<String> =
            documents.iter().filter(|d| d["kind"] == "Service").map(name_of).collect();
        let mut names = BTreeSet::from(["localhost".to_owned()]);
        for gateway in documents.iter_mut().filter(|d| d["kind"] == "ApplicationGateway") {
            cast.gateway(&mut gateway["spec"], &services, &mut names);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let certificate = peers::certificate(&names);
        let made = missing_secrets(&documents, &certificate);
        documents.extend(made);
        let text: Vec<String> =
            documents.iter().map(|document| serde_yaml::to_string(document).unwrap()).collect();
        let text = text.join("---\n");
        check(&text)?;
        Ok(Self { cast, text, certificate })
    }
}

impl Stage {
    /// Starts everything that an example needs, and waits until it can be asked.
    pub async fn set(place: &str, scene: Scene) -> Self {
        let Scene { cast, text, certificate } = scene;
        cast.play(&certificate).await;
        let plan = Plan::to(([127, 0, 0, 1], 9).into());
        let gateway = Gateway::start_yaml(plan, &text).await;
        until(&format!("the members of {place} were asked"), async || {
            let status = gateway.status().await;
            let targets = status["targets"].as_array().cloned().unwrap_or_default();
            let mut members = targets.iter().flat_map(|t| t["members"].as_array().unwrap());
            members.all(|member| {
                let address: SocketAddr = member["address"].as_str().unwrap().parse().unwrap();
                let state = &member["health"]["state"];
                if cast.is_played(address) { state == "Up" } else { state != "Unknown" }
            })
        })
        .await;
        Self { curl: cast.curl(), words: cast.words, _gateway: gateway }
    }

    /// The same text with the addresses and ports of the page.
    pub fn in_words_of_the_page(&self, text: &str) -> String {
        self.words.iter().fold(text.to_owned(), |text, (here, there)| text.replace(here, there))
    }
}

fn read(yaml: &str) -> Result<Vec<Value>, String> {
    serde_yaml::Deserializer::from_str(yaml)
        .map(|document| Value::deserialize(document).map_err(|error| error.to_string()))
        .collect()
}

fn name_of(document: &Value) -> String {
    document["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn items<'v>(value: &'v mut Value, field: &str) -> impl Iterator<Item = &'v mut Value> {
    value.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Nothing of the example may be refused.
fn check(text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("example.yaml");
    std::fs::write(&file, text).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_tidegate")).arg("check").arg(&file).output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("it is refused:\n{}", String::from_utf8_lossy(&output.stdout))),
    }
}

/// Secrets that gateways name and nobody has.
fn missing_secrets(documents: &[Value], (chain, key): &(String, String)) -> Vec<Value> {
    let place = |namespace: &Value, name: &Value| {
        let namespace = namespace.as_str().unwrap_or("default").to_owned();
        (namespace, name.as_str().unwrap_or_default().to_owned())
    };
    let own =
        |document: &Value| place(&document["metadata"]["namespace"], &document["metadata"]["name"]);
    let mut named = BTreeSet::new();
    for gateway in documents.iter().filter(|d| d["kind"] == "ApplicationGateway") {
        for collection in
            ["sslCertificates", "trustedRootCertificates", "trustedClientCertificates"]
        {
            let all = gateway["spec"][collection].as_array().into_iter().flatten();
            named.extend(all.filter(|its| its["secretName"].is_string()).map(|its| {
                match its["secretNamespace"].is_string() {
                    true => place(&its["secretNamespace"], &its["secretName"]),
                    false => place(&gateway["metadata"]["namespace"], &its["secretName"]),
                }
            }));
        }
    }
    let there: BTreeSet<(String, String)> =
        documents.iter().filter(|d| d["kind"] == "Secret").map(own).collect();
    let made = named.difference(&there).map(|(namespace, name)| {
        let data = json!({"tls.crt": chain, "tls.key": key, "ca.crt": chain});
        let metadata = json!({"name": name, "namespace": namespace});
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})
    });
    made.collect()
}

/// Who plays whom.
#[derive(Default)]
struct Cast {
    /// Addresses and names of the page, with the pool that they stand in first.
    members: BTreeMap<String, (IpAddr, String)>,
    /// Ports that members listen on, and whether they speak TLS there.
    member_ports: Vec<(u16, bool)>,
    /// Ports of frontends: the page's and ours.
    frontends: Vec<(u16, u16)>,
    words: Vec<(String, String)>,
}

impl Cast {
    /// Gives the endpoints of a slice other addresses and ports.
    fn slice(&mut self, slice: &mut Value) {
        let service = slice["metadata"]["labels"]["kubernetes.io/service-name"].clone();
        let service = service.as_str().unwrap_or_default().to_owned();
        for endpoint in items(slice, "endpoints") {
            for address in items(endpoint, "addresses") {
                let here = self.member(address.as_str().unwrap_or_default(), &service);
                *address = json!(here);
            }
        }
        for port in items(slice, "ports") {
            port["port"] = json!(self.member_port(&port["port"], false));
        }
    }

    /// Gives a gateway other addresses and ports; `names` gets what certificates are asked for.
    fn gateway(
        &mut self,
        spec: &mut Value,
        services: &BTreeSet<String>,
        names: &mut BTreeSet<String>,
    ) {
        for address in items(spec, "frontendIPConfigurations") {
            address.as_object_mut().unwrap().remove("privateIPAddress");
        }
        for port in items(spec, "frontendPorts") {
            let (there, here) = (port["port"].as_u64().unwrap() as u16, free_port());
            self.frontends.push((there, here));
            let usual = matches!(there, 80 | 443);
            let after = if usual { String::new() } else { format!(":{there}") };
            self.words.push((format!(":{here}"), after));
            self.words.push((here.to_string(), there.to_string()));
            port["port"] = json!(here);
        }
        for listener in items(spec, "httpListeners") {
            let all = listener["hostNames"].as_array().cloned().unwrap_or_default();
            let all = all.iter().chain([&listener["hostName"]]).filter_map(Value::as_str);
            names.extend(all.filter(|name| !name.contains(['*', '?'])).map(str::to_owned));
        }
        for probe in items(spec, "probes") {
            probe.as_object_mut().unwrap().remove("port");
        }
        for settings in items(spec, "backendHttpSettingsCollection") {
            names.extend(settings["hostName"].as_str().map(str::to_owned));
            names.extend(settings["sniName"].as_str().map(str::to_owned));
            let is_tls = settings["protocol"] == "Https";
            settings["port"] = json!(self.member_port(&settings["port"], is_tls));
        }
        for pool in items(spec, "backendAddressPools") {
            let name = name_of(&json!({"metadata": {"name": pool["name"]}}));
            for address in items(pool, "backendAddresses") {
                let service = address["service"]["name"].as_str();
                if service.is_some_and(|service| services.contains(service)) {
                    continue;
                }
                let there = address["ipAddress"].as_str().or(address["fqdn"].as_str()).or(service);
                let here = self.member(there.unwrap(), &name);
                *address = json!({"ipAddress": here});
            }
        }
    }

    /// The address that plays one of the page.
    fn member(&mut self, there: &str, pool: &str) -> IpAddr {
        let next = self.members.len() as u8 + 1;
        let new = IpAddr::from([127, 99, 0, next]);
        let entry = self.members.entry(there.to_owned()).or_insert((new, pool.to_owned()));
        if entry.0 == new {
            // Before the ports: an address is printed with one.
            self.words.insert(0, (new.to_string(), there.to_owned()));
        }
        entry.0
    }

    fn member_port(&mut self, there: &Value, is_tls: bool) -> u16 {
        let here = free_port();
        self.member_ports.push((here, is_tls));
        self.words.push((here.to_string(), there.to_string()));
        here
    }

    /// Whether somebody listens there.
    fn is_played(&self, address: SocketAddr) -> bool {
        let nobody = |there: &str| there.starts_with("192.0.2.");
        self.members.iter().any(|(there, (here, _))| *here == address.ip() && !nobody(there))
    }

    /// Starts all members.
    async fn play(&self, certificate: &(String, String)) {
        let tls = peers::server_config(certificate);
        for (there, (here, pool)) in &self.members {
            for (port, is_tls) in &self.member_ports {
                let address = SocketAddr::new(*here, *port);
                if self.is_played(address) {
                    let tls = is_tls.then(|| Arc::clone(&tls));
                    members::serve(address, format!("{pool} at {there}"), tls).await;
                }
            }
        }
    }

    fn curl(&self) -> Vec<String> {
        let options = self.frontends.iter().flat_map(|(there, here)| {
            ["--connect-to".to_owned(), format!(":{there}:127.0.0.1:{here}")]
        });
        options.collect()
    }
}
