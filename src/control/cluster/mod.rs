//! The cluster as a source of resources, and as the place where their statuses are written.
//!
//! ```text
//! watches -> Store -> Resources -> translate -> Update -> the data plane
//!                                     |                        |
//!                                     +-> Judged -> Leader <- Feedback
//! ```
//! Every replica serves everything from its own watches. One of them, which holds a Lease, writes:
//! Services, statuses, events, and the keys that replicas share. What it writes comes back to all
//! through the watches. When the API server is away, what was last known goes on serving.

mod config_maps;
mod events;
mod kept;
mod keys;
mod lead;
mod reconcile;
mod secrets;
mod services;
mod start;
mod status;
mod store;
mod watch;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use thiserror::Error;
use tidegate_model::ObjectName;

pub use keys::Keys;
pub use services::ServiceTemplate;
pub use start::{Cluster, Leadership, serve_cluster};

/// How to serve a cluster's resources.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The class whose gateways and Ingresses are ours.
    pub class: String,
    /// Our own namespace.
    pub namespace: String,
    /// The name of our pod: who we are among replicas.
    pub pod_name: String,
    /// Kind and name of what owns our pods, and is to own what is made in our namespace.
    pub owner: Option<(String, String)>,
    /// Labels of our pods.
    pub selector: BTreeMap<String, String>,
    /// The Services that frontends get; `None` if they bind their ports on the node themselves.
    pub services: Option<ServiceTemplate>,
    /// Where frontends bind that have no address of their own.
    pub bind: IpAddr,
    /// Whether a pool may name an ExternalName Service.
    pub allow_external_name: bool,
    /// The namespaces to look at; none for all.
    pub watch_namespaces: Vec<String>,
    /// Addresses that statuses are to show, in place of those that are found.
    pub publish_addresses: Vec<String>,
    /// The Lease by which one replica leads.
    pub lease_name: String,
    /// The Secret with the keys that replicas share.
    pub shared_keys_secret: String,
    /// DNS servers in place of the system's.
    pub nameservers: Vec<SocketAddr>,
}

/// What the data plane says of what it was given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Feedback {
    /// The number of the last update that serves.
    pub applied: u64,
    /// Members that are up, of all, by gateway and pool.
    pub pools: HashMap<(ObjectName, Box<str>), (usize, usize)>,
    /// Sockets that could not be opened, by gateway.
    pub failures: HashMap<ObjectName, Vec<String>>,
}

/// Why a cluster cannot be served.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// There is no way to an API server.
    #[error(
        "no cluster is configured: in a pod the service account is missing, outside KUBECONFIG \
         has to name a file: {0}"
    )]
    Config(#[from] kube::config::InferConfigError),
    /// The client cannot be made.
    #[error("cannot make a client for the API server: {0}")]
    Client(#[from] kube::Error),
}
