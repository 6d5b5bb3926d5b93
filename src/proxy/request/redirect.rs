//! Redirects: the same host, path and query on another scheme and port.

use http::{HeaderValue, Request, StatusCode};
use tidegate_model::Redirect;

use crate::failure::Failure;
use crate::request::forward::Answer;
use crate::request::normalize;

/// The port that `https` means when no other is named.
const HTTPS: u16 = 443;

/// Where a checked request is sent, and how.
pub(super) fn answer<B>(redirect: &Redirect, request: &Request<B>) -> Result<Answer, Failure> {
    let host = normalize::host(request.headers())?;
    // Nobody can be sent to no host: HTTP/1.0 comes without.
    if host.is_empty() {
        return Err(Failure::NoHost);
    }
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let location = location(redirect, host, target);
    let location = HeaderValue::try_from(location).map_err(|_| Failure::BadTarget)?;
    let status = StatusCode::from_u16(redirect.status.code());
    Ok(Answer::Redirect(status.unwrap_or(StatusCode::FOUND), location))
}

fn location(redirect: &Redirect, host: &str, target: &str) -> String {
    // IPv6 addresses come without their brackets.
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    // `*` stands for the server, not for a path.
    let target = if target.starts_with('/') { target } else { "/" };
    match redirect.port {
        Some(port) if port != HTTPS => format!("https://{open}{host}{close}:{port}{target}"),
        _ => format!("https://{open}{host}{close}{target}"),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_model::RedirectStatus;

    use super::*;

    #[test]
    fn host_path_and_query_stay_and_the_port_is_named_if_it_must_be() {
        for (port, host, target, expected) in [
            (None, "a.example", "/x?y=/z", "https://a.example/x?y=/z"),
            (Some(443), "a.example", "/", "https://a.example/"),
            (Some(8443), "a.example", "//b/", "https://a.example:8443//b/"),
            (Some(8443), "::1", "*", "https://[::1]:8443/"),
        ] {
            let redirect = Redirect { status: RedirectStatus::Found, port };
            assert_eq!(location(&redirect, host, target), expected);
        }
    }
}
