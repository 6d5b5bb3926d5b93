//! The values of variables.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use tidegate_model::ServerVariable;

use crate::rewrite::request::Facts;
use crate::rewrite::value::Source;
use crate::tls::ClientCertificate;

/// Appends all lines of a header.
pub(super) fn write_header(headers: &HeaderMap, name: &HeaderName, to: &mut Vec<u8>) {
    let separator: &[u8] = if *name == COOKIE { b"; " } else { b", " };
    for (index, value) in headers.get_all(name).iter().enumerate() {
        if index > 0 {
            to.extend_from_slice(separator);
        }
        to.extend_from_slice(value.as_bytes());
    }
}

/// Appends what a source has for a request whose headers are these. What is not there is empty.
pub(super) fn write(source: &Source, facts: &Facts<'_>, headers: &HeaderMap, to: &mut Vec<u8>) {
    match source {
        Source::RequestHeader(name) => write_header(headers, name, to),
        Source::Cookie(name) => {
            if let Some(value) = cookie(headers, name.as_bytes()) {
                to.extend_from_slice(value);
            }
        }
        Source::Server(variable) => write_server(*variable, facts, headers, to),
        // There is no response yet, and the model has none in values of requests.
        Source::ResponseHeader(_) | Source::Nothing => {}
    }
}

fn write_server(
    variable: ServerVariable,
    facts: &Facts<'_>,
    headers: &HeaderMap,
    to: &mut Vec<u8>,
) {
    use ServerVariable as V;
    let asked = facts.asked;
    let (path, query) = (asked.target.path(), asked.target.query().unwrap_or_default());
    let certificate = |field: fn(&ClientCertificate) -> &str| facts.certificate.map_or("", field);
    let text = match variable {
        V::AddXForwardedForProxy => return write_forwarded(facts, to),
        V::ClientUser => return write_user(headers, to),
        V::ClientCertificate => return write_percent(certificate(|its| &its.pem), to),
        V::ClientIp => return write_display(facts.peer.ip(), to),
        V::ClientPort => return write_display(facts.peer.port(), to),
        V::ReceivedBytes => return write_display(asked.length, to),
        V::ClientTcpRtt => {
            if let Some(rtt) = facts.noted.and_then(|noted| noted.rtt) {
                write_display(rtt.as_micros(), to);
            }
            return;
        }
        V::ServerPort => return to.extend_from_slice(facts.port.as_bytes()),
        V::RequestScheme => return to.extend_from_slice(facts.scheme.as_bytes()),
        V::SslConnectionProtocol => {
            let name = facts.tls.map_or("", |tls| tls.protocol);
            return to.extend(name.bytes().map(|b| if b == b'_' { b'.' } else { b }));
        }
        V::CiphersSupported => facts.noted.map_or("", |noted| &noted.suites),
        V::CiphersUsed => facts.tls.map_or("", |tls| tls.cipher),
        V::SslEnabled => facts.tls.map_or("", |_| "On"),
        V::Host => &asked.host,
        V::HttpMethod => asked.method.as_str(),
        V::HttpVersion => match asked.version {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            Version::HTTP_3 => "HTTP/3.0",
            _ => "HTTP/1.1",
        },
        V::QueryString | V::RequestQuery => query,
        V::RequestUri => asked.target.as_str(),
        V::UriPath => path,
        V::ClientCertificateEndDate => certificate(|its| &its.end_date),
        V::ClientCertificateFingerprint => certificate(|its| &its.fingerprint),
        V::ClientCertificateIssuer => certificate(|its| &its.issuer),
        V::ClientCertificateSerial => certificate(|its| &its.serial),
        V::ClientCertificateStartDate => certificate(|its| &its.start_date),
        V::ClientCertificateSubject => certificate(|its| &its.subject),
        V::ClientCertificateVerification => facts.verification.as_str(),
        V::HttpStatus | V::SentBytes => "",
    };
    to.extend_from_slice(text.as_bytes());
}

pub(super) fn write_display(value: impl std::fmt::Display, to: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = write!(to, "{value}");
}

/// What came before the client, and the client without its port.
fn write_forwarded(facts: &Facts<'_>, to: &mut Vec<u8>) {
    let own = facts.forwarded_for.as_bytes();
    let all = facts.asked.forwarded_for.as_ref().map_or(own, HeaderValue::as_bytes);
    to.extend_from_slice(all.strip_suffix(own).unwrap_or_default());
    write_display(facts.peer.ip(), to);
}

/// The user name of Basic authentication (RFC 7617 2).
fn write_user(headers: &HeaderMap, to: &mut Vec<u8>) {
    let credentials = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let Some((scheme, encoded)) = credentials.and_then(|all| all.split_at_checked(6)) else {
        return;
    };
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return;
    }
    let Ok(decoded) = STANDARD.decode(encoded.trim_ascii()) else { return };
    let user = decoded.split(|byte| *byte == b':').next().unwrap_or_default();
    // A header could not hold it.
    if !user.iter().any(u8::is_ascii_control) {
        to.extend_from_slice(user);
    }
}

/// A certificate in a header: without line breaks, and so that it can be read back.
fn write_percent(text: &str, to: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => to.push(byte),
            other => write_display(format_args!("%{other:02X}"), to),
        }
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &[u8]) -> Option<&'a [u8]> {
    let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    lines.flat_map(|line| line.split(|byte| *byte == b';')).find_map(|pair| {
        let (its, value) = pair.trim_ascii().split_at_checked(name.len())?;
        if its == name { value.strip_prefix(b"=") } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let headers = headers(&[(COOKIE, "ab=1; a=2 ;b=x=y"), (COOKIE, "c=")]);
        for (name, expected) in [
            ("a", Some("2")),
            ("ab", Some("1")),
            ("b", Some("x=y")),
            ("c", Some("")),
            ("A", None),
            ("x", None),
        ] {
            let found = cookie(&headers, name.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn the_user_of_basic_authentication_is_what_comes_before_the_colon() {
        for (value, expected) in [
            ("Basic dXNlcjpwYXNz", "user"),
            ("basic dXNlcg==", "user"),
            ("Bearer dXNlcg==", ""),
            ("Basic !", ""),
            ("Basic", ""),
            // A line break.
            ("Basic dQp4Onk=", ""),
        ] {
            let mut user = Vec::new();
            write_user(&headers(&[(AUTHORIZATION, value)]), &mut user);
            assert_eq!(user, expected.as_bytes(), "{value}");
        }
    }

    #[test]
    fn a_certificate_in_a_header_has_no_line_break() {
        let mut text = Vec::new();
        write_percent("-----BEGIN X-----\nab+/=\n", &mut text);
        assert_eq!(text, b"-----BEGIN%20X-----%0Aab%2B%2F%3D%0A");
    }
}
