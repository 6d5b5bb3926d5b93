//! Parts of the last snapshot, handed out again where they are equal: who compares snapshots can
//! then compare pointers.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Values of the last translation and of this one.
#[derive(Debug)]
pub(super) struct Reuse<K, V> {
    last: HashMap<K, Arc<V>>,
    now: HashMap<K, Arc<V>>,
}

impl<K, V> Default for Reuse<K, V> {
    fn default() -> Self {
        Self { last: HashMap::new(), now: HashMap::new() }
    }
}

impl<K: Eq + Hash + Clone, V: PartialEq> Reuse<K, V> {
    /// The value, in the last one's place if it is equal.
    pub(super) fn share(&mut self, key: K, value: V) -> Arc<V> {
        let same = |known: &&Arc<V>| ***known == value;
        let known = self.now.get(&key).filter(same).or(self.last.get(&key).filter(same));
        let shared = known.cloned().unwrap_or_else(|| Arc::new(value));
        self.now.insert(key, shared.clone());
        shared
    }

    /// This translation is the last one from now on.
    pub(super) fn turn(&mut self) {
        self.last = std::mem::take(&mut self.now);
    }
}
