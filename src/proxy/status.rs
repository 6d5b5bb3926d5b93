//! What the data plane says of itself, for a status page.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;
use tidegate_model::{MemberState, ObjectName, PathRule, Protocol};

use crate::core::Shared;
use crate::health::HealthStatus;
use crate::metrics::TunnelFigures;
use crate::table::{Action, Candidate, Frontend, Route, Rule, Table, Target};

/// Everything at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Counts swaps.
    pub revision: u64,
    /// The process is about to end.
    pub draining: bool,
    /// Open client connections, tunnels not among them.
    pub connections: u64,
    /// Open tunnels.
    pub tunnels: u64,
    /// By address.
    pub frontends: Vec<FrontendStatus>,
    /// Every pool with the settings it is used with.
    pub targets: Vec<TargetStatus>,
}

/// One address that is listened on.
#[derive(Clone, Debug, Serialize)]
pub struct FrontendStatus {
    /// Whose it is.
    pub gateway: ObjectName,
    /// Where it listens.
    pub address: SocketAddr,
    /// What clients speak.
    pub protocol: Protocol,
    /// Why it does not listen.
    pub error: Option<String>,
    /// In the order of the resource.
    pub listeners: Vec<ListenerStatus>,
}

/// A listener and its rule.
#[derive(Clone, Debug, Serialize)]
pub struct ListenerStatus {
    /// Its name.
    pub name: Box<str>,
    /// The hosts that it takes; empty for any.
    pub hosts: Vec<Box<str>>,
    /// Its rule's name.
    pub rule: Box<str>,
    /// Its rule's priority.
    pub priority: Option<u16>,
    /// Where requests go that no path rule takes: indexes into the targets; empty if they go to no
    /// member.
    pub targets: Vec<usize>,
    /// What happens to these requests.
    pub action: ActionStatus,
    /// Requests answered so far, those of path rules included.
    pub requests: u64,
    /// Open tunnels, those of path rules included.
    pub open_tunnels: u64,
    /// More of its tunnels, those of path rules included.
    pub tunnels: TunnelFigures,
    /// Its path rules, in the order in which they are tried.
    pub paths: Vec<PathStatus>,
}

/// A path rule.
#[derive(Clone, Debug, Serialize)]
pub struct PathStatus {
    /// Its name.
    pub name: Box<str>,
    /// Its patterns: `= /a` for this path alone, `/a` for it and what is below it, `/a*` for every
    /// path that begins so.
    pub patterns: Vec<String>,
    /// Where its requests go: indexes into the targets; empty if they go to no member.
    pub targets: Vec<usize>,
    /// What happens to its requests.
    pub action: ActionStatus,
    /// Requests answered so far.
    pub requests: u64,
    /// Open tunnels.
    pub open_tunnels: u64,
}

/// What happens to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ActionStatus {
    /// They go to the members of a target.
    Forward,
    /// Their clients are sent elsewhere.
    Redirect,
    /// The rule was refused: 502.
    Refuse,
    /// Nothing takes them: 404.
    NotFound,
}

/// A pool with the settings it is used with.
#[derive(Clone, Debug, Serialize)]
pub struct TargetStatus {
    /// Whose it is.
    pub gateway: ObjectName,
    /// The pool's name.
    pub pool: Box<str>,
    /// The settings' name.
    pub settings: Box<str>,
    /// Its members.
    pub members: Vec<MemberStatus>,
}

/// A member.
#[derive(Clone, Debug, Serialize)]
pub struct MemberStatus {
    /// Where it is.
    pub address: SocketAddr,
    /// The name that the address was resolved from.
    pub fqdn: Option<Box<str>>,
    /// What its source says.
    pub state: MemberState,
    /// What its probe says.
    pub health: HealthStatus,
    /// Open tunnels.
    pub open_tunnels: u64,
    /// Requests that it has not answered to the end.
    pub requests_in_flight: u64,
}

/// How a pool is, under the settings of one target.
#[derive(Clone, Debug)]
pub struct PoolHealth {
    /// Whose it is.
    pub gateway: Arc<ObjectName>,
    /// The pool's name.
    pub pool: Box<str>,
    /// Members that are up.
    pub up: usize,
    /// All members.
    pub all: usize,
}

