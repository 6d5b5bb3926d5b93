//! What the data plane routes by: compiled from a snapshot, immutable, replaced as a whole.
//!
//! A table holds what a request needs to find its member, and nothing that a request changes.
//! Members, health and counters outlive tables: compiling looks them up by identity and puts the
//! same ones into the next table. Whoever serves a request takes what it needs out of the table
//! and lets go of it, so that a long request never keeps an old table alive.

mod compile;
mod frontend;
mod left;
mod reuse;
mod target;

pub(crate) use compile::{Compiled, Compiler, compile};
pub(crate) use frontend::{Action, Frontend, Route, Rule};
pub(crate) use reuse::{Identities, MemberKey};
pub(crate) use target::{Candidate, Target};

use std::sync::Arc;

/// One immutable table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Counts swaps; the first table, with nothing in it, is 0.
    pub(crate) revision: u64,
    /// By the place that a frontend's address has for as long as the process lives.
    pub(crate) frontends: Vec<Option<Arc<Frontend>>>,
    /// Every pool with the settings it is used with.
    pub(crate) targets: Vec<Arc<Target>>,
}

impl Table {
    /// The frontend with this place, unless it was removed.
    pub(crate) fn frontend(&self, slot: usize) -> Option<&Arc<Frontend>> {
        self.frontends.get(slot)?.as_ref()
    }
}
