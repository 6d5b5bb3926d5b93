//! Parts of the resource that have a meaning in Application Gateway and none here. They are
//! recognised so that they are refused, not ignored.

use serde_json::Value;

use crate::api::Later;

/// What happens to the part of the gateway that uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsupported {
    /// The item is refused: without this it would do something else than was meant.
    Refuses,
    /// Nothing depends on it; it is said that it has no effect.
    Warns,
}

use Unsupported::{Refuses, Warns};

/// By collection and field; an empty collection is the spec itself.
const ALL: &[(&str, &str, Unsupported)] = &[
    ("", "sku", Warns),
    ("", "autoscaleConfiguration", Warns),
    ("", "webApplicationFirewallConfiguration", Warns),
    ("", "firewallPolicy", Warns),
    ("httpListeners", "firewallPolicy", Refuses),
];

/// A part of a gateway that has no meaning yet.
#[derive(Debug)]
pub(crate) struct Part {
    /// The item that uses it, by collection and place; `None` for the gateway itself.
    pub(crate) item: Option<(&'static str, usize)>,
    pub(crate) path: String,
    pub(crate) effect: Unsupported,
}

/// Every part of `spec` that has no meaning yet.
pub(crate) fn unsupported(spec: &Value) -> Vec<Part> {
    let mut found = Vec::new();
    for &(collection, field, effect) in ALL {
        if collection.is_empty() {
            if is_set(&spec[field]) {
                found.push(Part { item: None, path: format!("spec.{field}"), effect });
            }
            continue;
        }
        for (index, item) in spec[collection].as_array().into_iter().flatten().enumerate() {
            if is_set(&item[field]) {
                let path = format!("spec.{collection}[{index}].{field}");
                found.push(Part { item: Some((collection, index)), path, effect });
            }
        }
    }
    found
}

impl Later {
    /// Whether it says anything.
    pub(crate) fn is_set(&self) -> bool {
        is_set(&self.0)
    }
}

/// What says nothing, such as an empty list or `false`, is what happens anyway.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Number(number) => number.as_i64() != Some(0),
        _ => true,
    }
}
