//! Tables from bytes, checked against their definition; and of any size, for benches.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::{
    Action, Frontend, Gateway, HostOverride, HostPattern, Listener, Member, MemberState,
    ObjectName, Pool, Priority, Probe, Protocol, Rule, Settings, Snapshot, Target,
};

use crate::internals::script::Script;
use crate::lookup::{HostIndex, Rank};
use crate::metrics::Metrics;
use crate::table::{Compiler, Identities, Table, compile};
use crate::tls::Backends;

/// An index of `count` hosts.
#[derive(Debug)]
pub struct Hosts(HostIndex<u32>);

impl Hosts {
    /// Half of them exact names, half wildcards, and one that takes any host.
    pub fn new(count: usize) -> Self {
        let pattern = |index: usize| match index % 2 {
            0 => format!("h{index}.example"),
            _ => format!("*.w{index}.example"),
        };
        let entry = |index| {
            let pattern = HostPattern::new(&pattern(index)).ok();
            let rank = Rank::new(None, pattern.as_ref(), index);
            (pattern, rank, index as u32)
        };
        Self(HostIndex::new((0..count).map(entry)))
    }

    /// What takes a host.
    pub fn find(&self, host: &str) -> Option<u32> {
        self.0.find(host)
    }
}

/// Compiles snapshots one after the other, as a running proxy does, and binds nothing.
#[derive(Debug)]
pub struct Compile {
    metrics: Arc<Metrics>,
    backends: Backends,
    identities: Identities,
    slots: HashMap<SocketAddr, usize>,
    table: Arc<Table>,
}

impl Default for Compile {
    fn default() -> Self {
        Self {
            metrics: Metrics::new(1),
            backends: Backends::new(),
            identities: Identities::default(),
            slots: HashMap::new(),
            table: Arc::default(),
        }
    }
}

impl Compile {
    /// Compiles a snapshot on top of the last; the table before, and the identities that left.
    fn step(&mut self, snapshot: &Snapshot) -> (Arc<Table>, HashSet<u64>) {
        for frontend in snapshot.gateways.iter().flat_map(|gateway| &gateway.frontends) {
            let next = self.slots.len();
            self.slots.entry(frontend.address()).or_insert(next);
        }
        let mut compiler = Compiler {
            metrics: &self.metrics,
            backends: &self.backends,
            ticket_keys: &Arc::default(),
            identities: &mut self.identities,
            cores: 1,
        };
        let compiled = compile(snapshot, &self.table, &self.slots, &mut compiler);
        let compiled = compiled.expect("plain HTTP always compiles");
        let left = compiled.left.iter().map(|(scope, _)| scope.id()).collect();
        (std::mem::replace(&mut self.table, Arc::new(compiled.table)), left)
    }

    /// Compiles a snapshot; the number of its frontends.
    pub fn apply(&mut self, snapshot: &Snapshot) -> usize {
        self.step(snapshot);
        self.table.frontends.len()
    }
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
            certificate: None,
            rule: Rule {
                name: format!("r{index}").into(),
                priority: None,
                action: Action::Forward(targets[index / 10].clone()),
            },
        })
    };
    let listeners = (0..rules).map(listener).collect();
    let frontends = Frontend::new(address, address.port(), listeners).into_iter().collect();
    let name = ObjectName::new("default", "bench");
    Snapshot { gateways: vec![Arc::new(Gateway { name, frontends })] }
}

fn settings(name: &str, port: u16) -> Settings {
    Settings {
        name: name.into(),
        port,
        tls: None,
        request_timeout: Duration::from_secs(30),
        drain_timeout: Duration::from_secs(30),
        host: HostOverride::Keep,
        probe: Probe::default(),
    }
}

const PATTERNS: [&str; 8] =
    ["", "a.example", "b.a.example", "*.example", "*.a.example", "?.example", "b*.example", "*.*"];
const HOSTS: [&str; 7] =
    ["a.example", "B.A.example", "bb.example", "c.a.example", "example", "", "x.test."];

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
                let pool = pools[script.below(pools.len())].clone();
                let settings = all_settings[script.below(2)].clone();
                let action = match script.below(5) {
                    0 => Action::Refuse,
                    _ => Action::Forward(Arc::new(Target { pool, settings })),
                };
                let priority =
                    Priority::try_from(1 + script.below(6) as i64).ok().filter(|_| ranked);
                let name = format!("l{listener}").into();
                let rule = Rule { name: format!("r{listener}").into(), priority, action };
                let (protocol, certificate) = (Protocol::Http, None);
                listeners.push(Arc::new(Listener { name, protocol, hosts, certificate, rule }));
            }
            frontends.extend(Frontend::new(address, address.port(), listeners));
        }
        Arc::new(Gateway { name: ObjectName::new("n", format!("g{index}")), frontends })
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
    let mut compile = Compile::default();
    while !script.is_over() {
        let snapshot = decode(&mut script);
        let (before, left) = compile.step(&snapshot);
        check_lookup(&compile.table, &snapshot, &compile.slots);
        check_identities(&before, &compile.table, &left);
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
                let any = listener.hosts.is_empty().then(|| Rank::new(priority, None, index));
                let covering = listener.hosts.iter().filter(|pattern| pattern.covers(&name));
                let ranks = covering.map(|pattern| Rank::new(priority, Some(pattern), index));
                let first = ranks.chain(any).min();
                if let Some(rank) = first.filter(|rank| best.is_none_or(|(best, _)| *rank < best)) {
                    best = Some((rank, &listener.name));
                }
            }
            let found = compiled.rule(host).map(|rule| &*rule.listener.name);
            assert_eq!(found, best.map(|(_, name)| name), "{host:?}");
        }
    }
}

/// Who is in both tables is the same one; who is in the first alone has left, and nobody else.
fn check_identities(before: &Table, after: &Table, left: &HashSet<u64>) {
    fn members(table: &Table) -> HashMap<(String, SocketAddr), u64> {
        let targets = table.targets.iter();
        let candidates = targets.flat_map(|t| t.candidates.iter().map(move |c| (t, c)));
        candidates
            .map(|(target, candidate)| {
                let (pool, settings) = (&target.model.pool.name, &target.model.settings.name);
                let name = format!("{}/{pool}/{settings}", target.gateway);
                ((name, candidate.member.address), candidate.member.scope.id())
            })
            .collect()
    }
    fn listeners(table: &Table) -> HashMap<(SocketAddr, Box<str>), u64> {
        let frontends = table.frontends.iter().flatten();
        let rules = frontends.flat_map(|f| f.rules.iter().map(move |rule| (f, rule)));
        rules.map(|(f, rule)| ((f.address, rule.listener.name.clone()), rule.scope.id())).collect()
    }
    let mut gone = HashSet::new();
    let (old, new) = (members(before), members(after));
    for (key, id) in &old {
        match new.get(key) {
            Some(other) => assert_eq!(id, other, "{key:?} is another one"),
            None => drop(gone.insert(*id)),
        }
    }
    let (old, new) = (listeners(before), listeners(after));
    for (key, id) in &old {
        match new.get(key) {
            Some(other) => assert_eq!(id, other, "{key:?} is another one"),
            None => drop(gone.insert(*id)),
        }
    }
    assert_eq!(&gone, left);
}
