//! The response's step.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use regex::bytes::Captures;
use tidegate_model::{Matcher, ServerVariable};

use crate::rewrite::compile::{Change, Rewrites, Rule};
use crate::rewrite::value::{Found, Piece, Pieces, Source, Unfit, judge};
use crate::rewrite::variables;

/// What a rule keeps of a request for its response.
pub(super) type Holding = Box<[Box<[u8]>]>;

/// What a response is rewritten by: the rules that the request did not rule out.
#[derive(Debug)]
pub(crate) struct Pending {
    set: Arc<Rewrites>,
    rules: Vec<(usize, Holding)>,
}

impl Pending {
    pub(super) fn of(set: &Arc<Rewrites>) -> Self {
        Self { set: set.clone(), rules: Vec::new() }
    }

    pub(super) fn push(&mut self, place: usize, held: Holding) {
        self.rules.push((place, held));
    }

    /// Changes a response.
    ///
    /// # Errors
    /// If a value comes out that cannot be sent; what was changed until then stays.
    pub(crate) fn rewrite(&self, status: u16, headers: &mut HeaderMap) -> Result<(), Unfit> {
        for (place, held) in &self.rules {
            if let Some(rule) = self.set.rules.get(*place) {
                rule.rewrite_response(status, headers, held)?;
            }
        }
        Ok(())
    }
}

impl Rule {
    fn rewrite_response(
        &self,
        status: u16,
        headers: &mut HeaderMap,
        held: &[Box<[u8]>],
    ) -> Result<(), Unfit> {
        let mut found: Vec<Option<Found>> = Vec::new();
        for condition in &self.conditions {
            // The request has found that it holds.
            if !condition.of_response {
                found.push(None);
                continue;
            }
            let mut value = Vec::new();
            write(&condition.source, status, headers, &mut value);
            match judge(condition, value) {
                Some(its) => found.push(its),
                None => return Ok(()),
            }
        }
        let now = Now { status, headers, held, found: &found, matched: None };
        // All values before any change: none of them sees half of it.
        let changes = self.response.iter().map(|change| New::of(change, &now));
        let changes = changes.collect::<Result<Vec<New>, Unfit>>()?;
        for (change, new) in self.response.iter().zip(changes) {
            match new {
                New::One(value) if value.is_empty() => drop(headers.remove(&change.name)),
                New::One(value) => drop(headers.insert(&change.name, value)),
                New::Lines(lines) => {
                    headers.remove(&change.name);
                    for line in lines {
                        headers.append(&change.name, line);
                    }
                }
                New::Nothing => {}
            }
        }
        Ok(())
    }
}

/// What a header becomes.
enum New {
    One(HeaderValue),
    Lines(Vec<HeaderValue>),
    /// What it is.
    Nothing,
}

impl New {
    fn of(change: &Change, now: &Now<'_>) -> Result<Self, Unfit> {
        let Some(matcher) = &change.matcher else {
            let value = change.value.make(now)?;
            return Ok(Self::One(HeaderValue::from_bytes(&value).map_err(|_| Unfit)?));
        };
        let (mut lines, mut any) = (Vec::new(), false);
        for line in now.headers.get_all(&change.name) {
            let Some(matched) = Matched::of(matcher, line) else {
                lines.push(line.clone());
                continue;
            };
            any = true;
            let value = change.value.make(&Now { matched: Some(&matched), ..*now })?;
            if !value.is_empty() {
                lines.push(HeaderValue::from_bytes(&value).map_err(|_| Unfit)?);
            }
        }
        Ok(if any { Self::Lines(lines) } else { Self::Nothing })
    }
}

/// A line that a matcher means.
struct Matched<'a> {
    line: &'a [u8],
    /// `None` if the matcher is negated.
    captures: Option<Captures<'a>>,
}

impl<'a> Matched<'a> {
    fn of(matcher: &Matcher, line: &'a HeaderValue) -> Option<Self> {
        let line = line.as_bytes();
        let captures = matcher.pattern.regex().captures(line);
        (captures.is_some() != matcher.negate).then_some(Self { line, captures })
    }

    fn group(&self, group: usize) -> &[u8] {
        match &self.captures {
            _ if group == 0 => self.line,
            Some(captures) => captures.get(group).map_or(&[], |its| its.as_bytes()),
            None => &[],
        }
    }
}

/// What a rule sees of a response in its turn.
#[derive(Clone, Copy)]
struct Now<'a> {
    status: u16,
    headers: &'a HeaderMap,
    held: &'a [Box<[u8]>],
    found: &'a [Option<Found>],
    matched: Option<&'a Matched<'a>>,
}

impl Pieces for Now<'_> {
    fn write(&self, piece: &Piece, to: &mut Vec<u8>) {
        match piece {
            Piece::Text(text) => to.extend_from_slice(text),
            Piece::From(source) => write(source, self.status, self.headers, to),
            Piece::Group { condition, group } => {
                if let Some(Some(found)) = self.found.get(*condition) {
                    to.extend_from_slice(found.group(*group));
                }
            }
            Piece::Matched(group) => {
                to.extend_from_slice(self.matched.map_or(&[], |its| its.group(*group)));
            }
            Piece::Held(place) => {
                to.extend_from_slice(self.held.get(*place).map_or(&[], |its| its));
            }
        }
    }
}

fn write(source: &Source, status: u16, headers: &HeaderMap, to: &mut Vec<u8>) {
    match source {
        Source::ResponseHeader(name) => variables::write_header(headers, name, to),
        Source::Server(ServerVariable::HttpStatus) => variables::write_display(status, to),
        // Nothing is sent before the headers are.
        Source::Server(ServerVariable::SentBytes) => to.push(b'0'),
        // All else was kept.
        Source::Server(_) | Source::RequestHeader(_) | Source::Cookie(_) | Source::Nothing => {}
    }
}
