//! A translator that remembers says what one says that begins anew, whatever happens.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use tidegate_model::{MemberState, ObjectName};

use super::{Outcome, Translator};
use crate::pages::Page;
use crate::places::{Places, Ports};
use crate::resources::{
    ConfigMap, Endpoint, Gateway, Origin, Resolution, Resources, Secret, Service, Slice,
};

/// Something that changes in a cluster.
#[derive(Clone, Debug)]
enum Change {
    /// A gateway comes, or is another: which, of which Service and Secret, on which port.
    Gateway(usize, usize, usize, u16),
    NoGateway(usize),
    Service(usize, bool),
    Slice(usize, u8),
    Secret(usize, Option<bool>),
    Name(u8),
    ConfigMap(usize, Option<u8>),
    Page(Option<u8>),
    Grant(bool),
    Place(usize, u16, Option<u16>),
}

fn change() -> impl Strategy<Value = Change> {
    let which = 0..3_usize;
    prop_oneof![
        (which.clone(), which.clone(), which.clone(), 80..82_u16)
            .prop_map(|(g, service, secret, port)| Change::Gateway(g, service, secret, port)),
        which.clone().prop_map(Change::NoGateway),
        (which.clone(), any::<bool>()).prop_map(|(n, there)| Change::Service(n, there)),
        (which.clone(), 0..3_u8).prop_map(|(n, endpoints)| Change::Slice(n, endpoints)),
        (which.clone(), any::<Option<bool>>()).prop_map(|(n, good)| Change::Secret(n, good)),
        (0..3_u8).prop_map(Change::Name),
        (which.clone(), any::<Option<u8>>()).prop_map(|(n, page)| Change::ConfigMap(n, page)),
        any::<Option<u8>>().prop_map(Change::Page),
        any::<bool>().prop_map(Change::Grant),
        (which, 80..82_u16, proptest::option::of(20_000..20_004_u16))
            .prop_map(|(g, port, target)| Change::Place(g, port, target)),
    ]
}

fn gateway(number: usize, service: usize, secret: usize, port: u16) -> Gateway {
    // The last Service is in another namespace.
    let namespace = if service == 2 { "other" } else { "n" };
    let spec = serde_json::from_value(json!({
        "frontendPorts": [{"name": "p", "port": port}, {"name": "t", "port": 443}],
        "customErrorConfigurations": [
            {"statusCode": "HttpStatus502", "configMap": {"name": format!("c{secret}"), "key": "k"}},
            {"statusCode": "HttpStatus404", "customErrorPageUrl": "http://a.example/404.html"},
        ],
        "sslCertificates": [{"name": "c", "secretName": format!("t{secret}")}],
        "httpListeners": [
            {"name": "web", "frontendPort": "p", "protocol": "Http"},
            {"name": "tls", "frontendPort": "t", "protocol": "Https", "sslCertificate": "c"},
        ],
        "backendAddressPools": [
            {"name": "a", "backendAddresses": [
                {"service": {"name": format!("s{service}"), "namespace": namespace, "port": 80}},
            ]},
            {"name": "b", "backendAddresses": [{"fqdn": "name.example"}]},
        ],
        "backendHttpSettingsCollection": [{"name": "s", "port": 80, "protocol": "Http"}],
        "requestRoutingRules": [
            {"name": "r1", "ruleType": "Basic", "httpListener": "web",
             "backendAddressPool": "a", "backendHttpSettings": "s"},
            {"name": "r2", "ruleType": "Basic", "httpListener": "tls",
             "backendAddressPool": "b", "backendHttpSettings": "s"},
        ],
    }));
    let name = ObjectName::new("n", format!("g{number}"));
    let resource = crate::api::ApplicationGateway::new(&name.name, spec.unwrap());
    Gateway { name, resource: Arc::new(resource), origin: Arc::new(Origin::default()) }
}

/// A certificate takes long to make: one is enough.
fn secret(good: bool) -> Secret {
    static PEM: std::sync::OnceLock<(String, String)> = std::sync::OnceLock::new();
    let (chain, key) = PEM.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    });
    let key = if good { key.as_str() } else { "none" };
    let text = json!({"stringData": {"tls.crt": chain, "tls.key": key}});
    Secret::read(&ObjectName::new("n", "t"), &serde_json::from_value(text).unwrap())
}

