//! Functions of template expressions.

mod lists;
mod numbers;
mod places;
mod texts;

use crate::arm::node::{Data, Node};
use crate::arm::scope::Budget;

/// What a function makes of its arguments; `None` if there is no such function in a group.
type Outcome = Result<Option<Data>, String>;

/// What a function makes of its arguments, or why that is not known.
pub(super) fn apply(name: &str, arguments: &[Node], budget: &Budget) -> Result<Node, String> {
    let lower = name.to_ascii_lowercase();
    for group in [texts::apply, numbers::apply, lists::apply, places::apply] {
        if let Some(data) = group(&lower, arguments)? {
            let node = Node::new(0, data);
            budget.spend(node.size())?;
            return Ok(node);
        }
    }
    if lower == "reference" || lower.starts_with("list") || lower == "environment" {
        return Err(format!("{name}() is known only in the cloud: put its value in its place"));
    }
    Err(format!(
        "{name}() with {} arguments is not known here: put its value in its place",
        arguments.len()
    ))
}

fn text(text: impl Into<String>) -> Outcome {
    Ok(Some(Data::Text(text.into())))
}

fn number(number: i64) -> Outcome {
    Ok(Some(Data::Number(number.into())))
}

fn boolean(value: bool) -> Outcome {
    Ok(Some(Data::Bool(value)))
}

fn list(items: Vec<Node>) -> Outcome {
    Ok(Some(Data::List(items)))
}

fn integer(node: &Node) -> Option<i64> {
    match &node.data {
        Data::Number(number) => number.as_i64(),
        _ => None,
    }
}

/// A place in a list or text, or how many.
fn count(node: &Node) -> Result<usize, String> {
    let count = integer(node).and_then(|number| usize::try_from(number).ok());
    count.ok_or_else(|| format!("{} is no number from 0 on", node.kind()))
}

/// The value as text, as `string()` and `format()` write it.
fn written(node: &Node) -> Result<String, String> {
    Ok(match &node.data {
        Data::Text(text) => text.clone(),
        Data::Number(number) => number.to_string(),
        Data::Bool(true) => "True".to_owned(),
        Data::Bool(false) => "False".to_owned(),
        Data::Null => String::new(),
        Data::Unknown(why) => return Err(why.clone()),
        Data::List(_) | Data::Map(_) => json(node)?.to_string(),
    })
}

fn json(node: &Node) -> Result<serde_json::Value, String> {
    Ok(match &node.data {
        Data::Null => serde_json::Value::Null,
        Data::Bool(value) => (*value).into(),
        Data::Number(number) => number.clone().into(),
        Data::Text(text) => text.clone().into(),
        Data::List(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(json).collect();
            items?.into()
        }
        Data::Map(fields) => {
            let fields = fields.iter().map(|(name, node)| Ok((name.clone(), json(node)?)));
            let fields: Result<serde_json::Map<_, _>, String> = fields.collect();
            fields?.into()
        }
        Data::Unknown(why) => return Err(why.clone()),
    })
}

fn from_json(value: &serde_json::Value) -> Node {
    let data = match value {
        serde_json::Value::Null => Data::Null,
        serde_json::Value::Bool(value) => Data::Bool(*value),
        serde_json::Value::Number(number) => Data::Number(number.clone()),
        serde_json::Value::String(text) => Data::Text(text.clone()),
        serde_json::Value::Array(items) => Data::List(items.iter().map(from_json).collect()),
        serde_json::Value::Object(fields) => {
            let field = |(name, value): (&String, _)| (name.clone(), from_json(value));
            Data::Map(fields.iter().map(field).collect())
        }
    };
    Node::new(0, data)
}

/// Whether two values are equal, wherever they stand.
fn equal(one: &Node, other: &Node) -> bool {
    match (&one.data, &other.data) {
        (Data::List(one), Data::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Data::Map(fields), Data::Map(others)) => {
            fields.len() == others.len()
                && fields
                    .iter()
                    .all(|(name, node)| other.get(name).is_some_and(|other| equal(node, other)))
        }
        (one, other) => one == other,
    }
}
