//! Paths, and the patterns that path rules take them by.

use std::fmt;

use thiserror::Error;

/// The longest pattern, in bytes.
const LONGEST: usize = 1024;

/// What a path rule takes: paths without their query, as the client wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathPattern {
    matching: PathMatch,
    ignores_case: bool,
    path: Box<str>,
}

/// How the path of a pattern is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathMatch {
    /// This path alone: `/a` is not `/a/`.
    Exact,
    /// This path and what is below it: `/a` takes `/a`, `/a/` and `/a/b`, and not `/ab`.
    Prefix,
    /// Every path that begins with this text: `/a` takes `/ab`, too.
    Begins,
}

/// Not a pattern of paths.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PathPatternError {
    /// Relative, or empty.
    #[error("it does not begin with /")]
    Relative,
    /// Nothing that long is matched.
    #[error("it has {0} bytes, at most {LONGEST} are allowed")]
    TooLong(usize),
    /// A character that no path on the wire has.
    #[error("{0:?} cannot stand in a path; write it in percent encoding")]
    Character(char),
    /// One that Application Gateway does not take.
    #[error(
        "{0:?} is not allowed in it: letters, digits and -._~!$()+,;=:@'/ are, and * at its end"
    )]
    NotAllowed(char),
    /// A `*` with something after it.
    #[error("* can only be its last character")]
    Star,
    /// Every path begins with it, and only one is it.
    #[error(
        "/ alone takes nothing: /* takes every path, and what no path rule takes gets the default of the map"
    )]
    Alone,
}

impl PathPattern {
    /// Checks a pattern of Application Gateway: a path, or what paths begin with and `*`. Letters
    /// of another case are the same letters.
    ///
    /// # Errors
    /// If it does not begin with `/`, is `/` alone, is too long, has a `*` that is not its last
    /// character, or has a character that Application Gateway does not take.
    pub fn application_gateway(text: &str) -> Result<Self, PathPatternError> {
        if !text.starts_with('/') {
            return Err(PathPatternError::Relative);
        }
        if text.len() > LONGEST {
            return Err(PathPatternError::TooLong(text.len()));
        }
        let (matching, path) = match text.strip_suffix('*') {
            Some(begin) => (PathMatch::Begins, begin),
            None => (PathMatch::Exact, text),
        };
        if path.contains('*') {
            return Err(PathPatternError::Star);
        }
        let odd = |c: &char| !c.is_ascii_alphanumeric() && !"-._~!$()+,;=:@'/".contains(*c);
        if let Some(wrong) = path.chars().find(odd) {
            return Err(PathPatternError::NotAllowed(wrong));
        }
        if text == "/" {
            return Err(PathPatternError::Alone);
        }
        Ok(Self { matching, ignores_case: true, path: path.into() })
    }

    /// Checks a path to be compared like this, in which letters of another case are other letters.
    /// A `/` at the end of a prefix changes nothing, and is left out.
    ///
    /// # Errors
    /// If it does not begin with `/`, is too long, or has a character that no path has.
    pub fn new(matching: PathMatch, path: &str) -> Result<Self, PathPatternError> {
        if !path.starts_with('/') {
            return Err(PathPatternError::Relative);
        }
        if path.len() > LONGEST {
            return Err(PathPatternError::TooLong(path.len()));
        }
        let odd = |c: &char| !c.is_ascii_graphic() || matches!(c, '?' | '#');
        if let Some(wrong) = path.chars().find(odd) {
            return Err(PathPatternError::Character(wrong));
        }
        let path = match matching {
            PathMatch::Prefix => path.strip_suffix('/').unwrap_or(path),
            PathMatch::Exact | PathMatch::Begins => path,
        };
        Ok(Self { matching, ignores_case: false, path: path.into() })
    }

    /// How it is compared.
    pub fn matching(&self) -> PathMatch {
        self.matching
    }

    /// The path; of a prefix without the `/` at its end, so that the prefix `/` is empty.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether letters of another case are the same letters.
    pub fn ignores_case(&self) -> bool {
        self.ignores_case
    }

    /// Whether the pattern covers a path without query.
    ///
    /// This is the meaning; the data plane compiles patterns into an index that gives the same
    /// answers.
    pub fn covers(&self, path: &str) -> bool {
        self.rest(path).is_some()
    }

