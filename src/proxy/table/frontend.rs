//! A frontend and the rules of its listeners, compiled for lookup.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use tidegate_model::{Listener, ObjectName, Protocol};

use crate::core::Scope;
use crate::lookup::HostIndex;
use crate::metrics::RuleSeries;
use crate::table::Target;
use crate::tls::Profile;

/// One address and what is served on it.
#[derive(Debug)]
pub(crate) struct Frontend {
    pub(crate) gateway: Arc<ObjectName>,
    pub(crate) address: SocketAddr,
    pub(crate) protocol: Protocol,
    /// What `X-Forwarded-Port` gets.
    pub(crate) port: HeaderValue,
    /// What an HTTPS frontend shows.
    pub(crate) tls: Option<Profile>,
    pub(crate) index: HostIndex<u32>,
    /// In the order of the resource.
    pub(crate) rules: Box<[Arc<Rule>]>,
    /// What requests that no rule takes are counted under.
    pub(crate) unmatched: Arc<RuleSeries>,
}

impl Frontend {
    /// The rule that takes requests for `host`, a name without port.
    pub(crate) fn rule(&self, host: &str) -> Option<&Arc<Rule>> {
        let index = self.index.find(host)?;
        self.rules.get(index as usize)
    }
}

/// A listener with its rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) gateway: Arc<ObjectName>,
    pub(crate) listener: Arc<Listener>,
    /// Where requests go; `None` if the rule was refused.
    pub(crate) target: Option<Arc<Target>>,
    pub(crate) series: Arc<RuleSeries>,
    /// The listener, as tunnels know it.
    pub(crate) scope: Arc<Scope>,
}
