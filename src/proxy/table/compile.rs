//! From a snapshot and the table before it to the next table.
//!
//! Compiling binds nothing, probes nothing and changes nothing that traffic sees: it can be thrown
//! away. What it takes over from the previous table it takes over unchanged.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use rustls_pki_types::ServerName;
use tidegate_model::{
    Bodies, Guarded, Handling, HostOverride, Leaf, Listener, MemberHttp, ObjectName, PathPattern,
    ProbeHost, Protocol, Rank, Settings, Snapshot, TlsVersion,
};

use crate::core::Scope;
use crate::guard::{Guard, Limiter};
use crate::health::{Health, ProbeSpec};
use crate::keys::Keys;
use crate::lookup::{HostIndex, PathIndex};
use crate::member::Member;
use crate::metrics::{CertificateKey, CertificateSeries, Metrics, RuleKey};
use crate::rewrite::Notes;
use crate::table::left::Changes;
use crate::table::reuse::Connect;
use crate::table::targets::Targets;
use crate::table::{
    Action, Candidate, Distribution, ErrorPages, Frontend, Gate, Identities, MemberKey, Route,
    Rule, Table, Target, Unit,
};
use crate::tls::{Backends, Entry, Order, Profile};

/// What compiling needs besides the snapshot.
pub(crate) struct Compiler<'a> {
    pub(crate) metrics: &'a Arc<Metrics>,
    pub(crate) backends: &'a Backends,
    pub(crate) keys: &'a Keys,
    pub(crate) identities: &'a mut Identities,
    pub(crate) cores: usize,
}

/// A table, and what its swap does to listeners and members.
pub(crate) struct Compiled {
    pub(crate) table: Table,
    pub(crate) changes: Changes,
}

/// Compiles `snapshot`. `slots` gives every address of it its place. A gateway that has not changed
/// is taken over as it is, and costs next to nothing.
///
/// # Errors
/// If a certificate that was checked before cannot be used after all; the old table stays.
pub(crate) fn compile(
    snapshot: &Snapshot,
    previous: &Table,
    slots: &HashMap<SocketAddr, usize>,
    compiler: &mut Compiler<'_>,
) -> Result<Compiled, rustls::Error> {
    let size = slots.values().max().map_or(0, |last| last + 1);
    let mut frontends = vec![None; size.max(previous.frontends.len())];
    let mut before: HashMap<&ObjectName, &Arc<Unit>> =
        previous.units.iter().map(|unit| (&*unit.name, unit)).collect();
    let mut units = Vec::with_capacity(snapshot.gateways.len());
    let mut changed = Vec::new();
    for gateway in &snapshot.gateways {
        let old = before.remove(&gateway.name);
        let unit = match old {
            Some(old) if Arc::ptr_eq(&old.model, gateway) || old.model == *gateway => old.clone(),
            _ => {
                let unit = Arc::new(unit(gateway, old.map(Arc::as_ref), slots, compiler)?);
                changed.push((old.cloned(), Some(unit.clone())));
                unit
            }
        };
        for (slot, frontend) in &unit.frontends {
            frontends[*slot] = Some(frontend.clone());
        }
        units.push(unit);
    }
    changed.extend(before.into_values().map(|gone| (Some(gone.clone()), None)));
    let table = Table { revision: previous.revision + 1, frontends, units };
    let changes = Changes::of(&changed, compiler.identities);
    Ok(Compiled { table, changes })
}

fn unit(
    model: &Arc<tidegate_model::Gateway>,
    before: Option<&Unit>,
    slots: &HashMap<SocketAddr, usize>,
    compiler: &mut Compiler<'_>,
) -> Result<Unit, rustls::Error> {
    let name = before.map_or_else(|| Arc::new(model.name.clone()), |before| before.name.clone());
    let mut targets = Targets::new(before);
    let mut frontends = Vec::with_capacity(model.frontends.len());
    for source in &model.frontends {
        let Some(&slot) = slots.get(&source.address()) else {
            continue;
        };
        let old = before.and_then(|unit| unit.frontends.iter().find(|(place, _)| *place == slot));
        let old = old.map(|(_, frontend)| &**frontend);
        let frontend = frontend(&name, source, model.bodies, old, &mut targets, compiler)?;
        frontends.push((slot, Arc::new(frontend)));
    }
    let (targets, spreads) = targets.finish();
    Ok(Unit { name, model: model.clone(), frontends, targets, spreads })
}

