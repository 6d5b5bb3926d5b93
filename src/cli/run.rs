//! `tidegate run`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tidegate_control::{ClusterOptions, ServiceTemplate};

use crate::cli::options::{LogOptions, open_access_log, thread_count};
use crate::cli::serve::finish;
use crate::cli::{UNUSABLE, fail, say};
use crate::telemetry;
use crate::wire::{self, Config, Source};

/// Where a pod finds the name of its namespace.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Serves the ApplicationGateways and Ingresses of a Kubernetes cluster: controller and data plane.
///
/// Every replica serves everything of its class from its own watches; one of them, which holds a
/// Lease, keeps the Services and writes statuses and events. When the API server is away, what was
/// last known goes on serving. The Helm chart starts this.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  tidegate run --class tidegate --selector app=tidegate\n  \
                  KUBECONFIG=~/.kube/config tidegate run --namespace tidegate-system --host-network\n\n\
                  Outside a cluster, KUBECONFIG says which one is meant. SIGTERM drains as `serve` does.")]
pub(super) struct Run {
    /// The class whose resources are ours: the name of an IngressClass
    #[arg(long, value_name = "NAME", default_value = "tidegate", value_parser = class,
          env = "TIDEGATE_CLASS")]
    class: String,
    /// Our own namespace; by default the one of the pod
    #[arg(long, value_name = "NAME", env = "TIDEGATE_NAMESPACE")]
    namespace: Option<String>,
    /// Who we are among replicas; by default the host's name, which is the pod's
    #[arg(long, value_name = "NAME", env = "TIDEGATE_POD_NAME")]
    pod_name: Option<String>,
    /// What owns the Services that are made, so that they go when it goes: Deployment/NAME
    #[arg(long, value_name = "KIND/NAME", value_parser = owner, env = "TIDEGATE_OWNER")]
    owner: Option<(String, String)>,
    /// Labels of our pods, by which the Services find them
    #[arg(long, value_name = "KEY=VALUE,...", value_parser = pair, value_delimiter = ',',
          default_value = "app.kubernetes.io/name=tidegate", env = "TIDEGATE_SELECTOR")]
    selector: Vec<(String, String)>,
    /// The type of the Services that frontends get
    #[arg(long, value_enum, default_value_t = ServiceType::LoadBalancer, env = "TIDEGATE_SERVICE_TYPE")]
    service_type: ServiceType,
    /// An annotation of the Services; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair, env = "TIDEGATE_SERVICE_ANNOTATION")]
    service_annotation: Vec<(String, String)>,
    /// The load balancer that is meant, where the cluster has several
    #[arg(long, value_name = "NAME", env = "TIDEGATE_LOAD_BALANCER_CLASS")]
    load_balancer_class: Option<String>,
    /// Whether the Services keep clients' addresses (Local) or may pass traffic on between nodes
    #[arg(long, value_enum, default_value_t = TrafficPolicy::Local,
          env = "TIDEGATE_EXTERNAL_TRAFFIC_POLICY")]
    external_traffic_policy: TrafficPolicy,
    /// Ports of the pod that are given to frontends
    #[arg(long, value_name = "FIRST-LAST", value_parser = range, default_value = "20000-29999",
          env = "TIDEGATE_PORT_RANGE")]
    port_range: RangeInclusive<u16>,
    /// Frontends bind their own ports, on the node's network: no Services are made
    #[arg(long, env = "TIDEGATE_HOST_NETWORK")]
    host_network: bool,
    /// Whether HTTP/3 is spoken, on the UDP ports of HTTPS frontends, which the Services then have, too
    #[arg(long, value_enum, default_value_t = Http3::Auto, env = "TIDEGATE_HTTP3")]
    http3: Http3,
    /// The address of frontends that have none of their own; by default every one there is
    #[arg(long, value_name = "IP", env = "TIDEGATE_BIND")]
    bind: Option<IpAddr>,
    /// Pools may name ExternalName Services, that is any host its owner can think of
    #[arg(long, env = "TIDEGATE_ALLOW_EXTERNAL_NAME")]
    allow_external_name: bool,
    /// A namespace to look at; may be given several times. Without it, all are
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "TIDEGATE_WATCH_NAMESPACE")]
    watch_namespace: Vec<String>,
    /// An address that statuses show in place of those found; may be given several times
    #[arg(
        long,
        value_name = "ADDRESS",
        value_delimiter = ',',
        env = "TIDEGATE_PUBLISH_STATUS_ADDRESS"
    )]
    publish_status_address: Vec<String>,
    /// The Lease by which replicas agree on who writes
    #[arg(
        long,
        value_name = "NAME",
        default_value = "tidegate-leader",
        env = "TIDEGATE_LEASE_NAME"
    )]
    lease_name: String,
    /// The Secret with the keys that replicas share
    #[arg(
        long,
        value_name = "NAME",
        default_value = "tidegate-shared-keys",
        env = "TIDEGATE_SHARED_KEYS_SECRET"
    )]
    shared_keys_secret: String,
    /// Where each request and tunnel is told of: `off`, `-` for standard output, or a file
    #[arg(long, value_name = "TARGET", default_value = "off", env = "TIDEGATE_ACCESS_LOG")]
    access_log: String,
    /// Seconds that connections are accepted for after /readyz has turned off
    #[arg(long, value_name = "SECONDS", default_value_t = 10, env = "TIDEGATE_SHUTDOWN_DELAY")]
    shutdown_delay: u64,
    /// Seconds that a draining process waits for requests and tunnels to end by themselves
    #[arg(long, value_name = "SECONDS", default_value_t = 300, env = "TIDEGATE_DRAIN_TIMEOUT")]
    drain_timeout: u64,
    /// Threads that carry traffic; by default as many as there are cores for this process
    #[arg(long, value_name = "N", env = "TIDEGATE_THREADS")]
    threads: Option<NonZeroUsize>,
    /// Where /metrics, /livez, /readyz, /status and /status.json are
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:9440", env = "TIDEGATE_ADMIN")]
    admin: SocketAddr,
    #[command(flatten)]
    log: LogOptions,
}

