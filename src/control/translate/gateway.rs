//! The translation of one gateway after the other.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tidegate_model::{
    Distribution, ErrorPages, Frontend, Gateway, Listener, ObjectName, PathMap, Pool, RewriteSet,
    Settings, Snapshot, Target,
};

use crate::api::{ApplicationGateway, ApplicationGatewaySpec, Part, Unsupported, unsupported};
use crate::places::Places;
use crate::resources::{self, Resources};
use crate::translate::addresses::known_listeners;
use crate::translate::destination::Destinations;
use crate::translate::distribution::Policies;
use crate::translate::findings::{Finding, Findings, GATEWAY};
use crate::translate::global::bodies;
use crate::translate::ingress::{Addresses, IngressOptions, Ingresses};
use crate::translate::listeners::Listeners;
use crate::translate::members::pool;
use crate::translate::profiles::Profiles;
use crate::translate::redirects::redirects;
use crate::translate::reuse::Reuse;
use crate::translate::rewrites::{Patterns, RewriteSets};
use crate::translate::settings::settings;
use crate::translate::uses::{Taken, Uses};
use crate::translate::{GatewayConditions, Outcome};

/// Translates resources, and remembers what came of them: what has not changed is not translated
/// again, and stays the same in memory.
#[derive(Debug)]
pub(crate) struct Translator {
    places: Places,
    gateways: HashMap<ObjectName, Done>,
    ingresses: Option<Ingresses>,
    ingress_parts: Parts,
    ingress_gateway: Option<Arc<Gateway>>,
    last: Arc<Snapshot>,
}

/// The parts of one gateway.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) pools: Reuse<Box<str>, Pool>,
    pub(super) settings: Reuse<Box<str>, Settings>,
    pub(super) targets: Reuse<(Box<str>, Box<str>), Target>,
    pub(super) distributions: Reuse<(Box<str>, Box<str>), Distribution>,
    pub(super) path_maps: Reuse<Box<str>, PathMap>,
    /// By listener; those of the gateway have no name.
    pub(super) error_pages: Reuse<Box<str>, ErrorPages>,
    pub(super) rewrites: Reuse<Box<str>, RewriteSet>,
    pub(super) patterns: Patterns,
    pub(super) listeners: Reuse<Box<str>, Listener>,
}

impl Parts {
    /// A target, in the place of an equal one.
    pub(super) fn target(&mut self, target: Target) -> Arc<Target> {
        let names = (target.pool.name.clone(), target.settings.name.clone());
        self.targets.share(names, target)
    }

    /// This translation is the last one from now on.
    fn turn(&mut self) {
        self.pools.turn();
        self.settings.turn();
        self.targets.turn();
        self.distributions.turn();
        self.path_maps.turn();
        self.error_pages.turn();
        self.rewrites.turn();
        self.patterns.turn();
        self.listeners.turn();
    }
}

/// The gateway, in the last one's place if it is equal.
fn shared(gateway: Gateway, last: Option<Arc<Gateway>>) -> Arc<Gateway> {
    match last {
        Some(last) if *last == gateway => last,
        _ => Arc::new(gateway),
    }
}

/// A gateway that was translated.
#[derive(Debug)]
struct Done {
    resource: Arc<ApplicationGateway>,
    uses: Uses,
    parts: Parts,
    gateway: Arc<Gateway>,
    findings: Vec<Finding>,
    conditions: Arc<GatewayConditions>,
}

/// The names of one collection and where they stand; a name that stands twice counts once.
pub(super) type Names<'a> = HashMap<&'a str, usize>;

/// What the translation of one gateway shares.
pub(super) struct Context<'a> {
    pub(super) name: &'a ObjectName,
    pub(super) spec: &'a ApplicationGatewaySpec,
    pub(super) resources: &'a Resources,
    pub(super) uses: &'a Uses,
    pub(super) places: &'a Places,
    /// Items that use what is not supported, by collection and place.
    pub(super) refused: Vec<(&'static str, usize)>,
}

