//! Fields that are no pseudo-headers, both ways (RFC 9114 4.2).

use http::header::{CONNECTION, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue};

use crate::qpack::decode::Field;
use crate::qpack::encode::Section;

/// Why fields are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Malformed(&'static str),
    /// There are more than a map can hold.
    TooMany,
}

/// Adds a field as it was sent, behind those of the same name.
pub(crate) fn add(map: &mut HeaderMap, field: Field) -> Result<(), Fault> {
    // This takes no upper case (RFC 9114 4.2) and nothing that is no token.
    let name = HeaderName::from_lowercase(&field.name)
        .map_err(|_| Fault::Malformed("a field name that is none"))?;
    let value = HeaderValue::from_maybe_shared(field.value)
        .map_err(|_| Fault::Malformed("a field value that is none"))?;
    if is_of_connection(&name) || name == TE && value != "trailers" {
        return Err(Fault::Malformed("a field of the connection"));
    }
    map.try_append(name, value).map_err(|_| Fault::TooMany)?;
    Ok(())
}

/// The fields of a trailer section.
pub(crate) fn trailers(fields: Vec<Field>) -> Result<HeaderMap, Fault> {
    let mut map = HeaderMap::new();
    for field in fields {
        if field.name.starts_with(b":") {
            return Err(Fault::Malformed("a pseudo-header among trailers"));
        }
        add(&mut map, field)?;
    }
    Ok(map)
}

/// Whether a field is about one connection of HTTP/1 (RFC 9114 4.2).
fn is_of_connection(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// Writes the fields that may be sent; those of the connection are left out.
pub(crate) fn put(map: &HeaderMap, section: &mut Section) {
    for (name, value) in map {
        if !is_of_connection(name) {
            section.add(name.as_str().as_bytes(), value.as_bytes(), value.is_sensitive());
        }
    }
}
