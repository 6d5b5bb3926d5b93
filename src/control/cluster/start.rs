//! Starts the watches and what works on what they bring.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1 as networking;
use kube::api::{Api, PartialObjectMeta};
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Config, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tidegate_model::ObjectName;
use tokio::sync::{mpsc, oneshot, watch as channel};
use tokio::task::JoinHandle;
use tracing::warn;

use crate::api::{ApplicationGateway, GatewayStatus};
use crate::cluster::config_maps::ConfigMaps;
use crate::cluster::kept::{self, KeptService};
use crate::cluster::keys::{self, Keys};
use crate::cluster::lead::Leader;
use crate::cluster::reconcile::{Judged, Reconciler};
use crate::cluster::secrets::Secrets;
use crate::cluster::store::{Seen, SeenGateway, SeenIngress, Store};
use crate::cluster::watch::{Kind, Scope, Watches};
use crate::cluster::{ClusterError, ClusterOptions, Feedback};
use crate::dns::Dns;
use crate::places::{Places, Ports};
use crate::resources::{Ingress, IngressClass, Service, Slice};
use crate::source::typed;
use crate::standalone::{INGRESS_CONTROLLER, Update};
use crate::translate::{Addresses, IngressOptions, Translator, WithoutClass};

/// How long giving a lease away may take.
const STEP_DOWN: Duration = Duration::from_secs(3);
/// Things seen that wait to be taken; then watches wait.
const WAITING: usize = 1024;
/// Secrets that gateways never refer to, and that may be many and large.
const NO_SECRETS_OF: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,type!=bootstrap.kubernetes.io/token";

/// A cluster that is being watched.
#[derive(Debug)]
pub struct Cluster {
    /// The newest update; each differs from the one before. Its number is 0 until everything has
    /// been read once.
    pub updates: channel::Receiver<Arc<Update>>,
    /// Takes what the data plane says.
    pub feedback: channel::Sender<Arc<Feedback>>,
    /// Keys that all replicas share. None at first.
    pub keys: channel::Receiver<Keys>,
    /// The part in the election of who writes.
    pub leadership: Leadership,
}

/// The part of this replica in the election of who writes Services and statuses.
#[derive(Debug)]
pub struct Leadership {
    stay: oneshot::Sender<()>,
    leading: JoinHandle<()>,
}

impl Leadership {
    /// Takes no part any more. If this replica leads, another one may at once.
    pub async fn step_down(self) {
        drop(self.stay);
        if tokio::time::timeout(STEP_DOWN, self.leading).await.is_err() {
            warn!("the lease could not be given away in time: it ends by itself");
        }
    }
}

/// Watches a cluster for as long as the receivers live.
///
/// # Errors
/// If there is no way to an API server. One that does not answer is no error: it is waited for.
pub async fn serve_cluster(options: ClusterOptions) -> Result<Cluster, ClusterError> {
    let config = Config::infer().await?;
    let client = Client::try_from(config)?;
    let options = Arc::new(options);
    let scopes: Vec<Scope> = match options.watch_namespaces.as_slice() {
        [] => vec![None],
        names => names.iter().map(|name| Some(name.as_str().into())).collect(),
    };
    let (seen_sender, seen) = mpsc::channel(WAITING);
    let watches = Watches { client: client.clone(), seen: seen_sender.clone() };
    start_watches(&watches, &scopes, &options);

    let (updates, updates_receiver) = channel::channel(Arc::<Update>::default());
    let (judged, judged_receiver) = channel::channel(Arc::<Judged>::default());
    let (feedback, feedback_receiver) = channel::channel(Arc::<Feedback>::default());
    let places = match options.services {
        None => Places::Own(options.bind),
        Some(_) => Places::Allocated { bind: options.bind, ports: Arc::new(Ports::new()) },
    };
    let reconciler = Reconciler::new(
        Store::default(),
        Secrets::new(client.clone(), seen_sender.clone()),
        ConfigMaps::new(client.clone(), seen_sender),
        Dns::new(&options.nameservers),
        translator(places, &options),
        options.services.is_some().then_some(options.bind),
        scopes.len(),
        options.allow_external_name,
        (updates, judged),
    );
    tokio::spawn(reconciler.run(seen));
    let leader = Leader::new(client.clone(), options.clone(), judged_receiver, feedback_receiver);
    let (stay, stayed) = oneshot::channel();
    let leading = tokio::spawn(leader.run(stayed));
    let leadership = Leadership { stay, leading };
    let keys = watch_keys(client, &options);
    Ok(Cluster { updates: updates_receiver, feedback, keys, leadership })
}

