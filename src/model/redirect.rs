//! Where clients are sent.

use std::fmt;

use thiserror::Error;

use crate::{Hostname, Protocol};

/// An answer that sends the client elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Redirect {
    /// The answer's status code.
    pub status: RedirectStatus,
    /// Where to.
    pub to: RedirectTo,
    /// Whether the path that was asked for is appended.
    pub keeps_path: bool,
    /// Whether the query that was asked for is appended.
    pub keeps_query: bool,
}

/// Where a redirect leads, apart from the path and query that were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RedirectTo {
    /// A listener of a gateway, or what clients take for one.
    Listener {
        /// What is spoken there.
        protocol: Protocol,
        /// Its host; the client's if it takes any.
        host: Option<Hostname>,
        /// The port that clients connect to.
        port: u16,
    },
    /// Anywhere.
    Url(RedirectUrl),
}

/// The status code of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RedirectStatus {
    /// 301.
    MovedPermanently,
    /// 302.
    Found,
    /// 303: the answer is to be had with GET.
    SeeOther,
    /// 307: the method stays.
    Temporary,
    /// 308: the method stays.
    Permanent,
}

impl RedirectStatus {
    /// The number.
    pub fn code(self) -> u16 {
        match self {
            Self::MovedPermanently => 301,
            Self::Found => 302,
            Self::SeeOther => 303,
            Self::Temporary => 307,
            Self::Permanent => 308,
        }
    }
}

/// An absolute URL of HTTP or HTTPS, taken apart where a path and a query can be put in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RedirectUrl {
    /// Up to the end of the path.
    base: Box<str>,
    /// Whether the base has a path.
    has_path: bool,
    /// What follows `?`.
    query: Option<Box<str>>,
    /// `#` and what follows it, or nothing.
    fragment: Box<str>,
}

/// Not a URL that clients can be sent to.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RedirectUrlError {
    /// Relative, or of another scheme.
    #[error("it does not begin with http:// or https://")]
    Scheme,
    /// Nothing between `//` and the path.
    #[error("it names no host")]
    NoHost,
    /// User information, or what is neither host nor port.
    #[error("{0:?} is not a host, with or without a port")]
    Authority(Box<str>),
    /// What cannot stand in a URL as it is.
    #[error("{0:?} cannot stand in a URL; write it in percent encoding")]
    Character(char),
    /// Nobody follows one that long.
    #[error("it has {0} bytes, at most {LONGEST} are allowed")]
    TooLong(usize),
}

/// The longest URL, in bytes.
const LONGEST: usize = 2048;

impl RedirectUrl {
    /// Checks a URL.
    ///
    /// # Errors
    /// If it is not an absolute URL of HTTP or HTTPS, or has characters that have to be encoded.
    pub fn new(text: &str) -> Result<Self, RedirectUrlError> {
        if text.len() > LONGEST {
            return Err(RedirectUrlError::TooLong(text.len()));
        }
        let odd = |c: &char| {
            !c.is_ascii_graphic()
                || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
        };
        if let Some(wrong) = text.chars().find(odd) {
            return Err(RedirectUrlError::Character(wrong));
        }
        let start = ["http://", "https://"].into_iter().find(|scheme| {
            text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        let start = start.ok_or(RedirectUrlError::Scheme)?.len();
        let (rest, fragment) = text.split_at(text.find('#').unwrap_or(text.len()));
        let (base, query) = match rest.split_once('?') {
            Some((base, query)) => (base, Some(query.into())),
            None => (rest, None),
        };
        let authority = base[start..].split('/').next().unwrap_or_default();
        check_authority(authority)?;
        let has_path = base.len() > start + authority.len();
        Ok(Self { base: base.into(), has_path, query, fragment: fragment.into() })
    }

    /// The URL with a path below its own and a query after its own; `path` begins with `/`.
    pub fn with(&self, path: Option<&str>, query: Option<&str>) -> String {
        let more = path.map_or(0, str::len) + query.map_or(0, str::len);
        let own = self.query.as_ref().map_or(0, |query| query.len());
        let mut text =
            String::with_capacity(self.base.len() + own + self.fragment.len() + more + 3);
        match path {
            Some(path) => {
                text.push_str(self.base.strip_suffix('/').unwrap_or(&self.base));
                text.push_str(path);
            }
            None => text.push_str(&self.base),
        }
        if path.is_none() && !self.has_path {
            text.push('/');
        }
        let mut mark = '?';
        for query in [self.query.as_deref(), query].into_iter().flatten() {
            text.push(mark);
            text.push_str(query);
            mark = '&';
        }
        text.push_str(&self.fragment);
        text
    }
}

impl fmt::Display for RedirectUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with(None, None))
    }
}

/// A name or address, and a port.
fn check_authority(authority: &str) -> Result<(), RedirectUrlError> {
    if authority.is_empty() {
        return Err(RedirectUrlError::NoHost);
    }
    let wrong = || RedirectUrlError::Authority(authority.into());
    let (host_is_right, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or_else(wrong)?;
            (address.parse::<std::net::Ipv6Addr>().is_ok(), port)
        }
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            (Hostname::new(host).is_ok(), port)
        }
    };
    let number = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    let port_is_right = port.is_empty() || port.strip_prefix(':').is_some_and(number);
    if host_is_right && port_is_right { Ok(()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_query_go_where_they_belong() {
        for (url, path, query, expected) in [
            ("https://a.example", None, None, "https://a.example/"),
            ("https://a.example/x/", None, None, "https://a.example/x/"),
            ("https://a.example", Some("/p"), None, "https://a.example/p"),
            ("https://a.example/", Some("/p"), Some("q=1"), "https://a.example/p?q=1"),
            ("https://a.example/x", Some("/p"), None, "https://a.example/x/p"),
            ("https://a.example/x/", Some("/p"), None, "https://a.example/x/p"),
            ("https://a.example?k=v", None, Some("q=1"), "https://a.example/?k=v&q=1"),
            ("https://a.example/x?k=v", Some("/p"), Some("q"), "https://a.example/x/p?k=v&q"),
            ("http://a.example:81/x#f", Some("/p"), Some("q"), "http://a.example:81/x/p?q#f"),
            ("HTTPS://[::1]:8443/x", None, None, "HTTPS://[::1]:8443/x"),
            ("https://a.example/x", Some("//b"), None, "https://a.example/x//b"),
            // A colon and an at sign in a path are not those of an authority.
            ("https://a.example/u@b:c", None, None, "https://a.example/u@b:c"),
        ] {
            let text = RedirectUrl::new(url).unwrap().with(path, query);
            assert_eq!(text, expected, "{url} {path:?} {query:?}");
        }
    }

    #[test]
    fn wrong_urls_say_why() {
        for (url, why) in [
            ("", "begin with http://"),
            ("/x", "begin with http://"),
            ("ftp://a.example/", "begin with http://"),
            ("javascript:alert(1)", "begin with http://"),
            ("https:///x", "names no host"),
            ("https://?x", "names no host"),
            ("https://u@a.example/", "\"u@a.example\" is not a host"),
            ("https://a.example:0/", "is not a host"),
            ("https://a.example:99999/", "is not a host"),
            ("https://a..example/", "is not a host"),
            ("https://[::1/", "is not a host"),
            ("https://a.example/a b", "' '"),
            ("https://a.example/\u{e4}", "'ä'"),
            ("https://a.example/\r\nX: y", "'\\r'"),
        ] {
            let error = RedirectUrl::new(url).unwrap_err().to_string();
            assert!(error.contains(why), "{url:?}: {error}");
        }
    }
}
