//! Tables from bytes, checked against their definition; and of any size, for benches.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::{
    Action, Bodies, Distribution, Frontend, Gateway, HostOverride, HostPattern, HostPrecedence,
    KnownListener, Leaf, Listener, LoadDistribution, Member, MemberHttp, MemberState, ObjectName,
    PathMap, PathMatch, PathPattern, PathRule, Pool, Priority, Probe, Protocol, Rank, Rule,
    Settings, Share, Snapshot, Target, Weight,
};

use crate::core::Scope;
use crate::internals::script::Script;
use crate::keys::Keys;
use crate::member::Member as Living;
use crate::metrics::Metrics;
use crate::table::{Compiler, Identities, Rule as CompiledRule, Table, compile};
use crate::tls::Backends;

/// Compiles snapshots one after the other, as a running proxy does, and binds nothing.
#[derive(Debug)]
pub struct Compile {
    metrics: Arc<Metrics>,
    keys: Keys,
    backends: Backends,
    identities: Identities,
    slots: HashMap<SocketAddr, usize>,
    table: Arc<Table>,
    /// What tunnels may hold: everything that ever was in a table, if it is to be checked.
    held: Option<Held>,
}

/// Gateway, pool or listener, and address.
type Named = (ObjectName, Box<str>, SocketAddr);

/// Members and listeners by name.
#[derive(Debug, Default)]
struct Held {
    members: Vec<(Named, Arc<Living>)>,
    listeners: Vec<(Named, Arc<Scope>)>,
}

impl Default for Compile {
    fn default() -> Self {
        Self {
            metrics: Metrics::new(1),
            keys: Keys::own().expect("there is randomness"),
            backends: Backends::new(),
            identities: Identities::default(),
            slots: HashMap::new(),
            table: Arc::default(),
            held: None,
        }
    }
}

impl Compile {
    /// Compiles a snapshot on top of the last, and swaps as a running proxy does; the table before.
    fn step(&mut self, snapshot: &Snapshot) -> Arc<Table> {
        for frontend in snapshot.gateways.iter().flat_map(|gateway| &gateway.frontends) {
            let next = self.slots.len();
            self.slots.entry(frontend.address()).or_insert(next);
        }
        let mut compiler = Compiler {
            metrics: &self.metrics,
            backends: &self.backends,
            keys: &self.keys,
            identities: &mut self.identities,
            cores: 1,
        };
        let compiled = compile(snapshot, &self.table, &self.slots, &mut compiler);
        let compiled = compiled.expect("plain HTTP always compiles");
        compiled.changes.stay.iter().for_each(|scope| scope.stay());
        for (scope, _) in &compiled.changes.left {
            assert!(!scope.has_left(), "it leaves twice");
            scope.leave();
        }
        if let Some(held) = &mut self.held {
            held.members.extend(members(&compiled.table));
            held.listeners.extend(listeners(&compiled.table));
        }
        std::mem::replace(&mut self.table, Arc::new(compiled.table))
    }

    /// Compiles a snapshot; the number of its frontends.
    pub fn apply(&mut self, snapshot: &Snapshot) -> usize {
        self.step(snapshot);
        self.table.frontends.len()
    }
}

fn listeners(table: &Table) -> impl Iterator<Item = (Named, Arc<Scope>)> {
    let frontends = table.frontends.iter().flatten();
    let rules = frontends.flat_map(|f| f.rules.iter().map(move |rule| (f, rule)));
    rules.map(|(frontend, rule)| {
        let (gateway, name) = ((*frontend.gateway).clone(), rule.listener.name.clone());
        ((gateway, name, frontend.address), rule.scope.clone())
    })
}

fn members(table: &Table) -> impl Iterator<Item = (Named, Arc<Living>)> {
    let targets = table.targets();
    let candidates = targets.flat_map(|t| t.candidates().iter().map(move |c| (t, &c.member)));
    candidates.map(|(target, member)| {
        let (gateway, pool) = ((*target.gateway).clone(), target.model.pool.name.clone());
        ((gateway, pool, member.address), member.clone())
    })
}

