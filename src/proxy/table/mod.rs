//! What the data plane routes by: compiled from a snapshot, immutable, replaced as a whole.
//!
//! A table holds what a request needs to find its member, and nothing that a request changes.
//! Members, health and counters outlive tables: compiling looks them up by identity and puts the
//! same ones into the next table. Whoever serves a request takes what it needs out of the table
//! and lets go of it, so that a long request never keeps an old table alive.

mod affinity;
mod choice;
mod compile;
mod distribution;
mod error_pages;
mod frontend;
mod left;
mod reuse;
mod target;
mod targets;

pub(crate) use compile::{Compiled, Compiler, compile};
pub(crate) use distribution::{Asking, Candidate, Distribution};
pub(crate) use error_pages::ErrorPages;
pub(crate) use frontend::{Action, Forward, Frontend, Gate, Route, Rule};
pub(crate) use reuse::{Identities, MemberKey};
pub(crate) use target::Target;

use std::sync::Arc;

use tidegate_model::ObjectName;

/// One immutable table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Counts swaps; the first table, with nothing in it, is 0.
    pub(crate) revision: u64,
    /// By the place that a frontend's address has for as long as the process lives.
    pub(crate) frontends: Vec<Option<Arc<Frontend>>>,
    /// By gateway, what it consists of.
    pub(crate) units: Vec<Arc<Unit>>,
}

/// One gateway of a table. While its model does not change, the next table has the same one.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) name: Arc<ObjectName>,
    pub(crate) model: Arc<tidegate_model::Gateway>,
    /// With the places of their addresses.
    pub(crate) frontends: Vec<(usize, Arc<Frontend>)>,
    /// Every pool with the settings it is used with.
    pub(crate) targets: Vec<Arc<Target>>,
    /// What spreads over several of them.
    pub(crate) spreads: Vec<Spread>,
}

/// A distribution over several pools, and what it was made from.
#[derive(Clone, Debug)]
pub(crate) struct Spread {
    pub(crate) model: Arc<tidegate_model::Distribution>,
    pub(crate) forward: Forward,
}

impl Unit {
    /// Its listeners.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.frontends.iter().flat_map(|(_, frontend)| frontend.rules.iter())
    }

    /// Its members, with the targets that they are used by.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = (&Arc<Target>, &Candidate)> {
        self.targets.iter().flat_map(|t| t.candidates().iter().map(move |c| (t, c)))
    }
}

impl Table {
    /// The frontend with this place, unless it was removed.
    pub(crate) fn frontend(&self, slot: usize) -> Option<&Arc<Frontend>> {
        self.frontends.get(slot)?.as_ref()
    }

    /// Every pool with the settings it is used with.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.units.iter().flat_map(|unit| &unit.targets)
    }
}
