//! From resources to a snapshot of the model, and what is wrong with them. Pure: the same
//! resources always give the same outcome, whoever asks.
//!
//! What is wrong is refused alone. A rule that cannot work keeps its listener, which answers 502:
//! requests meant for it must not fall to another listener. A listener whose certificate, profile or
//! policy is wrong keeps its hosts, too; one that says neither port nor hosts is left out.

mod addresses;
mod backend_tls;
mod certificates;
mod conditions;
mod destination;
mod distribution;
mod error_pages;
mod expiry;
mod findings;
mod gateway;
mod global;
mod guard;
mod hidden;
mod ingress;
mod listeners;
mod members;
#[cfg(test)]
mod memory;
mod path_maps;
#[cfg(test)]
mod path_tests;
mod policy;
mod probes;
mod profiles;
mod redirects;
mod reuse;
mod rewrites;
mod rules;
mod settings;
#[cfg(test)]
mod tests;
mod uses;
mod web_socket;

pub use conditions::{GatewayCondition, GatewayConditions};
pub(crate) use error_pages::{LARGEST_PAGE, config_map_names, page_urls};
pub(crate) use findings::{Finding, GATEWAY, INGRESS, host_names, secret_names, to_problems};
pub(crate) use gateway::Translator;
pub(crate) use ingress::{Addresses, IngressOptions, OwnIngress, WithoutClass};

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_model::Snapshot;

/// What resources come to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) gateways: Vec<Arc<GatewayConditions>>,
    /// The Ingresses that are ours, right or wrong.
    pub(crate) ingresses: Vec<OwnIngress>,
    /// Ports that they are to be served on.
    pub(crate) ingress_ports: BTreeSet<u16>,
}