/// A type of Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ServiceType {
    #[value(name = "LoadBalancer")]
    LoadBalancer,
    #[value(name = "NodePort")]
    NodePort,
    #[value(name = "ClusterIP")]
    ClusterIp,
}

/// Which nodes pass traffic on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TrafficPolicy {
    #[value(name = "Local")]
    Local,
    #[value(name = "Cluster")]
    Cluster,
}

/// Whether HTTP/3 is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Http3 {
    /// Unless Services are of type LoadBalancer: not every load balancer takes TCP and UDP on one port
    Auto,
    Enabled,
    Disabled,
}

impl Run {
    fn speaks_http3(&self) -> bool {
        match self.http3 {
            Http3::Auto => self.host_network || self.service_type != ServiceType::LoadBalancer,
            Http3::Enabled => true,
            Http3::Disabled => false,
        }
    }

    pub(super) fn run(self) -> u8 {
        if let Err(error) = telemetry::start(&self.log) {
            say(format_args!("{error:#}"));
            return UNUSABLE;
        }
        let access_log = match open_access_log(&self.access_log) {
            Ok(access_log) => access_log,
            Err(error) => return fail(&error),
        };
        let Some(namespace) = self.namespace.clone().or_else(own_namespace) else {
            say("--namespace is needed: this is no pod, so its namespace is not known");
            return UNUSABLE;
        };
        let config = Config {
            threads: thread_count(self.threads),
            admin: self.admin,
            access_log,
            http3: self.speaks_http3(),
            shutdown_delay: Duration::from_secs(self.shutdown_delay),
            drain_limit: Duration::from_secs(self.drain_timeout),
            source: Source::Cluster(Box::new(self.options(namespace))),
        };
        finish(wire::block_on(async { wire::start(config).await?.run_until_signal().await }))
    }

    fn options(self, namespace: String) -> ClusterOptions {
        let http3 = self.speaks_http3();
        let selector: BTreeMap<String, String> = self.selector.into_iter().collect();
        let name_of = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            value().map(|value| value.get_name().to_owned()).unwrap_or_default()
        };
        let services = (!self.host_network).then(|| ServiceTemplate {
            kind: name_of(&|| self.service_type.to_possible_value()),
            annotations: self.service_annotation.into_iter().collect(),
            load_balancer_class: self.load_balancer_class,
            external_traffic_policy: name_of(&|| self.external_traffic_policy.to_possible_value()),
            selector: selector.clone(),
            ports: self.port_range,
            http3,
        });
        ClusterOptions {
            class: self.class,
            namespace,
            pod_name: self.pod_name.unwrap_or_else(host_name),
            owner: self.owner,
            selector,
            services,
            bind: self.bind.unwrap_or_else(everywhere),
            allow_external_name: self.allow_external_name,
            watch_namespaces: self.watch_namespace,
            publish_addresses: self.publish_status_address,
            lease_name: self.lease_name,
            shared_keys_secret: self.shared_keys_secret,
            nameservers: Vec::new(),
        }
    }
}

fn own_namespace() -> Option<String> {
    let text = std::fs::read_to_string(Path::new(NAMESPACE_FILE)).ok()?;
    Some(text.trim().to_owned()).filter(|name| !name.is_empty())
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Every address of both families, or of IPv4 where the other is turned off.
fn everywhere() -> IpAddr {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))) {
        Ok(_) => Ipv6Addr::UNSPECIFIED.into(),
        Err(_) => Ipv4Addr::UNSPECIFIED.into(),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it has to be KEY=VALUE".to_owned()),
    }
}

/// It is a label of Services, and those have 63 characters at most.
fn class(text: &str) -> Result<String, String> {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let at_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if text.len() <= 63
        && text.chars().all(inside)
        && text.starts_with(at_end)
        && text.ends_with(at_end)
    {
        return Ok(text.to_owned());
    }
    Err("it has to be the name of an IngressClass, of 63 characters at most".to_owned())
}

fn owner(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((kind @ ("Deployment" | "DaemonSet"), name)) if !name.is_empty() => {
            Ok((kind.to_owned(), name.to_owned()))
        }
        _ => Err("it has to be Deployment/NAME or DaemonSet/NAME".to_owned()),
    }
}

fn range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let ends = text.split_once('-').and_then(|(first, last)| {
        Some((first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?))
    });
    match ends {
        Some((first, last)) if first > 1023 && first <= last => Ok(first..=last),
        _ => Err("it has to be FIRST-LAST, such as 20000-29999, from 1024 on".to_owned()),
    }
}
