//! What outlives a table, found again by identity.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use tidegate_model::{BackendTls, ObjectName, RateLimit};

use crate::core::Scope;
use crate::guard::Limiter;
use crate::member::Member;

/// What makes a member the same one in the next table: where it is, and how it is connected to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MemberKey {
    pub(crate) gateway: Arc<ObjectName>,
    pub(crate) pool: Box<str>,
    pub(crate) settings: Box<str>,
    pub(crate) address: SocketAddr,
    pub(crate) fqdn: Option<Box<str>>,
    pub(crate) connect: Connect,
}

/// Options of the settings that change what the member sees of a connection, or by which it is
/// judged: `None` for plain TCP.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Connect(Option<BackendTls>);

impl Connect {
    pub(crate) fn of(settings: &tidegate_model::Settings) -> Self {
        Self(settings.tls.clone())
    }
}

/// What makes a listener of a gateway the same one in the next table.
pub(crate) type ListenerKey = (SocketAddr, Box<str>);

/// What makes a rate limit of a gateway the same one in the next table: where it stands, and what
/// it is.
pub(crate) type LimiterKey = (Box<str>, RateLimit);

/// Members and listeners by gateway.
#[derive(Debug, Default)]
pub(crate) struct Identities(HashMap<Arc<ObjectName>, Held>);

/// Members, listeners and rate limits that someone still holds: a table, a tunnel, a request.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) members: Living<MemberKey, Member>,
    pub(crate) listeners: Living<ListenerKey, Scope>,
    pub(crate) limiters: Living<LimiterKey, Limiter>,
}

impl Identities {
    /// Those of a gateway.
    pub(crate) fn of(&mut self, gateway: &Arc<ObjectName>) -> &mut Held {
        self.0.entry(gateway.clone()).or_default()
    }

    /// Forgets what nobody holds any more of a gateway.
    pub(crate) fn forget_dead(&mut self, gateway: &Arc<ObjectName>) {
        let held = self.of(gateway);
        held.members.forget_dead();
        held.listeners.forget_dead();
        held.limiters.forget_dead();
        let Held { members, listeners, limiters } = held;
        if members.0.is_empty() && listeners.0.is_empty() && limiters.0.is_empty() {
            self.0.remove(gateway);
        }
    }
}

/// Values by key for as long as someone holds them.
#[derive(Debug)]
pub(crate) struct Living<K, V>(HashMap<K, Weak<V>>);

impl<K, V> Default for Living<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, V> Living<K, V> {
    /// The living value, or a new one.
    pub(crate) fn get_or(&mut self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        if let Some(living) = self.0.get(&key).and_then(Weak::upgrade) {
            return living;
        }
        let value = Arc::new(make());
        self.0.insert(key, Arc::downgrade(&value));
        value
    }

    /// What someone holds.
    pub(crate) fn living(&self) -> impl Iterator<Item = (&K, Arc<V>)> {
        self.0.iter().filter_map(|(key, value)| Some((key, value.upgrade()?)))
    }

    /// Forgets what nobody holds any more.
    fn forget_dead(&mut self) {
        self.0.retain(|_, value| value.strong_count() > 0);
    }
}
