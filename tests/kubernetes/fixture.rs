//! Manifests that tests make.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// A headless Service with one port.
pub fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"clusterIP": "None", "ports": [{"name": "web", "port": 80}]},
    })
}

/// Endpoints of a Service that are all on one port.
pub fn slice(service: &str, port: u16, addresses: &[String]) -> Value {
    let endpoints: Vec<Value> = addresses
        .iter()
        .map(|address| json!({"addresses": [address], "conditions": {"ready": true}}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "web", "port": port, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}

/// A Secret with a certificate and its key.
pub fn secret(name: &str, (chain, key): &(String, String)) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "type": "kubernetes.io/tls", "stringData": {"tls.crt": chain, "tls.key": key},
    })
}

/// A gateway on port 80 whose one rule leads to a Service.
pub fn gateway(class: &str, name: &str, service: &str) -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "ApplicationGateway",
        "metadata": {"name": name},
        "spec": {
            "gatewayClassName": class,
            "frontendPorts": [{"name": "http", "port": 80}],
            "httpListeners": [{"name": "web", "frontendPort": "http", "protocol": "Http"}],
            "backendAddressPools": [
                {"name": "p", "backendAddresses": [{"service": {"name": service, "port": 80}}]},
            ],
            "backendHttpSettingsCollection": [{"name": "s", "port": 80, "protocol": "Http"}],
            "requestRoutingRules": [{
                "name": "r", "ruleType": "Basic", "priority": 10, "httpListener": "web",
                "backendAddressPool": "p", "backendHttpSettings": "s",
            }],
        },
    })
}

/// The address of this machine as EndpointSlices may have it: loopback is not allowed in them.
pub const HOST: &str = "10.200.0.1";

/// A port of this machine, whatever address it was opened on.
pub fn port(address: SocketAddr) -> u16 {
    address.port()
}
