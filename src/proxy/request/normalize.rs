//! What a request has to be before anything is done with it, and the host that it is for.
//!
//! The HTTP library takes more than a gateway may pass on: what two servers could read differently
//! is refused here.

use std::num::NonZeroU64;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Version};
use hyper::ext::Protocol;

use crate::failure::Failure;

/// The longest path and query, in bytes: what Application Gateway takes.
const LONGEST_TARGET: usize = 32 * 1024;

/// The longest header block of HTTP/1.1, in bytes; of the other versions the libraries see to it.
const LONGEST_HEADERS: usize = 32 * 1024;

/// Checks a request's framing, method and target, and gives it exactly one `Host`, the one it is
/// really for: that of its target if it has one (RFC 9112 3.2.2), else the header's.
pub(super) fn check<B>(request: &mut Request<B>) -> Result<(), Failure> {
    match *request.method() {
        Method::TRACE => return Err(Failure::BadMethod),
        // An extended CONNECT has a path, and says what it connects to (RFC 8441 4).
        Method::CONNECT => match request.extensions().get::<Protocol>() {
            None => return Err(Failure::BadMethod),
            Some(protocol) if protocol.as_str() != "websocket" => {
                return Err(Failure::UnknownProtocol);
            }
            Some(_) => {}
        },
        _ => {}
    }
    check_framing(request.headers())?;
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    if target.len() > LONGEST_TARGET {
        return Err(Failure::LongTarget);
    }
    if request.version() <= Version::HTTP_11 && headers_length(request.headers()) > LONGEST_HEADERS
    {
        return Err(Failure::LongHeaders);
    }
    let asterisk = target == "*" && request.method() == Method::OPTIONS;
    if !(target.starts_with('/') || asterisk) || !target.bytes().all(|b| (0x21..0x7f).contains(&b))
    {
        return Err(Failure::BadTarget);
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() || (first.is_none() && request.version() == Version::HTTP_11) {
        return Err(Failure::NoHost);
    }
    if let Some(authority) = request.uri().authority() {
        let host = host_of_authority(authority)?;
        if first.is_none_or(|first| first != host) {
            request.headers_mut().insert(HOST, host);
        }
    }
    Ok(())
}

/// Bytes of a header block as HTTP/1.1 writes it.
fn headers_length(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// Refuses a body that says it is larger than the gateway takes, before a byte of it is read.
pub(super) fn check_length(
    headers: &HeaderMap,
    largest: Option<NonZeroU64>,
) -> Result<(), Failure> {
    let Some(largest) = largest else { return Ok(()) };
    // The library has refused what is no number.
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    match length {
        Some(length) if largest.get() < length => Err(Failure::BodyTooLarge),
        _ => Ok(()),
    }
}

/// User information has no place in a `Host` (RFC 9110 4.2.4).
fn host_of_authority(authority: &Authority) -> Result<HeaderValue, Failure> {
    if authority.as_str().contains('@') {
        return Err(Failure::BadTarget);
    }
    HeaderValue::from_str(authority.as_str()).map_err(|_| Failure::BadHost)
}

/// One `Transfer-Encoding`, and that is `chunked`: everything else has been used to make two
/// servers see two different requests (RFC 9112 6.1, 11.2).
fn check_framing(headers: &HeaderMap) -> Result<(), Failure> {
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => Ok(()),
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Failure::BadFraming),
    }
}

/// The name in a `Host` without its port; empty if there is none.
pub(super) fn host(headers: &HeaderMap) -> Result<&str, Failure> {
    let Some(value) = headers.get(HOST) else {
        return Ok("");
    };
    let text = value.to_str().map_err(|_| Failure::BadHost)?;
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(Failure::BadHost)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port_is_right = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    let of_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let in_brackets = |b: u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    let name_is_right = match text.starts_with('[') {
        true => !name.is_empty() && name.bytes().all(in_brackets),
        false => name.bytes().all(of_host),
    };
    if port_is_right && name_is_right { Ok(name) } else { Err(Failure::BadHost) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(request: http::request::Builder) -> Result<Request<()>, Failure> {
        let mut request = request.body(()).unwrap();
        check(&mut request).map(|()| request)
    }

    #[test]
    fn a_request_has_one_host_and_a_target_in_it_wins() {
        assert_eq!(checked(Request::get("/")).unwrap_err(), Failure::NoHost);
        let two = Request::get("/").header(HOST, "a").header(HOST, "a");
        assert_eq!(checked(two).unwrap_err(), Failure::NoHost);
        let old = Request::get("/").version(Version::HTTP_10);
        assert!(checked(old).is_ok());
        let both = checked(Request::get("http://b:81/x").header(HOST, "a")).unwrap();
        assert_eq!(both.headers()[HOST], "b:81");
        let user = Request::get("http://u@b/x").header(HOST, "b");
        assert_eq!(checked(user).unwrap_err(), Failure::BadTarget);
    }

    #[test]
    fn framing_that_can_be_read_in_two_ways_is_refused() {
        for (values, expected) in [
            (&["chunked"][..], Ok(())),
            (&["Chunked"], Ok(())),
            (&["gzip, chunked"], Err(Failure::BadFraming)),
            (&["chunked, chunked"], Err(Failure::BadFraming)),
            (&["identity", "chunked"], Err(Failure::BadFraming)),
            (&["chunked", "chunked"], Err(Failure::BadFraming)),
            (&["xchunked"], Err(Failure::BadFraming)),
        ] {
            let mut request = Request::post("/").header(HOST, "a");
            for value in values {
                request = request.header(TRANSFER_ENCODING, *value);
            }
            assert_eq!(checked(request).map(drop), expected, "{values:?}");
        }
    }

    #[test]
    fn methods_that_are_not_forwarded_are_refused() {
        for method in [Method::TRACE, Method::CONNECT] {
            let request = Request::builder().method(method).uri("/").header(HOST, "a");
            assert_eq!(checked(request).unwrap_err(), Failure::BadMethod);
        }
        let options = Request::builder().method(Method::OPTIONS).uri("*").header(HOST, "a");
        assert!(checked(options).is_ok());
        assert_eq!(checked(Request::get("*").header(HOST, "a")).unwrap_err(), Failure::BadTarget);
    }

    #[test]
    fn the_host_is_found_without_its_port() {
        for (value, expected) in [
            ("a.example", Ok("a.example")),
            ("a.example:8080", Ok("a.example")),
            ("A_b-c.example:", Ok("A_b-c.example")),
            ("[::1]:80", Ok("::1")),
            ("[::1]", Ok("::1")),
            ("", Ok("")),
            ("[::1", Err(Failure::BadHost)),
            ("[]", Err(Failure::BadHost)),
            ("a:b", Err(Failure::BadHost)),
            ("a/b", Err(Failure::BadHost)),
            ("a b", Err(Failure::BadHost)),
            ("u@a", Err(Failure::BadHost)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(value));
            assert_eq!(host(&headers), expected, "{value:?}");
        }
    }
}
