//! Who leaves with a swap, and who stays though no rule leads there any more.
//!
//! A tunnel ends early for two reasons alone: its listener was removed from its gateway, or its
//! member from its pool. A rule that leads elsewhere now, settings with another name, a listener
//! whose certificate is gone: none of these is a removal. So what is not in the new table is looked
//! for in the resource before it leaves, and again at every swap for as long as someone holds it.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::ObjectName;

use crate::core::Scope;
use crate::health::Health;
use crate::member::Member;
use crate::table::{Identities, Target, Unit};

/// What a swap does to listeners and members.
#[derive(Default)]
pub(crate) struct Changes {
    /// Listeners and members that leave now, with their time to drain.
    pub(crate) left: Vec<(Arc<Scope>, Duration)>,
    /// Those that stay, or are back: in the table, or only in the resource.
    pub(crate) stay: Vec<Arc<Scope>>,
    /// Members that were in the old table alone: no request goes to them any more.
    pub(crate) idle: Vec<Arc<Member>>,
    /// Members, and whether they are on their way out.
    pub(crate) terminating: Vec<(Arc<Scope>, bool)>,
    /// What is probed of each gateway from now on.
    pub(crate) probed: Vec<(Arc<ObjectName>, Vec<Arc<Health>>)>,
    /// Pools whose members the health of one may depend on.
    pub(crate) grouped: Vec<Arc<Target>>,
}

/// A gateway before and after.
pub(super) type Changed = (Option<Arc<Unit>>, Option<Arc<Unit>>);

impl Changes {
    /// Compares gateways that have changed.
    pub(super) fn of(changed: &[Changed], identities: &mut Identities) -> Self {
        let mut changes = Self::default();
        for (before, after) in changed {
            let Some(unit) = after.as_ref().or(before.as_ref()) else { continue };
            changes.compare(&unit.name, before.as_deref(), after.as_deref(), identities);
            identities.forget_dead(&unit.name);
        }
        changes
    }

    fn compare(
        &mut self,
        gateway: &Arc<ObjectName>,
        before: Option<&Unit>,
        after: Option<&Unit>,
        identities: &mut Identities,
    ) {
        let mut served = HashSet::new();
        let mut probed = Vec::new();
        for rule in after.into_iter().flat_map(Unit::rules) {
            let settings = rule.routes().filter_map(|route| route.settings());
            let longest = settings.map(|settings| settings.drain_timeout).max();
            rule.scope.set_drain(longest.unwrap_or_default());
            served.insert(rule.scope.id());
            self.stay.push(rule.scope.clone());
        }
        for (target, candidate) in after.into_iter().flat_map(Unit::candidates) {
            let scope = &candidate.member.scope;
            scope.set_drain(target.model.settings.drain_timeout);
            self.terminating.push((scope.clone(), candidate.state.is_leaving()));
            served.insert(scope.id());
            self.stay.push(scope.clone());
            probed.push(candidate.health.clone());
        }
        self.probed.push((gateway.clone(), probed));
        self.grouped.extend(after.into_iter().flat_map(|unit| unit.targets.iter().cloned()));

        let mut judge = |scope: &Arc<Scope>, is_known: bool| {
            if is_known {
                self.stay.push(scope.clone());
            } else if !scope.has_left() {
                self.left.push((scope.clone(), scope.drain()));
            }
        };
        // Mostly nothing has left, and then nothing has to be looked for.
        let known = LazyCell::new(|| Known::of(after));
        let held = identities.of(gateway);
        for ((address, name), scope) in held.listeners.living() {
            if !served.contains(&scope.id()) {
                judge(&scope, known.listener(name, *address));
            }
        }
        for (key, member) in held.members.living() {
            if !served.contains(&member.scope.id()) {
                judge(&member.scope, known.member(&key.pool, key.address));
            }
        }
        let members = before.into_iter().flat_map(Unit::candidates);
        let idle = members.map(|(_, candidate)| &candidate.member);
        self.idle.extend(idle.filter(|m| !served.contains(&m.scope.id())).cloned());
    }
}

/// What a resource has, served or not.
#[derive(Default)]
struct Known<'a> {
    /// Addresses by name; `None` for any.
    listeners: HashMap<&'a str, Option<SocketAddr>>,
    /// Ports of members by pool and address; `None` for any.
    members: HashSet<(&'a str, IpAddr, Option<u16>)>,
}

impl<'a> Known<'a> {
    fn of(unit: Option<&'a Unit>) -> Self {
        let mut known = Self::default();
        if let Some(unit) = unit {
            let gateway = &unit.model;
            for listener in &gateway.listeners {
                known.listeners.insert(&listener.name, listener.address);
            }
            for pool in &gateway.pools {
                let places = pool.members.iter().map(|member| (member.address, member.port));
                known.members.extend(places.map(|(ip, port)| (&*pool.name, ip, port)));
            }
        }
        known
    }

    fn listener(&self, name: &str, address: SocketAddr) -> bool {
        let known = self.listeners.get(name);
        known.is_some_and(|known| known.is_none_or(|known| known == address))
    }

    /// Settings, and with them the port of members that have none of their own, may have changed.
    fn member(&self, pool: &str, address: SocketAddr) -> bool {
        [None, Some(address.port())]
            .into_iter()
            .any(|port| self.members.contains(&(pool, address.ip(), port)))
    }
}