fn translator(places: Places, options: &ClusterOptions) -> Translator {
    let gateway = ingress_gateway(options);
    let mut translator = Translator::new(
        places.clone(),
        Some(IngressOptions {
            class: options.class.clone(),
            gateway,
            controller: INGRESS_CONTROLLER.to_owned(),
            without_class: WithoutClass::ByDefaultClass,
            allow_external_name: options.allow_external_name,
            addresses: Addresses::new(|_| None),
            https_port: None,
        }),
    );
    translator.set_places(places);
    translator
}

/// The gateway that all our Ingresses become. No object can have a name with a colon.
pub(super) fn ingress_gateway(options: &ClusterOptions) -> ObjectName {
    ObjectName::new(options.namespace.as_str(), format!("ingress:{}", options.class))
}

fn start_watches(watches: &Watches, scopes: &[Scope], options: &ClusterOptions) {
    watches.namespaced("Service", scopes, |its: core::Service| Some(service(its)), Seen::Services);
    watches.namespaced("EndpointSlice", scopes, slice, Seen::Slices);
    let gateways = ApiResource::erase::<ApplicationGateway>(&());
    let grants = ApiResource {
        group: "gateway.networking.k8s.io".into(),
        version: "v1beta1".into(),
        api_version: "gateway.networking.k8s.io/v1beta1".into(),
        kind: "ReferenceGrant".into(),
        plural: "referencegrants".into(),
    };
    for scope in scopes {
        let (scope, config) = (scope.clone(), watcher::Config::default());
        let class = options.class.clone();
        watches.one(Kind {
            name: "ApplicationGateway",
            api: dynamic(&watches.client, &scope, &gateways),
            scope: scope.clone(),
            config: config.clone(),
            trim: Box::new(move |object| gateway(object, &class)),
            wrap: Seen::Gateways,
        });
        let class = options.class.clone();
        watches.one(Kind {
            name: "Ingress",
            api: namespaced::<networking::Ingress>(&watches.client, &scope),
            scope: scope.clone(),
            config: config.clone(),
            trim: Box::new(move |object| ingress(object, &class)),
            wrap: Seen::Ingresses,
        });
        watches.one(Kind {
            name: "ReferenceGrant",
            api: dynamic(&watches.client, &scope, &grants),
            scope: scope.clone(),
            config: config.clone(),
            trim: Box::new(|object: DynamicObject| {
                serde_json::from_value(object.data["spec"].clone()).ok()
            }),
            wrap: Seen::Grants,
        });
        watches.one(Kind {
            name: "Secret",
            api: namespaced::<PartialObjectMeta<core::Secret>>(&watches.client, &scope),
            scope,
            config: config.fields(NO_SECRETS_OF),
            trim: Box::new(|secret: PartialObjectMeta<core::Secret>| {
                secret.metadata.resource_version
            }),
            wrap: Seen::Versions,
        });
    }
    watches.one(Kind {
        name: "IngressClass",
        api: Api::<networking::IngressClass>::all(watches.client.clone()),
        scope: None,
        config: watcher::Config::default(),
        trim: Box::new(|class| {
            let name = class.metadata.name.clone().unwrap_or_default();
            Some(Arc::new(IngressClass::read(&name, &class)))
        }),
        wrap: Seen::Classes,
    });
    let ours =
        format!("{}={},{}={}", kept::MANAGED_BY.0, kept::MANAGED_BY.1, kept::CLASS, options.class);
    watches.one(Kind {
        name: "Service that is kept",
        api: Api::<core::Service>::namespaced(watches.client.clone(), &options.namespace),
        scope: None,
        config: watcher::Config::default().labels(&ours),
        trim: Box::new(|service| KeptService::read(service).map(Arc::new)),
        wrap: Seen::Kept,
    });
}

