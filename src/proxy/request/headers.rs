//! What the member sees in place of what the client sent.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use http::header::{COOKIE, EXPECT, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version};

use crate::conn::client::Client;
use crate::failure::Failure;
use crate::request::hop;
use crate::table::{Frontend, Route};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-original-host");
const X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const X_APPGW_TRACE_ID: HeaderName = HeaderName::from_static("x-appgw-trace-id");

/// What a request on its way to a member gets from its frontend.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    scheme: HeaderValue,
    port: HeaderValue,
}

impl Seen {
    pub(super) fn on(frontend: &Frontend) -> Self {
        let scheme = HeaderValue::from_static(frontend.protocol.scheme());
        Self { scheme, port: frontend.port.clone() }
    }

    /// The scheme and the port.
    pub(super) fn parts(&self) -> (&HeaderValue, &HeaderValue) {
        (&self.scheme, &self.port)
    }
}

/// Turns the client's request head into the member's, all but its `Host`.
pub(super) fn rewrite<B>(
    request: &mut Request<B>,
    client: &Client,
    seen: Seen,
    trace_id: HeaderValue,
) -> Result<(), Failure> {
    let http2 = request.version() >= Version::HTTP_2;
    *request.version_mut() = Version::HTTP_11;
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let original_url = HeaderValue::from_str(target).map_err(|_| Failure::BadTarget)?;
    make_origin_form(request.uri_mut());

    let headers = request.headers_mut();
    hop::strip_request(headers)?;
    drop_odd_names(headers);
    if http2 {
        // HTTP/1.1 members see one Cookie (RFC 9113 8.2.3), and no 100 could be relayed.
        join_cookies(headers);
        headers.remove(EXPECT);
    }
    append_forwarded_for(headers, &client.forwarded_for);
    headers.insert(X_FORWARDED_PROTO, seen.scheme);
    headers.insert(X_FORWARDED_PORT, seen.port);
    headers.insert(X_ORIGINAL_URL, original_url);
    headers.insert(X_APPGW_TRACE_ID, trace_id);
    match headers.get(HOST).cloned() {
        Some(host) => headers.insert(X_ORIGINAL_HOST, host),
        None => headers.remove(X_ORIGINAL_HOST),
    };
    Ok(())
}

/// Members get the path and query alone (RFC 9112 3.2.1).
fn make_origin_form(uri: &mut Uri) {
    if uri.authority().is_some() || uri.scheme().is_some() {
        let mut parts = std::mem::take(uri).into_parts();
        parts.scheme = None;
        parts.authority = None;
        *uri = Uri::from_parts(parts).unwrap_or_default();
    }
}

/// Puts the path of the settings in the place of the one that is there, if they have one; whether
/// they do.
pub(super) fn set_path<B>(request: &mut Request<B>, route: &Route) -> Result<bool, Failure> {
    let Some(path) = override_path(route, request.uri()) else { return Ok(false) };
    replace_path(request.uri_mut(), path)?;
    Ok(true)
}

/// The path that settings put in the place of the client's, if they do.
fn override_path(route: &Route, uri: &Uri) -> Option<String> {
    let own = route.settings()?.path.as_ref()?;
    own.apply(uri.path(), &route.patterns)
}

/// Puts a path in the place of the one before; the query stays.
fn replace_path(uri: &mut Uri, mut path: String) -> Result<(), Failure> {
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let target = PathAndQuery::try_from(path).map_err(|_| Failure::BadTarget)?;
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = Some(target);
    *uri = Uri::from_parts(parts).map_err(|_| Failure::BadTarget)?;
    Ok(())
}

/// Names with anything but letters, digits and `-` are dropped, as Application Gateway does: many
/// back ends take `_` for `-`, which would let a client set fields that the gateway sets.
fn drop_odd_names(headers: &mut HeaderMap) {
    let is_odd =
        |name: &HeaderName| !name.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if headers.keys().any(is_odd) {
        let odd: Vec<HeaderName> = headers.keys().filter(|name| is_odd(name)).cloned().collect();
        for name in odd {
            headers.remove(name);
        }
    }
}

fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    if let (Some(_), Some(_)) = (crumbs.next(), crumbs.next()) {
        let all: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
            headers.insert(COOKIE, joined);
        }
    }
}

fn append_forwarded_for(headers: &mut HeaderMap, client: &HeaderValue) {
    let value = if headers.contains_key(X_FORWARDED_FOR) {
        let mut list = Vec::with_capacity(64);
        for line in headers.get_all(X_FORWARDED_FOR) {
            list.extend_from_slice(line.as_bytes());
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(client.as_bytes());
        HeaderValue::from_bytes(&list).unwrap_or_else(|_| client.clone())
    } else {
        client.clone()
    };
    headers.insert(X_FORWARDED_FOR, value);
}

/// 32 hexadecimal digits that no other request has: a name for it in logs, not a secret.
pub(super) fn trace_id() -> HeaderValue {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0u8));
    }
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0u8; 32];
    STATE.with(|state| {
        for half in text.chunks_exact_mut(16) {
            // SplitMix64: a counter, well mixed.
            let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
            state.set(next);
            let mut z = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            for digit in half {
                *digit = DIGITS[(z & 15) as usize];
                z >>= 4;
            }
        }
    });
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_that_members_could_take_for_others_are_dropped() {
        let mut headers = HeaderMap::new();
        for name in ["x-good-1", "x_forwarded_for", "a.b", "x!y"] {
            headers.append(name, HeaderValue::from_static("v"));
            headers.append(name, HeaderValue::from_static("w"));
        }
        drop_odd_names(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-good-1"]);
        assert_eq!(headers.get_all("x-good-1").iter().count(), 2);
    }

    #[test]
    fn the_client_comes_after_the_proxies_before_it() {
        let mut headers = HeaderMap::new();
        let client = HeaderValue::from_static("9.9.9.9:99");
        append_forwarded_for(&mut headers, &client);
        assert_eq!(headers[X_FORWARDED_FOR], "9.9.9.9:99");
        headers.append(X_FORWARDED_FOR, HeaderValue::from_static("b, c"));
        append_forwarded_for(&mut headers, &client);
        assert_eq!(headers[X_FORWARDED_FOR], "9.9.9.9:99, b, c, 9.9.9.9:99");
        assert_eq!(headers.get_all(X_FORWARDED_FOR).iter().count(), 1);
    }

    #[test]
    fn cookie_crumbs_become_one_field() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1"));
        headers.append(COOKIE, HeaderValue::from_static("b=2"));
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }

    #[test]
    fn trace_ids_are_32_hexadecimal_digits_and_differ() {
        let ids: HashSet<_> = (0..1000).map(|_| trace_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(
            ids.iter()
                .all(|id| { id.len() == 32 && id.as_bytes().iter().all(u8::is_ascii_hexdigit) })
        );
    }

    #[test]
    fn a_path_is_replaced_and_the_query_stays_as_it_was() {
        for (uri, path, expected) in [
            ("/a", "/b/a", "/b/a"),
            ("/a?x=%2F&y=//", "/b", "/b?x=%2F&y=//"),
            ("/a?", "/%2e/b", "/%2e/b?"),
        ] {
            let mut uri: Uri = uri.parse().unwrap();
            replace_path(&mut uri, path.to_owned()).unwrap();
            assert_eq!(uri.to_string(), expected);
        }
    }

    #[test]
    fn members_get_the_path_and_query_alone() {
        for (target, expected) in [("http://a:80/x?y=1", "/x?y=1"), ("/x", "/x"), ("*", "*")] {
            let mut uri: Uri = target.parse().unwrap();
            make_origin_form(&mut uri);
            assert_eq!(uri.to_string(), expected);
        }
    }
}
