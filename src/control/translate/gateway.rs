//! The translation of one gateway after the other.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tidegate_model::{Gateway, Listener, ObjectName, Pool, Settings, Snapshot, Target};

use crate::api::{ApplicationGatewaySpec, Part, Unsupported, unsupported};
use crate::resources::Resources;
use crate::translate::addresses::known_listeners;
use crate::translate::findings::{Findings, GATEWAY};
use crate::translate::ingress::{IngressOptions, Ingresses};
use crate::translate::listeners::Listeners;
use crate::translate::members::pool;
use crate::translate::reuse::Reuse;
use crate::translate::settings::settings;
use crate::translate::{GatewayConditions, Outcome};

type Key = (ObjectName, Box<str>);

/// Translates resources, and remembers the last outcome so that what has not changed stays the
/// same in memory.
#[derive(Debug)]
pub(crate) struct Translator {
    bind: IpAddr,
    pub(super) pools: Reuse<Key, Pool>,
    pub(super) settings: Reuse<Key, Settings>,
    pub(super) targets: Reuse<(ObjectName, Box<str>, Box<str>), Target>,
    pub(super) listeners: Reuse<Key, Listener>,
    gateways: Reuse<ObjectName, Gateway>,
    ingresses: Option<Ingresses>,
    last: Arc<Snapshot>,
}

/// The names of one collection and where they stand; a name that stands twice counts once.
pub(super) type Names<'a> = HashMap<&'a str, usize>;

/// What the translation of one gateway shares.
pub(super) struct Context<'a> {
    pub(super) name: &'a ObjectName,
    pub(super) spec: &'a ApplicationGatewaySpec,
    pub(super) resources: &'a Resources,
    pub(super) bind: IpAddr,
    /// Items that use what is not supported, by collection and place.
    pub(super) refused: Vec<(&'static str, usize)>,
}

impl Context<'_> {
    /// Whether an item was refused for what it uses.
    pub(super) fn is_refused(&self, collection: &str, index: usize) -> bool {
        self.refused.iter().any(|(its, place)| *its == collection && *place == index)
    }
}

impl Translator {
    /// Frontends without an address of their own listen on `bind`. Ingresses are translated if it
    /// is said how.
    pub(crate) fn new(bind: IpAddr, ingresses: Option<IngressOptions>) -> Self {
        Self {
            bind,
            pools: Reuse::default(),
            settings: Reuse::default(),
            targets: Reuse::default(),
            listeners: Reuse::default(),
            gateways: Reuse::default(),
            ingresses: ingresses.map(Ingresses::new),
            last: Arc::default(),
        }
    }

    /// Translates everything.
    pub(crate) fn translate(&mut self, resources: &Resources) -> Outcome {
        let mut gateways = Vec::with_capacity(resources.gateways.len());
        let mut all_findings = Vec::new();
        let mut conditions = Vec::new();
        let mut taken: HashMap<SocketAddr, &ObjectName> = HashMap::new();
        for source in &resources.gateways {
            let mut findings = Findings::of(GATEWAY, &source.name);
            let spec = &source.resource.spec;
            let mut context = Context {
                name: &source.name,
                spec,
                resources,
                bind: self.bind,
                refused: Vec::new(),
            };
            find_unsupported(&mut context, &mut findings);
            let gateway = self.gateway(&context, &mut taken, &mut findings);
            let gateway = self.gateways.share(source.name.clone(), gateway);
            let findings = findings.into_all();
            conditions.push(GatewayConditions::of(&source.name, Some(&gateway), &findings));
            all_findings.extend(findings);
            gateways.push(gateway);
        }
        let mut ours = Vec::new();
        if let Some(ingresses) = &mut self.ingresses {
            let taken = taken.into_iter().map(|(address, name)| (address, name.clone())).collect();
            let translated = ingresses.translate(resources, &taken);
            let share = |gateway: Gateway| self.gateways.share(gateway.name.clone(), gateway);
            gateways.extend(translated.gateway.map(share));
            all_findings.extend(translated.findings);
            ours = translated.ours;
        }
        self.pools.turn();
        self.settings.turn();
        self.targets.turn();
        self.listeners.turn();
        self.gateways.turn();
        let snapshot = Snapshot { gateways };
        if *self.last != snapshot {
            self.last = Arc::new(snapshot);
        }
        let snapshot = self.last.clone();
        Outcome { snapshot, findings: all_findings, gateways: conditions, ingresses: ours }
    }

    fn gateway<'a>(
        &mut self,
        context: &Context<'a>,
        taken: &mut HashMap<SocketAddr, &'a ObjectName>,
        findings: &mut Findings,
    ) -> Gateway {
        let spec = context.spec;
        let pool_names = names(&spec.backend_address_pools, |pool| &pool.name);
        duplicates(&spec.backend_address_pools, |p| &p.name, "backendAddressPools", findings);
        let pools: Vec<Arc<Pool>> = (spec.backend_address_pools.iter().enumerate())
            .map(|(index, source)| {
                let pool = pool(context, index, source, findings);
                self.pools.share((context.name.clone(), pool.name.clone()), pool)
            })
            .collect();
        let settings_names = names(&spec.backend_http_settings_collection, |s| &s.name);
        let collection = &spec.backend_http_settings_collection;
        duplicates(collection, |s| &s.name, "backendHttpSettingsCollection", findings);
        let settings: Vec<Option<Arc<Settings>>> = (collection.iter().enumerate())
            .map(|(index, source)| {
                let settings = settings(context, index, source, findings)?;
                let key = (context.name.clone(), settings.name.clone());
                Some(self.settings.share(key, settings))
            })
            .collect();
        let listeners = Listeners { context, pools, pool_names, settings, settings_names };
        let frontends = listeners.frontends(self, taken, findings);
        let known = known_listeners(context);
        let name = context.name.clone();
        Gateway { name, frontends, pools: listeners.pools, listeners: known }
    }
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

fn find_unsupported(context: &mut Context<'_>, findings: &mut Findings) {
    let spec = serde_json::to_value(context.spec).unwrap_or_default();
    for Part { item, path, effect } in unsupported(&spec) {
        match effect {
            Unsupported::Refuses => {
                findings.refuse(path, "not supported yet: what uses it is refused");
                context.refused.extend(item);
            }
            Unsupported::Warns => findings.warn(path, "not supported yet: it has no effect"),
        }
    }
    if context.spec.enable_http2 == Some(false) {
        findings.warn("spec.enableHttp2", "HTTP/2 cannot be turned off yet: it stays on");
    }
}