fn frontend(
    gateway: &Arc<ObjectName>,
    model: &tidegate_model::Frontend,
    bodies: Bodies,
    before: Option<&Frontend>,
    targets: &mut Targets<'_>,
    compiler: &mut Compiler<'_>,
) -> Result<Frontend, rustls::Error> {
    let precedence = model.precedence();
    let mut entries = Vec::with_capacity(model.listeners().len());
    for (index, listener) in model.listeners().iter().enumerate() {
        let priority = listener.rule.priority;
        if listener.hosts.is_empty() {
            entries.push((None, Rank::new(precedence, priority, None, index), index as u32));
        }
        for host in &listener.hosts {
            let rank = Rank::new(precedence, priority, Some(host), index);
            entries.push((Some(host.clone()), rank, index as u32));
        }
    }
    let index = Arc::new(HostIndex::new(entries));
    let tls = match model.protocol() {
        Protocol::Http => None,
        Protocol::Https => {
            let before = before.and_then(|before| before.tls.as_ref());
            Some(profile(gateway, model, &index, before, compiler)?)
        }
    };
    let mut rules = Vec::with_capacity(model.listeners().len());
    for (place, listener) in model.listeners().iter().enumerate() {
        let gate = tls.as_ref().and_then(|profile| gate(profile, place, listener));
        rules.push(Arc::new(rule(gateway, model.address(), listener, gate, targets, compiler)?));
    }
    let unmatched = compiler.metrics.rule(RuleKey {
        gateway: gateway.to_string(),
        listener: "".into(),
        rule: "".into(),
        pool: "".into(),
        settings: "".into(),
    });
    Ok(Frontend {
        gateway: gateway.clone(),
        address: model.address(),
        protocol: model.protocol(),
        port: HeaderValue::from(model.port()),
        tls,
        notes: notes(&rules),
        bodies,
        index,
        rules: rules.into(),
        error_pages: model.error_pages().map(|pages| ErrorPages::of(pages)),
        _certificates: certificates(gateway, model, compiler.metrics),
        unmatched,
    })
}

/// What the sets of a frontend's rules ask of its connections.
fn notes(rules: &[Arc<Rule>]) -> Notes {
    let sets = rules.iter().flat_map(|rule| rule.routes()).filter_map(|its| its.rewrites.as_ref());
    sets.fold(Notes::default(), |notes, set| notes.and(set.notes))
}

/// Tells when the certificates of a frontend expire.
fn certificates(
    gateway: &Arc<ObjectName>,
    model: &tidegate_model::Frontend,
    metrics: &Metrics,
) -> Vec<Arc<CertificateSeries>> {
    let shown = model.listeners().iter().filter_map(|listener| listener.tls.as_ref());
    let series = shown.flat_map(|tls| tls.certificates()).map(|certificate| {
        let key =
            CertificateKey { gateway: gateway.to_string(), certificate: certificate.name.clone() };
        let series = metrics.certificate(key);
        series.set(certificate.expires());
        series
    });
    series.collect()
}

/// How the listeners of an HTTPS frontend speak TLS.
fn profile(
    gateway: &Arc<ObjectName>,
    model: &tidegate_model::Frontend,
    index: &Arc<HostIndex<u32>>,
    before: Option<&Profile>,
    compiler: &Compiler<'_>,
) -> Result<Profile, rustls::Error> {
    // The model has a certificate for every one of them.
    let entry = |l: &Arc<Listener>| Some(Entry { hosts: l.hosts.clone(), tls: l.tls.clone()? });
    let entries: Vec<Entry> = model.listeners().iter().filter_map(entry).collect();
    let mut places: Vec<usize> = (0..entries.len()).collect();
    places.sort_by_key(|place| model.listeners()[*place].rule.priority);
    let order = Order { places, precedence: model.precedence() };
    let name = format!("{gateway}:{}", model.port());
    Profile::new(entries, order, index.clone(), before, &compiler.keys.tickets, &name)
}

