//! A probe that asks a gRPC server for its health (`grpc.health.v1.Health/Check`): the messages have
//! one field each, so nothing of Protocol Buffers is needed but how a field is written.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method};

use crate::health::{ProbeSpec, http2};

const PATH: &str = "/grpc.health.v1.Health/Check";
/// The longest answer that is read: a few bytes are enough.
const LIMIT: usize = 1024;

/// Asks once; what was found, or what was wrong.
pub(super) async fn check(spec: &ProbeSpec, service: &str) -> Result<String, String> {
    let mut request = http2::request(spec, Method::POST, PATH)?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    http2::exchange(spec, request, Some(question(service)), async |response| {
        let status = response.status();
        if status != 200 {
            return Err(format!("status {status} is not an answer of gRPC"));
        }
        // An answer without a message has its status in its head.
        judge_status(response.headers())?;
        let body = response.body_mut();
        let mut answer = Vec::new();
        while let Some(data) = http2::data(body).await? {
            if answer.len() + data.len() > LIMIT {
                return Err("the answer is too long".to_owned());
            }
            answer.extend_from_slice(&data);
        }
        let trailers = body.trailers().await.map_err(|error| format!("HTTP/2: {error}"))?;
        judge_status(&trailers.unwrap_or_default())?;
        match serving(&answer) {
            Some(1) => Ok("SERVING".to_owned()),
            Some(0) => Err("UNKNOWN".to_owned()),
            Some(2) => Err("NOT_SERVING".to_owned()),
            Some(3) => Err("SERVICE_UNKNOWN".to_owned()),
            other => Err(format!("an answer that says nothing of health: {other:?}")),
        }
    })
    .await
}

/// Whether the call succeeded, as far as it is said here.
fn judge_status(headers: &HeaderMap) -> Result<(), String> {
    let Some(status) = headers.get("grpc-status").filter(|status| *status != "0") else {
        return Ok(());
    };
    let message = headers.get("grpc-message").and_then(|text| text.to_str().ok());
    let status = status.to_str().unwrap_or("?");
    Err(format!("grpc-status {status} {}", message.unwrap_or_default()).trim_end().to_owned())
}

/// A message of its own length, uncompressed, with the name of the service as its field 1.
fn question(service: &str) -> Bytes {
    let mut message = Vec::with_capacity(service.len() + 3);
    if !service.is_empty() {
        message.push(0x0a);
        varint(service.len(), &mut message);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    framed.into()
}

fn varint(mut value: usize, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// The status in an answer; `None` if there is none.
fn serving(answer: &[u8]) -> Option<u8> {
    let (frame, rest) = answer.split_at_checked(5)?;
    let length = u32::from_be_bytes(frame[1..].try_into().ok()?) as usize;
    if frame[0] != 0 || rest.len() != length {
        return None;
    }
    match rest {
        // What has its first value is not written.
        [] => Some(0),
        [0x08, status @ 0..=0x7f] => Some(*status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_framed_message_with_the_services_name() {
        assert_eq!(&question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&question("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = question(&"x".repeat(200));
        assert_eq!(&long[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]);
        assert_eq!(long.len(), 5 + 203);
    }

    #[test]
    fn an_answer_is_one_message_with_a_status() {
        for (answer, expected) in [
            (&[0, 0, 0, 0, 2, 8, 1][..], Some(1)),
            (&[0, 0, 0, 0, 2, 8, 2], Some(2)),
            (&[0, 0, 0, 0, 0], Some(0)),
            (&[], None),
            (&[0, 0, 0, 0, 2, 8], None),
            (&[1, 0, 0, 0, 2, 8, 1], None),
            (&[0, 0, 0, 0, 3, 8, 0x81, 1], None),
        ] {
            assert_eq!(serving(answer), expected, "{answer:?}");
        }
    }
}
