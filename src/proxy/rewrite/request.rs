//! The request's step.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Version};

use crate::access_log::TlsInfo;
use crate::conn::Noted;
use crate::rewrite::compile::{Rewrites, Rule};
use crate::rewrite::response::{Holding, Pending};
use crate::rewrite::value::{Found, Piece, Pieces, Unfit, judge};
use crate::rewrite::{url, variables};
use crate::tls::{ClientCertificate, Verification};

/// What the client asked for, before anything was changed.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(super) method: Method,
    pub(super) target: PathAndQuery,
    pub(super) version: Version,
    /// Without port.
    pub(super) host: Box<str>,
    /// Bytes of the head as HTTP/1.1 writes it, and of the body as far as it says its length.
    pub(super) length: u64,
    /// What members get to see of those before it, the client last.
    pub(super) forwarded_for: Option<HeaderValue>,
}

impl Asked {
    /// Of a request as it came, for this host.
    pub(crate) fn of<B>(request: &Request<B>, host: &str) -> Self {
        let headers = request.headers();
        let target = request.uri().path_and_query().cloned();
        let target = target.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let lines: usize =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let line = request.method().as_str().len() + target.as_str().len() + " HTTP/1.1\r\n".len();
        let body = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let length = (line + 1 + lines + 2) as u64 + body.unwrap_or(0);
        Self {
            // A handshake over HTTP/2 asks for what a GET over HTTP/1.1 does.
            method: match *request.method() {
                Method::CONNECT => Method::GET,
                ref other => other.clone(),
            },
            target,
            version: request.version(),
            host: host.to_ascii_lowercase().into(),
            length,
            forwarded_for: None,
        }
    }

    /// Takes the list that members get.
    pub(crate) fn note_forwarded_for(&mut self, headers: &HeaderMap) {
        self.forwarded_for = headers.get("x-forwarded-for").cloned();
    }
}

/// What variables are made of besides the headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) asked: &'a Asked,
    /// The client's address.
    pub(crate) peer: SocketAddr,
    /// The same as members get it.
    pub(crate) forwarded_for: &'a HeaderValue,
    pub(crate) tls: Option<TlsInfo>,
    pub(crate) certificate: Option<&'a ClientCertificate>,
    pub(crate) noted: Option<&'a Noted>,
    pub(crate) scheme: &'a HeaderValue,
    pub(crate) port: &'a HeaderValue,
    pub(crate) verification: Verification,
}

/// What a set did to a request.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// The path map is to be looked at again.
    pub(crate) reroutes: bool,
    /// The host that members see was set.
    pub(crate) host: bool,
}

impl Rewrites {
    /// Changes a request. What its response needs goes to `pending`.
    ///
    /// # Errors
    /// If a value comes out that cannot be sent.
    pub(crate) fn rewrite<B>(
        self: &Arc<Self>,
        request: &mut Request<B>,
        facts: &Facts<'_>,
        pending: &mut Option<Box<Pending>>,
    ) -> Result<Done, Unfit> {
        *pending = None;
        let mut done = Done::default();
        for (place, rule) in self.rules.iter().enumerate() {
            let Some(holding) = rule.rewrite(request, facts, &mut done)? else { continue };
            if let Some(held) = holding {
                let pending = pending.get_or_insert_with(|| Box::new(Pending::of(self)));
                pending.push(place, held);
            }
        }
        Ok(done)
    }
}

impl Rule {
    /// Applies the rule if its conditions on the request hold: `None` if they do not.
    fn rewrite<B>(
        &self,
        request: &mut Request<B>,
        facts: &Facts<'_>,
        done: &mut Done,
    ) -> Result<Option<Option<Holding>>, Unfit> {
        let headers = request.headers();
        let mut found: Vec<Option<Found>> = Vec::new();
        for condition in &self.conditions {
            // It is not known yet.
            if condition.of_response {
                found.push(None);
                continue;
            }
            let mut value = Vec::new();
            variables::write(&condition.source, facts, headers, &mut value);
            match judge(condition, value) {
                Some(its) => found.push(its),
                None => return Ok(None),
            }
        }
        let now = Now { facts, headers, found: &found };
        let holding = match self.response.is_empty() {
            true => None,
            false => Some(self.held.iter().map(|piece| now.hold(piece)).collect()),
        };
        // All values before any change: none of them sees half of it.
        let mut values = Vec::with_capacity(self.request.len());
        for change in &self.request {
            let value = change.value.make(&now)?;
            values.push(HeaderValue::from_bytes(&value).map_err(|_| Unfit)?);
        }
        let target = match &self.url {
            None => None,
            Some(url) => {
                let path = url.path.as_ref().map(|path| path.make(&now)).transpose()?;
                let query = url.query.as_ref().map(|query| query.make(&now)).transpose()?;
                Some((path, query, url.reroute))
            }
        };
        let headers = request.headers_mut();
        for (change, value) in self.request.iter().zip(values) {
            if change.name == HOST {
                // A request without a host there must not be.
                if !value.is_empty() {
                    headers.insert(HOST, value);
                    done.host = true;
                }
            } else if value.is_empty() {
                headers.remove(&change.name);
            } else {
                headers.insert(&change.name, value);
            }
        }
        if let Some((path, query, reroute)) = target {
            url::change(request.uri_mut(), path.as_deref(), query.as_deref())?;
            done.reroutes |= reroute;
        }
        Ok(Some(holding))
    }
}

/// What a rule sees of a request in its turn.
struct Now<'a> {
    facts: &'a Facts<'a>,
    headers: &'a HeaderMap,
    found: &'a [Option<Found>],
}

impl Now<'_> {
    fn hold(&self, piece: &Piece) -> Box<[u8]> {
        let mut value = Vec::new();
        self.write(piece, &mut value);
        value.into()
    }
}

impl Pieces for Now<'_> {
    fn write(&self, piece: &Piece, to: &mut Vec<u8>) {
        match piece {
            Piece::Text(text) => to.extend_from_slice(text),
            Piece::From(source) => variables::write(source, self.facts, self.headers, to),
            Piece::Group { condition, group } => {
                if let Some(Some(found)) = self.found.get(*condition) {
                    to.extend_from_slice(found.group(*group));
                }
            }
            // Of responses alone.
            Piece::Matched(_) | Piece::Held(_) => {}
        }
    }
}
