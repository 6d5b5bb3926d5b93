//! One Service for each frontend of each gateway: which there are to be, and which ports of our
//! pods they map to.
//!
//! The Services themselves are the record of which port was given to whom: every replica reads
//! them, and only the leader writes them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use tidegate_model::ObjectName;

use crate::api::{ApplicationGatewaySpec, Protocol};
use crate::cluster::kept::{self, KeptService};

/// What all Services that Tidegate keeps have in common.
#[derive(Clone, Debug)]
pub struct ServiceTemplate {
    /// `LoadBalancer`, `NodePort` or `ClusterIP`.
    pub kind: String,
    /// Annotations of all of them.
    pub annotations: BTreeMap<String, String>,
    /// Which load balancer is meant, where the cluster has several.
    pub load_balancer_class: Option<String>,
    /// `Local`, so that clients' addresses are seen, or `Cluster`.
    pub external_traffic_policy: String,
    /// Labels of our pods.
    pub selector: BTreeMap<String, String>,
    /// Ports of our pods that may be given to frontends.
    pub ports: RangeInclusive<u16>,
    /// Whether HTTP/3 is spoken, for which HTTPS ports are needed over UDP as well.
    pub http3: bool,
}

/// A frontend that is to have a Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub(super) gateway: ObjectName,
    pub(super) frontend: Box<str>,
    pub(super) ports: BTreeSet<u16>,
    /// Those on which HTTPS is spoken.
    pub(super) https: BTreeSet<u16>,
    pub(super) annotations: BTreeMap<String, String>,
    /// The address to ask the load balancer for.
    pub(super) address: Option<IpAddr>,
}

/// The frontends of a gateway that listeners name.
pub(super) fn wanted(gateway: &ObjectName, spec: &ApplicationGatewaySpec) -> Vec<Wanted> {
    let all = &spec.frontend_ip_configurations;
    let mut found: Vec<Wanted> = Vec::new();
    for listener in &spec.http_listeners {
        let port = spec.frontend_ports.iter().find(|port| port.name == listener.frontend_port);
        let Some(Ok(port)) = port.map(|port| u16::try_from(port.port)) else { continue };
        let configuration = match &listener.frontend_ip_configuration {
            Some(name) => match all.iter().find(|its| its.name == *name) {
                Some(configuration) => Some(configuration),
                None => continue,
            },
            None if all.len() < 2 => all.first(),
            None => continue,
        };
        let frontend: Box<str> = configuration.map_or("", |its| its.name.as_str()).into();
        let index = found.iter().position(|wanted| wanted.frontend == frontend);
        let index = index.unwrap_or_else(|| {
            found.push(Wanted {
                gateway: gateway.clone(),
                frontend,
                ports: BTreeSet::new(),
                https: BTreeSet::new(),
                annotations: configuration
                    .map(|c| c.service_annotations.clone())
                    .unwrap_or_default(),
                address: configuration
                    .and_then(|its| its.private_ip_address.as_ref()?.parse().ok()),
            });
            found.len() - 1
        });
        found[index].ports.insert(port);
        if listener.protocol == Protocol::Https {
            found[index].https.insert(port);
        }
    }
    found
}

/// What has to be done so that there is what is wanted.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Services to apply, by name.
    pub(super) apply: Vec<(String, Value)>,
    /// Services to delete.
    pub(super) delete: Vec<String>,
    /// Frontends for which no port is left.
    pub(super) starved: Vec<ObjectName>,
}

impl Plan {
    /// Whether everything is as it is to be.
    pub(super) fn is_empty(&self) -> bool {
        self.apply.is_empty() && self.delete.is_empty() && self.starved.is_empty()
    }
}