/// A gateway with so many rules, each with a host of its own, over pools of ten members.
pub fn snapshot_of(rules: usize) -> Snapshot {
    let address = SocketAddr::from(([127, 0, 0, 1], 80));
    let settings = Arc::new(settings("s", 80));
    let pool = |index: usize| {
        let member = |n: usize| {
            let address = IpAddr::from([10, (index >> 8) as u8, index as u8, n as u8]);
            Member { address, port: None, fqdn: None, state: MemberState::Ready }
        };
        Arc::new(Pool { name: format!("p{index}").into(), members: (0..10).map(member).collect() })
    };
    let pools: Vec<_> = (0..rules.div_ceil(10)).map(pool).collect();
    let target = |pool: &Arc<Pool>| Target { pool: pool.clone(), settings: settings.clone() };
    let targets: Vec<_> = pools.iter().map(|pool| Arc::new(target(pool))).collect();
    let listener = |index: usize| {
        let host = HostPattern::new(&format!("h{index}.example"));
        Arc::new(Listener {
            name: format!("l{index}").into(),
            protocol: Protocol::Http,
            hosts: host.into_iter().collect(),
            tls: None,
            error_pages: None,
            rule: Rule {
                name: format!("r{index}").into(),
                priority: None,
                guards: Vec::new(),
                action: Action::Always(Leaf::Forward(targets[index / 10].clone()).into()),
            },
        })
    };
    let listeners = (0..rules).map(listener).collect();
    let frontends = Frontend::new(address, address.port(), listeners).into_iter().collect();
    let name = ObjectName::new("default", "bench");
    let gateway =
        Gateway { name, frontends, pools, listeners: Vec::new(), bodies: Bodies::default() };
    Snapshot { gateways: vec![Arc::new(gateway)] }
}

fn settings(name: &str, port: u16) -> Settings {
    Settings {
        name: name.into(),
        port,
        tls: None,
        request_timeout: Duration::from_secs(30),
        drain_timeout: Duration::from_secs(30),
        host: HostOverride::Keep,
        path: None,
        affinity: None,
        distribution: LoadDistribution::default(),
        http_version: MemberHttp::default(),
        dedicated_connections: false,
        outlier_ejection: None,
        slow_start: None,
        web_socket: Arc::default(),
        probe: Probe::default(),
    }
}

const PATTERNS: [&str; 8] =
    ["", "a.example", "b.a.example", "*.example", "*.a.example", "?.example", "b*.example", "*.*"];
const PATHS: [&str; 5] = ["/", "/a", "/a/b", "/ab", "*"];
const HOSTS: [&str; 7] =
    ["a.example", "B.A.example", "bb.example", "c.a.example", "example", "", "x.test."];

/// A way to some of the pools.
fn spread(pools: &[Arc<Pool>], settings: &Arc<Settings>, script: &mut Script<'_>) -> Leaf {
    let share = |pool: &Arc<Pool>, script: &mut Script<'_>| Share {
        target: Arc::new(Target { pool: pool.clone(), settings: settings.clone() }),
        weight: Weight::try_from(1 + script.below(100) as i64).unwrap_or(Weight::ONE),
    };
    let first = script.below(pools.len());
    let shares = pools[first..].iter().map(|pool| share(pool, script)).collect();
    let name = format!("d{first}");
    match Distribution::new(name, LoadDistribution::IpHash, shares) {
        Ok(distribution) => Leaf::Distribute(Arc::new(distribution)),
        Err(_) => Leaf::Refuse,
    }
}