impl Context<'_> {
    /// Whether an item was refused for what it uses.
    pub(super) fn is_refused(&self, collection: &str, index: usize) -> bool {
        self.refused.iter().any(|(its, place)| *its == collection && *place == index)
    }

    /// Whether the gateway may refer to an object.
    pub(super) fn may_refer(&self, kind: &'static str, object: &ObjectName) -> bool {
        self.uses.may_refer(self.resources, self.name, kind, object)
    }
}

/// Why a reference into another namespace is refused.
pub(super) fn not_granted(kind: &str, object: &ObjectName) -> String {
    format!(
        "no ReferenceGrant of namespace {} allows ApplicationGateways of this namespace to refer \
         to {kind} {object}",
        object.namespace
    )
}

impl Translator {
    /// Frontends listen where `places` says.
    /// Ingresses are translated if it is said how.
    pub(crate) fn new(places: Places, ingresses: Option<IngressOptions>) -> Self {
        Self {
            places,
            gateways: HashMap::new(),
            ingresses: ingresses.map(Ingresses::new),
            ingress_parts: Parts::default(),
            ingress_gateway: None,
            last: Arc::default(),
        }
    }

    /// From now on frontends listen where `places` says.
    pub(crate) fn set_places(&mut self, places: Places) {
        if let Some(ingresses) = &mut self.ingresses {
            let (places, gateway) = (places.clone(), ingresses.options().gateway.clone());
            let place = move |port| places.of(&gateway, "", None, port);
            ingresses.set_addresses(Addresses::new(place));
        }
        self.places = places;
    }

    /// Translates everything.
    pub(crate) fn translate(&mut self, resources: &Resources) -> Outcome {
        let mut gateways = Vec::with_capacity(resources.gateways.len());
        let mut findings = Vec::new();
        let mut conditions = Vec::with_capacity(resources.gateways.len());
        let mut taken = Taken::new();
        let mut before = std::mem::take(&mut self.gateways);
        for source in &resources.gateways {
            let done = match before.remove(&source.name) {
                Some(done)
                    if Arc::ptr_eq(&done.resource, &source.resource)
                        && done.uses.hold(&source.name, resources, &self.places, &taken) =>
                {
                    done
                }
                before => self.gateway(source, resources, before, &taken),
            };
            let addresses = done.gateway.frontends.iter().map(Frontend::address);
            taken.extend(addresses.map(|address| (address, source.name.clone())));
            findings.extend(done.findings.iter().cloned());
            conditions.push(done.conditions.clone());
            gateways.push(done.gateway.clone());
            self.gateways.insert(source.name.clone(), done);
        }
        let (mut ours, mut ingress_ports) = (Vec::new(), BTreeSet::new());
        if let Some(ingresses) = &mut self.ingresses {
            let translated = ingresses.translate(&mut self.ingress_parts, resources, &taken);
            self.ingress_parts.turn();
            let last = self.ingress_gateway.take();
            self.ingress_gateway = translated.gateway.map(|gateway| shared(gateway, last));
            gateways.extend(self.ingress_gateway.clone());
            findings.extend(translated.findings);
            (ours, ingress_ports) = (translated.ours, translated.ports);
        }
        let snapshot = Snapshot { gateways };
        if *self.last != snapshot {
            self.last = Arc::new(snapshot);
        }
        let (snapshot, ingresses) = (self.last.clone(), ours);
        Outcome { snapshot, findings, gateways: conditions, ingresses, ingress_ports }
    }

    /// Translates one gateway. `taken` has the sockets of those before it.
    fn gateway(
        &self,
        source: &resources::Gateway,
        resources: &Resources,
        before: Option<Done>,
        taken: &Taken,
    ) -> Done {
        let (name, spec) = (&source.name, &source.resource.spec);
        let uses = Uses::default();
        let mut findings = Findings::of(GATEWAY, name);
        let (mut parts, last) = match before {
            Some(done) => (done.parts, Some(done.gateway)),
            None => (Parts::default(), None),
        };
        let refused = Vec::new();
        let places = &self.places;
        let mut context = Context { name, spec, resources, uses: &uses, places, refused };
        find_unsupported(&mut context, &mut findings);
        let gateway = parts_of(&context, &mut parts, taken, &mut findings);
        let gateway = shared(gateway, last);
        parts.turn();
        let findings = findings.into_all();
        let conditions = Arc::new(GatewayConditions::of(name, Some(&gateway), &findings));
        let resource = source.resource.clone();
        Done { resource, uses, parts, gateway, findings, conditions }
    }
}

