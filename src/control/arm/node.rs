//! Values of a template, with the line on which each stands.

use serde_json::Number;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// The line, counted from 1.
    pub(super) line: u32,
    pub(super) data: Data,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// In the order of the text, with names as they are written.
    Map(Vec<(String, Node)>),
    /// An expression whose value cannot be known here, and why.
    Unknown(String),
}

impl Node {
    pub(super) fn new(line: u32, data: Data) -> Self {
        Self { line, data }
    }

    pub(super) fn text_of(line: u32, text: impl Into<String>) -> Self {
        Self::new(line, Data::Text(text.into()))
    }

    /// The field with this name; the resource manager does not look at the case of names.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.entry(name).map(|(_, node)| node)
    }

    /// The field with this name, and how the name is written.
    pub(super) fn entry(&self, name: &str) -> Option<(&str, &Self)> {
        let found = self.map()?.iter().find(|(its, _)| its.eq_ignore_ascii_case(name));
        found.map(|(its, node)| (its.as_str(), node))
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        match &self.data {
            Data::List(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn map(&self) -> Option<&[(String, Self)]> {
        match &self.data {
            Data::Map(fields) => Some(fields),
            _ => None,
        }
    }

    /// About how much memory it takes, in bytes.
    pub(super) fn size(&self) -> usize {
        64 + match &self.data {
            Data::Null | Data::Bool(_) | Data::Number(_) => 0,
            Data::Text(text) | Data::Unknown(text) => text.len(),
            Data::List(items) => items.iter().map(Self::size).sum(),
            Data::Map(fields) => fields.iter().map(|(name, node)| name.len() + node.size()).sum(),
        }
    }

    /// What kind of value it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "null",
            Data::Bool(_) => "a boolean",
            Data::Number(_) => "a number",
            Data::Text(_) => "text",
            Data::List(_) => "a list",
            Data::Map(_) => "an object",
            Data::Unknown(_) => "an expression",
        }
    }
}
