//! Gateways in front of several pools, as YAML.

use std::net::SocketAddr;

use serde_json::Value;

use crate::gateway::{Gateway, Plan, until};

/// A gateway whose rule `r1` takes everything that comes to its only listener.
#[derive(Clone)]
pub struct Pools {
    pub http: u16,
    /// Names and members.
    pub pools: Vec<(&'static str, Vec<SocketAddr>)>,
    /// More fields of the settings, each beginning with a comma.
    pub settings: String,
    /// More fields of the probe, each beginning with a comma.
    pub probe: String,
    /// Where the rule leads, such as `backendAddressPool: p`.
    pub to: String,
    /// More of the spec, in lines.
    pub more: String,
}

impl Pools {
    /// One pool `p` with these members.
    pub fn to(members: &[SocketAddr]) -> Self {
        Self {
            http: crate::gateway::free_port(),
            pools: vec![("p", members.to_vec())],
            settings: String::new(),
            probe: String::new(),
            to: "backendAddressPool: p".into(),
            more: String::new(),
        }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn yaml(&self) -> String {
        let Self { http, pools, settings, probe, to, more } = self;
        let (mut lines, mut documents) = (String::new(), String::new());
        for (name, members) in pools {
            lines += &format!(
                "  - {{name: {name}, backendAddresses: [{{service: {{name: {name}, port: 80}}}}]}}\n"
            );
            documents += &format!(
                "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80}}]}}\n"
            );
            for (index, member) in members.iter().enumerate() {
                documents += &format!(
                    "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}-{index}, labels: {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\nports: [{{port: {}}}]\nendpoints: [{{addresses: [{}], conditions: {{ready: true}}}}]\n",
                    member.port(),
                    member.ip()
                );
            }
        }
        let protocol = if settings.contains("protocol:") { "" } else { ", protocol: Http" };
        let asked = if settings.contains("protocol: Https") { "Https" } else { "Http" };
        let rhythm = if probe.contains("interval:") {
            ""
        } else {
            ", interval: 1, timeout: 1, unhealthyThreshold: 1"
        };
        format!(
            "\
apiVersion: tidegate.dev/v1alpha1
kind: ApplicationGateway
metadata: {{name: g}}
spec:
  frontendPorts: [{{name: http, port: {http}}}]
  httpListeners: [{{name: web, frontendPort: http, protocol: Http}}]
  backendAddressPools:
{lines}  backendHttpSettingsCollection: [{{name: s, port: 80, probe: h{protocol}{settings}}}]
  probes: [{{name: h, protocol: {asked}{rhythm}{probe}}}]
  requestRoutingRules:
  - {{name: r1, ruleType: Basic, httpListener: web, backendHttpSettings: s, {to}}}
{more}{documents}"
        )
    }

    /// Starts it, and waits until all members are up.
    pub async fn start(&self) -> Gateway {
        let gateway = self.start_as_it_is().await;
        until("all members are up", async || {
            let members = members(&gateway).await;
            !members.is_empty() && members.iter().all(|(_, health)| health["state"] == "Up")
        })
        .await;
        gateway
    }

    /// Starts it.
    pub async fn start_as_it_is(&self) -> Gateway {
        let plan =
            Plan::to(SocketAddr::from(([127, 0, 0, 1], 1))).with(|plan| plan.http = self.http);
        Gateway::start_yaml(plan, &self.yaml()).await
    }

    /// Replaces it, and waits until the table has been swapped.
    pub async fn apply(&self, gateway: &Gateway) {
        let before = gateway.status().await["revision"].as_u64().unwrap();
        gateway.write(&self.yaml());
        until("the table is swapped", async || {
            gateway.status().await["revision"].as_u64().unwrap() > before
        })
        .await;
    }
}

/// All members of a gateway and how they are.
pub async fn members(gateway: &Gateway) -> Vec<(SocketAddr, Value)> {
    let status = gateway.status().await;
    let targets = status["targets"].as_array().unwrap().iter();
    let members = targets.flat_map(|target| target["members"].as_array().unwrap());
    let member = |m: &Value| (m["address"].as_str().unwrap().parse().unwrap(), m["health"].clone());
    members.map(member).collect()
}

/// How one member is.
pub async fn health(gateway: &Gateway, member: SocketAddr) -> Value {
    let all = members(gateway).await;
    all.into_iter().find(|(address, _)| *address == member).map(|its| its.1).unwrap_or_default()
}
