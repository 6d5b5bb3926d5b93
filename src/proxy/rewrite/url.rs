//! A new path and query.

use http::Uri;
use http::uri::PathAndQuery;

use crate::rewrite::value::Unfit;

/// Changes the path, the query or both of a target in origin form. What cannot stand there is
/// written in percent encoding; `*` stays what it is.
pub(super) fn change(
    uri: &mut Uri,
    path: Option<&[u8]>,
    query: Option<&[u8]>,
) -> Result<(), Unfit> {
    if uri.path() == "*" {
        return Ok(());
    }
    let mut target = Vec::with_capacity(64);
    match path {
        Some(path) => {
            if path.first() != Some(&b'/') {
                target.push(b'/');
            }
            encode(path, b"?#", &mut target);
        }
        None => target.extend_from_slice(uri.path().as_bytes()),
    }
    let own = uri.query().map(str::as_bytes);
    match query {
        Some([]) => {}
        Some(query) => {
            target.push(b'?');
            encode(query, b"#", &mut target);
        }
        None => {
            if let Some(own) = own {
                target.push(b'?');
                target.extend_from_slice(own);
            }
        }
    }
    let target = PathAndQuery::try_from(target).map_err(|_| Unfit)?;
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = Some(target);
    *uri = Uri::from_parts(parts).map_err(|_| Unfit)?;
    Ok(())
}

/// Appends bytes, those in percent encoding that no target has, or that mean something here.
fn encode(bytes: &[u8], odd: &[u8], to: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        let is_plain = byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        if is_plain && !odd.contains(&byte) {
            to.push(byte);
        } else {
            let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
            to.extend([b'%', digits[0], digits[1]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_change_by_themselves_and_stay_targets() {
        for (target, path, query, expected) in [
            ("/a?b=c", Some("/x"), None, "/x?b=c"),
            ("/a?b=c", None, Some("d"), "/a?d"),
            ("/a?b=c", None, Some(""), "/a"),
            ("/a", Some("x/y"), Some("z?"), "/x/y?z?"),
            ("/a", Some("/x y?z#ä%20"), None, "/x%20y%3Fz%23%C3%A4%20"),
            ("/a", Some(""), None, "/"),
            ("/a", None, Some("q=\"1\"#"), "/a?q=%221%22%23"),
            ("/a?", Some("/x"), None, "/x?"),
            ("*", Some("/x"), None, "*"),
        ] {
            let mut uri: Uri = target.parse().unwrap();
            let bytes = |text: Option<&'static str>| text.map(str::as_bytes);
            change(&mut uri, bytes(path), bytes(query)).unwrap();
            assert_eq!(uri.to_string(), expected, "{target} {path:?} {query:?}");
        }
    }
}
