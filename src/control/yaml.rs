//! YAML with the line of every field: the one place that knows a YAML parser.

use std::collections::HashMap;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use saphyr_parser::{Event, Parser};
use serde_json::{Map, Number, Value};
use thiserror::Error;

/// How deep values may nest; Kubernetes' own objects stay below 20.
const DEPTH: usize = 64;
/// How many aliases a file may have; more are an attack rather than a manifest.
const ALIASES: usize = 100;

/// One document of a file.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) value: Value,
    pub(crate) lines: Lines,
}

/// The line of every field of a document, by path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    first: u32,
    by_path: HashMap<String, u32>,
}

impl Lines {
    /// The line of a field, or of the nearest one around it that is there.
    pub(crate) fn of(&self, path: &str) -> u32 {
        let mut path = path;
        loop {
            if let Some(line) = self.by_path.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.first,
            }
        }
    }

    /// The lines of the value at `path`, as a document of its own.
    pub(crate) fn below(&self, path: &str) -> Self {
        let by_path = self
            .by_path
            .iter()
            .filter_map(|(key, line)| {
                Some((key.strip_prefix(path)?.strip_prefix('.')?.to_owned(), *line))
            })
            .collect();
        Self { first: self.of(path), by_path }
    }
}

/// Text that is not YAML, or not YAML that stands for JSON.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{why}")]
pub(crate) struct YamlError {
    pub(crate) line: u32,
    pub(crate) why: String,
}

/// All documents of a text; empty ones are left out.
pub(crate) fn parse(text: &str) -> Result<Vec<Document>, YamlError> {
    check_shape(text)?;
    let documents = MarkedYaml::load_from_str(text)
        .map_err(|error| wrong(error.marker().line(), error.info()))?;
    let mut read = Vec::with_capacity(documents.len());
    for document in documents {
        let mut lines = Lines { first: line_of(&document), by_path: HashMap::new() };
        let value = convert(&document, "", &mut lines, 0)?;
        if !value.is_null() {
            read.push(Document { value, lines });
        }
    }
    Ok(read)
}

fn wrong(line: usize, why: impl Into<String>) -> YamlError {
    YamlError { line: u32::try_from(line).unwrap_or(u32::MAX).max(1), why: why.into() }
}

fn line_of(node: &MarkedYaml<'_>) -> u32 {
    u32::try_from(node.span.start.line()).unwrap_or(u32::MAX).max(1)
}

/// Refuses, before anything is built, what would take more memory or stack than its text.
fn check_shape(text: &str) -> Result<(), YamlError> {
    let (mut depth, mut aliases) = (0usize, 0usize);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| wrong(error.marker().line(), error.info()))?;
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => depth += 1,
            Event::MappingEnd | Event::SequenceEnd => depth = depth.saturating_sub(1),
            Event::Alias(_) => aliases += 1,
            _ => {}
        }
        if depth > DEPTH {
            return Err(wrong(span.start.line(), format!("nested deeper than {DEPTH} levels")));
        }
        if aliases > ALIASES {
            return Err(wrong(span.start.line(), format!("more than {ALIASES} aliases")));
        }
    }
    Ok(())
}

fn convert(
    node: &MarkedYaml<'_>,
    path: &str,
    lines: &mut Lines,
    depth: usize,
) -> Result<Value, YamlError> {
    let line = node.span.start.line();
    if depth > DEPTH {
        return Err(wrong(line, format!("nested deeper than {DEPTH} levels")));
    }
    match &node.data {
        YamlData::Value(scalar) => Ok(scalar_value(scalar)),
        YamlData::Sequence(items) => {
            let mut values = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                lines.by_path.insert(path.clone(), line_of(item));
                values.push(convert(item, &path, lines, depth + 1)?);
            }
            Ok(Value::Array(values))
        }
        YamlData::Mapping(entries) => {
            let mut map = Map::with_capacity(entries.len());
            for (key, value) in entries {
                let YamlData::Value(scalar) = &key.data else {
                    return Err(wrong(key.span.start.line(), "a key that is not text"));
                };
                let name = match scalar_value(scalar) {
                    Value::String(name) => name,
                    other => other.to_string(),
                };
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                lines.by_path.insert(path.clone(), line_of(key));
                let value = convert(value, &path, lines, depth + 1)?;
                map.insert(name, value);
            }
            Ok(Value::Object(map))
        }
        YamlData::Tagged(..) => Err(wrong(line, "tags have no meaning in a manifest")),
        YamlData::Representation(text, ..) => Ok(Value::String(text.to_string())),
        YamlData::Alias(_) | YamlData::BadValue => Err(wrong(line, "a value that cannot be read")),
    }
}

fn scalar_value(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(*value),
        Scalar::Integer(value) => Value::Number(Number::from(*value)),
        Scalar::FloatingPoint(value) => {
            // JSON has no infinity and no NaN; as text they are refused where a number is needed.
            let number = Number::from_f64(value.into_inner());
            number.map_or_else(|| Value::String(value.to_string()), Value::Number)
        }
        Scalar::String(text) => Value::String(text.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_field_has_its_line() {
        let text = "a: 1\nb:\n  - c: x\n  - {d: [1,\n      2]}\n---\n\ne: {}\n";
        let documents = parse(text).unwrap();
        let lines = &documents[0].lines;
        for (path, line) in [("a", 1), ("b", 2), ("b[0].c", 3), ("b[1].d[1]", 5), ("b[1].x.y", 4)] {
            assert_eq!(lines.of(path), line, "{path}");
        }
        assert_eq!(documents[1].lines.of("e.f"), 8);
        assert_eq!(documents[0].lines.below("b[0]").of("c"), 3);
    }

    #[test]
    fn text_that_is_no_manifest_says_where() {
        for (text, line) in [("a: 1\nb: [1\n", 3), ("a: 1\n\tb: 2\n", 2), ("a: 1\na: 2\n", 2)] {
            let error = parse(text).unwrap_err();
            assert!(error.line.abs_diff(line) <= 1, "{text:?}: {} {}", error.line, error.why);
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&format!("a: &a x\nb: [{}]", "*a,".repeat(200))).is_err());
        assert!(parse("").unwrap().is_empty());
        assert!(parse("# nothing\n---\n---\n").unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-c:\\[\\]{},&*!|>'\"#\\-\\n \\t%@0-9.~]{0,80}") {
            let _ = parse(&text);
        }
    }
}