fn carry_out(change: &Change, resources: &mut Resources, ports: &mut Ports) {
    let service_name =
        |n: usize| ObjectName::new(if n == 2 { "other" } else { "n" }, format!("s{n}"));
    match *change {
        Change::Gateway(number, service, secret, port) => {
            let new = gateway(number, service, secret, port);
            resources.gateways.retain(|gateway| gateway.name != new.name);
            resources.gateways.push(new);
        }
        Change::NoGateway(number) => {
            resources.gateways.retain(|gateway| *gateway.name.name != *format!("g{number}"));
        }
        Change::Service(n, there) => {
            let service = Service { external: None, ports: vec![("web".into(), 80)] };
            match there {
                true => drop(resources.services.insert(service_name(n), Arc::new(service))),
                false => drop(resources.services.remove(&service_name(n))),
            }
        }
        Change::Slice(n, count) => {
            let endpoint = |n| Endpoint {
                address: IpAddr::from([10, 0, 0, n]),
                state: MemberState::Ready,
                pod: None,
            };
            let endpoints = (0..count).map(endpoint).collect();
            let slice = Slice { ports: vec![("web".into(), 8080)], endpoints };
            resources.slices.insert(service_name(n), Arc::new(vec![Arc::new(slice)]));
        }
        Change::Secret(n, good) => {
            let name = ObjectName::new("n", format!("t{n}"));
            match good {
                Some(good) => drop(resources.secrets.insert(name, Arc::new(secret(good)))),
                None => drop(resources.secrets.remove(&name)),
            }
        }
        Change::Name(count) => {
            let addresses = (0..count).map(|n| IpAddr::from([10, 1, 0, n])).collect();
            let error = (count == 0).then(|| "no answer".to_owned());
            let names = HashMap::from([("name.example".into(), Resolution { addresses, error })]);
            resources.names = Arc::new(names);
        }
        Change::ConfigMap(n, page) => {
            let name = ObjectName::new("n", format!("c{n}"));
            let made = |page: u8| {
                let text = json!({"data": {"k": page.to_string()}});
                Arc::new(ConfigMap::read(&serde_json::from_value(text).unwrap()))
            };
            match page {
                Some(page) => drop(resources.config_maps.insert(name, made(page))),
                None => drop(resources.config_maps.remove(&name)),
            }
        }
        Change::Page(page) => {
            let body = page.map(|page| Arc::from(&[page][..]));
            let error = page.is_none().then(|| "no answer".to_owned());
            let pages = HashMap::from([("http://a.example/404.html".into(), Page { body, error })]);
            resources.pages = Arc::new(pages);
        }
        Change::Grant(there) => {
            let grant = json!({
                "from": [{"group": "tidegate.dev", "kind": "ApplicationGateway", "namespace": "n"}],
                "to": [{"group": "", "kind": "Service"}],
            });
            let grant = serde_json::from_value(grant).unwrap();
            let grants = if there { vec![grant] } else { Vec::new() };
            resources.grants.insert("other".into(), grants);
        }
        Change::Place(number, port, target) => {
            let key = (ObjectName::new("n", format!("g{number}")), "".into(), port);
            match target {
                Some(target) => drop(ports.insert(key, target)),
                None => drop(ports.remove(&key)),
            }
        }
    }
}

fn told(outcome: Outcome) -> String {
    format!("{:?}\n{:?}\n{:?}", outcome.snapshot, outcome.findings, outcome.gateways)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_remembered_is_what_is_found_anew(
        changes in proptest::collection::vec(change(), 1..40),
        allocated in any::<bool>(),
    ) {
        let bind = IpAddr::from([127, 0, 0, 1]);
        let (mut resources, mut ports) = (Resources::default(), Ports::new());
        let mut remembering = Translator::new(Places::Own(bind), None);
        for change in &changes {
            carry_out(change, &mut resources, &mut ports);
            let places = match allocated {
                true => Places::Allocated { bind, ports: Arc::new(ports.clone()) },
                false => Places::Own(bind),
            };
            remembering.set_places(places.clone());
            let anew = Translator::new(places, None).translate(&resources);
            prop_assert_eq!(told(remembering.translate(&resources)), told(anew), "{:?}", change);
        }
    }
}