/// Compares what is wanted with what there is.
pub(super) fn plan<'a>(
    wanted: &[Wanted],
    kept: impl Iterator<Item = &'a KeptService> + Clone,
    template: &ServiceTemplate,
    class: &str,
    owner: Option<&Value>,
) -> Plan {
    let given = kept::ports(kept.clone());
    let mut taken: HashSet<u16> = given.values().copied().collect();
    let by_name: HashMap<&str, &KeptService> =
        kept.clone().map(|service| (service.name.as_str(), service)).collect();
    let mut plan = Plan::default();
    let mut names = HashSet::new();
    for frontend in wanted {
        let mut ports = Vec::with_capacity(frontend.ports.len());
        for &port in &frontend.ports {
            let key = (frontend.gateway.clone(), frontend.frontend.clone(), port);
            let target = given.get(&key).copied().filter(|port| template.ports.contains(port));
            match target.or_else(|| free_port(&key, &template.ports, &taken)) {
                Some(target) => {
                    taken.insert(target);
                    ports.push((port, target));
                }
                None => plan.starved.push(frontend.gateway.clone()),
            }
        }
        let name = service_name(frontend);
        if ports.is_empty() {
            continue;
        }
        let mut service = manifest(&name, frontend, &ports, template, class, owner);
        let digest = format!("{:016x}", digest_of(&service.to_string()));
        let fits = by_name
            .get(name.as_str())
            .is_some_and(|there| there.digest == digest && there.ports == ports);
        if !fits {
            service["metadata"]["annotations"][kept::DIGEST] = json!(digest);
            plan.apply.push((name.clone(), service));
        }
        names.insert(name);
    }
    plan.delete = kept.map(|its| its.name.clone()).filter(|name| !names.contains(name)).collect();
    plan
}

/// A port that nobody has. Where the search begins depends on whose it is, so that a frontend that
/// comes back likely gets the port that it had.
fn free_port(
    key: &(ObjectName, Box<str>, u16),
    range: &RangeInclusive<u16>,
    taken: &HashSet<u16>,
) -> Option<u16> {
    let count = u64::from(range.end().saturating_sub(*range.start())) + 1;
    let first = digest_of(&format!("{}/{}:{}", key.0, key.1, key.2)) % count;
    (0..count)
        .filter_map(|step| u16::try_from(u64::from(*range.start()) + (first + step) % count).ok())
        .find(|port| !taken.contains(port))
}

/// The same in every process of every release, as names that are made with it have to be.
fn digest_of(text: &str) -> u64 {
    let hash = digest(&SHA256, text.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_ref()[..8]);
    u64::from_be_bytes(first)
}

/// A name that no other frontend has: what people read, and a digest.
fn service_name(frontend: &Wanted) -> String {
    let readable: String = [&*frontend.gateway.name, &*frontend.frontend]
        .iter()
        .filter(|part| !part.is_empty())
        .flat_map(|part| part.chars().chain(['-']))
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let digest = digest_of(&format!("{}/{}", frontend.gateway, frontend.frontend)) >> 32;
    // A Service's name begins with a letter and has 63 characters at most.
    let readable = readable.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    let readable: String = readable.chars().take(50).collect();
    let readable = readable.trim_end_matches('-');
    if readable.is_empty() {
        format!("gw-{digest:08x}")
    } else {
        format!("{readable}-{digest:08x}")
    }
}

