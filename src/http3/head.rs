//! The head of a request: fields to `http::Request` (RFC 9114 4.3, RFC 9220 3).

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Uri, Version};

use crate::fields::{self, Fault};
use crate::protocol::Protocol;
use crate::qpack::decode::Field;

/// The head of a request, and what of it the body is held to.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) request: Request<()>,
    /// How many bytes of DATA have to come; `None` if nothing was said.
    pub(crate) content_length: Option<u64>,
}

/// The pseudo-headers of a request, as they were sent.
#[derive(Default)]
struct Pseudo {
    method: Option<Bytes>,
    scheme: Option<Bytes>,
    authority: Option<Bytes>,
    path: Option<Bytes>,
    protocol: Option<Bytes>,
}

/// Makes a request of a field section.
pub(crate) fn request(section: Vec<Field>) -> Result<Head, Fault> {
    let mut pseudo = Pseudo::default();
    let mut headers = HeaderMap::with_capacity(section.len().min(64));
    let mut in_front = true;
    for field in section {
        if field.name.starts_with(b":") {
            ensure(in_front, "a pseudo-header behind a field")?;
            pseudo.set(field)?;
        } else {
            in_front = false;
            fields::add(&mut headers, field)?;
        }
    }
    let method = pseudo.method.take().ok_or(Fault::Malformed("no :method"))?;
    let method = Method::from_bytes(&method).map_err(|_| Fault::Malformed("not a method"))?;
    let protocol = match pseudo.protocol.take() {
        None => None,
        Some(value) => {
            ensure(method == Method::CONNECT, ":protocol without CONNECT")?;
            Some(Protocol::parse(&value).ok_or(Fault::Malformed("not a protocol"))?)
        }
    };
    let host = host(&headers)?;
    let uri = if method == Method::CONNECT && protocol.is_none() {
        pseudo.plain_connect(host)?
    } else {
        pseudo.target(&method, host)?
    };
    // What follows a CONNECT is no content (RFC 9110 9.3.6).
    let content_length = if method == Method::CONNECT { None } else { content_length(&headers)? };

    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_3;
    *request.headers_mut() = headers;
    if let Some(protocol) = protocol {
        request.extensions_mut().insert(protocol);
    }
    Ok(Head { request, content_length })
}

impl Pseudo {
    fn set(&mut self, field: Field) -> Result<(), Fault> {
        let place = match &field.name[..] {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":authority" => &mut self.authority,
            b":path" => &mut self.path,
            b":protocol" => &mut self.protocol,
            _ => return Err(Fault::Malformed("an unknown pseudo-header")),
        };
        ensure(place.replace(field.value).is_none(), "a pseudo-header that is there twice")
    }

    /// The target of a CONNECT without a protocol (RFC 9114 4.4).
    fn plain_connect(self, host: Option<Bytes>) -> Result<Uri, Fault> {
        ensure(self.scheme.is_none() && self.path.is_none(), "CONNECT with :scheme or :path")?;
        let authority = self.authority.ok_or(Fault::Malformed("CONNECT without :authority"))?;
        let authority = agreed(Some(authority), host)?;
        ensure(authority.port().is_some(), "CONNECT without a port")?;
        Ok(Uri::from(authority))
    }

    /// The target of every other request.
    fn target(self, method: &Method, host: Option<Bytes>) -> Result<Uri, Fault> {
        let scheme = self.scheme.ok_or(Fault::Malformed("no :scheme"))?;
        let scheme = Scheme::try_from(&scheme[..]).map_err(|_| Fault::Malformed("not a scheme"))?;
        // An empty one would be taken.
        ensure(scheme.as_str().starts_with(|c: char| c.is_ascii_alphabetic()), "not a scheme")?;
        let path = self.path.ok_or(Fault::Malformed("no :path"))?;
        ensure(
            path.starts_with(b"/") || *method == Method::OPTIONS && path == "*",
            ":path is empty or not absolute",
        )?;
        // It would be cut off without a word.
        ensure(!path.contains(&b'#'), "a fragment in :path")?;
        let path =
            PathAndQuery::from_maybe_shared(path).map_err(|_| Fault::Malformed("not a path"))?;
        ensure(*method != Method::CONNECT || self.authority.is_some(), "no :authority")?;
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(scheme);
        parts.authority = Some(agreed(self.authority, host)?);
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).map_err(|_| Fault::Malformed("not a target"))
    }
}

/// The one that `:authority` and Host name (RFC 9114 4.3.1).
fn agreed(authority: Option<Bytes>, host: Option<Bytes>) -> Result<Authority, Fault> {
    if let (Some(authority), Some(host)) = (&authority, &host) {
        ensure(authority.eq_ignore_ascii_case(host), ":authority and Host differ")?;
    }
    let authority = authority.or(host).ok_or(Fault::Malformed("neither :authority nor Host"))?;
    ensure(!authority.contains(&b'@'), "user information in :authority")?;
    let authority = Authority::from_maybe_shared(authority)
        .map_err(|_| Fault::Malformed("not an authority"))?;
    ensure(!authority.host().is_empty(), "an authority without a host")?;
    Ok(authority)
}

fn host(headers: &HeaderMap) -> Result<Option<Bytes>, Fault> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    ensure(hosts.next().is_none(), "Host is there twice")?;
    Ok(host.map(|host| Bytes::copy_from_slice(host.as_bytes())))
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(None) };
    ensure(lengths.next().is_none(), "Content-Length is there twice")?;
    let digits = length.as_bytes();
    // A sign would be parsed.
    ensure(digits.iter().all(u8::is_ascii_digit), "not a length")?;
    let length = length.to_str().ok().and_then(|length| length.parse().ok());
    length.map(Some).ok_or(Fault::Malformed("not a length"))
}

fn ensure(good: bool, fault: &'static str) -> Result<(), Fault> {
    if good { Ok(()) } else { Err(Fault::Malformed(fault)) }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
