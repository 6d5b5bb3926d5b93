//! The opening handshake of RFC 6455 and RFC 8441, as far as a gateway has a say in it: what a client
//! asks in one version of HTTP a member may be asked in another.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version};
use tidegate_model::WebSocket;

use crate::failure::Failure;
use crate::request::hop::{self, has_token};

/// What RFC 6455 1.3 has appended to the key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A handshake under way: how the client asked, and what the member's answer is judged by.
#[derive(Debug)]
pub(super) struct Handshake {
    asked: Asked,
    /// What a member that speaks HTTP/1.1 has to prove that it read.
    key: Option<HeaderValue>,
}

/// How a client asks for a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// In HTTP/1.1, with an upgrade (RFC 6455 4.1).
    Upgrade,
    /// In HTTP/2 or HTTP/3, with an extended CONNECT (RFC 8441, RFC 9220).
    Connect,
}

/// Whether a request asks for a WebSocket: an extended CONNECT, or `GET` over HTTP/1.1 with `Upgrade:
/// websocket`, and `upgrade` in `Connection` (RFC 6455 4.2.1). Whether version and key are right is
/// for the member to say, and its answer for the client to hear.
pub(super) fn asked<B>(request: &Request<B>) -> Result<Option<Handshake>, Failure> {
    let headers = request.headers();
    if request.method() == Method::CONNECT {
        return Ok(Some(Handshake { asked: Asked::Connect, key: Some(new_key()) }));
    }
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
    let key = headers.get(SEC_WEBSOCKET_KEY).cloned();
    Ok(Some(Handshake { asked: Asked::Upgrade, key }))
}

/// 16 bytes that nobody foresees, in Base64 (RFC 6455 4.1).
fn new_key() -> HeaderValue {
    let mut bytes = [0; 16];
    // A key only shows that the answer is not an old one.
    let _ = rand::fill(&mut bytes);
    let text = STANDARD.encode(bytes);
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="))
}

/// A key of ours, for a handshake that nobody asked for: a probe's.
#[derive(Debug)]
pub(crate) struct Proof(Handshake);

impl Proof {
    /// With a key that nobody foresees.
    pub(crate) fn new() -> Self {
        Self(Handshake { asked: Asked::Upgrade, key: Some(new_key()) })
    }

    /// What the member is to read.
    pub(crate) fn key(&self) -> HeaderValue {
        self.0.key.clone().unwrap_or(HeaderValue::from_static(""))
    }

    /// Whether the head of a 101 shows that it did.
    pub(crate) fn is_given_by(&self, headers: &HeaderMap) -> bool {
        self.0.judge(headers).is_ok()
    }
}

/// Whether a handshake may go on, as far as the client has to be who and what it should. Of the
/// subprotocols that it offers, those that are not allowed are taken out.
///
/// `origins` are those that the client said, where its headers were rewritten since.
pub(super) fn admit(
    headers: &mut HeaderMap,
    origins: Option<&[HeaderValue]>,
    model: &WebSocket,
) -> Result<(), Failure> {
    if !model.allowed_origins.is_empty() {
        let is_allowed = |origin: &HeaderValue| {
            model.allowed_origins.iter().any(|a| a.covers(origin.as_bytes()))
        };
        let are_allowed = match origins {
            Some(origins) => !origins.is_empty() && origins.iter().all(is_allowed),
            None => headers.contains_key(ORIGIN) && headers.get_all(ORIGIN).iter().all(is_allowed),
        };
        if !are_allowed {
            return Err(Failure::BadOrigin);
        }
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

impl Handshake {
    /// Asks for the upgrade in HTTP/1.1, in a request whose hop-by-hop fields were removed.
    pub(super) fn ask<B>(&self, request: &mut Request<B>) {
        *request.method_mut() = Method::GET;
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let (Asked::Connect, Some(key)) = (self.asked, &self.key) {
            headers.insert(SEC_WEBSOCKET_KEY, key.clone());
            headers.entry(SEC_WEBSOCKET_VERSION).or_insert(HeaderValue::from_static("13"));
        }
    }

    /// Whether the client asked by an extended CONNECT.
    pub(super) fn is_connect(&self) -> bool {
        self.asked == Asked::Connect
    }

    /// Whether it can be sent over HTTP/2: then nobody but us looks at the key.
    pub(super) fn has_key(&self) -> bool {
        let decoded = self.key.as_ref().map(|key| STANDARD.decode(key.as_bytes()));
        matches!(decoded, Some(Ok(key)) if key.len() == 16)
    }

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

    /// Turns the answer of a member that took the handshake into what the client waits for.
    pub(super) fn answer(&self, status: &mut StatusCode, headers: &mut HeaderMap) {
        hop::strip_switching(headers);
        match self.asked {
            Asked::Connect => {
                *status = StatusCode::OK;
                for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
                    headers.remove(name);
                }
            }
            // A member that was asked over HTTP/1.1 has said all this itself.
            Asked::Upgrade if *status == StatusCode::SWITCHING_PROTOCOLS => {}
            Asked::Upgrade => {
                *status = StatusCode::SWITCHING_PROTOCOLS;
                headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                let accept = self.key.as_ref().map(|key| accept(key.as_bytes()));
                if let Some(Ok(accept)) = accept.map(|accept| HeaderValue::from_bytes(&accept)) {
                    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
                }
            }
        }
        headers.remove(CONTENT_LENGTH);
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
        let handshake = Handshake { asked: Asked::Upgrade, key };
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