/// What the listener at a place asks of connections, if listeners differ in it.
fn gate(profile: &Profile, place: usize, listener: &Listener) -> Option<Gate> {
    let tls = listener.tls.as_ref().filter(|_| profile.differs())?;
    Some(Gate {
        suites: profile.suites(place),
        tls13: tls.policy.offers(TlsVersion::Tls13),
        requires_server_name: tls.requires_server_name,
        auth: profile.auth(place).cloned(),
    })
}

fn rule(
    gateway: &Arc<ObjectName>,
    address: SocketAddr,
    listener: &Arc<Listener>,
    gate: Option<Gate>,
    targets: &mut Targets<'_>,
    compiler: &mut Compiler<'_>,
) -> Result<Rule, rustls::Error> {
    let key = (address, listener.name.clone());
    let scope = compiler.identities.of(gateway).listeners.get_or(key, Scope::new);
    let error_pages = listener.error_pages.as_ref().map(|pages| Arc::new(ErrorPages::of(pages)));
    let mut route = |name: &str, handling: &Handling, patterns: &[PathPattern]| {
        let action = match &handling.leaf {
            Leaf::Forward(target) => Action::Forward(targets.one(gateway, target, compiler)?),
            Leaf::Distribute(spread) => {
                Action::Forward(targets.several(gateway, spread, compiler)?)
            }
            Leaf::Redirect(redirect) => Action::Redirect(redirect.clone()),
            Leaf::Refuse => Action::Refuse,
            Leaf::NotFound => Action::NotFound,
        };
        let names = match &handling.leaf {
            Leaf::Forward(target) => (target.pool.name.clone(), target.settings.name.clone()),
            Leaf::Distribute(spread) => (spread.name().into(), spread.settings().name.clone()),
            Leaf::Redirect(_) | Leaf::Refuse | Leaf::NotFound => Default::default(),
        };
        let series = compiler.metrics.rule(RuleKey {
            gateway: gateway.to_string(),
            listener: listener.name.clone(),
            rule: name.into(),
            pool: names.0,
            settings: names.1,
        });
        let patterns = match &handling.leaf {
            Leaf::Forward(target) if target.settings.path.is_some() => patterns.into(),
            _ => Box::default(),
        };
        let (gateway, scope, error_pages) = (gateway.clone(), scope.clone(), error_pages.clone());
        let guard = handling.guard.as_ref().map(|its| guard(&gateway, its, compiler));
        let rewrites = handling.rewrites.as_ref().map(|set| targets.rewrites(set));
        Ok(Arc::new(Route {
            gateway,
            guard,
            rewrites,
            action,
            patterns,
            error_pages,
            series,
            scope,
        }))
    };
    let model = &listener.rule;
    let default = route(&model.name, model.action.otherwise(), &[])?;
    let path_rules = model.action.path_rules();
    let paths = path_rules.iter().map(|rule| route(&rule.name, &rule.handling, &rule.patterns));
    let paths = paths.collect::<Result<_, rustls::Error>>()?;
    let index = PathIndex::new(path_rules.iter().map(|rule| rule.patterns.as_slice()));
    let guards = model.guards.iter().map(|its| guard(gateway, its, compiler)).collect();
    Ok(Rule { listener: listener.clone(), default, paths, index, guards, scope, gate })
}

/// A guard with its count, which goes on where the same one was there before.
fn guard(gateway: &Arc<ObjectName>, model: &Guarded, compiler: &mut Compiler<'_>) -> Guard {
    let limiter = model.guard.rate.map(|rate| {
        let limiters = &mut compiler.identities.of(gateway).limiters;
        limiters.get_or((model.place.clone(), rate), || Limiter::new(&rate))
    });
    Guard { access: model.guard.access.clone(), limiter }
}

