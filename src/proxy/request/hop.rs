//! Fields that concern one connection and do not go further (RFC 9110 7.6.1).

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::failure::Failure;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Fields that a client may not have removed by naming them in `Connection`: what is behind the
/// gateway decides by them.
fn is_protected(name: &HeaderName) -> bool {
    [HOST, CONTENT_LENGTH, AUTHORIZATION, COOKIE].contains(name)
        || name.as_str().starts_with("x-forwarded-")
        || name.as_str().starts_with("x-original-")
        || name.as_str().starts_with("sec-websocket-")
}

/// Whether any line of `name` has `token` in its list.
pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| tokens(value).any(|t| t.eq_ignore_ascii_case(token)))
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|token| !token.is_empty())
}

/// Removes a request's hop-by-hop fields.
pub(super) fn strip_request(headers: &mut HeaderMap) -> Result<(), Failure> {
    if headers.contains_key(CONNECTION) && !remove_named(headers) {
        return Err(Failure::BadConnectionHeader);
    }
    let trailers = headers.contains_key(TE) && has_token(headers, &TE, "trailers");
    remove_known(headers);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    Ok(())
}

/// Removes a response's hop-by-hop fields.
pub(super) fn strip_response(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        remove_named(headers);
    }
    remove_known(headers);
}

/// Removes what concerns the member's connection alone from a 101. `Connection` and `Upgrade` have
/// been found to say what they have to say, and stay where the member put them.
pub(super) fn strip_switching(headers: &mut HeaderMap) {
    for name in [KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}

fn remove_known(headers: &mut HeaderMap) {
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

/// Removes what any line of `Connection` names; `false` if a protected field is among it.
fn remove_named(headers: &mut HeaderMap) -> bool {
    // Nearly always only these, which go anyway.
    let usual = ["keep-alive", "close", "upgrade", "te"];
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(tokens)
        .filter(|token| !usual.iter().any(|usual| token.eq_ignore_ascii_case(usual)))
        .filter_map(|token| token.parse().ok())
        .collect();
    let (protected, removable): (Vec<_>, Vec<_>) = named.into_iter().partition(is_protected);
    for name in removable {
        headers.remove(name);
    }
    protected.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn every_line_of_connection_counts() {
        let mut headers = map(&[
            ("connection", "close, X-One"),
            ("connection", "x-two , keep-alive"),
            ("x-one", "1"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "x"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
        ]);
        strip_request(&mut headers).unwrap();
        assert_eq!(headers, map(&[("x-three", "3")]));
    }

    #[test]
    fn trailers_stay_announced() {
        let mut headers = map(&[("te", "gzip, trailers"), ("connection", "te")]);
        strip_request(&mut headers).unwrap();
        assert_eq!(headers, map(&[("te", "trailers")]));
    }

    #[test]
    fn a_client_cannot_have_fields_removed_that_members_decide_by() {
        for name in ["host", "Content-Length", "cookie", "authorization", "X-Forwarded-For"] {
            let mut headers = HeaderMap::new();
            headers.insert(CONNECTION, HeaderValue::from_static(name));
            assert_eq!(strip_request(&mut headers), Err(Failure::BadConnectionHeader), "{name}");
        }
        let mut response = map(&[("connection", "content-length"), ("content-length", "2")]);
        strip_response(&mut response);
        assert_eq!(response, map(&[("content-length", "2")]));
    }
}
