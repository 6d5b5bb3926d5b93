//! The path of settings: what members see in front of, or in place of, the client's path.

use thiserror::Error;

use crate::PathPattern;

/// The longest, in bytes.
const LONGEST: usize = 1024;

/// What the path that members see begins with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathOverride(Box<str>);

/// Not the beginning of a path.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PathOverrideError {
    /// Relative, or empty.
    #[error("it does not begin with /")]
    Relative,
    /// Nobody needs one that long.
    #[error("it has {0} bytes, at most {LONGEST} are allowed")]
    TooLong(usize),
    /// A character that no path on the wire has.
    #[error("{0:?} cannot stand in a path; write it in percent encoding")]
    Character(char),
}

impl PathOverride {
    /// Checks what a path is to begin with.
    ///
    /// # Errors
    /// If it does not begin with `/`, is too long, or has a character that no path has.
    pub fn new(path: &str) -> Result<Self, PathOverrideError> {
        if !path.starts_with('/') {
            return Err(PathOverrideError::Relative);
        }
        if path.len() > LONGEST {
            return Err(PathOverrideError::TooLong(path.len()));
        }
        let odd = |c: &char| {
            !c.is_ascii_graphic()
                || matches!(c, '?' | '#' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
        };
        if let Some(wrong) = path.chars().find(odd) {
            return Err(PathOverrideError::Character(wrong));
        }
        Ok(Self(path.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path that members see in place of the client's, which `patterns` took; without patterns
    /// all of the client's follows. Nothing is decoded or encoded. What follows the override is set
    /// off by one `/`; where nothing does, the override is the path. `None` for `*`, which
    /// is no path.
    pub fn apply(&self, path: &str, patterns: &[PathPattern]) -> Option<String> {
        if !path.starts_with('/') {
            return None;
        }
        let rest = match patterns {
            [] => path,
            patterns => patterns.iter().find_map(|pattern| pattern.rest(path)).unwrap_or(path),
        };
        if rest.is_empty() {
            return Some(self.0.to_string());
        }
        let own = self.0.strip_suffix('/').unwrap_or(&self.0);
        let slash = if rest.starts_with('/') { "" } else { "/" };
        Some([own, slash, rest].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the reference, section 2.3, and what it leaves open.
    #[test]
    fn the_literal_part_of_a_pattern_is_cut_and_the_override_put_before_the_rest() {
        for (pattern, own, path, expected) in [
            // A Basic rule, or the default of a map.
            ("", "/override/", "/home/", "/override/home/"),
            ("", "/override/", "/home/secondhome/", "/override/home/secondhome/"),
            ("", "/override", "/home", "/override/home"),
            ("", "/override", "/", "/override/"),
            ("", "/", "/home", "/home"),
            // A path rule.
            ("/pathrule*", "/override/", "/pathrule/home/", "/override/home/"),
            ("/pathrule*", "/override/", "/PathRule/Home/", "/override/Home/"),
            ("/pathrule*", "/override/", "/pathrule", "/override/"),
            ("/pathrule*", "/override", "/pathruleX", "/override/X"),
            ("/pathrule/*", "/override/", "/pathrule/home", "/override/home"),
            ("/pathrule/*", "/override", "/pathrule/home", "/override/home"),
            ("/pathrule/home*", "/override/", "/pathrule/home/x/", "/override/x/"),
            ("/pathrule/", "/override/", "/pathrule/", "/override/"),
            ("/pathrule", "/override", "/pathrule", "/override"),
            ("/*", "/override", "/a/b", "/override/a/b"),
            // As the client wrote it.
            ("/a*", "/b", "/a/%2e%2E//x", "/b/%2e%2E//x"),
        ] {
            let pattern = PathPattern::application_gateway(pattern);
            let patterns: Vec<PathPattern> = pattern.into_iter().collect();
            let found = PathOverride::new(own).unwrap().apply(path, &patterns);
            assert_eq!(found.as_deref(), Some(expected), "{patterns:?} {own} {path}");
        }
        assert_eq!(PathOverride::new("/a").unwrap().apply("*", &[]), None);
    }

    #[test]
    fn wrong_overrides_say_why() {
        for (text, why) in
            [("", "begin with /"), ("a/", "begin with /"), ("/a?b", "'?'"), ("/a b", "' '")]
        {
            let error = PathOverride::new(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }
}
