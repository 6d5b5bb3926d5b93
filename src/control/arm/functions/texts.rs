//! Functions on texts.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::arm::functions::{Outcome, boolean, count, from_json, list, number, text, written};
use crate::arm::marks;
use crate::arm::node::{Data, Node};

pub(super) fn apply(name: &str, arguments: &[Node]) -> Outcome {
    let lists = arguments.iter().any(|argument| argument.list().is_some());
    match (name, arguments) {
        ("concat", [_, ..]) if !lists => {
            let pieces: Result<String, String> = arguments.iter().map(written).collect();
            text(pieces?)
        }
        ("format", [pattern, values @ ..]) => formatted(&written(pattern)?, values),
        ("tolower", [value]) => text(marks::outside(&loose(value)?, str::to_lowercase)),
        ("toupper", [value]) => text(marks::outside(&loose(value)?, str::to_uppercase)),
        ("string", [value]) => text(written(value)?),
        ("trim", [value]) => text(loose(value)?.trim()),
        ("replace", [value, old, new]) => match strict(old)?.as_str() {
            "" => Err("replace() needs what is to be replaced".to_owned()),
            old => text(loose(value)?.replace(old, &loose(new)?)),
        },
        ("substring", [value, start]) => {
            text(strict(value)?.chars().skip(count(start)?).collect::<String>())
        }
        ("substring", [value, start, length]) => {
            let chars = strict(value)?;
            let chars = chars.chars().skip(count(start)?).take(count(length)?);
            text(chars.collect::<String>())
        }
        ("take", [value, length]) if value.text().is_some() => {
            text(strict(value)?.chars().take(count(length)?).collect::<String>())
        }
        ("skip", [value, length]) if value.text().is_some() => {
            text(strict(value)?.chars().skip(count(length)?).collect::<String>())
        }
        ("length", [value]) if value.text().is_some() => {
            number(i64::try_from(strict(value)?.chars().count()).unwrap_or(i64::MAX))
        }
        ("first", [value]) if value.text().is_some() => {
            text(strict(value)?.chars().next().map(String::from).unwrap_or_default())
        }
        ("last", [value]) if value.text().is_some() => {
            text(strict(value)?.chars().next_back().map(String::from).unwrap_or_default())
        }
        ("split", [value, at]) => split(&loose(value)?, at),
        ("join", [values, between]) if values.list().is_some() => {
            let values = values.list().unwrap_or_default();
            let pieces: Result<Vec<String>, String> = values.iter().map(written).collect();
            text(pieces?.join(&strict(between)?))
        }
        ("startswith", [value, with]) => {
            boolean(strict(value)?.to_lowercase().starts_with(&strict(with)?.to_lowercase()))
        }
        ("endswith", [value, with]) => {
            boolean(strict(value)?.to_lowercase().ends_with(&strict(with)?.to_lowercase()))
        }
        ("contains", [value, part]) if value.text().is_some() => {
            boolean(strict(value)?.contains(&strict(part)?))
        }
        ("indexof", [value, part]) => {
            let (value, part) = (strict(value)?.to_lowercase(), strict(part)?.to_lowercase());
            let at =
                value.find(&part).and_then(|at| i64::try_from(value[..at].chars().count()).ok());
            number(at.unwrap_or(-1))
        }
        ("padleft", [value, width]) => padded(value, width, ' '),
        ("padleft", [value, width, with]) => {
            let with = strict(with)?.chars().next().unwrap_or(' ');
            padded(value, width, with)
        }
        ("base64", [value]) => text(BASE64_STANDARD.encode(strict(value)?)),
        ("base64tostring", [value]) => {
            let bytes = BASE64_STANDARD.decode(strict(value)?.trim()).map_err(|e| e.to_string())?;
            text(String::from_utf8(bytes).map_err(|_| "it is no text in Base64".to_owned())?)
        }
        ("json", [value]) => {
            let value = strict(value)?;
            let parsed = serde_json::from_str::<serde_json::Value>(&value);
            let parsed = parsed.map_err(|error| format!("json() of what is no JSON: {error}"))?;
            Ok(Some(from_json(&parsed).data))
        }
        ("uri", [base, relative]) => {
            let (base, relative) = (loose(base)?, loose(relative)?);
            let folder = base.rfind('/').map_or("", |end| &base[..=end]);
            text(format!("{folder}{}", relative.trim_start_matches('/')))
        }
        _ => Ok(None),
    }
}

/// A text, which may have marks.
fn loose(node: &Node) -> Result<String, String> {
    let text = node.text().map(str::to_owned);
    text.ok_or_else(|| format!("text is needed in place of {}", node.kind()))
}

/// A text of which everything is known, as far as it can be.
fn strict(node: &Node) -> Result<String, String> {
    let clean = marks::clean(&loose(node)?)?;
    if let Some(guessed) = clean.guessed.first() {
        return Err(format!("{guessed} is known only in the cloud"));
    }
    Ok(clean.text)
}

fn padded(value: &Node, width: &Node, with: char) -> Outcome {
    let (value, width) = (marks::clean(&written(value)?)?.text, count(width)?);
    if width > 4096 {
        return Err("padLeft() makes texts of up to 4096 characters".to_owned());
    }
    let missing = width.saturating_sub(value.chars().count());
    text(std::iter::repeat_n(with, missing).collect::<String>() + &value)
}

fn split(value: &str, at: &Node) -> Outcome {
    let separators: Vec<String> = match &at.data {
        Data::List(items) => {
            let items: Result<Vec<String>, String> = items.iter().map(strict).collect();
            items?
        }
        _ => vec![strict(at)?],
    };
    let mut pieces = vec![value];
    for separator in separators.iter().filter(|separator| !separator.is_empty()) {
        pieces = pieces.iter().flat_map(|piece| piece.split(separator.as_str())).collect();
    }
    list(pieces.into_iter().map(|piece| Node::text_of(0, piece)).collect())
}

/// `{0}` and its like replaced; how numbers are to be written is not looked at, except for `D2`.
fn formatted(pattern: &str, values: &[Node]) -> Outcome {
    let mut made = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        made.push_str(&rest[..at]);
        let (brace, after) = rest[at..].split_at(1);
        if let Some(after) = after.strip_prefix(brace) {
            made.push_str(brace);
            rest = after;
            continue;
        }
        let Some(end) = after.find('}').filter(|_| brace == "{") else {
            return Err("format() with braces that do not match".to_owned());
        };
        let (place, how) = after[..end].split_once(':').unwrap_or((&after[..end], ""));
        let value = place.trim().parse::<usize>().ok().and_then(|place| values.get(place));
        let Some(value) = value else {
            return Err(format!("format() has no value for {{{place}}}"));
        };
        let value = written(value)?;
        let width = how.strip_prefix(['D', 'd']).and_then(|width| width.parse().ok());
        let width: usize = width.filter(|width| *width <= 64).unwrap_or(0);
        made.push_str(&format!("{value:0>width$}"));
        rest = &after[end + 1..];
    }
    made.push_str(rest);
    text(made)
}
