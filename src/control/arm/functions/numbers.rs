//! Functions on numbers and truth.

use std::cmp::Ordering;

use crate::arm::functions::{Outcome, boolean, equal, integer, number};
use crate::arm::marks;
use crate::arm::node::{Data, Node};

pub(super) fn apply(name: &str, arguments: &[Node]) -> Outcome {
    match (name, arguments) {
        ("add", [one, other]) => calculated(one, other, i64::checked_add),
        ("sub", [one, other]) => calculated(one, other, i64::checked_sub),
        ("mul", [one, other]) => calculated(one, other, i64::checked_mul),
        ("div", [one, other]) => calculated(one, other, i64::checked_div),
        ("mod", [one, other]) => calculated(one, other, i64::checked_rem),
        ("int", [value]) => match &value.data {
            Data::Text(text) => {
                let parsed = text.trim().parse();
                number(parsed.map_err(|_| format!("int() of {text:?}, which is no number"))?)
            }
            _ => number(needed(value)?),
        },
        ("bool", [value]) => match &value.data {
            Data::Bool(value) => boolean(*value),
            Data::Number(value) => boolean(value.as_i64() != Some(0)),
            Data::Text(text) if text.eq_ignore_ascii_case("true") => boolean(true),
            Data::Text(text) if text.eq_ignore_ascii_case("false") => boolean(false),
            _ => Err("bool() of what is neither true nor false".to_owned()),
        },
        ("true", []) => boolean(true),
        ("false", []) => boolean(false),
        ("null", []) => Ok(Some(Data::Null)),
        ("not", [value]) => boolean(!truth(value)?),
        ("and", [_, ..]) => folded(arguments, true, |one, other| one && other),
        ("or", [_, ..]) => folded(arguments, false, |one, other| one || other),
        ("equals", [one, other]) => {
            known(one)?;
            known(other)?;
            boolean(equal(one, other))
        }
        ("greater", [one, other]) => boolean(compared(one, other)? == Ordering::Greater),
        ("greaterorequals", [one, other]) => boolean(compared(one, other)? != Ordering::Less),
        ("less", [one, other]) => boolean(compared(one, other)? == Ordering::Less),
        ("lessorequals", [one, other]) => boolean(compared(one, other)? != Ordering::Greater),
        _ => Ok(None),
    }
}

fn needed(node: &Node) -> Result<i64, String> {
    integer(node).ok_or_else(|| format!("a whole number is needed in place of {}", node.kind()))
}

fn calculated(one: &Node, other: &Node, how: fn(i64, i64) -> Option<i64>) -> Outcome {
    let result = how(needed(one)?, needed(other)?);
    number(result.ok_or_else(|| "it calculates what no number is".to_owned())?)
}

fn truth(node: &Node) -> Result<bool, String> {
    match node.data {
        Data::Bool(value) => Ok(value),
        _ => Err(format!("true or false is needed in place of {}", node.kind())),
    }
}

fn folded(arguments: &[Node], first: bool, how: fn(bool, bool) -> bool) -> Outcome {
    let values: Result<Vec<bool>, String> = arguments.iter().map(truth).collect();
    boolean(values?.into_iter().fold(first, how))
}

/// A text with a stand-in in it is equal to nothing that anybody could mean.
fn known(node: &Node) -> Result<(), String> {
    match node.text().map(marks::clean) {
        Some(Err(why)) => Err(why),
        Some(Ok(clean)) => match clean.guessed.first() {
            Some(guessed) => Err(format!("{guessed} is known only in the cloud")),
            None => Ok(()),
        },
        None => Ok(()),
    }
}

fn compared(one: &Node, other: &Node) -> Result<Ordering, String> {
    known(one)?;
    known(other)?;
    match (one.text(), other.text()) {
        (Some(one), Some(other)) => Ok(one.cmp(other)),
        _ => Ok(needed(one)?.cmp(&needed(other)?)),
    }
}
