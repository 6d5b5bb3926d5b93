//! Who leaves with a swap, and who stays though no rule leads there any more.
//!
//! A tunnel ends early for two reasons alone: its listener was removed from its gateway, or its
//! member from its pool. A rule that leads elsewhere now, settings with another name, a listener
//! whose certificate is gone: none of these is a removal. So what is not in the new table is looked
//! for in the resource before it leaves, and again at every swap for as long as someone holds it.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::{ObjectName, Snapshot};

use crate::core::Scope;
use crate::member::Member;
use crate::table::{Candidate, Identities, Rule, Table, Target};

/// What a swap does to listeners and members.
#[derive(Default)]
pub(crate) struct Changes {
    /// Listeners and members that leave now, with their time to drain.
    pub(crate) left: Vec<(Arc<Scope>, Duration)>,
    /// Those that are not in the table, and may keep what they have.
    pub(crate) kept: Vec<Arc<Scope>>,
    /// Members that were in the old table alone: no request goes to them any more.
    pub(crate) idle: Vec<Arc<Member>>,
}

impl Changes {
    /// Compares by identity.
    pub(super) fn between(
        previous: &Table,
        table: &Table,
        snapshot: &Snapshot,
        identities: &mut Identities,
    ) -> Self {
        let mut served = HashSet::new();
        for rule in rules(table) {
            served.insert(rule.scope.id());
            let drains = rule.routes().filter_map(|route| route.target());
            let longest = drains.map(|target| target.model.settings.drain_timeout).max();
            identities.drains.insert(rule.scope.id(), longest.unwrap_or_default());
        }
        for (target, candidate) in candidates(table) {
            let scope = candidate.member.scope.id();
            served.insert(scope);
            identities.drains.insert(scope, target.model.settings.drain_timeout);
        }
        // Mostly nothing has left, and then nothing has to be looked for.
        let known = std::cell::LazyCell::new(|| Known::of(snapshot));
        let mut changes = Self::default();
        let mut judge = |scope: &Arc<Scope>, is_known: bool| {
            if is_known {
                changes.kept.push(scope.clone());
            } else if !scope.has_left() {
                let drain = identities.drains.get(&scope.id()).copied().unwrap_or_default();
                changes.left.push((scope.clone(), drain));
            }
        };
        for ((gateway, address, name), scope) in identities.listeners.living() {
            if !served.contains(&scope.id()) {
                judge(&scope, known.listener(gateway, name, *address));
            }
        }
        for (key, member) in identities.members.living() {
            if !served.contains(&member.scope.id()) {
                judge(&member.scope, known.member(&key.gateway, &key.pool, key.address));
            }
        }
        let idle = candidates(previous).map(|(_, candidate)| &candidate.member);
        changes.idle = idle.filter(|m| !served.contains(&m.scope.id())).cloned().collect();
        changes
    }
}

fn rules(table: &Table) -> impl Iterator<Item = &Arc<Rule>> {
    table.frontends.iter().flatten().flat_map(|frontend| frontend.rules.iter())
}

fn candidates(table: &Table) -> impl Iterator<Item = (&Arc<Target>, &Candidate)> {
    table.targets.iter().flat_map(|t| t.candidates.iter().map(move |candidate| (t, candidate)))
}

/// What resources have, served or not.
struct Known<'a> {
    /// Addresses by name; `None` for any.
    listeners: HashMap<(&'a ObjectName, &'a str), Option<SocketAddr>>,
    /// Ports of members by pool and address; `None` for any.
    members: HashSet<(&'a ObjectName, &'a str, IpAddr, Option<u16>)>,
}

impl<'a> Known<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let (mut listeners, mut members) = (HashMap::new(), HashSet::new());
        for gateway in &snapshot.gateways {
            for listener in &gateway.listeners {
                listeners.insert((&gateway.name, &*listener.name), listener.address);
            }
            for pool in &gateway.pools {
                let places = pool.members.iter().map(|member| (member.address, member.port));
                let places = places.map(|(ip, port)| (&gateway.name, &*pool.name, ip, port));
                members.extend(places);
            }
        }
        Self { listeners, members }
    }

    fn listener(&self, gateway: &ObjectName, name: &str, address: SocketAddr) -> bool {
        let known = self.listeners.get(&(gateway, name));
        known.is_some_and(|known| known.is_none_or(|known| known == address))
    }

    /// Settings, and with them the port of members that have none of their own, may have changed.
    fn member(&self, gateway: &ObjectName, pool: &str, address: SocketAddr) -> bool {
        [None, Some(address.port())]
            .into_iter()
            .any(|port| self.members.contains(&(gateway, pool, address.ip(), port)))
    }
}