impl PoolHealth {
    pub(crate) fn of(target: &Arc<Target>) -> Self {
        // One that is terminating is on its way out, and counts for nothing.
        let lasting = || target.candidates().iter().filter(|c| !c.state.is_leaving());
        let takes = |c: &&Candidate| c.state == MemberState::Ready && c.health.is_up();
        let (up, all) = (lasting().filter(takes).count(), lasting().count());
        Self { gateway: target.gateway.clone(), pool: target.model.pool.name.clone(), up, all }
    }
}

impl Status {
    pub(crate) fn of(
        shared: &Shared,
        draining: bool,
        refused: &HashMap<SocketAddr, String>,
    ) -> Self {
        let table = shared.table.load_full();
        let sum = |count: fn(&crate::core::Core) -> usize| {
            shared.cores().iter().map(|core| count(core) as u64).sum()
        };
        Self {
            revision: table.revision,
            draining,
            connections: sum(|core| core.clients.open()),
            tunnels: sum(|core| core.tunnels.open()),
            frontends: table
                .frontends
                .iter()
                .flatten()
                .map(|frontend| frontend_status(frontend, &table, refused))
                .collect(),
            targets: table.targets().map(|target| target_status(target)).collect(),
        }
    }
}

fn frontend_status(
    frontend: &Frontend,
    table: &Table,
    refused: &HashMap<SocketAddr, String>,
) -> FrontendStatus {
    // By address: a table has hundreds of each, and a page is asked for once a second.
    let places: HashMap<*const Target, usize> =
        table.targets().enumerate().map(|(index, t)| (Arc::as_ptr(t), index)).collect();
    let place = |target: &Arc<Target>| places.get(&Arc::as_ptr(target)).copied();
    let targets = |route: &Route| -> Vec<usize> {
        route.forward().into_iter().flat_map(|f| f.targets.iter()).filter_map(place).collect()
    };
    let path = |(model, route): (&PathRule, &Arc<Route>)| PathStatus {
        name: model.name.clone(),
        patterns: model.patterns.iter().map(ToString::to_string).collect(),
        targets: targets(route),
        action: action(route),
        requests: route.series.requests(),
        open_tunnels: route.series.open_tunnels(),
    };
    let listener = |rule: &Arc<Rule>| ListenerStatus {
        name: rule.listener.name.clone(),
        hosts: rule.listener.hosts.iter().map(|host| host.as_str().into()).collect(),
        rule: rule.listener.rule.name.clone(),
        priority: rule.listener.rule.priority.map(|priority| priority.get()),
        targets: targets(&rule.default),
        action: action(&rule.default),
        requests: sum_up(rule, |route| route.series.requests()),
        open_tunnels: sum_up(rule, |route| route.series.open_tunnels()),
        tunnels: {
            let mut figures = TunnelFigures::default();
            let mut seen = HashSet::new();
            let mut own = |r: &&Arc<Route>| seen.insert(Arc::as_ptr(&r.series));
            rule.routes().filter(|route| own(route)).for_each(|r| figures.add(&r.series));
            figures
        },
        paths: rule.listener.rule.action.path_rules().iter().zip(&rule.paths).map(path).collect(),
    };
    FrontendStatus {
        gateway: (*frontend.gateway).clone(),
        address: frontend.address,
        protocol: frontend.protocol,
        error: refused.get(&frontend.address).cloned(),
        listeners: frontend.rules.iter().map(listener).collect(),
    }
}

fn action(route: &Route) -> ActionStatus {
    match route.action {
        Action::Forward(_) => ActionStatus::Forward,
        Action::Redirect(_) => ActionStatus::Redirect,
        Action::Refuse => ActionStatus::Refuse,
        Action::NotFound => ActionStatus::NotFound,
    }
}

/// Over all series of a rule, each once: routes with the same names share theirs.
fn sum_up(rule: &Rule, count: impl Fn(&Route) -> u64) -> u64 {
    let mut seen = HashSet::new();
    rule.routes().filter(|route| seen.insert(Arc::as_ptr(&route.series))).map(|r| count(r)).sum()
}

fn target_status(target: &Target) -> TargetStatus {
    TargetStatus {
        gateway: (*target.gateway).clone(),
        pool: target.model.pool.name.clone(),
        settings: target.model.settings.name.clone(),
        members: target
            .candidates()
            .iter()
            .map(|candidate| MemberStatus {
                address: candidate.member.address,
                fqdn: candidate.member.fqdn.clone(),
                state: candidate.state,
                health: candidate.health.status(),
                open_tunnels: candidate.member.series.open_tunnels(),
                requests_in_flight: candidate.member.series.in_flight(),
            })
            .collect(),
    }
}
