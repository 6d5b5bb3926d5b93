//! Host names, and the patterns that listeners take them by.

use std::fmt;

use thiserror::Error;

/// A name that can stand in a `Host` field without a port: letters, digits, `-`, `_` and `.`, in
/// lower case, 1 to 253 bytes, no empty label. IP addresses are such names too.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct Hostname(Box<str>);

/// Not a host name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HostnameError {
    /// Nothing there.
    #[error("the host name is empty")]
    Empty,
    /// More than 253 bytes.
    #[error("the host name has {0} bytes, at most 253 are allowed")]
    TooLong(usize),
    /// A character that no host name has.
    #[error("{0:?} cannot stand in a host name")]
    Character(char),
    /// Two dots in a row, or one at the start or end, or a label of more than 63 bytes.
    #[error("every label of a host name has 1 to 63 characters")]
    Label,
}

impl Hostname {
    /// Checks a name and takes it in lower case.
    ///
    /// # Errors
    /// If it is empty, too long, or has a character or label that host names cannot have.
    pub fn new(text: &str) -> Result<Self, HostnameError> {
        check(text, |_| false)?;
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(text: &str, also: impl Fn(char) -> bool) -> Result<(), HostnameError> {
    if text.is_empty() {
        return Err(HostnameError::Empty);
    }
    if text.len() > 253 {
        return Err(HostnameError::TooLong(text.len()));
    }
    if let Some(wrong) = text
        .chars()
        .find(|&c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') || also(c)))
    {
        return Err(HostnameError::Character(wrong));
    }
    if text.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err(HostnameError::Label);
    }
    Ok(())
}

/// What a listener takes: one name, or a pattern in which `*` stands for any run of characters,
/// dots included, and `?` for exactly one character.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This name alone.
    Exact(Hostname),
    /// Every name that the pattern covers, in lower case.
    Wildcard(Box<str>),
    /// `*.` and a name: every name with exactly one label more, as Kubernetes means it.
    OneLabel(Box<str>),
}

/// Not a pattern of host names.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HostPatternError {
    /// Wrong apart from its wildcards.
    #[error(transparent)]
    Hostname(#[from] HostnameError),
    /// More than four `*` and `?`, or more than two `*`.
    #[error("a host name has at most four wildcard characters, of them at most two '*'")]
    TooMany,
    /// Two `*` in one label, or `*` with `?`.
    #[error("a label has at most one '*', and no '?' beside it")]
    Label,
    /// Kubernetes knows `*` as the whole first label alone.
    #[error("'*' can only be the whole first label, as in *.example.com")]
    FirstLabel,
}

impl HostPattern {
    /// Checks a name or pattern and takes it in lower case.
    ///
    /// # Errors
    /// If it is no host name apart from `*` and `?`, or has more of these than Application Gateway
    /// allows: per name four, of them two `*`; per label one `*`, and no `?` beside it.
    pub fn new(text: &str) -> Result<Self, HostPatternError> {
        if !text.contains(['*', '?']) {
            return Ok(Self::Exact(Hostname::new(text)?));
        }
        check(text, |c| matches!(c, '*' | '?'))?;
        let count = |text: &str, wanted: char| text.chars().filter(|&c| c == wanted).count();
        let (stars, marks) = (count(text, '*'), count(text, '?'));
        if stars > 2 || stars + marks > 4 {
            return Err(HostPatternError::TooMany);
        }
        if text
            .split('.')
            .any(|label| count(label, '*') > 1 || (label.contains('*') && label.contains('?')))
        {
            return Err(HostPatternError::Label);
        }
        Ok(Self::Wildcard(text.to_ascii_lowercase().into()))
    }

    /// Checks a host as Kubernetes writes them: a name, or `*.` and a name, where `*` stands for
    /// exactly one label.
    ///
    /// # Errors
    /// If it is no host name apart from a `*.` at its start.
    pub fn kubernetes(text: &str) -> Result<Self, HostPatternError> {
        let Some(rest) = text.strip_prefix("*.") else {
            if text.contains('*') {
                return Err(HostPatternError::FirstLabel);
            }
            return Ok(Self::Exact(Hostname::new(text)?));
        };
        if rest.contains('*') {
            return Err(HostPatternError::FirstLabel);
        }
        Hostname::new(rest)?;
        Ok(Self::OneLabel(text.to_ascii_lowercase().into()))
    }

    /// The pattern as text, in lower case.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Exact(name) => name.as_str(),
            Self::Wildcard(pattern) | Self::OneLabel(pattern) => pattern,
        }
    }

    /// Whether the pattern covers `host`, which is in lower case. `*` covers one character at
    /// least, so that `*.a.example` does not cover `.a.example`.
    ///
    /// This is the meaning; the data plane compiles patterns into an index that gives the same
    /// answers.
    pub fn covers(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name.as_str() == host,
            Self::Wildcard(pattern) => covers(pattern.as_bytes(), host.as_bytes()),
            Self::OneLabel(pattern) => host.find('.').is_some_and(|dot| {
                dot > 0 && pattern.strip_prefix('*').is_some_and(|end| *end == host[dot..])
            }),
        }
    }
}