fn namespaced<K>(client: &Client, scope: &Scope) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    match scope {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

fn dynamic(client: &Client, scope: &Scope, resource: &ApiResource) -> Api<DynamicObject> {
    match scope {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

fn service(service: core::Service) -> Arc<Service> {
    Arc::new(Service::read(&service))
}

fn slice(slice: EndpointSlice) -> Option<(ObjectName, Arc<Slice>)> {
    let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
    let service = ObjectName::new(namespace, Slice::service_of(&slice)?);
    Some((service, Arc::new(Slice::read(&slice))))
}

/// A gateway, if it is of our class. One that cannot be read says why: a newer or older program may
/// have other fields than the definition in the cluster.
fn gateway(object: DynamicObject, class: &str) -> Option<SeenGateway> {
    let data = &object.data;
    let its = data["spec"]["gatewayClassName"].as_str().unwrap_or("tidegate");
    if its != class {
        return None;
    }
    let status = part::<GatewayStatus>(data, "status").unwrap_or_default();
    let metadata = object.metadata.clone();
    let (uid, generation) = (metadata.uid.unwrap_or_default(), metadata.generation.unwrap_or(0));
    let resource = match object.data.get("spec").cloned() {
        Some(spec) => typed(spec).map_err(|(path, why)| match path.as_str() {
            "" => ("spec".to_owned(), why),
            path => (format!("spec.{path}"), why),
        }),
        None => Err(("spec".to_owned(), "it has none".to_owned())),
    };
    let resource = resource.map(|spec| {
        let mut metadata = object.metadata;
        metadata.managed_fields = None;
        metadata.annotations = None;
        Arc::new(ApplicationGateway { metadata, spec, status: None })
    });
    Some(SeenGateway { resource, status, uid, generation })
}

/// An Ingress, unless it is of another class.
fn ingress(object: networking::Ingress, class: &str) -> Option<SeenIngress> {
    let metadata = &object.metadata;
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    let name = ObjectName::new(part(&metadata.namespace), part(&metadata.name));
    let resource = Ingress::read(&name, &object);
    if resource.class.as_deref().is_some_and(|its| its != class) {
        return None;
    }
    let balancer = object.status.and_then(|status| status.load_balancer);
    let balanced = balancer.and_then(|balancer| balancer.ingress).unwrap_or_default();
    let addresses = balanced.into_iter().filter_map(|its| its.ip.or(its.hostname)).collect();
    let uid = object.metadata.uid.unwrap_or_default();
    Some(SeenIngress { resource: Arc::new(resource), addresses, uid })
}

fn part<T: DeserializeOwned>(data: &Value, field: &str) -> Option<T> {
    serde_json::from_value(data.get(field)?.clone()).ok()
}

/// The keys in the shared Secret, whenever they change.
fn watch_keys(client: Client, options: &ClusterOptions) -> channel::Receiver<Keys> {
    let api: Api<core::Secret> = Api::namespaced(client, &options.namespace);
    let config =
        watcher::Config::default().fields(&format!("metadata.name={}", options.shared_keys_secret));
    let (sender, receiver) = channel::channel(Keys::default());
    tokio::spawn(async move {
        use futures_util::StreamExt;
        let mut events = std::pin::pin!(watcher(api, config));
        loop {
            let event = tokio::select! {
                () = sender.closed() => return,
                event = events.next() => event,
            };
            match event {
                Some(Ok(Event::Apply(secret) | Event::InitApply(secret))) => {
                    let keys = keys::read(&secret);
                    sender.send_if_modified(|last| {
                        let differs = keys != Keys::default() && *last != keys;
                        if differs {
                            *last = keys;
                        }
                        differs
                    });
                }
                // Keys that were deleted go on until there are others.
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    warn!(%error, "cannot watch the shared keys; trying again");
                    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
                }
                None => return,
            }
        }
    });
    receiver
}
