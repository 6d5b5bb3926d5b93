//! From a gateway of the resource manager's shape to ours, led by the resource's own schema: so a field
//! converts as soon as the resource has it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::arm::marks;
use crate::arm::names::{Names, id_of, last_segment};
use crate::arm::node::{Data, Node};
use crate::arm::notes::Notes;
use crate::arm::table::{Verdict, collection_of, may_be_empty, verdict};

/// A reference into a collection that the text does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) collection: &'static str,
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) path: String,
}

/// Where a value stands: in the template, and in what is made.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) source: String,
    pub(super) made: String,
    /// The collection that it belongs to; empty for the gateway itself.
    pub(super) owner: String,
    /// The field that it is the value of, or of the list that it is in.
    pub(super) field: String,
}

impl Place {
    /// The place of a gateway.
    pub(super) fn of(path: &str) -> Self {
        let (made, owner, field) = Default::default();
        Self { source: path.to_owned(), made, owner, field }
    }

    fn inside(path: &str, name: &str) -> String {
        if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
    }

    fn field(&self, source: String, made: &str) -> Self {
        Self {
            source,
            made: Self::inside(&self.made, made),
            owner: self.owner.clone(),
            field: made.to_owned(),
        }
    }

    /// The place of an item; of objects it is a collection that they belong to.
    fn item(&self, source: usize, made: usize, is_object: bool) -> Self {
        Self {
            source: format!("{}[{source}]", self.source),
            made: format!("{}[{made}]", self.made),
            owner: if is_object { self.field.clone() } else { self.owner.clone() },
            field: self.field.clone(),
        }
    }
}

/// The conversion of one gateway.
pub(super) struct Walk<'a> {
    pub(super) notes: &'a mut Notes,
    pub(super) names: &'a Names,
    /// Where in the template each part of what is made comes from.
    pub(super) sources: BTreeMap<String, (String, u32)>,
    pub(super) wanted: Vec<Wanted>,
    /// Fields that say nothing, which are told of together.
    pub(super) idle: BTreeSet<String>,
}

/// The fields of an item with those of its `properties`, and the path of each.
pub(super) fn flat<'n>(node: &'n Node, path: &str) -> Vec<(&'n str, &'n Node, String)> {
    let mut fields = Vec::new();
    for (name, field) in node.map().unwrap_or_default() {
        let path = Place::inside(path, name);
        if name.eq_ignore_ascii_case("properties") && field.map().is_some() {
            let inside = field.map().unwrap_or_default().iter();
            fields.extend(inside.map(|(its, field)| (&**its, field, Place::inside(&path, its))));
        } else {
            fields.push((&**name, field, path));
        }
    }
    fields
}