    /// What a path that the pattern covers has behind the pattern's own text.
    pub fn rest<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = self.strip(path)?;
        let covers = match self.matching {
            PathMatch::Exact => rest.is_empty(),
            PathMatch::Begins => true,
            PathMatch::Prefix => rest.starts_with('/') || rest.is_empty() && !path.is_empty(),
        };
        covers.then_some(rest)
    }

    /// What follows the pattern's text in one that begins with it.
    fn strip<'p>(&self, text: &'p str) -> Option<&'p str> {
        let (begin, rest) = text.split_at_checked(self.path.len())?;
        let same = match self.ignores_case {
            true => begin.eq_ignore_ascii_case(&self.path),
            false => *begin == *self.path,
        };
        same.then_some(rest)
    }

    /// Whether the pattern covers every path that `other` covers.
    pub fn includes(&self, other: &Self) -> bool {
        let has_letters = self.path.bytes().any(|byte| byte.is_ascii_alphabetic());
        if other.ignores_case && !self.ignores_case && has_letters {
            return false;
        }
        // The prefix `/` is empty, and covers what begins with a slash.
        let text = if other.path.is_empty() { "/" } else { &*other.path };
        let Some(rest) = self.strip(text) else {
            return false;
        };
        match (self.matching, other.matching) {
            (PathMatch::Begins, _) => true,
            (PathMatch::Exact, matching) => rest.is_empty() && matching == PathMatch::Exact,
            (PathMatch::Prefix, PathMatch::Begins) => rest.starts_with('/'),
            (PathMatch::Prefix, _) => rest.is_empty() || rest.starts_with('/'),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.matching, &*self.path) {
            (PathMatch::Exact, path) => write!(f, "= {path}"),
            (PathMatch::Prefix, "") => f.write_str("/"),
            (PathMatch::Prefix, path) => f.write_str(path),
            (PathMatch::Begins, path) => write!(f, "{path}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PathMatch::{Begins, Exact, Prefix};
    use super::*;

    /// The table of Kubernetes' documentation, and what it leaves open.
    #[test]
    fn patterns_cover_what_kubernetes_says() {
        for (matching, pattern, path, expected) in [
            (Prefix, "/", "/", true),
            (Prefix, "/", "/any/path", true),
            (Prefix, "/", "*", false),
            (Exact, "/foo", "/foo", true),
            (Exact, "/foo", "/bar", false),
            (Exact, "/foo", "/foo/", false),
            (Exact, "/foo/", "/foo", false),
            (Exact, "/foo", "/FOO", false),
            (Prefix, "/foo", "/foo", true),
            (Prefix, "/foo", "/foo/", true),
            (Prefix, "/foo/", "/foo", true),
            (Prefix, "/foo/", "/foo/", true),
            (Prefix, "/foo", "/foobar", false),
            (Prefix, "/foo", "/FOO", false),
            (Prefix, "/aaa/bb", "/aaa/bbb", false),
            (Prefix, "/aaa/bbb", "/aaa/bbb", true),
            (Prefix, "/aaa/bbb/", "/aaa/bbb", true),
            (Prefix, "/aaa/bbb", "/aaa/bbb/ccc", true),
            (Prefix, "/aaa/bbb", "/aaa/bbbxyz", false),
            (Begins, "/foo", "/foobar", true),
            (Begins, "/foo/", "/foo", false),
            (Begins, "/", "/any", true),
        ] {
            let covers = PathPattern::new(matching, pattern).unwrap().covers(path);
            assert_eq!(covers, expected, "{matching:?} {pattern} {path}");
        }
    }

    /// The rules of Application Gateway's reference, one line each.
    #[test]
    fn patterns_of_application_gateway_ignore_case_and_take_a_star_at_their_end() {
        for (pattern, path, rest) in [
            ("/images*", "/images", Some("")),
            ("/images*", "/images/a", Some("/a")),
            ("/images*", "/imagesque", Some("que")),
            ("/images/*", "/images/a", Some("a")),
            ("/images/*", "/images", None),
            ("/Images/*", "/iMAGES/A", Some("A")),
            ("/images", "/IMAGES", Some("")),
            ("/images", "/images/", None),
            ("/images/", "/images", None),
            ("/*", "/", Some("")),
            ("/*", "*", None),
            ("/a-._~!$()+,;=:@'b", "/a-._~!$()+,;=:@'b", Some("")),
        ] {
            let found = PathPattern::application_gateway(pattern).unwrap();
            assert_eq!(found.rest(path), rest, "{pattern} {path}");
            assert_eq!(found.covers(path), rest.is_some(), "{pattern} {path}");
        }
        for (pattern, why) in [
            ("", "begin with /"),
            ("images/*", "begin with /"),
            ("*", "begin with /"),
            ("/", "/ alone takes nothing"),
            ("/a*b", "* can only be its last character"),
            ("/a**", "* can only be its last character"),
            ("/a?b", "'?' is not allowed"),
            ("/a#b", "'#' is not allowed"),
            ("/a%20b", "'%' is not allowed"),
            ("/a&b", "'&' is not allowed"),
            ("/a b", "' ' is not allowed"),
            ("/ä", "'ä' is not allowed"),
        ] {
            let error = PathPattern::application_gateway(pattern).unwrap_err().to_string();
            assert!(error.contains(why), "{pattern:?}: {error}");
        }
    }

    /// Of every two patterns: one that includes the other covers all that it covers.
    #[test]
    fn a_pattern_includes_another_if_it_covers_all_of_its_paths() {
        let paths = ["", "/", "/a", "/a/", "/a/b", "/ab", "/A", "/aB", "/abc", "/b"];
        let mut patterns = Vec::new();
        for path in &paths[1..] {
            patterns.extend([Exact, Prefix, Begins].map(|m| PathPattern::new(m, path).unwrap()));
            patterns.extend(PathPattern::application_gateway(path));
            patterns.extend(PathPattern::application_gateway(&format!("{path}*")));
        }
        // More than any of the patterns says.
        let more = ["x", "/", "/x", "B"];
        let longer = paths.iter().flat_map(|path| more.map(|more| format!("{path}{more}")));
        let mut all: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        all.extend(longer);
        all.extend(all.clone().iter().map(|path| path.to_ascii_uppercase()));
        for one in &patterns {
            for other in &patterns {
                let holds = all.iter().all(|path| one.covers(path) || !other.covers(path));
                assert_eq!(one.includes(other), holds, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn wrong_patterns_say_why() {
        for (text, why) in [
            ("", "begin with /"),
            ("foo", "begin with /"),
            ("/a?b", "'?'"),
            ("/a#b", "'#'"),
            ("/a b", "' '"),
            ("/ä", "'ä'"),
        ] {
            let error = PathPattern::new(Prefix, text).unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
        assert!(PathPattern::new(Exact, &format!("/{}", "x".repeat(1024))).is_err());
    }
}
