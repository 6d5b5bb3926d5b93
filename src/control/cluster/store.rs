//! Everything that was seen of the cluster.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tidegate_model::ObjectName;

use crate::api::{ApplicationGateway, GatewayStatus};
use crate::cluster::kept::KeptService;
use crate::cluster::watch::{Change, Scope};
use crate::grants::Grant;
use crate::resources::{self, ConfigMap, Ingress, IngressClass, Origin, Resources, Secret, Slice};

/// One thing that a watch or a request has brought.
#[derive(Debug)]
pub(super) enum Seen {
    Gateways(Change<SeenGateway>),
    Services(Change<Arc<resources::Service>>),
    /// With the Service whose endpoints they are.
    Slices(Change<(ObjectName, Arc<Slice>)>),
    Grants(Change<Grant>),
    Ingresses(Change<SeenIngress>),
    Classes(Change<Arc<IngressClass>>),
    /// Services that Tidegate keeps.
    Kept(Change<Arc<KeptService>>),
    /// Secrets, by their resource version alone.
    Versions(Change<String>),
    /// A Secret that was asked for: what it is, that it is not there, or why that is not known.
    Secret(ObjectName, Result<Option<Box<Secret>>, String>),
    /// A ConfigMap that is watched: the same.
    ConfigMap(ObjectName, Result<Option<Arc<ConfigMap>>, String>),
}

/// A gateway of our class, or why it cannot be read.
#[derive(Clone, Debug)]
pub(super) struct SeenGateway {
    /// `Err` has the field and what is wrong with it.
    pub(super) resource: Result<Arc<ApplicationGateway>, (String, String)>,
    /// What its status says now.
    pub(super) status: GatewayStatus,
    pub(super) uid: String,
    pub(super) generation: i64,
}

/// An Ingress of our class, or of none.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SeenIngress {
    pub(super) resource: Arc<Ingress>,
    /// The addresses that its status shows.
    pub(super) addresses: Vec<String>,
    pub(super) uid: String,
}

/// Objects of one kind, and the scopes whose list was read to its end.
#[derive(Debug)]
struct Known<T> {
    items: BTreeMap<ObjectName, T>,
    complete: HashSet<Scope>,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), complete: HashSet::new() }
    }
}

impl<T> Known<T> {
    /// Takes a change over; the objects that are another now, with what they were.
    fn take(&mut self, change: Change<T>) -> Vec<(ObjectName, Option<T>)> {
        match change {
            Change::Put(name, item) => {
                let before = self.items.insert(name.clone(), item);
                vec![(name, before)]
            }
            Change::Gone(name) => match self.items.remove(&name) {
                Some(before) => vec![(name, Some(before))],
                None => Vec::new(),
            },
            Change::All(scope, items) => {
                let within =
                    |name: &ObjectName| scope.as_ref().is_none_or(|s| *s == name.namespace);
                let mut before = BTreeMap::new();
                let names: Vec<_> =
                    self.items.keys().filter(|name| within(name)).cloned().collect();
                for name in names {
                    if let Some(item) = self.items.remove(&name) {
                        before.insert(name, item);
                    }
                }
                let mut touched = Vec::new();
                for (name, item) in items {
                    touched.push((name.clone(), before.remove(&name)));
                    self.items.insert(name, item);
                }
                touched.extend(before.into_iter().map(|(name, item)| (name, Some(item))));
                self.complete.insert(scope);
                touched
            }
        }
    }
}

/// What a change touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    /// Something that tables are made from.
    pub(super) resources: bool,
    /// Services that Tidegate keeps.
    pub(super) kept: bool,
}

impl std::ops::BitOrAssign for Touched {
    fn bitor_assign(&mut self, other: Self) {
        self.resources |= other.resources;
        self.kept |= other.kept;
    }
}

/// What was seen, and the resources made of it.
#[derive(Debug, Default)]
pub(super) struct Store {
    gateways: Known<SeenGateway>,
    /// The last versions that could be read.
    readable: HashMap<ObjectName, Arc<ApplicationGateway>>,
    services: Known<Arc<resources::Service>>,
    slices: Known<(ObjectName, Arc<Slice>)>,
    /// Names of slices by their Service.
    slice_names: HashMap<ObjectName, HashSet<ObjectName>>,
    grants: Known<Grant>,
    ingresses: Known<SeenIngress>,
    classes: Known<Arc<IngressClass>>,
    kept: Known<Arc<KeptService>>,
    versions: Known<String>,
    resources: Resources,
}

