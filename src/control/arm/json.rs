//! JSON as templates have it: with comments, commas too many or too few, names without quotes,
//! text over several lines, and fragments that are the inside of an object.

use serde_json::Number;
use thiserror::Error;

use crate::arm::node::{Data, Node};

/// How deep values may nest; templates of people stay below 20.
const DEPTH: usize = 64;

/// Text that cannot be read as JSON.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{why}")]
pub(super) struct JsonError {
    pub(super) line: u32,
    pub(super) why: String,
}

/// Reads an object, a list, or the fields of an object without its braces.
pub(super) fn parse(text: &str) -> Result<Node, JsonError> {
    let mut reader = Reader { text, at: 0, line: 1, depth: 0 };
    reader.skip()?;
    let line = reader.line;
    let node = match reader.peek() {
        Some('{' | '[') => reader.value()?,
        Some('"' | '\'') => Node::new(line, Data::Map(reader.fields(None)?)),
        Some(_) => return Err(reader.wrong("a JSON object, a list or fields are needed")),
        None => return Err(reader.wrong("there is nothing in it")),
    };
    reader.skip()?;
    // What was cut out of a larger text ends as that one went on.
    while matches!(reader.peek(), Some(',' | '}' | ']' | ';')) {
        reader.bump();
        reader.skip()?;
    }
    match reader.peek() {
        None => Ok(node),
        Some(_) => Err(reader.wrong("the JSON ends before this: what follows is no part of it")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    depth: usize,
}

impl Reader<'_> {
    fn wrong(&self, why: impl Into<String>) -> JsonError {
        JsonError { line: self.line, why: why.into() }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        if next == '\n' {
            self.line = self.line.saturating_add(1);
        }
        Some(next)
    }

    /// Goes over space and comments.
    fn skip(&mut self) -> Result<(), JsonError> {
        loop {
            let rest = self.rest();
            if rest.starts_with("//") {
                while self.peek().is_some_and(|next| next != '\n') {
                    self.bump();
                }
            } else if rest.starts_with("/*") {
                let begun = self.line;
                let Some(length) = rest.get(2..).and_then(|inside| inside.find("*/")) else {
                    return Err(self.wrong(format!("the comment of line {begun} does not end")));
                };
                let end = self.at + 2 + length + 2;
                while self.at < end {
                    self.bump();
                }
            } else if rest.starts_with(|c: char| c.is_whitespace() || c == '\u{feff}') {
                self.bump();
            } else {
                return Ok(());
            }
        }
    }

    fn value(&mut self) -> Result<Node, JsonError> {
        self.skip()?;
        let line = self.line;
        let data = match self.peek() {
            Some(open @ ('{' | '[')) => {
                self.bump();
                self.depth += 1;
                if self.depth > DEPTH {
                    return Err(self.wrong(format!("nested deeper than {DEPTH} levels")));
                }
                let data = match open {
                    '{' => Data::Map(self.fields(Some(line))?),
                    _ => Data::List(self.items(line)?),
                };
                self.depth -= 1;
                data
            }
            Some('"' | '\'') => Data::Text(self.string()?),
            Some(_) => self.word()?,
            None => return Err(self.wrong("a value is missing at the end")),
        };
        Ok(Node::new(line, data))
    }

    /// The fields of an object that began on a line; of a fragment, which has no end of its own.
    fn fields(&mut self, begun: Option<u32>) -> Result<Vec<(String, Node)>, JsonError> {
        let mut fields = Vec::new();
        loop {
            self.skip()?;
            match (self.peek(), begun) {
                (Some(','), _) | (Some('}' | ']' | ';'), None) => {
                    self.bump();
                    continue;
                }
                (Some('}'), Some(_)) => {
                    self.bump();
                    return Ok(fields);
                }
                (None, None) => return Ok(fields),
                (None, Some(begun)) => {
                    let why = format!("the object that begins on line {begun} does not end");
                    return Err(self.wrong(why));
                }
                _ => {}
            }
            let name = match self.peek() {
                Some('"' | '\'') => self.string()?,
                _ => self.bare()?,
            };
            self.skip()?;
            if self.peek() != Some(':') {
                return Err(self.wrong(format!("a colon is missing after {name:?}")));
            }
            self.bump();
            fields.push((name, self.value()?));
        }
    }

    fn items(&mut self, begun: u32) -> Result<Vec<Node>, JsonError> {
        let mut items = Vec::new();
        loop {
            self.skip()?;
            match self.peek() {
                Some(',') => drop(self.bump()),
                Some(']') => {
                    self.bump();
                    return Ok(items);
                }
                None => {
                    let why = format!("the list that begins on line {begun} does not end");
                    return Err(self.wrong(why));
                }
                _ => items.push(self.value()?),
            }
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let begun = self.line;
        let quote = self.bump();
        let mut text = String::new();
        loop {
            match self.bump() {
                None => {
                    let why = format!("the text that begins on line {begun} does not end");
                    return Err(JsonError { line: begun, why });
                }
                end if end == quote => return Ok(text),
                Some('\\') => text.push(self.escape()?),
                Some(other) => text.push(other),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        Ok(match self.bump() {
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('u') => {
                let first = self.unit()?;
                let mut units = vec![first];
                if (0xd800..0xdc00).contains(&first) && self.rest().starts_with("\\u") {
                    self.at += 2;
                    units.push(self.unit()?);
                }
                let mut decoded = char::decode_utf16(units);
                match (decoded.next(), decoded.next()) {
                    (Some(Ok(one)), None) => one,
                    _ => char::REPLACEMENT_CHARACTER,
                }
            }
            Some(other) => other,
            None => return Err(self.wrong("the text ends in the middle of an escape")),
        })
    }

    fn unit(&mut self) -> Result<u16, JsonError> {
        let digits = self.rest().get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let Some(unit) = unit else {
            return Err(self.wrong("\\u needs four hexadecimal digits"));
        };
        self.at += 4;
        Ok(unit)
    }

    /// A name or number without quotes.
    fn bare(&mut self) -> Result<String, JsonError> {
        let is_inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '-' | '+' | '.');
        let rest = self.rest();
        let word = &rest[..rest.find(|c| !is_inside(c)).unwrap_or(rest.len())];
        if word.is_empty() {
            let next = self.peek().unwrap_or(' ');
            return Err(self.wrong(format!("{next:?} has no place here")));
        }
        let word = word.to_owned();
        self.at += word.len();
        Ok(word)
    }

    fn word(&mut self) -> Result<Data, JsonError> {
        let word = self.bare()?;
        if let Ok(number) = word.parse::<i64>() {
            return Ok(Data::Number(number.into()));
        }
        let number = word.parse::<f64>().ok().and_then(Number::from_f64);
        match (word.to_ascii_lowercase().as_str(), number) {
            ("true", _) => Ok(Data::Bool(true)),
            ("false", _) => Ok(Data::Bool(false)),
            ("null", _) => Ok(Data::Null),
            (_, Some(number)) => Ok(Data::Number(number)),
            _ => Err(self.wrong(format!("{word:?} is no JSON value: text needs quotes"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field<'a>(node: &'a Node, path: &[&str]) -> &'a Node {
        path.iter().fold(node, |node, name| match name.parse::<usize>() {
            Ok(index) => &node.list().unwrap()[index],
            Err(_) => node.get(name).unwrap(),
        })
    }

    #[test]
    fn flaws_of_templates_are_read_over_and_every_value_has_its_line() {
        let text = "\u{feff}// a comment\n{ \"A\": [1, 2,], /* another\n */ b: 'it''s',\n\
                    \"c\": \"two\nlines\"\n\"d\": {\"e\": True, \"f\": -1.5e1, \"g\": null,},}";
        // The quote that stands twice ends one text, and the next is the name of a field.
        assert!(parse(text).is_err());
        let node = parse(&text.replace("it''s", "its")).unwrap();
        assert_eq!(field(&node, &["a", "1"]).data, Data::Number(2.into()));
        assert_eq!(field(&node, &["B"]), &Node::text_of(3, "its"));
        assert_eq!(field(&node, &["c"]), &Node::text_of(4, "two\nlines"));
        assert_eq!(field(&node, &["D", "E"]), &Node::new(6, Data::Bool(true)));
        assert_eq!(field(&node, &["d", "f"]).data, Data::Number(Number::from_f64(-15.0).unwrap()));
    }

    #[test]
    fn fragments_need_no_braces_and_may_end_as_the_text_around_them_did() {
        let node = parse("\"a\": [{\"b\": 1}],\n\"c\": {} }, ]").unwrap();
        assert_eq!(node.map().unwrap().len(), 2);
        assert_eq!(field(&node, &["c"]).line, 2);
        let node = parse("\"a\": []\n\n\"b\": []").unwrap();
        assert_eq!(field(&node, &["b"]).line, 3);
    }

    #[test]
    fn escapes_are_those_of_json() {
        let node = parse(r#"{"a": "\u0041\ud83d\ude00\n\/\"\\", "b": "\ud83dx"}"#).unwrap();
        assert_eq!(node.get("a").unwrap().text(), Some("A😀\n/\"\\"));
        assert_eq!(node.get("b").unwrap().text(), Some("\u{fffd}x"));
    }

    #[test]
    fn what_cannot_be_read_says_where_and_why() {
        for (text, line, why) in [
            ("", 1, "nothing in it"),
            ("kind: x", 1, "a JSON object"),
            ("{\"a\": 1,\n", 2, "begins on line 1 does not end"),
            ("{\"a\":\n[1,", 2, "the list that begins on line 2"),
            ("{\"a\": \"x\n\n", 1, "the text that begins on line 1"),
            ("{\"a\" 1}", 1, "a colon is missing after \"a\""),
            ("{\"a\": yes}", 1, "\"yes\" is no JSON value"),
            ("{\"a\": <port>}", 1, "'<' has no place here"),
            ("{} x", 1, "ends before this"),
            ("/* x", 1, "the comment of line 1"),
            ("{\"a\": \"\\u12\"}", 1, "four hexadecimal digits"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!((error.line, error.why.contains(why)), (line, true), "{text:?}: {error}");
        }
        assert!(parse(&"[".repeat(100_000)).unwrap_err().why.contains("nested deeper"));
    }

    proptest! {
        #[test]
        fn strict_json_reads_as_itself(value in json_value()) {
            let text = serde_json::to_string_pretty(&serde_json::json!({ "v": value })).unwrap();
            let node = parse(&text).unwrap();
            prop_assert_eq!(plain(node.get("v").unwrap()), value);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a-c:\\[\\]{},/*'\"\\\\u0-9 \\n\u{e9}]{0,60}") {
            let _ = parse(&text);
        }
    }

    fn json_value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,12}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::btree_map("[a-z\"\\\\]{0,4}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn plain(node: &Node) -> serde_json::Value {
        match &node.data {
            Data::Null | Data::Unknown(_) => serde_json::Value::Null,
            Data::Bool(value) => (*value).into(),
            Data::Number(number) => number.clone().into(),
            Data::Text(text) => text.clone().into(),
            Data::List(items) => items.iter().map(plain).collect(),
            Data::Map(fields) => serde_json::Value::Object(
                fields.iter().map(|(name, node)| (name.clone(), plain(node))).collect(),
            ),
        }
    }
}
