//! The opening handshake of RFC 6455, as far as a gateway has a say in it.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Version};
use tidegate_model::WebSocket;

use crate::failure::Failure;
use crate::request::hop::has_token;

/// What RFC 6455 1.3 has appended to the key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A handshake under way: what the member's answer is judged by.
#[derive(Debug)]
pub(super) struct Handshake {
    key: Option<HeaderValue>,
}

/// Whether a request asks for a WebSocket (RFC 6455 4.2.1): `GET` over HTTP/1.1 with `Upgrade:
/// websocket`, and `upgrade` in `Connection`. Whether version and key are right is for the member
/// to say, and its answer for the client to hear.
pub(super) fn asked<B>(request: &Request<B>) -> Result<Option<Handshake>, Failure> {
    let headers = request.headers();
    if !headers.contains_key(UPGRADE)
        || request.version() != Version::HTTP_11
        || request.method() != Method::GET
        || !has_token(headers, &UPGRADE, "websocket")
        || !has_token(headers, &CONNECTION, "upgrade")
    {
        return Ok(None);
    }
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body {
        return Err(Failure::UpgradeWithBody);
    }
    Ok(Some(Handshake { key: headers.get(SEC_WEBSOCKET_KEY).cloned() }))
}

/// Whether a handshake may go on, as far as the client has to be who and what it should. Of the
/// subprotocols that it offers, those that are not allowed are taken out.
pub(super) fn admit(headers: &mut HeaderMap, model: &WebSocket) -> Result<(), Failure> {
    if !model.allowed_origins.is_empty()
        && let mut origins = headers.get_all(ORIGIN).iter().peekable()
        && (origins.peek().is_none()
            || !origins.all(|o| model.allowed_origins.iter().any(|a| a.covers(o.as_bytes()))))
    {
        return Err(Failure::BadOrigin);
    }
    if !model.allowed_subprotocols.is_empty() {
        let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        let offered = offered.filter_map(|field| field.to_str().ok()).flat_map(|f| f.split(','));
        let is_allowed = |name: &&str| model.allowed_subprotocols.iter().any(|a| **a == **name);
        let left: Vec<&str> = offered.map(str::trim).filter(is_allowed).collect();
        let left = HeaderValue::try_from(left.join(", ")).unwrap_or(HeaderValue::from_static(""));
        if left.is_empty() {
            return Err(Failure::BadSubprotocol);
        }
        headers.insert(SEC_WEBSOCKET_PROTOCOL, left);
    }
    Ok(())
}

/// Asks for the upgrade in a request whose hop-by-hop fields were removed.
pub(super) fn ask(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

impl Handshake {
    /// Whether a 101 makes a tunnel: it must be to this protocol, and prove that the member read
    /// the key (RFC 6455 4.1).
    pub(super) fn judge(&self, headers: &HeaderMap) -> Result<(), Failure> {
        if !has_token(headers, &UPGRADE, "websocket") || !has_token(headers, &CONNECTION, "upgrade")
        {
            return Err(Failure::BadUpgrade);
        }
        let expected = self.key.as_ref().map(|key| accept(key.as_bytes()));
        let mut given = headers.get_all(SEC_WEBSOCKET_ACCEPT).iter();
        match (expected, given.next(), given.next()) {
            (Some(expected), Some(given), None) if given.as_bytes() == expected => Ok(()),
            _ => Err(Failure::BadAccept),
        }
    }
}

/// What proves that a key was read: the Base64 of the SHA-1 of it and the GUID.
fn accept(key: &[u8]) -> [u8; 28] {
    let mut text = Vec::with_capacity(key.len() + GUID.len());
    text.extend_from_slice(key);
    text.extend_from_slice(GUID);
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &text);
    let mut encoded = [0; 28];
    // 20 bytes are always 28 characters.
    let written = STANDARD.encode_slice(hash, &mut encoded);
    debug_assert_eq!(written, Ok(28));
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_of_the_standards_example_is_right() {
        assert_eq!(&accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    fn request() -> http::request::Builder {
        Request::get("/chat").header(UPGRADE, "websocket").header(CONNECTION, "keep-alive, Upgrade")
    }

    #[test]
    fn a_handshake_needs_both_fields_and_no_body() {
        let asked = |request: http::request::Builder| asked(&request.body(()).unwrap());
        assert!(asked(request()).unwrap().is_some());
        assert!(asked(request().version(Version::HTTP_10)).unwrap().is_none());
        assert!(asked(request().method(Method::POST)).unwrap().is_none());
        assert!(asked(Request::get("/").header(UPGRADE, "websocket")).unwrap().is_none());
        let h2c = Request::get("/").header(UPGRADE, "h2c").header(CONNECTION, "upgrade");
        assert!(asked(h2c).unwrap().is_none());
        assert!(asked(request().header(CONTENT_LENGTH, "0")).unwrap().is_some());
        let body = request().header(CONTENT_LENGTH, "2");
        assert_eq!(asked(body).unwrap_err(), Failure::UpgradeWithBody);
        let chunked = request().header(TRANSFER_ENCODING, "chunked");
        assert_eq!(asked(chunked).unwrap_err(), Failure::UpgradeWithBody);
    }

    #[test]
    fn only_a_proven_answer_to_the_same_protocol_makes_a_tunnel() {
        let key = Some(HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        let handshake = Handshake { key };
        let right = [
            ("upgrade", "WebSocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ];
        let judge = |change: &dyn Fn(&mut HeaderMap)| {
            let mut headers = HeaderMap::new();
            for (name, value) in right {
                headers.insert(name, HeaderValue::from_static(value));
            }
            change(&mut headers);
            handshake.judge(&headers)
        };
        assert_eq!(judge(&|_| {}), Ok(()));
        assert_eq!(judge(&|h| drop(h.remove(UPGRADE))), Err(Failure::BadUpgrade));
        assert_eq!(judge(&|h| drop(h.remove(CONNECTION))), Err(Failure::BadUpgrade));
        assert_eq!(judge(&|h| drop(h.remove(SEC_WEBSOCKET_ACCEPT))), Err(Failure::BadAccept));
        let wrong = HeaderValue::from_static("c3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let change = |h: &mut HeaderMap| drop(h.insert(SEC_WEBSOCKET_ACCEPT, wrong.clone()));
        assert_eq!(judge(&change), Err(Failure::BadAccept));
    }
}
