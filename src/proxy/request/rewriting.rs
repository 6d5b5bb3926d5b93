//! Applies the sets of rewrite rules that a request meets on its way to a member.

use std::sync::Arc;

use http::header::ORIGIN;
use http::{HeaderValue, Request};

use crate::conn::client::Client;
use crate::failure::Failure;
use crate::request::headers::Seen;
use crate::request::{Exchange, normalize};
use crate::rewrite::{Asked, Facts};
use crate::table::{Route, Rule};

/// How often a path map is looked at again, at most: sets that send a request to each other never
/// end.
const ROUNDS: usize = 10;

/// What has to be known of a request before it is changed. Only of one whose route has a set.
#[derive(Debug)]
pub(super) struct Rewriting {
    asked: Asked,
    seen: Seen,
    /// Where the path map may be looked at again.
    rule: Option<Arc<Rule>>,
    /// What the client said: a handshake is judged by it, whatever becomes of the header.
    pub(super) origins: Vec<HeaderValue>,
}

impl Rewriting {
    /// Of a request as it came; `None` if its route has no set.
    pub(super) fn of<B>(
        request: &Request<B>,
        rule: &Arc<Rule>,
        route: &Route,
        seen: &Seen,
    ) -> Result<Option<Box<Self>>, Failure> {
        let Some(set) = &route.rewrites else { return Ok(None) };
        Ok(Some(Box::new(Self {
            asked: Asked::of(request, normalize::host(request.headers())?),
            seen: seen.clone(),
            // Sets of other path rules may follow.
            rule: set.reroutes.then(|| rule.clone()),
            origins: request.headers().get_all(ORIGIN).iter().cloned().collect(),
        })))
    }

    /// Changes a request that is what members get but for this, and finds the route that it comes
    /// to: the one that it came by, unless a set has the path map looked at again.
    pub(super) fn apply<B>(
        &mut self,
        request: &mut Request<B>,
        client: &Client,
        mut route: Arc<Route>,
        exchange: &mut Exchange,
    ) -> Result<Arc<Route>, Failure> {
        self.asked.note_forwarded_for(request.headers());
        let (scheme, port) = self.seen.parts();
        let verification = exchange.verification;
        let facts = Facts {
            asked: &self.asked,
            peer: client.peer,
            forwarded_for: &client.forwarded_for,
            tls: client.tls,
            certificate: client.certificate.as_deref(),
            noted: client.noted.as_deref(),
            scheme,
            port,
            verification,
        };
        for _ in 0..ROUNDS {
            let Some(set) = &route.rewrites else {
                // What the answer gets is for the last route's set to say.
                exchange.rewrites = None;
                return Ok(route);
            };
            let done = set.rewrite(request, &facts, &mut exchange.rewrites);
            let done = done.map_err(|_| Failure::BadRewrite)?;
            exchange.host_is_set |= done.host;
            let Some(rule) = self.rule.as_ref().filter(|_| done.reroutes) else {
                return Ok(route);
            };
            route = rule.route(request.uri().path()).clone();
            exchange.route = Some(route.clone());
            if let Some(guard) = &route.guard {
                guard.admit(client.peer.ip())?;
            }
        }
        Err(Failure::RewriteLoop)
    }
}
