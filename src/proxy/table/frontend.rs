//! A frontend and the rules of its listeners, compiled for lookup.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderValue;
use tidegate_model::{Bodies, Listener, ObjectName, PathPattern, Protocol, Redirect, Settings};

use crate::core::Scope;
use crate::failure::Failure;
use crate::guard::Guard;
use crate::lookup::{HostIndex, PathIndex};
use crate::metrics::{CertificateSeries, RuleSeries};
use crate::rewrite::{Notes, Rewrites};
use crate::table::{Distribution, ErrorPages, Target};
use crate::tls::{ClientAuth, Profile};

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
    /// What connections note when they begin.
    pub(crate) notes: Notes,
    /// How bodies pass.
    pub(crate) bodies: Bodies,
    pub(crate) index: Arc<HostIndex<u32>>,
    /// In the order of the resource.
    pub(crate) rules: Box<[Arc<Rule>]>,
    /// Of answers to requests that no rule takes.
    pub(crate) error_pages: Option<ErrorPages>,
    /// What requests that no rule takes are counted under.
    pub(crate) unmatched: Arc<RuleSeries>,
    /// When its certificates expire, for as long as it shows them.
    pub(crate) _certificates: Vec<Arc<CertificateSeries>>,
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
    pub(crate) listener: Arc<Listener>,
    /// What happens to requests that no path rule takes.
    pub(crate) default: Arc<Route>,
    /// The path rules, in the order of the resource.
    pub(crate) paths: Box<[Arc<Route>]>,
    pub(crate) index: PathIndex,
    /// Who may come, and how often.
    pub(crate) guards: Box<[Guard]>,
    /// The listener, as tunnels know it.
    pub(crate) scope: Arc<Scope>,
    /// `None` where all listeners of the frontend ask the same, and nothing of clients.
    pub(crate) gate: Option<Gate>,
}

/// What a listener asks of the connections that its requests come by.
#[derive(Debug)]
pub(crate) struct Gate {
    /// What it offers: names of suites.
    pub(crate) suites: Box<[&'static str]>,
    pub(crate) tls13: bool,
    pub(crate) requires_server_name: bool,
    pub(crate) auth: Option<Arc<ClientAuth>>,
}

impl Rule {
    /// What happens to requests for a path without query.
    pub(crate) fn route(&self, path: &str) -> &Arc<Route> {
        let found = self.index.find(path).and_then(|index| self.paths.get(index as usize));
        found.unwrap_or(&self.default)
    }

    /// Whether a request of a client may go on to one of its routes.
    pub(crate) fn admit(&self, client: IpAddr, route: &Route) -> Result<(), Failure> {
        self.guards.iter().chain(&route.guard).try_for_each(|guard| guard.admit(client))
    }

    /// Everything that can happen to a request.
    pub(crate) fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.paths.iter().chain([&self.default])
    }
}

/// What happens to some requests of a listener: those of a path rule, or those that no path rule
/// takes. All that a request keeps of the table.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) gateway: Arc<ObjectName>,
    /// Who may come here, and how often.
    pub(crate) guard: Option<Guard>,
    /// What is changed on the way to a member and back.
    pub(crate) rewrites: Option<Arc<Rewrites>>,
    pub(crate) action: Action,
    /// Of a path rule whose settings put another path in the place of what they take: the patterns.
    pub(crate) patterns: Box<[PathPattern]>,
    /// Its listener's, for what is answered in place of a member.
    pub(crate) error_pages: Option<Arc<ErrorPages>>,
    pub(crate) series: Arc<RuleSeries>,
    /// Its listener's.
    pub(crate) scope: Arc<Scope>,
}

/// What a route does with a request.
#[derive(Debug)]
pub(crate) enum Action {
    Forward(Forward),
    Redirect(Arc<Redirect>),
    Refuse,
    NotFound,
}

/// Where requests are forwarded to.
#[derive(Clone, Debug)]
pub(crate) struct Forward {
    /// What a member is chosen from.
    pub(crate) distribution: Arc<Distribution>,
    /// The pools that this spreads over: mostly one.
    pub(crate) targets: Arc<[Arc<Target>]>,
}

impl Route {
    /// Where requests are forwarded to, if they are.
    pub(crate) fn forward(&self) -> Option<&Forward> {
        match &self.action {
            Action::Forward(forward) => Some(forward),
            Action::Redirect(_) | Action::Refuse | Action::NotFound => None,
        }
    }

    /// How members are spoken to that requests are forwarded to.
    pub(crate) fn settings(&self) -> Option<&Arc<Settings>> {
        Some(&self.forward()?.distribution.settings)
    }
}
