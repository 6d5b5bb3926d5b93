//! Values: text, variables and groups, put together when they are needed.

use http::HeaderName;
use regex::bytes::CaptureLocations;
use thiserror::Error;
use tidegate_model::{Part, ServerVariable, Template, Variable};

use crate::rewrite::compile::Condition;

/// The longest value that is made, in bytes. Without it, rules that put a header twice into itself
/// would double it each time.
const LONGEST: usize = 32 * 1024;

/// A value that cannot be sent.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a value that was made of a request is too long, or cannot stand where it should")]
pub(crate) struct Unfit;

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    RequestHeader(HeaderName),
    ResponseHeader(HeaderName),
    Cookie(Box<str>),
    Server(ServerVariable),
    /// Nowhere: it is empty.
    Nothing,
}

impl Source {
    pub(super) fn of(variable: &Variable) -> Self {
        // The model has checked the names.
        let header = |name: &str| HeaderName::try_from(name).ok();
        match variable {
            Variable::RequestHeader(name) => {
                header(name.as_str()).map_or(Self::Nothing, Self::RequestHeader)
            }
            Variable::ResponseHeader(name) => {
                header(name.as_str()).map_or(Self::Nothing, Self::ResponseHeader)
            }
            Variable::Cookie(name) => Self::Cookie(name.clone()),
            Variable::Server(variable) => Self::Server(*variable),
        }
    }

    fn is_of_response(&self) -> bool {
        match self {
            Self::ResponseHeader(_) => true,
            Self::Server(its) => {
                matches!(its, ServerVariable::HttpStatus | ServerVariable::SentBytes)
            }
            Self::RequestHeader(_) | Self::Cookie(_) | Self::Nothing => false,
        }
    }
}

/// A part of a value.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Text(Box<[u8]>),
    From(Source),
    Group {
        condition: usize,
        group: usize,
    },
    Matched(usize),
    /// What the request's step has kept at this place.
    Held(usize),
}

/// A value in the making.
#[derive(Debug)]
pub(super) struct Value(Box<[Piece]>);

impl Value {
    pub(super) fn of(template: &Template) -> Self {
        let pieces = template.parts().iter().map(|part| match part {
            Part::Text(text) => Piece::Text(text.as_bytes().into()),
            Part::Value(variable) => Piece::From(Source::of(variable)),
            Part::Group { condition, group } => {
                Piece::Group { condition: *condition, group: *group }
            }
            Part::Matched(group) => Piece::Matched(*group),
        });
        Self(pieces.collect())
    }

    /// For the response's step: what is of the request is kept by the one before, in `held`.
    pub(super) fn hold(&mut self, conditions: &[Condition], held: &mut Vec<Piece>) {
        for piece in &mut self.0 {
            let of_response = match piece {
                Piece::From(source) => source.is_of_response(),
                Piece::Group { condition, .. } => conditions[*condition].of_response,
                Piece::Text(_) | Piece::Matched(_) | Piece::Held(_) => true,
            };
            if !of_response {
                held.push(std::mem::replace(piece, Piece::Held(held.len())));
            }
        }
    }

    /// The value, put together.
    pub(super) fn make(&self, from: &impl Pieces) -> Result<Vec<u8>, Unfit> {
        let mut value = Vec::new();
        for piece in &self.0 {
            from.write(piece, &mut value);
            if value.len() > LONGEST {
                return Err(Unfit);
            }
        }
        Ok(value)
    }
}

/// What pieces stand for.
pub(super) trait Pieces {
    /// Appends what a piece stands for.
    fn write(&self, piece: &Piece, to: &mut Vec<u8>);
}

/// What was looked at by a condition that holds, and what its groups captured.
#[derive(Debug)]
pub(super) struct Found {
    value: Vec<u8>,
    groups: CaptureLocations,
}

impl Found {
    /// What a group captured; empty if it had no part in it.
    pub(super) fn group(&self, group: usize) -> &[u8] {
        self.groups.get(group).map_or(&[], |(from, to)| &self.value[from..to])
    }
}

/// Whether a condition holds for a value, and what it captured if that is needed.
pub(super) fn judge(condition: &Condition, value: Vec<u8>) -> Option<Option<Found>> {
    let regex = condition.pattern.regex();
    if condition.negate || !condition.captures {
        return (regex.is_match(&value) != condition.negate).then_some(None);
    }
    let mut groups = regex.capture_locations();
    regex.captures_read(&mut groups, &value)?;
    Some(Some(Found { value, groups }))
}
