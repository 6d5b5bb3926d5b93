//! Names of items, and the references that lead to them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::arm::marks;
use crate::arm::node::{Data, Node};
use crate::arm::walk::is_open;

/// The names of a gateway's items, by collection.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, Vec<String>>);

impl Names {
    /// Those of all collections that the schema has and the gateway's fields hold.
    pub(super) fn of(schema: &Value, fields: &[(&str, &Node)]) -> Self {
        let mut names = BTreeMap::new();
        for (collection, field) in schema["properties"].as_object().into_iter().flatten() {
            let is_it = |(name, _): &&(&str, &Node)| name.eq_ignore_ascii_case(collection);
            let is_collection = field["items"]["type"] == "object" || is_open(field);
            let Some((_, node)) = fields.iter().find(is_it).filter(|_| is_collection) else {
                continue;
            };
            let items = match &node.data {
                Data::List(items) => items.as_slice(),
                Data::Map(_) => std::slice::from_ref(*node),
                _ => continue,
            };
            let name = |item: &Node| Some(marks::clean(item.get("name")?.text()?).ok()?.text);
            names.insert(collection.clone(), items.iter().filter_map(name).collect());
        }
        Self(names)
    }

    /// Whether the gateway has the collection at all: a fragment may leave it to others.
    pub(super) fn has(&self, collection: &str) -> bool {
        self.0.contains_key(collection)
    }

    /// The name as the item itself has it.
    pub(super) fn real(&self, collection: &str, name: &str) -> Option<&str> {
        let names = self.0.get(collection)?;
        let exact = names.iter().find(|its| *its == name);
        exact
            .or_else(|| names.iter().find(|its| its.eq_ignore_ascii_case(name)))
            .map(String::as_str)
    }
}

/// What a reference holds: an object with an id, an id, or a name.
pub(super) fn id_of(node: &Node) -> Option<&Node> {
    match &node.data {
        Data::Map(_) => node.get("id"),
        Data::Text(_) => Some(node),
        _ => None,
    }
}

/// The last segment of an id. Quotes and brackets that people left behind it are no part of it.
pub(super) fn last_segment(id: &str) -> &str {
    let is_left =
        |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | ')' | ']' | '/' | ',' | ';');
    let id = id.trim_end_matches(is_left);
    id.rsplit('/').next().unwrap_or(id).trim()
}

/// The name of the gateway that an id goes through.
pub(super) fn gateway_of(id: &str) -> Option<&str> {
    let mut segments = id.split('/');
    segments.find(|segment| segment.eq_ignore_ascii_case("applicationGateways"))?;
    segments.next().filter(|name| !name.is_empty())
}

/// A name that Kubernetes takes: lower case, digits, `-` and `.` inside.
pub(super) fn object_name(name: &str) -> String {
    let lower = name.chars().map(|c| c.to_ascii_lowercase());
    let kept = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let mut made = String::new();
    for c in lower.map(kept) {
        // Two signs in a row are no good name, and some are none at all.
        if c.is_ascii_alphanumeric() || made.ends_with(|last: char| last.is_ascii_alphanumeric()) {
            made.push(c);
        }
    }
    made.truncate(200);
    let made = made.trim_end_matches(['-', '.']);
    if made.is_empty() { "gateway".to_owned() } else { made.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_id_the_last_segment_counts_without_what_was_left_behind_it() {
        for (id, name) in [
            ("/subscriptions/s/frontendPorts/port443'", "port443"),
            ("/x/httpListeners/appGatewayHttpsListener')]", "appGatewayHttpsListener"),
            ("plain", "plain"),
            ("/a/b/", "b"),
            ("a/b c", "b c"),
            ("')]", ""),
        ] {
            assert_eq!(last_segment(id), name, "{id}");
        }
        assert_eq!(gateway_of("/s/ApplicationGateways/g1/probes/p"), Some("g1"));
        assert_eq!(gateway_of("/s/probes/p"), None);
    }

    #[test]
    fn names_become_such_that_kubernetes_takes() {
        for (name, expected) in [
            ("Shop_Gateway.1", "shop-gateway.1"),
            ("-a--b-", "a-b"),
            ("<x>", "x"),
            ("ü", "gateway"),
        ] {
            assert_eq!(object_name(name), expected, "{name}");
        }
        assert_eq!(object_name(&"a".repeat(300)).len(), 200);
    }
}
