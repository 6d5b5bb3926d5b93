//! Responses on their way to the client: the member's, and our own.

use bytes::Bytes;
use http::header::{
    ALLOW, ALT_SVC, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};

use crate::failure::Failure;
use crate::request::body::{Inbound, ResponseBody};
use crate::request::forward::Switched;
use crate::request::{Exchange, hop};
use crate::tunnel;

/// Sent as it is to a client that did not finish the head of a request.
pub(crate) const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Sent as it is to a client that speaks HTTP where TLS is expected.
pub(crate) const HTTP_ON_HTTPS_PORT: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 57\r\n\r\n\
    400 Bad Request: plain HTTP was sent to an HTTPS listener\n";

/// The member's response.
pub(super) fn forwarded(
    response: Response<Inbound>,
    mut exchange: Exchange,
) -> Response<ResponseBody> {
    let (mut head, incoming) = response.into_parts();
    hop::strip_response(&mut head.headers);
    if let Err(failure) = exchange.rewrite_response(head.status, &mut head.headers) {
        return failed(failure, exchange);
    }
    head.version = Version::HTTP_11;
    if exchange.client.core.closing() {
        head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(details) = &mut exchange.details {
        details.note_response(&head.headers);
    }
    announce_http3(&mut head.headers, &exchange);
    exchange.responds(head.status.as_u16(), None);
    Response::from_parts(head, ResponseBody::from_member(incoming, exchange))
}

/// Tells a client where HTTP/3 is spoken (RFC 7838), in place of what the member says of itself.
fn announce_http3(headers: &mut HeaderMap, exchange: &Exchange) {
    if let Some(alt_svc) = &exchange.client.alt_svc {
        headers.insert(ALT_SVC, alt_svc.clone());
    }
}

/// An answer of our own.
pub(super) fn failed(failure: Failure, mut exchange: Exchange) -> Response<ResponseBody> {
    let closes = failure.ends_connection() || exchange.client.core.closing();
    let alt_svc = exchange.client.alt_svc.clone();
    exchange.responds(failure.status(), Some(failure));
    let (text, kind) = match exchange.error_page(failure.status()) {
        Some(page) => (page, "text/html; charset=utf-8"),
        None => (Bytes::from_static(failure.text().as_bytes()), "text/plain; charset=utf-8"),
    };
    let (is_head, length) = (exchange.is_head(), text.len());
    let body = if is_head { Bytes::new() } else { text };
    let mut response = Response::new(ResponseBody::own(body, exchange));
    *response.status_mut() = failure.status_code();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if is_head {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some(alt_svc) = alt_svc {
        headers.insert(ALT_SVC, alt_svc);
    }
    if let Failure::RateLimited(seconds) = failure {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.get()));
    }
    if failure == Failure::BadMethod {
        let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        headers.insert(ALLOW, allowed);
    }
    if closes {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// An answer that sends the client elsewhere.
pub(super) fn redirected(
    status: StatusCode,
    location: HeaderValue,
    mut exchange: Exchange,
) -> Response<ResponseBody> {
    let closes = exchange.client.core.closing();
    exchange.responds(status.as_u16(), None);
    let mut response = Response::new(ResponseBody::own(Bytes::new(), exchange));
    *response.status_mut() = status;
    response.headers_mut().insert(LOCATION, location);
    if closes {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The answer to a handshake that the member took, and the tunnel that begins when it has been written.
pub(super) fn switch(switched: Switched, exchange: Exchange) -> Response<ResponseBody> {
    let Switched { response, client, member } = switched;
    tunnel::start(exchange, response.status(), client, member);
    response.map(|()| ResponseBody::none())
}
