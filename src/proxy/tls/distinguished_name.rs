//! Names in certificates as text (RFC 4514), so that they can stand in a header.

use std::fmt::Write;

use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{AttributeTypeAndValue, X509Name};

/// The name, the last of its parts first, in printable ASCII.
pub(super) fn text(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for (index, part) in parts.iter().rev().enumerate() {
        if index > 0 {
            text.push(',');
        }
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                text.push('+');
            }
            write_attribute(attribute, &mut text);
        }
    }
    text
}

fn write_attribute(attribute: &AttributeTypeAndValue<'_>, out: &mut String) {
    let kind = attribute.attr_type();
    match oid2abbrev(kind, oid_registry()) {
        Ok(short) => out.push_str(short),
        Err(_) => out.push_str(&kind.to_id_string()),
    }
    out.push('=');
    match attribute.as_str() {
        Ok(value) => write_value(value, out),
        // Not a string: in hexadecimal, as it is encoded.
        Err(_) => {
            out.push('#');
            write_hex(attribute.as_slice(), "", out);
        }
    }
}

/// Escapes what has a meaning of its own, and what a header cannot hold.
fn write_value(value: &str, out: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => out.extend(['\\', character]),
            '#' if index == 0 => out.push_str("\\#"),
            ' ' if index == 0 || index == last => out.push_str("\\ "),
            ' '..='~' => out.push(character),
            other => write_hex(other.encode_utf8(&mut [0; 4]).as_bytes(), "\\", out),
        }
    }
}

fn write_hex(bytes: &[u8], before: &str, out: &mut String) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(out, "{before}{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_so_that_they_are_one_value_and_fit_into_a_header() {
        for (value, expected) in [
            ("plain name", "plain name"),
            ("a,b+c", "a\\,b\\+c"),
            ("#1", "\\#1"),
            (" x ", "\\ x\\ "),
            ("line\r\nbreak", "line\\0D\\0Abreak"),
            ("Zürich", "Z\\C3\\BCrich"),
            ("", ""),
        ] {
            let mut text = String::new();
            write_value(value, &mut text);
            assert_eq!(text, expected, "{value:?}");
        }
    }
}