fn decode(script: &mut Script<'_>) -> Snapshot {
    let gateway = |index: usize, script: &mut Script<'_>| {
        let mut pools = Vec::new();
        for pool in 0..1 + script.below(3) {
            let mut members = Vec::new();
            for _ in 0..script.below(4) {
                let states = [MemberState::Ready, MemberState::Terminating, MemberState::NotReady];
                members.push(Member {
                    address: IpAddr::from([10, 0, 0, script.below(4) as u8]),
                    port: [None, Some(1), Some(2)][script.below(3)],
                    fqdn: None,
                    state: states[script.below(3)],
                });
            }
            pools.push(Arc::new(Pool { name: format!("p{pool}").into(), members }));
        }
        let all_settings: Vec<_> = (0..2)
            .map(|n| Arc::new(settings(&format!("s{n}"), 80 + script.below(2) as u16)))
            .collect();
        let ranked = script.below(2) == 1;
        let mut frontends = Vec::new();
        for port in 0..1 + script.below(2) {
            let address = SocketAddr::from(([127, 0, 0, 1], (1000 * (index + 1) + port) as u16));
            let mut listeners = Vec::new();
            for listener in 0..1 + script.below(5) {
                let hosts = (0..script.below(3)).map(|_| PATTERNS[1 + script.below(7)]);
                let hosts = hosts.filter_map(|text| HostPattern::new(text).ok()).collect();
                let leaf = |script: &mut Script<'_>| match script.below(6) {
                    0 => Leaf::Refuse,
                    1 => Leaf::NotFound,
                    2 => spread(&pools, &all_settings[script.below(2)], script),
                    _ => {
                        let pool = pools[script.below(pools.len())].clone();
                        let settings = all_settings[script.below(2)].clone();
                        Leaf::Forward(Arc::new(Target { pool, settings }))
                    }
                };
                let mut rules = Vec::new();
                for rule in 0..script.below(3) {
                    let kinds = [PathMatch::Exact, PathMatch::Prefix, PathMatch::Begins];
                    let patterns = (0..script.below(3)).filter_map(|_| {
                        let path = PATHS[script.below(5)];
                        match kinds.get(script.below(5)) {
                            Some(kind) => PathPattern::new(*kind, path).ok(),
                            None => PathPattern::application_gateway(path).ok(),
                        }
                    });
                    let patterns = patterns.collect();
                    let name = format!("p{rule}").into();
                    let handling = leaf(script).into();
                    rules.push(PathRule { name, patterns, handling });
                }
                let default = leaf(script).into();
                let action = Action::Paths(Arc::new(PathMap { rules, default }));
                let priority =
                    Priority::try_from(1 + script.below(6) as i64).ok().filter(|_| ranked);
                let name = format!("l{listener}").into();
                let rule = Rule {
                    name: format!("r{listener}").into(),
                    priority,
                    guards: Vec::new(),
                    action,
                };
                let (protocol, tls) = (Protocol::Http, None);
                let error_pages = None;
                let listener = Listener { name, protocol, hosts, tls, error_pages, rule };
                listeners.push(Arc::new(listener));
            }
            let precedence = match script.below(2) {
                0 => HostPrecedence::Priority,
                _ => HostPrecedence::MostSpecific,
            };
            let frontend = Frontend::new(address, address.port(), listeners);
            frontends.extend(frontend.map(|frontend| frontend.with_precedence(precedence)));
        }
        let known = |name: usize, port: usize| KnownListener {
            name: format!("l{name}").into(),
            address: Some(SocketAddr::from(([127, 0, 0, 1], (1000 * (index + 1) + port) as u16))),
        };
        let mut listeners: Vec<KnownListener> =
            (0..script.below(4)).map(|_| known(script.below(5), script.below(2))).collect();
        if script.below(4) == 0 {
            listeners.push(KnownListener { name: "l0".into(), address: None });
        }
        let name = ObjectName::new("n", format!("g{index}"));
        Arc::new(Gateway { name, frontends, pools, listeners, bodies: Bodies::default() })
    };
    let count = script.below(3);
    Snapshot { gateways: (0..count).map(|index| gateway(index, script)).collect() }
}

/// Compiles the snapshots that `data` stands for one after the other, and checks each table.
///
/// # Panics
/// If a table does not do what its snapshot says.
pub fn check_table(data: &[u8]) {
    let mut script = Script(data);
    let mut compile = Compile { held: Some(Held::default()), ..Compile::default() };
    while !script.is_over() {
        let snapshot = decode(&mut script);
        let before = compile.step(&snapshot);
        check_lookup(&compile.table, &snapshot, &compile.slots);
        check_identities(&before, &compile.table);
        check_leaving(&compile, &snapshot);
    }
}

/// The lowest rank among all patterns that cover the host takes it.
fn check_lookup(table: &Table, snapshot: &Snapshot, slots: &HashMap<SocketAddr, usize>) {
    for frontend in snapshot.gateways.iter().flat_map(|gateway| &gateway.frontends) {
        let compiled = table.frontend(slots[&frontend.address()]).expect("a frontend is missing");
        for host in HOSTS {
            let name = host.trim_end_matches('.').to_ascii_lowercase();
            let mut best: Option<(Rank, &str)> = None;
            for (index, listener) in frontend.listeners().iter().enumerate() {
                let priority = listener.rule.priority;
                let rank = |pattern| Rank::new(frontend.precedence(), priority, pattern, index);
                let any = listener.hosts.is_empty().then(|| rank(None));
                let covering = listener.hosts.iter().filter(|pattern| pattern.covers(&name));
                let ranks = covering.map(|pattern| rank(Some(pattern)));
                let first = ranks.chain(any).min();
                if let Some(rank) = first.filter(|rank| best.is_none_or(|(best, _)| *rank < best)) {
                    best = Some((rank, &listener.name));
                }
            }
            let rule = compiled.rule(host);
            let found = rule.map(|rule| &*rule.listener.name);
            assert_eq!(found, best.map(|(_, name)| name), "{host:?}");
            rule.into_iter().for_each(|rule| check_paths(rule));
        }
    }
}