fn manifest(
    name: &str,
    frontend: &Wanted,
    ports: &[(u16, u16)],
    template: &ServiceTemplate,
    class: &str,
    owner: Option<&Value>,
) -> Value {
    let mut annotations = template.annotations.clone();
    annotations.extend(frontend.annotations.clone());
    annotations.insert(kept::GATEWAY.into(), frontend.gateway.to_string());
    annotations.insert(kept::FRONTEND.into(), frontend.frontend.to_string());
    let over_tcp = ports.iter().map(|(port, target)| {
        json!({"name": format!("p{port}"), "port": port, "targetPort": target, "protocol": "TCP"})
    });
    let is_quic = |port: &u16| template.http3 && frontend.https.contains(port);
    let over_udp = ports.iter().filter(|(port, _)| is_quic(port)).map(|(port, target)| {
        json!({"name": format!("q{port}"), "port": port, "targetPort": target, "protocol": "UDP"})
    });
    let ports: Vec<Value> = over_tcp.chain(over_udp).collect();
    let mut spec = json!({
        "type": template.kind,
        "selector": template.selector,
        "ports": ports,
        "ipFamilyPolicy": "PreferDualStack",
    });
    if template.kind != "ClusterIP" {
        spec["externalTrafficPolicy"] = json!(template.external_traffic_policy);
    }
    if template.kind == "LoadBalancer" {
        if let Some(class) = &template.load_balancer_class {
            spec["loadBalancerClass"] = json!(class);
        }
        if let Some(address) = frontend.address {
            spec["loadBalancerIP"] = json!(address);
        }
    }
    let mut service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "labels": {(kept::MANAGED_BY.0): kept::MANAGED_BY.1, (kept::CLASS): class},
            "annotations": annotations,
        },
        "spec": spec,
    });
    if let Some(owner) = owner {
        service["metadata"]["ownerReferences"] = json!([owner]);
    }
    service
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> ServiceTemplate {
        ServiceTemplate {
            kind: "LoadBalancer".into(),
            annotations: BTreeMap::new(),
            load_balancer_class: None,
            external_traffic_policy: "Local".into(),
            selector: BTreeMap::from([("app".into(), "tidegate".into())]),
            ports: 20000..=20003,
            http3: false,
        }
    }

    fn frontend(name: &str, ports: &[u16]) -> Wanted {
        Wanted {
            gateway: ObjectName::new("n", name),
            frontend: "public".into(),
            ports: ports.iter().copied().collect(),
            https: ports.iter().copied().filter(|port| *port == 443).collect(),
            annotations: BTreeMap::new(),
            address: None,
        }
    }

    /// What the API server would hold after a plan was carried out.
    fn carried_out(plan: &Plan, mut there: Vec<KeptService>) -> Vec<KeptService> {
        there.retain(|service| !plan.delete.contains(&service.name));
        for (name, manifest) in &plan.apply {
            there.retain(|service| service.name != *name);
            let service = serde_json::from_value(manifest.clone()).unwrap();
            there.push(KeptService::read(service).unwrap());
        }
        there
    }

    fn planned(wanted: &[Wanted], there: &[KeptService]) -> Plan {
        plan(wanted, there.iter(), &template(), "tidegate", None)
    }

    #[test]
    fn every_port_of_every_frontend_has_its_own_and_keeps_it() {
        let mut wanted = vec![frontend("a", &[80, 443]), frontend("b", &[443])];
        let first = carried_out(&planned(&wanted, &[]), vec![]);
        let ports = kept::ports(first.iter());
        let targets: HashSet<u16> = ports.values().copied().collect();
        assert_eq!((ports.len(), targets.len()), (3, 3));
        let again = planned(&wanted, &first);
        assert!(again.is_empty(), "{again:?}");
        wanted[0].ports.insert(8443);
        let second = carried_out(&planned(&wanted, &first), first);
        let more = kept::ports(second.iter());
        assert_eq!(more.len(), 4);
        assert!(ports.iter().all(|(key, port)| more.get(key) == Some(port)));
        wanted.push(frontend("c", &[80]));
        assert_eq!(planned(&wanted, &second).starved, [ObjectName::new("n", "c")]);
        let gone = planned(&wanted[1..2], &second);
        assert_eq!(gone.delete.len(), 1);
    }

    #[test]
    fn https_ports_are_there_over_udp_as_well_with_http3_alone() {
        let wanted = [frontend("a", &[80, 443])];
        let without = carried_out(&planned(&wanted, &[]), vec![]);
        let template = ServiceTemplate { http3: true, ..template() };
        let plan = plan(&wanted, without.iter(), &template, "tidegate", None);
        let spec = &plan.apply[0].1["spec"];
        let ports: Vec<_> = (spec["ports"].as_array().unwrap().iter())
            .map(|its| (its["port"].as_u64().unwrap(), its["protocol"].as_str().unwrap()))
            .collect();
        assert_eq!(ports, [(80, "TCP"), (443, "TCP"), (443, "UDP")]);
        assert_eq!(spec["ports"][1]["targetPort"], spec["ports"][2]["targetPort"]);
        // Which port is whose has not changed.
        let with = carried_out(&plan, without.clone());
        assert_eq!(with[0].ports, without[0].ports);
    }

    #[test]
    fn of_two_that_map_to_one_port_the_second_gets_another() {
        let wanted = [frontend("a", &[80]), frontend("b", &[80])];
        let mut there = carried_out(&planned(&wanted, &[]), vec![]);
        let (first, second) = there.split_at_mut(1);
        second[0].ports[0].1 = first[0].ports[0].1;
        let plan = planned(&wanted, &there);
        assert_eq!(plan.apply.len(), 1);
        let ports = kept::ports(carried_out(&plan, there).iter());
        assert_eq!(ports.values().collect::<HashSet<_>>().len(), 2);
    }

    #[test]
    fn names_of_services_are_names_that_kubernetes_takes() {
        let mut names = HashSet::new();
        for name in ["a", "9.to-5", &"x".repeat(250), "a.b", "a-b", "---"] {
            let name = service_name(&frontend(name, &[80]));
            assert!(
                name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()),
                "{name}"
            );
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{name}");
            assert!(names.insert(name));
        }
    }
}