fn parts_of(
    context: &Context<'_>,
    parts: &mut Parts,
    taken: &Taken,
    findings: &mut Findings,
) -> Gateway {
    let spec = context.spec;
    let pool_names = names(&spec.backend_address_pools, |pool| &pool.name);
    for (all, collection) in [
        (&spec.ssl_certificates, "sslCertificates"),
        (&spec.trusted_root_certificates, "trustedRootCertificates"),
        (&spec.authentication_certificates, "authenticationCertificates"),
    ] {
        duplicates(all, |certificate| &certificate.name, collection, findings);
    }
    duplicates(&spec.backend_address_pools, |p| &p.name, "backendAddressPools", findings);
    let pools: Vec<Arc<Pool>> = (spec.backend_address_pools.iter().enumerate())
        .map(|(index, source)| {
            let pool = pool(context, index, source, findings);
            parts.pools.share(pool.name.clone(), pool)
        })
        .collect();
    let settings_names = names(&spec.backend_http_settings_collection, |s| &s.name);
    let collection = &spec.backend_http_settings_collection;
    duplicates(collection, |s| &s.name, "backendHttpSettingsCollection", findings);
    let settings: Vec<Option<Arc<Settings>>> = (collection.iter().enumerate())
        .map(|(index, source)| {
            let settings = settings(context, index, source, findings)?;
            Some(parts.settings.share(settings.name.clone(), settings))
        })
        .collect();
    let profiles = Profiles::of(context, findings);
    let redirects = redirects(context, findings);
    let rewrites = RewriteSets::of(context, parts, findings);
    let redirect_names = names(&spec.redirect_configurations, |redirect| &redirect.name);
    let policies = Policies::of(context, &pools, &pool_names, findings);
    let destinations = Destinations {
        context,
        policies,
        pools,
        pool_names,
        settings,
        settings_names,
        redirects,
        redirect_names,
        rewrites,
    };
    let listeners = Listeners { context, destinations: &destinations, profiles };
    let frontends = listeners.frontends(parts, taken, findings);
    let name = context.name.clone();
    let bodies = bodies(context, findings);
    let known = known_listeners(context);
    Gateway { name, frontends, pools: destinations.pools, listeners: known, bodies }
}

/// Names by place; the first of two equal ones.
pub(super) fn names<T>(items: &[T], name: fn(&T) -> &String) -> Names<'_> {
    let mut names = Names::new();
    for (index, item) in items.iter().enumerate() {
        names.entry(name(item).as_str()).or_insert(index);
    }
    names
}

/// Refuses items whose name is taken by one before them.
pub(super) fn duplicates<T>(
    items: &[T],
    name: fn(&T) -> &String,
    collection: &str,
    findings: &mut Findings,
) {
    let first = names(items, name);
    for (index, item) in items.iter().enumerate() {
        let name = name(item);
        match first.get(name.as_str()) {
            Some(&other) if other != index => findings.refuse(
                format!("spec.{collection}[{index}].name"),
                format!("{name:?} is already the name of {collection}[{other}]"),
            ),
            _ => {}
        }
    }
}

/// What has no counterpart here, and what uses it would do something else without.
pub(super) const NOT_SUPPORTED: &str = "not supported: what uses it is refused";

fn find_unsupported(context: &mut Context<'_>, findings: &mut Findings) {
    let spec = serde_json::to_value(context.spec).unwrap_or_default();
    for Part { item, path, effect } in unsupported(&spec) {
        match effect {
            Unsupported::Refuses => {
                findings.refuse(path, NOT_SUPPORTED);
                context.refused.extend(item);
            }
            Unsupported::Warns => findings.warn(path, "it has no effect here"),
        }
    }
}
