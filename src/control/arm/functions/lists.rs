//! Functions on lists and objects.

use crate::arm::functions::{Outcome, boolean, count, equal, integer, list, number};
use crate::arm::node::{Data, Node};

/// The longest list that `range` makes, as in the cloud.
const RANGE: i64 = 10_000;

pub(super) fn apply(name: &str, arguments: &[Node]) -> Outcome {
    match (name, arguments) {
        ("createarray", _) => list(arguments.to_vec()),
        ("array", [value]) => match value.list() {
            Some(items) => list(items.to_vec()),
            None => list(vec![value.clone()]),
        },
        ("createobject", _) if arguments.len().is_multiple_of(2) => {
            let field = |pair: &[Node]| match pair {
                [name, value] => name.text().map(|name| (name.to_owned(), value.clone())),
                _ => None,
            };
            let fields: Option<Vec<_>> = arguments.chunks(2).map(field).collect();
            let fields =
                fields.ok_or_else(|| "createObject() needs names that are text".to_owned());
            Ok(Some(Data::Map(fields?)))
        }
        ("concat", [_, ..]) => {
            let lists: Option<Vec<&[Node]>> = arguments.iter().map(Node::list).collect();
            let lists = lists.ok_or_else(|| "concat() of texts and lists".to_owned())?;
            list(lists.concat())
        }
        ("length", [value]) => match &value.data {
            Data::List(items) => number(i64::try_from(items.len()).unwrap_or(i64::MAX)),
            Data::Map(fields) => number(i64::try_from(fields.len()).unwrap_or(i64::MAX)),
            _ => Err(format!("length() of {}", value.kind())),
        },
        ("first", [value]) => Ok(Some(end(value.list().and_then(<[Node]>::first)))),
        ("last", [value]) => Ok(Some(end(value.list().and_then(<[Node]>::last)))),
        ("take", [value, length]) => {
            list(items(value)?.iter().take(count(length)?).cloned().collect())
        }
        ("skip", [value, length]) => {
            list(items(value)?.iter().skip(count(length)?).cloned().collect())
        }
        ("empty", [value]) => match &value.data {
            Data::Null => boolean(true),
            Data::Text(text) => boolean(text.is_empty()),
            Data::List(items) => boolean(items.is_empty()),
            Data::Map(fields) => boolean(fields.is_empty()),
            _ => Err(format!("empty() of {}", value.kind())),
        },
        ("contains", [value, part]) => match (&value.data, part.text()) {
            (Data::List(items), _) => boolean(items.iter().any(|item| equal(item, part))),
            (Data::Map(_), Some(name)) => boolean(value.get(name).is_some()),
            _ => Err(format!("contains() of {}", value.kind())),
        },
        ("range", [start, length]) => {
            let numbers = integer(start).zip(integer(length));
            let (start, length) = numbers.ok_or_else(|| "range() needs two numbers".to_owned())?;
            if !(0..=RANGE).contains(&length) {
                return Err(format!("range() makes lists of up to {RANGE} numbers"));
            }
            let one = |index| Node::new(0, Data::Number((start.saturating_add(index)).into()));
            list((0..length).map(one).collect())
        }
        ("min" | "max", [_, ..]) => extreme(name == "max", arguments),
        ("coalesce", [_, ..]) => {
            let found = arguments.iter().find(|argument| argument.data != Data::Null);
            Ok(Some(found.map_or(Data::Null, |found| found.data.clone())))
        }
        ("union", [first, rest @ ..]) => united(first, rest),
        ("intersection", [first, rest @ ..]) if first.list().is_some() => {
            let mut kept = items(first)?.to_vec();
            for other in rest {
                let other = items(other)?;
                kept.retain(|item| other.iter().any(|other| equal(item, other)));
            }
            list(kept)
        }
        ("items", [value]) => {
            let mut fields: Vec<&(String, Node)> = value.map().unwrap_or_default().iter().collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            let item = |(name, value): &(String, Node)| {
                let key = ("key".to_owned(), Node::text_of(0, name.as_str()));
                Node::new(value.line, Data::Map(vec![key, ("value".to_owned(), value.clone())]))
            };
            list(fields.into_iter().map(item).collect())
        }
        _ => Ok(None),
    }
}

fn items(node: &Node) -> Result<&[Node], String> {
    node.list().ok_or_else(|| format!("a list is needed in place of {}", node.kind()))
}

fn end(node: Option<&Node>) -> Data {
    node.map_or(Data::Null, |node| node.data.clone())
}

fn extreme(largest: bool, arguments: &[Node]) -> Outcome {
    let all = match arguments {
        [one] if one.list().is_some() => items(one)?,
        all => all,
    };
    let numbers: Option<Vec<i64>> = all.iter().map(integer).collect();
    let numbers = numbers.unwrap_or_default().into_iter();
    match if largest { numbers.max() } else { numbers.min() } {
        Some(found) => number(found),
        None => Err("min() and max() need numbers".to_owned()),
    }
}

/// Lists without what stands twice, or objects of which the last says what counts.
fn united(first: &Node, rest: &[Node]) -> Outcome {
    let mut made = first.clone();
    for other in rest {
        match (&mut made.data, &other.data) {
            (Data::List(items), Data::List(more)) => {
                for item in more {
                    if !items.iter().any(|its| equal(its, item)) {
                        items.push(item.clone());
                    }
                }
            }
            (Data::Map(fields), Data::Map(more)) => {
                for (name, value) in more {
                    match fields.iter_mut().find(|(its, _)| its.eq_ignore_ascii_case(name)) {
                        Some(field) => field.1 = value.clone(),
                        None => fields.push((name.clone(), value.clone())),
                    }
                }
            }
            _ => return Err("union() of what is neither lists nor objects".to_owned()),
        }
    }
    Ok(Some(made.data))
}