impl Walk<'_> {
    /// What the schema wants of a value; `None` if that is nothing.
    pub(super) fn value(&mut self, schema: &Value, node: &Node, place: &Place) -> Option<Value> {
        self.sources.insert(place.made.clone(), (place.source.clone(), node.line));
        match &node.data {
            Data::Null => return None,
            Data::Unknown(why) => return self.unknown(why, schema["type"] == "array", node, place),
            _ => {}
        }
        if is_open(schema)
            || schema["x-kubernetes-int-or-string"] == true
            || schema["additionalProperties"].is_object()
        {
            return self.any(node, place);
        }
        match schema["type"].as_str() {
            Some("string") => self.text(schema, node, place),
            Some("integer" | "number") => self.number(node, place),
            Some("boolean") => self.boolean(node, place),
            Some("array") => self.list(schema, node, place),
            Some("object") if node.map().is_some() => {
                let made = self.object(schema, node, place);
                // An item of which nothing is left is missed later, by the resource's type.
                let is_missed = place.made.ends_with(']') && schema["required"].is_array();
                (is_missed || !made.is_empty()).then_some(Value::Object(made))
            }
            _ => self.mismatch("an object", node, place),
        }
    }

    /// What stands for a value that is not known. A listener without its hosts would take the requests
    /// of all, and one without its profile those of clients that it was to refuse: they get what
    /// nobody asks for, and what refers to nothing is refused.
    fn unknown(&mut self, why: &str, is_list: bool, node: &Node, place: &Place) -> Option<Value> {
        let is_host = place.owner == "httpListeners"
            && matches!(place.field.as_str(), "hostName" | "hostNames");
        let is_reference = collection_of(&place.field).is_some() && !place.owner.is_empty();
        let stand_in = match (is_host, is_reference) {
            (true, _) => "unknown.invalid",
            (_, true) => "unknown",
            _ => {
                self.notes.left_out(node.line, &place.source, why);
                return None;
            }
        };
        let why = format!("{why}; {stand_in:?} stands in its place, change it");
        self.notes.left_out(node.line, &place.source, why);
        Some(if is_list { Value::Array(vec![stand_in.into()]) } else { stand_in.into() })
    }

    /// An object: its fields, which the schema names whatever their case.
    pub(super) fn object(
        &mut self,
        schema: &Value,
        node: &Node,
        place: &Place,
    ) -> Map<String, Value> {
        let mut made = Map::new();
        let properties = schema["properties"].as_object();
        for (name, field, source) in flat(node, &place.source) {
            let known =
                properties.into_iter().flatten().find(|(its, _)| its.eq_ignore_ascii_case(name));
            // What the resource knows only to refuse it is an exception as well.
            let known =
                known.filter(|(_, inner)| !is_open(inner) || verdict(&place.owner, name).is_none());
            let Some((its, inner)) = known else {
                self.exception(name, field, &source, &place.owner);
                continue;
            };
            if made.contains_key(its) {
                self.notes.left_out(field.line, &source, "it is there twice: the first one counts");
                continue;
            }
            let value = self.value(inner, field, &place.field(source, its));
            // Exports are full of empty lists. A pool shows that it is empty.
            let is_said = |value: &Value| {
                let is_needed =
                    schema["required"].as_array().into_iter().flatten().any(|r| r == its);
                is_needed
                    || its == "backendAddresses"
                    || value.as_array().is_none_or(|items| !items.is_empty())
            };
            made.extend(value.filter(is_said).map(|value| (its.clone(), value)));
        }
        made
    }

    /// A field that the resource does not have.
    fn exception(&mut self, name: &str, node: &Node, source: &str, owner: &str) {
        match verdict(owner, name) {
            Some(Verdict::Silent) => {}
            _ if says_nothing(node) => {}
            Some(Verdict::Idle) => drop(self.idle.insert(name.to_owned())),
            Some(Verdict::NoMeaning(instead)) => {
                self.notes.tell(node.line, source, format!("it has no meaning here: {instead}"));
            }
            Some(Verdict::NotServed(why)) => {
                self.notes.left_out(node.line, source, format!("left out: {why}"));
            }
            None => {
                let why = "left out: neither Application Gateway nor Tidegate is known to have it";
                self.notes.left_out(node.line, source, why);
            }
        }
    }

    fn list(&mut self, schema: &Value, node: &Node, place: &Place) -> Option<Value> {
        let items = match &node.data {
            Data::List(items) => items.as_slice(),
            // PowerShell writes a list of one as that one.
            Data::Map(_) | Data::Text(_) => std::slice::from_ref(node),
            _ => return self.mismatch("a list", node, place),
        };
        let inner = &schema["items"];
        let is_object = inner["type"] == "object";
        let mut made = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let place = place.item(index, made.len(), is_object);
            made.extend(self.value(inner, item, &place));
        }
        Some(Value::Array(made))
    }

    fn text(&mut self, schema: &Value, node: &Node, place: &Place) -> Option<Value> {
        let collection = collection_of(&place.field);
        if let (Some(collection), false) = (collection, place.owner.is_empty()) {
            return self.reference(collection, node, place);
        }
        let text = match &node.data {
            Data::Text(text) => match marks::clean(text) {
                Err(why) => return self.unknown(&why, false, node, place),
                Ok(_) => self.clean(text, node, place)?,
            },
            Data::Number(number) => number.to_string(),
            Data::Bool(value) => value.to_string(),
            _ => return self.mismatch("text", node, place),
        };
        if text.is_empty() && may_be_empty(&place.field) {
            return None;
        }
        let Some(allowed) = schema["enum"].as_array() else {
            return Some(text.into());
        };
        let allowed: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
        let found = allowed.iter().find(|its| its.eq_ignore_ascii_case(&text));
        if found.is_none() {
            let why = format!("{text:?} is left out: there is {}", allowed.join(", "));
            self.notes.left_out(node.line, &place.source, why);
        }
        found.map(|its| Value::from(*its))
    }

    /// A text without marks; tells of what stands in for something.
    pub(super) fn clean(&mut self, text: &str, node: &Node, place: &Place) -> Option<String> {
        match marks::clean(text) {
            Ok(clean) => {
                if !clean.guessed.is_empty() {
                    let why = format!(
                        "known only in the cloud: {}; {:?} stands in its place, change it",
                        clean.guessed.join(", "),
                        clean.text
                    );
                    self.notes.left_out(node.line, &place.source, why);
                }
                Some(clean.text)
            }
            Err(why) => {
                self.notes.left_out(node.line, &place.source, why);
                None
            }
        }
    }

    /// The name of an item of a collection.
    fn reference(&mut self, collection: &'static str, node: &Node, place: &Place) -> Option<Value> {
        let Some(id) = id_of(node) else {
            let is_empty = node.map().is_some_and(<[_]>::is_empty);
            return if is_empty { None } else { self.mismatch("an id", node, place) };
        };
        let id = match &id.data {
            Data::Text(id) => id,
            Data::Null => return None,
            Data::Unknown(why) => return self.unknown(why, false, node, place),
            _ => return self.mismatch("an id", node, place),
        };
        let last = last_segment(id);
        if let Err(why) = marks::clean(last) {
            return self.unknown(&why, false, node, place);
        }
        let name = self.clean(last, node, place)?;
        if name.is_empty() {
            return None;
        }
        if let Some(real) = self.names.real(collection, &name) {
            return Some(real.into());
        }
        if self.names.has(collection) {
            let why = format!("there is no {name:?} in {collection}");
            self.notes.left_out(node.line, &place.source, why);
        } else {
            let (line, path) = (node.line, place.source.clone());
            self.wanted.push(Wanted { collection, name: name.clone(), line, path });
        }
        Some(name.into())
    }

    fn number(&mut self, node: &Node, place: &Place) -> Option<Value> {
        let text = match &node.data {
            // Tools that know no whole numbers write 30.0.
            Data::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                    return Some((float as i64).into());
                }
                _ => return Some(number.clone().into()),
            },
            Data::Text(text) => self.clean(text, node, place)?,
            _ => return self.mismatch("a number", node, place),
        };
        match text.trim().parse::<i64>() {
            Ok(number) => Some(number.into()),
            Err(_) if text.is_empty() => None,
            Err(_) => self.mismatch("a number", node, place),
        }
    }

    fn boolean(&mut self, node: &Node, place: &Place) -> Option<Value> {
        match &node.data {
            Data::Bool(value) => Some((*value).into()),
            Data::Text(text) if text.eq_ignore_ascii_case("true") => Some(true.into()),
            Data::Text(text) if text.eq_ignore_ascii_case("false") => Some(false.into()),
            _ => self.mismatch("true or false", node, place),
        }
    }

    /// A value of any shape, without what only the resource manager has.
    fn any(&mut self, node: &Node, place: &Place) -> Option<Value> {
        Some(match &node.data {
            Data::Null => return None,
            Data::Unknown(why) => {
                self.notes.left_out(node.line, &place.source, why.as_str());
                return None;
            }
            Data::Bool(value) => (*value).into(),
            Data::Number(number) => number.clone().into(),
            Data::Text(text) => self.clean(text, node, place)?.into(),
            Data::List(items) => {
                let mut made = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    made.extend(self.any(item, &place.item(index, index, false)));
                }
                made.into()
            }
            Data::Map(_) if node.get("id").is_some() && node.get("name").is_none() => {
                let collection = collection_of(&place.field)?;
                return self.reference(collection, node, place);
            }
            Data::Map(_) => {
                let mut made = Map::new();
                for (name, field, source) in flat(node, &place.source) {
                    if name != "name" && verdict("*", name).is_some() {
                        continue;
                    }
                    let value = self.any(field, &place.field(source, name));
                    made.extend(value.map(|value| (name.to_owned(), value)));
                }
                made.into()
            }
        })
    }

    fn mismatch(&mut self, wanted: &str, node: &Node, place: &Place) -> Option<Value> {
        let why = format!("left out: {wanted} is needed in place of {}", node.kind());
        self.notes.left_out(node.line, &place.source, why);
        None
    }
}

/// Whether the schema takes anything.
pub(super) fn is_open(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

/// What says nothing is told of by nobody.
fn says_nothing(node: &Node) -> bool {
    match &node.data {
        Data::Null | Data::Bool(false) => true,
        Data::Text(text) => text.is_empty(),
        Data::List(items) => items.is_empty(),
        Data::Map(fields) => fields.is_empty(),
        Data::Bool(true) | Data::Number(_) | Data::Unknown(_) => false,
    }
}