/// The first path rule that covers the path takes it.
fn check_paths(rule: &CompiledRule) {
    let action = &rule.listener.rule.action;
    for path in PATHS {
        let covers = |rule: &&PathRule| rule.patterns.iter().any(|pattern| pattern.covers(path));
        let expected = action.path_rules().iter().find(covers).map_or_else(
            || (rule.listener.rule.name.clone(), action.otherwise().clone()),
            |rule| (rule.name.clone(), rule.handling.clone()),
        );
        let route = rule.route(path);
        assert_eq!(route.series.key().rule, expected.0, "{path:?}");
        let expected = match &expected.1.leaf {
            Leaf::Forward(target) => vec![target.pool.name.clone()],
            Leaf::Distribute(spread) => {
                spread.shares().iter().map(|share| share.target.pool.name.clone()).collect()
            }
            Leaf::Redirect(_) | Leaf::Refuse | Leaf::NotFound => vec![],
        };
        let targets = route.forward().into_iter().flat_map(|forward| forward.targets.iter());
        let pools: Vec<_> = targets.map(|target| target.model.pool.name.clone()).collect();
        assert_eq!(pools, expected);
        if let Some(forward) = route.forward() {
            let all = forward.targets.iter().flat_map(|target| target.candidates());
            let ids: Vec<u64> = all.map(|candidate| candidate.member.scope.id()).collect();
            let own = forward.distribution.candidates.iter();
            assert_eq!(own.map(|its| its.member.scope.id()).collect::<Vec<_>>(), ids);
        }
    }
}

/// Who is in both tables is the same one.
fn check_identities(before: &Table, after: &Table) {
    fn ids(table: &Table) -> HashMap<String, u64> {
        let listeners = listeners(table).map(|(key, scope)| (format!("{key:?}"), scope.id()));
        let targets = table.targets();
        let candidates = targets.flat_map(|t| t.candidates().iter().map(move |c| (t, c)));
        let members = candidates.map(|(target, candidate)| {
            let (pool, settings) = (&target.model.pool.name, &target.model.settings.name);
            let name = format!("{}/{pool}/{settings}", target.gateway);
            (format!("{name} {}", candidate.member.address), candidate.member.scope.id())
        });
        members.chain(listeners).collect()
    }
    let after = ids(after);
    for (key, id) in ids(before) {
        assert!(after.get(&key).is_none_or(|other| *other == id), "{key:?} is another one");
    }
}

/// Who is held has left if and only if it is in neither the table nor the resource.
fn check_leaving(compile: &Compile, snapshot: &Snapshot) {
    let Some(held) = &compile.held else { return };
    let listed: HashSet<u64> = listeners(&compile.table).map(|(_, scope)| scope.id()).collect();
    let used: HashSet<u64> = members(&compile.table).map(|(_, m)| m.scope.id()).collect();
    let find = |name: &ObjectName| snapshot.gateways.iter().find(|gateway| gateway.name == *name);
    for ((gateway, name, address), scope) in &held.listeners {
        let known = find(gateway).is_some_and(|gateway| {
            let same_name = gateway.listeners.iter().rev().find(|known| known.name == *name);
            same_name.is_some_and(|known| known.address.is_none_or(|its| its == *address))
        });
        assert_eq!(!scope.has_left(), listed.contains(&scope.id()) || known, "{name} {address}");
    }
    for ((gateway, pool, address), member) in &held.members {
        let known = find(gateway).is_some_and(|gateway| {
            let members = gateway.pools.iter().filter(|its| its.name == *pool);
            members.flat_map(|pool| &pool.members).any(|member| {
                let port = member.port.unwrap_or(address.port());
                SocketAddr::new(member.address, port) == *address
            })
        });
        let stays = used.contains(&member.scope.id()) || known;
        assert_eq!(!member.scope.has_left(), stays, "{pool} {address}");
    }
}
