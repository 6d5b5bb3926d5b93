//! A pool with the settings it is used with: what is probed, counted and shown.

use std::sync::Arc;

use tidegate_model::{MemberState, ObjectName};
use tokio::sync::watch;

use crate::health::{self, Group};
use crate::table::{Candidate, Distribution};

/// The members of one pool under one settings.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) gateway: Arc<ObjectName>,
    pub(crate) model: Arc<tidegate_model::Target>,
    /// What a rule that leads to this pool alone chooses from.
    pub(crate) distribution: Arc<Distribution>,
}

impl Target {
    /// Its members.
    pub(crate) fn candidates(&self) -> &[Candidate] {
        &self.distribution.candidates
    }

    /// Has the health of its members depend on each other's where that is asked for. Those that
    /// take no requests count for nothing.
    pub(crate) fn group(&self, changes: &Arc<watch::Sender<u64>>) {
        let settings = &self.model.settings;
        let ready = self.candidates().iter().filter(|c| c.state == MemberState::Ready);
        let (min_servers, ejection) = (settings.probe.min_servers, settings.outlier_ejection);
        Group::arrange(ready.map(|c| &c.health), min_servers, ejection, changes);
    }

    /// Lets members back in that were ejected for long enough; whether there were any.
    pub(crate) fn restore(&self) -> bool {
        self.model.settings.outlier_ejection.is_some()
            && health::restore(self.candidates().iter().map(|candidate| &candidate.health))
    }
}
