//! What the translation of a gateway has looked at: while none of it is another, neither is what
//! came of it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_model::ObjectName;

use crate::pages::Page;
use crate::places::Places;
use crate::resources::{ConfigMap, Resolution, Resources, Secret, Service, Slice};

/// Sockets by the gateway that has claimed them.
pub(super) type Taken = HashMap<SocketAddr, ObjectName>;

/// One look, and what was seen.
#[derive(Debug)]
enum Look {
    Secret(ObjectName, Option<Arc<Secret>>),
    Service(ObjectName, Option<Arc<Service>>),
    Slices(ObjectName, Option<Arc<Vec<Arc<Slice>>>>),
    Name(String, Option<Resolution>),
    ConfigMap(ObjectName, Option<Arc<ConfigMap>>),
    Page(String, Option<Page>),
    Reference(&'static str, ObjectName, bool),
    Place(Box<str>, u16, Option<SocketAddr>),
    Claim(SocketAddr, Option<ObjectName>),
    /// What was seen holds until then.
    Until(i64),
}

/// Everything that one translation looked at.
#[derive(Debug, Default)]
pub(super) struct Uses(RefCell<Vec<Look>>);

fn same<T>(a: Option<&Arc<T>>, b: Option<&Arc<T>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

impl Uses {
    fn add(&self, look: Look) {
        self.0.borrow_mut().push(look);
    }

    /// Whether looking again would show the same.
    pub(super) fn hold(
        &self,
        gateway: &ObjectName,
        resources: &Resources,
        places: &Places,
        taken: &Taken,
    ) -> bool {
        self.0.borrow().iter().all(|look| match look {
            Look::Secret(name, seen) => same(resources.secrets.get(name), seen.as_ref()),
            Look::Service(name, seen) => same(resources.services.get(name), seen.as_ref()),
            Look::Slices(name, seen) => same(resources.slices.get(name), seen.as_ref()),
            Look::Name(name, seen) => resources.names.get(name) == seen.as_ref(),
            Look::ConfigMap(name, seen) => same(resources.config_maps.get(name), seen.as_ref()),
            Look::Page(url, seen) => resources.pages.get(url) == seen.as_ref(),
            Look::Reference(kind, object, seen) => {
                resources.may_refer(gateway, kind, object) == *seen
            }
            Look::Place(frontend, port, seen) => {
                // An address of its own is the gateway's, and does not change without it.
                let now = places.of(gateway, frontend, seen.map(|seen| seen.ip()), *port);
                now == *seen
            }
            Look::Until(time) => resources.now < *time,
            Look::Claim(address, seen) => taken.get(address) == seen.as_ref(),
        })
    }

    pub(super) fn secret<'a>(&self, from: &'a Resources, name: &ObjectName) -> Option<&'a Secret> {
        let found = from.secrets.get(name);
        self.add(Look::Secret(name.clone(), found.cloned()));
        found.map(Arc::as_ref)
    }

    pub(super) fn service<'a>(
        &self,
        from: &'a Resources,
        name: &ObjectName,
    ) -> Option<&'a Service> {
        let found = from.services.get(name);
        self.add(Look::Service(name.clone(), found.cloned()));
        found.map(Arc::as_ref)
    }

    pub(super) fn slices<'a>(&self, from: &'a Resources, name: &ObjectName) -> &'a [Arc<Slice>] {
        let found = from.slices.get(name);
        self.add(Look::Slices(name.clone(), found.cloned()));
        found.map_or(&[], |slices| slices)
    }

    pub(super) fn name<'a>(&self, from: &'a Resources, name: &str) -> Option<&'a Resolution> {
        let found = from.names.get(name);
        self.add(Look::Name(name.to_owned(), found.cloned()));
        found
    }

    pub(super) fn config_map<'a>(
        &self,
        from: &'a Resources,
        name: &ObjectName,
    ) -> Option<&'a ConfigMap> {
        let found = from.config_maps.get(name);
        self.add(Look::ConfigMap(name.clone(), found.cloned()));
        found.map(Arc::as_ref)
    }

    pub(super) fn page<'a>(&self, from: &'a Resources, url: &str) -> Option<&'a Page> {
        let found = from.pages.get(url);
        self.add(Look::Page(url.to_owned(), found.cloned()));
        found
    }

    /// Whether a gateway may refer to an object.
    pub(super) fn may_refer(
        &self,
        from: &Resources,
        gateway: &ObjectName,
        kind: &'static str,
        object: &ObjectName,
    ) -> bool {
        let may = from.may_refer(gateway, kind, object);
        if object.namespace != gateway.namespace {
            self.add(Look::Reference(kind, object.clone(), may));
        }
        may
    }

    /// Where a port of a frontend listens; `own` is an address that the gateway asks for.
    pub(super) fn place(
        &self,
        places: &Places,
        gateway: &ObjectName,
        frontend: &str,
        own: Option<std::net::IpAddr>,
        port: u16,
    ) -> Option<SocketAddr> {
        let place = places.of(gateway, frontend, own, port);
        self.add(Look::Place(frontend.into(), port, place));
        place
    }

    /// What was found is another at that time.
    pub(super) fn until(&self, time: Option<i64>) {
        self.0.borrow_mut().extend(time.map(Look::Until));
    }

    /// Who has claimed a socket before.
    pub(super) fn claimed<'a>(
        &self,
        taken: &'a Taken,
        address: SocketAddr,
    ) -> Option<&'a ObjectName> {
        let other = taken.get(&address);
        self.add(Look::Claim(address, other.cloned()));
        other
    }
}