impl HostPattern {
    /// Whether the pattern covers every host that `other` covers. Of some wildcards that do it is
    /// not told.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (one, Self::Exact(name)) => one.covers(name.as_str()),
            (Self::Wildcard(one), Self::Wildcard(other) | Self::OneLabel(other)) => {
                includes(one.as_bytes(), other.as_bytes())
            }
            (Self::OneLabel(one), Self::OneLabel(other)) => one == other,
            (Self::Exact(_) | Self::OneLabel(_), _) => false,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Two pointers and the last `*` to return to: linear for one `*`, at worst quadratic in a host
/// name of 253 bytes.
fn covers(pattern: &[u8], host: &[u8]) -> bool {
    let (mut p, mut h) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while h < host.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                h += 1;
                retry = Some((p, h));
                continue;
            }
            Some(b'?') => {
                p += 1;
                h += 1;
                continue;
            }
            Some(&byte) if byte == host[h] => {
                p += 1;
                h += 1;
                continue;
            }
            _ => {}
        }
        match &mut retry {
            Some((after, from)) => {
                *from += 1;
                (p, h) = (*after, *from);
            }
            None => return false,
        }
    }
    p == pattern.len()
}

/// Whether one pattern covers whatever is written in place of the wildcards of another: its `*`
/// takes anything, its `?` one character, which a `*` need not be.
fn includes(one: &[u8], other: &[u8]) -> bool {
    let literal = one.iter().rev().take_while(|byte| !matches!(byte, b'*' | b'?')).count();
    if !other.ends_with(&one[one.len() - literal..]) {
        return false;
    }
    match one.split_first() {
        None => other.is_empty(),
        Some((b'*', rest)) => (1..=other.len()).any(|taken| includes(rest, &other[taken..])),
        Some((b'?', rest)) => {
            other.first().is_some_and(|byte| *byte != b'*') && includes(rest, &other[1..])
        }
        Some((byte, rest)) => other.first() == Some(byte) && includes(rest, &other[1..]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_cover_what_application_gateway_says() {
        for (pattern, host, expected) in [
            ("*.contoso.com", "a.contoso.com", true),
            ("*.contoso.com", "a.b.contoso.com", true),
            ("*.contoso.com", "contoso.com", false),
            ("*.contoso.com", ".contoso.com", false),
            ("*.com-*.org", "a.com-b.org", true),
            ("www.??.com", "www.ab.com", true),
            ("www.??.com", "www.a.com", false),
            ("A.Example", "a.example", true),
            ("a*.x*.org", "ab.c.xd.org", true),
        ] {
            assert_eq!(
                HostPattern::new(pattern).unwrap().covers(host),
                expected,
                "{pattern} {host}"
            );
        }
    }

    #[test]
    fn wide_patterns_include_narrow_ones() {
        for (one, other, expected) in [
            ("*.example", "a.example", true),
            ("*.example", "*.a.example", true),
            ("*.example", "*.example", true),
            ("*.a.example", "*.example", false),
            ("*.example", "example", false),
            ("?.example", "*.example", false),
            ("*.example", "?.example", true),
            ("a.example", "*.example", false),
            ("*.com-*.org", "*.com-b.org", true),
        ] {
            let [one, other] = [one, other].map(|text| HostPattern::new(text).unwrap());
            assert_eq!(one.includes(&other), expected, "{one} {other}");
        }
    }

    #[test]
    fn kubernetes_wildcards_cover_one_label() {
        for (pattern, host, expected) in [
            ("*.foo.com", "bar.foo.com", true),
            ("*.FOO.com", "bar.foo.com", true),
            ("*.foo.com", "baz.bar.foo.com", false),
            ("*.foo.com", "foo.com", false),
            ("*.foo.com", ".foo.com", false),
            ("foo.com", "foo.com", true),
        ] {
            let pattern = HostPattern::kubernetes(pattern).unwrap();
            assert_eq!(pattern.covers(host), expected, "{pattern} {host}");
        }
        for wrong in ["*", "a.*.com", "a*.com", "*.*.com", "*.", "", "a_b c"] {
            assert!(HostPattern::kubernetes(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn wrong_patterns_say_why() {
        for (text, why) in [
            ("", "empty"),
            ("a..b", "label"),
            ("a b", "' '"),
            ("*.*.*", "four wildcard"),
            ("??.??.?", "four wildcard"),
            ("a**.com", "at most one"),
            ("*?.com", "at most one"),
            ("a.com:80", "':'"),
        ] {
            let error = HostPattern::new(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    /// The definition, written down: try every length for each `*`.
    fn naive(pattern: &[u8], host: &[u8]) -> bool {
        match pattern.split_first() {
            None => host.is_empty(),
            Some((b'*', rest)) => (1..=host.len()).any(|taken| naive(rest, &host[taken..])),
            Some((b'?', rest)) => !host.is_empty() && naive(rest, &host[1..]),
            Some((byte, rest)) => host.first() == Some(byte) && naive(rest, &host[1..]),
        }
    }

    proptest! {
        #[test]
        fn what_a_pattern_includes_it_covers(
            one in "[ab.*?]{0,6}",
            other in "[ab.*?]{0,6}",
            host in "[ab.]{0,8}",
        ) {
            let (one, other, host) = (one.as_bytes(), other.as_bytes(), host.as_bytes());
            if includes(one, other) && covers(other, host) {
                prop_assert!(covers(one, host));
            }
        }

        #[test]
        fn covering_agrees_with_its_definition(pattern in "[ab.*?]{0,8}", host in "[ab.]{0,12}") {
            prop_assert_eq!(
                covers(pattern.as_bytes(), host.as_bytes()),
                naive(pattern.as_bytes(), host.as_bytes())
            );
        }
    }
}
