//! Paths, and the patterns that path rules take them by.

use std::fmt;

use thiserror::Error;

/// The longest pattern, in bytes.
const LONGEST: usize = 1024;

/// What a path rule takes: paths without their query, as the client wrote them. Letters of another
/// case are other letters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathPattern {
    matching: PathMatch,
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
}

impl PathPattern {
    /// Checks a path to be compared like this. A `/` at the end of a prefix changes nothing, and
    /// is left out.
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
        Ok(Self { matching, path: path.into() })
    }

    /// How it is compared.
    pub fn matching(&self) -> PathMatch {
        self.matching
    }

    /// The path; of a prefix without the `/` at its end, so that the prefix `/` is empty.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the pattern covers a path without query.
    ///
    /// This is the meaning; the data plane compiles patterns into an index that gives the same
    /// answers.
    pub fn covers(&self, path: &str) -> bool {
        match self.matching {
            PathMatch::Exact => *path == *self.path,
            PathMatch::Begins => path.starts_with(&*self.path),
            PathMatch::Prefix => path
                .strip_prefix(&*self.path)
                .is_some_and(|rest| rest.starts_with('/') || rest.is_empty() && !path.is_empty()),
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