impl Store {
    /// Whether every kind was listed to its end in every scope.
    pub(super) fn is_complete(&self, scopes: usize) -> bool {
        self.gateways.complete.len() == scopes
            && self.services.complete.len() == scopes
            && self.slices.complete.len() == scopes
            && self.grants.complete.len() == scopes
            && self.versions.complete.len() == scopes
            && self.ingresses.complete.len() == scopes
            && self.classes.complete.len() == 1
            && self.kept.complete.len() == 1
    }

    /// What tables are made from.
    pub(super) fn resources(&mut self) -> &mut Resources {
        &mut self.resources
    }

    /// Gateways as they are served: the last versions that could be read.
    pub(super) fn serving(&self) -> impl Iterator<Item = &resources::Gateway> {
        self.resources.gateways.iter()
    }

    /// Gateways of our class.
    pub(super) fn gateways(&self) -> &BTreeMap<ObjectName, SeenGateway> {
        &self.gateways.items
    }

    /// Ingresses, ours and those of no class.
    pub(super) fn ingresses(&self) -> &BTreeMap<ObjectName, SeenIngress> {
        &self.ingresses.items
    }

    /// Services that Tidegate keeps.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Arc<KeptService>> {
        self.kept.items.values()
    }

    /// The version of a Secret, if it is there.
    pub(super) fn version(&self, name: &ObjectName) -> Option<&str> {
        self.versions.items.get(name).map(String::as_str)
    }

    /// Takes over what was seen.
    pub(super) fn take(&mut self, seen: Seen) -> Touched {
        let resources = match seen {
            Seen::Gateways(change) => self.take_gateways(change),
            Seen::Services(change) => self.take_services(change),
            Seen::Slices(change) => self.take_slices(change),
            Seen::Grants(change) => self.take_grants(change),
            Seen::Ingresses(change) => self.take_ingresses(change),
            Seen::Classes(change) => self.take_classes(change),
            Seen::Kept(change) => {
                let kept = !self.kept.take(change).is_empty();
                return Touched { resources: false, kept };
            }
            Seen::Versions(change) => {
                self.versions.take(change);
                false
            }
            Seen::Secret(name, found) => self.take_secret(name, found),
            Seen::ConfigMap(name, found) => self.take_config_map(name, found),
        };
        Touched { resources, kept: false }
    }

    fn take_gateways(&mut self, change: Change<SeenGateway>) -> bool {
        let mut changed = false;
        for (name, before) in self.gateways.take(change) {
            let now = self.gateways.items.get(&name);
            match now.map(|gateway| &gateway.resource) {
                Some(Ok(resource)) => {
                    self.readable.insert(name.clone(), resource.clone());
                }
                // What was read last goes on serving.
                Some(Err(_)) => {}
                None => drop(self.readable.remove(&name)),
            }
            // Most changes are of the status, which we write ourselves.
            changed |= match (before, now) {
                (Some(before), Some(now)) => match (&before.resource, &now.resource) {
                    (Ok(a), Ok(b)) => a.spec != b.spec || before.generation != now.generation,
                    (Err(a), Err(b)) => a != b,
                    _ => true,
                },
                _ => true,
            };
        }
        if changed {
            let origin = Arc::new(Origin::default());
            let gateway = |(name, resource): (&ObjectName, &Arc<ApplicationGateway>)| {
                let (name, resource) = (name.clone(), resource.clone());
                resources::Gateway { name, resource, origin: origin.clone() }
            };
            let mut gateways: Vec<_> = self.readable.iter().map(gateway).collect();
            // The oldest claims an address first.
            gateways.sort_by_cached_key(|gateway| {
                let created = gateway.resource.metadata.creation_timestamp.clone();
                (created.map(|time| time.0), gateway.name.clone())
            });
            self.resources.gateways = gateways;
        }
        changed
    }

    fn take_services(&mut self, change: Change<Arc<resources::Service>>) -> bool {
        let mut changed = false;
        for (name, before) in self.services.take(change) {
            let now = self.services.items.get(&name);
            changed |= before.as_ref() != now;
            match now {
                Some(service) => drop(self.resources.services.insert(name, service.clone())),
                None => drop(self.resources.services.remove(&name)),
            }
        }
        changed
    }

    fn take_slices(&mut self, change: Change<(ObjectName, Arc<Slice>)>) -> bool {
        let mut services = HashSet::new();
        for (name, before) in self.slices.take(change) {
            let now = self.slices.items.get(&name);
            if before.as_ref() == now {
                continue;
            }
            if let Some((service, _)) = before {
                self.slice_names.entry(service.clone()).or_default().remove(&name);
                services.insert(service);
            }
            if let Some((service, _)) = now {
                self.slice_names.entry(service.clone()).or_default().insert(name);
                services.insert(service.clone());
            }
        }
        for service in &services {
            let names = self.slice_names.get(service).into_iter().flatten();
            let mut slices: Vec<_> =
                names.filter_map(|name| Some((name, &self.slices.items.get(name)?.1))).collect();
            if slices.is_empty() {
                self.resources.slices.remove(service);
                self.slice_names.remove(service);
                continue;
            }
            // The order of members does not depend on the order in which slices came.
            slices.sort_by_key(|(name, _)| *name);
            let slices = slices.into_iter().map(|(_, slice)| slice.clone()).collect();
            self.resources.slices.insert(service.clone(), Arc::new(slices));
        }
        !services.is_empty()
    }

    fn take_grants(&mut self, change: Change<Grant>) -> bool {
        let touched = self.grants.take(change);
        let changed = touched.iter().any(|(name, was)| was.as_ref() != self.grants.items.get(name));
        if changed {
            let mut grants: HashMap<Box<str>, Vec<Grant>> = HashMap::new();
            for (name, grant) in &self.grants.items {
                grants.entry(name.namespace.clone()).or_default().push(grant.clone());
            }
            self.resources.grants = grants;
        }
        changed
    }

    fn take_ingresses(&mut self, change: Change<SeenIngress>) -> bool {
        let mut changed = false;
        for (name, before) in self.ingresses.take(change) {
            let now = self.ingresses.items.get(&name);
            changed |= before.map(|its| its.resource) != now.map(|its| its.resource.clone());
        }
        if changed {
            let origin = Arc::new(Origin::default());
            let item = |its: &SeenIngress| resources::IngressItem {
                resource: its.resource.clone(),
                origin: origin.clone(),
            };
            self.resources.ingresses = self.ingresses.items.values().map(item).collect();
        }
        changed
    }

    fn take_classes(&mut self, change: Change<Arc<IngressClass>>) -> bool {
        let touched = self.classes.take(change);
        let changed =
            touched.iter().any(|(name, was)| was.as_ref() != self.classes.items.get(name));
        if changed {
            self.resources.ingress_classes = self.classes.items.values().cloned().collect();
        }
        changed
    }

    fn take_secret(
        &mut self,
        name: ObjectName,
        found: Result<Option<Box<Secret>>, String>,
    ) -> bool {
        match found {
            Ok(Some(secret)) => {
                let secret = match self.resources.secrets.get(&name) {
                    Some(last) => secret.or_last_good(last),
                    None => *secret,
                };
                self.resources.secrets.insert(name, Arc::new(secret));
                true
            }
            Ok(None) => self.resources.secrets.remove(&name).is_some(),
            // What is known stays.
            Err(_) => false,
        }
    }

    fn take_config_map(
        &mut self,
        name: ObjectName,
        found: Result<Option<Arc<ConfigMap>>, String>,
    ) -> bool {
        let known = &mut self.resources.config_maps;
        match found {
            Ok(Some(found)) if known.get(&name).is_some_and(|last| *last == found) => false,
            Ok(Some(found)) => {
                known.insert(name, found);
                true
            }
            Ok(None) => known.remove(&name).is_some(),
            // What is known stays.
            Err(_) => false,
        }
    }

    /// Forgets ConfigMaps that nothing refers to any more.
    pub(super) fn keep_config_maps(&mut self, wanted: &HashSet<ObjectName>) {
        self.resources.config_maps.retain(|name, _| wanted.contains(name));
    }

    /// Forgets Secrets that nothing refers to any more.
    pub(super) fn keep_secrets(&mut self, wanted: &HashSet<ObjectName>) {
        self.resources.secrets.retain(|name, _| wanted.contains(name));
    }
}
