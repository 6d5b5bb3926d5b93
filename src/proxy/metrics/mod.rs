//! What the data plane counts.
//!
//! Counters are kept by core, on cache lines of their own, and added up when someone asks. Their
//! owners are found when a table is compiled: a request adds to numbers and looks nothing up.
//! Series end with the last that holds them, so that removed rules and members do not stay in the
//! output for ever.

mod collect;
mod counters;
mod definitions;
mod figures;
mod labels;
mod series;
#[cfg(test)]
mod tests;

pub use definitions::{Definition, Kind, definitions};
pub use figures::{Lengths, TunnelFigures};
pub(crate) use labels::{AcceptErrorClass, FailureLabel, HandshakeFailure, labels};
pub(crate) use series::{
    CertificateKey, CertificateSeries, MemberKey, MemberSeries, ProcessSeries, RuleKey, RuleSeries,
};

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// All series that live.
#[derive(Debug)]
pub(crate) struct Metrics {
    cores: usize,
    rules: Mutex<HashMap<RuleKey, Weak<RuleSeries>>>,
    members: Mutex<HashMap<MemberKey, Weak<MemberSeries>>>,
    certificates: Mutex<HashMap<CertificateKey, Weak<CertificateSeries>>>,
    process: ProcessSeries,
}

impl Metrics {
    pub(crate) fn new(cores: usize) -> Arc<Self> {
        Arc::new(Self {
            cores,
            rules: Mutex::default(),
            members: Mutex::default(),
            certificates: Mutex::default(),
            process: ProcessSeries::new(cores),
        })
    }

    /// The series of a rule; the same one for as long as someone holds it.
    pub(crate) fn rule(&self, key: RuleKey) -> Arc<RuleSeries> {
        living(&self.rules, key, |key| RuleSeries::new(key, self.cores))
    }

    /// The series of a member; the same one for as long as someone holds it.
    pub(crate) fn member(&self, key: MemberKey) -> Arc<MemberSeries> {
        living(&self.members, key, |key| MemberSeries::new(key, self.cores))
    }

    /// The series of a certificate; the same one for as long as someone holds it.
    pub(crate) fn certificate(&self, key: CertificateKey) -> Arc<CertificateSeries> {
        living(&self.certificates, key, CertificateSeries::new)
    }

    pub(crate) fn process(&self) -> &ProcessSeries {
        &self.process
    }

    /// Adds everything to a registry.
    ///
    /// # Errors
    /// If the registry has a metric of the same name.
    pub(crate) fn register(
        self: &Arc<Self>,
        registry: &prometheus::Registry,
    ) -> Result<(), prometheus::Error> {
        registry.register(Box::new(collect::Collector::new(self.clone())?))
    }
}

fn living<K: Clone + Eq + Hash, S>(
    all: &Mutex<HashMap<K, Weak<S>>>,
    key: K,
    make: impl FnOnce(K) -> S,
) -> Arc<S> {
    let mut all = all.lock();
    if let Some(series) = all.get(&key).and_then(Weak::upgrade) {
        return series;
    }
    let series = Arc::new(make(key.clone()));
    all.insert(key, Arc::downgrade(&series));
    series
}

/// Those that live; forgets the others.
fn all_living<K: Eq + Hash, S>(all: &Mutex<HashMap<K, Weak<S>>>) -> Vec<Arc<S>> {
    let mut living = Vec::new();
    all.lock().retain(|_, series| match series.upgrade() {
        Some(series) => {
            living.push(series);
            true
        }
        None => false,
    });
    living
}