/// A pool with its settings, and its members as they were before.
pub(super) fn target(
    gateway: &Arc<ObjectName>,
    model: &Arc<tidegate_model::Target>,
    before: Option<&Arc<Target>>,
    compiler: &mut Compiler<'_>,
) -> Result<Target, rustls::Error> {
    let settings = &model.settings;
    let connect = Connect::of(settings);
    let tls = match &settings.tls {
        Some(tls) => Some(compiler.backends.config(tls)?),
        None => None,
    };
    let healths: HashMap<u64, &Arc<Health>> = before
        .iter()
        .flat_map(|target| target.candidates())
        .map(|candidate| (candidate.member.scope.id(), &candidate.health))
        .collect();
    let label = format!("{gateway}/{}/{}", model.pool.name, settings.name);
    let mut candidates: Vec<Candidate> = Vec::with_capacity(model.pool.members.len());
    let mut seen = HashMap::new();
    for member in &model.pool.members {
        let address = SocketAddr::new(member.address, member.port.unwrap_or(settings.port));
        let key = MemberKey {
            gateway: gateway.clone(),
            pool: model.pool.name.clone(),
            settings: settings.name.clone(),
            address,
            fqdn: member.fqdn.clone(),
            connect: connect.clone(),
        };
        let (metrics, cores) = (compiler.metrics, compiler.cores);
        let found = compiler
            .identities
            .of(gateway)
            .members
            .get_or(key.clone(), || Member::new(&key, tls.clone(), metrics, cores));
        // Two ways to one address: the better state counts.
        if let Some(&index) = seen.get(&found.scope.id()) {
            let known: &mut Candidate = &mut candidates[index];
            known.state = known.state.min(member.state);
            continue;
        }
        seen.insert(found.scope.id(), candidates.len());
        let spec = probe_spec(settings, member.fqdn.as_deref(), address, tls.clone());
        let health = match healths.get(&found.scope.id()) {
            Some(health) if same_probe(health.spec(), &spec) => (*health).clone(),
            Some(health) => Health::after(health, spec, label.clone()),
            None => Health::new(spec, label.clone()),
        };
        found.series.set_health(&health);
        candidates.push(Candidate::new(found, health, member.state));
    }
    let before = before.map(|before| &*before.distribution);
    let keys = &compiler.keys.affinity;
    let affinity = Distribution::affinity_of(settings, gateway, keys, &candidates, before);
    let (settings, algorithm, candidates) =
        (settings.clone(), settings.distribution, candidates.into());
    let distribution = Distribution::new(settings, algorithm, candidates, affinity, compiler.cores);
    let (gateway, model) = (gateway.clone(), model.clone());
    Ok(Target { gateway, model, distribution: Arc::new(distribution) })
}

fn same_probe(a: &ProbeSpec, b: &ProbeSpec) -> bool {
    a.address == b.address
        && a.host == b.host
        && a.http2 == b.http2
        && a.probe == b.probe
        && match (&a.tls, &b.tls) {
            (None, None) => true,
            (Some((a, a_name)), Some((b, b_name))) => Arc::ptr_eq(a, b) && a_name == b_name,
            _ => false,
        }
}

/// What a probe sends: its own host, else the default's; in the TLS handshake the name of
/// the settings' own, else the probe's host, else the settings', else the member's name, never 127.0.0.1.
fn probe_spec(
    settings: &Settings,
    fqdn: Option<&str>,
    member: SocketAddr,
    tls: Option<Arc<rustls::ClientConfig>>,
) -> ProbeSpec {
    let probe = settings.probe.clone();
    let own = fqdn.map_or_else(|| member.ip().to_string(), str::to_owned);
    let from_settings = match &settings.host {
        HostOverride::Fixed(name) => name.as_str().to_owned(),
        HostOverride::FromMember | HostOverride::Keep => own,
    };
    let host = match &probe.host {
        ProbeHost::Default => "127.0.0.1",
        ProbeHost::Fixed(name) => name.as_str(),
        ProbeHost::FromSettings => &from_settings,
    };
    let own_name = settings.tls.as_ref().and_then(|tls| tls.server_name.as_ref());
    let name = match (own_name, &probe.host) {
        (Some(name), _) | (None, ProbeHost::Fixed(name)) => name.as_str(),
        (None, ProbeHost::Default | ProbeHost::FromSettings) => &from_settings,
    };
    let name =
        ServerName::try_from(name.to_owned()).unwrap_or_else(|_| ServerName::from(member.ip()));
    let address = SocketAddr::new(member.ip(), probe.port.unwrap_or(member.port()));
    let host = HeaderValue::try_from(host).unwrap_or(HeaderValue::from_static("127.0.0.1"));
    let http2 = settings.http_version == MemberHttp::Http2;
    ProbeSpec { address, tls: tls.map(|config| (config, name)), host, http2, probe }
}
