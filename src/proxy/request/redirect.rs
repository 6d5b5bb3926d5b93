//! Redirects: where a request is sent in place of a member.

use http::{HeaderValue, Request, StatusCode};
use tidegate_model::{Protocol, Redirect, RedirectTo};

use crate::failure::Failure;
use crate::request::forward::Answer;
use crate::request::normalize;

/// Where a checked request is sent, and how.
pub(super) fn answer<B>(redirect: &Redirect, request: &Request<B>) -> Result<Answer, Failure> {
    let host = match &redirect.to {
        RedirectTo::Listener { host: None, .. } => normalize::host(request.headers())?,
        RedirectTo::Listener { host: Some(_), .. } | RedirectTo::Url(_) => "",
    };
    let target = request.uri().path_and_query();
    let path = target.map_or("/", |target| target.path());
    let query = target.and_then(|target| target.query());
    let location = location(redirect, host, path, query).ok_or(Failure::NoHost)?;
    let location = HeaderValue::try_from(location).map_err(|_| Failure::BadTarget)?;
    let status = StatusCode::from_u16(redirect.status.code());
    Ok(Answer::Redirect(status.unwrap_or(StatusCode::FOUND), location))
}

/// The URL; `None` if it would have no host: HTTP/1.0 comes without one.
fn location(redirect: &Redirect, host: &str, path: &str, query: Option<&str>) -> Option<String> {
    // `*` stands for the server, not for a path.
    let path = if path.starts_with('/') { path } else { "/" };
    let (path, query) =
        (Some(path).filter(|_| redirect.keeps_path), query.filter(|_| redirect.keeps_query));
    let (protocol, own, port) = match &redirect.to {
        RedirectTo::Url(url) => return Some(url.with(path, query)),
        RedirectTo::Listener { protocol, host, port } => (protocol, host, port),
    };
    let host = own.as_ref().map_or(host, |own| own.as_str());
    if host.is_empty() {
        return None;
    }
    // IPv6 addresses come without their brackets.
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    let usual = match protocol {
        Protocol::Http => 80,
        Protocol::Https => 443,
    };
    let scheme = protocol.scheme();
    let mut text = format!("{scheme}://{open}{host}{close}");
    if *port != usual {
        text.push(':');
        text.push_str(&port.to_string());
    }
    text.push_str(path.unwrap_or("/"));
    if let Some(query) = query {
        text.push('?');
        text.push_str(query);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use tidegate_model::{Hostname, RedirectStatus, RedirectUrl};

    use super::*;

    fn to_listener(protocol: Protocol, host: Option<&str>, port: u16, keeps: bool) -> Redirect {
        let host = host.map(|host| Hostname::new(host).unwrap());
        let to = RedirectTo::Listener { protocol, host, port };
        Redirect { status: RedirectStatus::Found, to, keeps_path: keeps, keeps_query: keeps }
    }

    #[test]
    fn the_port_is_named_if_it_must_be_and_the_host_is_the_listeners_or_the_clients() {
        use Protocol::{Http, Https};
        for (redirect, host, target, expected) in [
            (
                to_listener(Https, None, 443, true),
                "a.example",
                "/x?y=/z",
                "https://a.example/x?y=/z",
            ),
            (
                to_listener(Https, None, 8443, true),
                "a.example",
                "//b/",
                "https://a.example:8443//b/",
            ),
            (to_listener(Https, None, 8443, true), "::1", "*", "https://[::1]:8443/"),
            (to_listener(Http, None, 80, true), "a.example", "/", "http://a.example/"),
            (to_listener(Http, None, 443, true), "a.example", "/", "http://a.example:443/"),
            (to_listener(Https, Some("b.example"), 443, true), "", "/x", "https://b.example/x"),
            (to_listener(Https, Some("b.example"), 443, false), "", "/x?y", "https://b.example/"),
            (to_listener(Https, None, 443, false), "a.example", "/x?y", "https://a.example/"),
        ] {
            let (path, query) =
                target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
            let found = location(&redirect, host, path, query);
            assert_eq!(found.as_deref(), Some(expected), "{redirect:?} {host} {target}");
        }
        let anyone = to_listener(Https, None, 443, true);
        assert_eq!(location(&anyone, "", "/", None), None);
    }

    #[test]
    fn path_and_query_are_kept_one_by_one() {
        for (keeps_path, keeps_query, expected) in [
            (false, false, "https://a.example/x?k=v"),
            (true, false, "https://a.example/x/p?k=v"),
            (false, true, "https://a.example/x?k=v&q=1"),
            (true, true, "https://a.example/x/p?k=v&q=1"),
        ] {
            let to = RedirectTo::Url(RedirectUrl::new("https://a.example/x?k=v").unwrap());
            let redirect = Redirect { status: RedirectStatus::Found, to, keeps_path, keeps_query };
            assert_eq!(location(&redirect, "", "/p", Some("q=1")).as_deref(), Some(expected));
        }
    }
}
