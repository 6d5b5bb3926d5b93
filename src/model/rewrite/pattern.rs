//! Patterns, compiled: matching takes time in proportion to what is looked at, whatever the pattern.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};
use thiserror::Error;

/// The longest pattern, in bytes.
const LONGEST: usize = 2048;

/// The largest compiled pattern, in bytes: `(a{1000}){1000}` is short and is not small.
const LARGEST: usize = 256 * 1024;

/// A regular expression over the bytes of a value.
#[derive(Clone)]
pub struct Pattern {
    ignores_case: bool,
    regex: Regex,
}

/// Not a pattern that is used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PatternError {
    /// Too much to read.
    #[error("the pattern has {0} bytes, at most {LONGEST} are allowed")]
    TooLong(usize),
    /// Too much when it is compiled.
    #[error("the pattern is too large when it is compiled: make its repetitions smaller")]
    TooLarge,
    /// Wrong.
    #[error("the pattern is not right: {0}")]
    Syntax(Box<str>),
}

impl Pattern {
    /// Compiles a pattern. Letters of another case are the same with `ignores_case`.
    ///
    /// # Errors
    /// If it is not a regular expression, or too long or large.
    pub fn new(text: &str, ignores_case: bool) -> Result<Self, PatternError> {
        if text.len() > LONGEST {
            return Err(PatternError::TooLong(text.len()));
        }
        let regex = RegexBuilder::new(text)
            // As in RE2, \d, \w and \s are of ASCII.
            .unicode(false)
            .case_insensitive(ignores_case)
            .size_limit(LARGEST)
            .dfa_size_limit(LARGEST)
            .build()
            .map_err(|error| why(&error))?;
        Ok(Self { ignores_case, regex })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        self.regex.as_str()
    }

    /// The groups in parentheses that it captures.
    pub fn groups(&self) -> usize {
        self.regex.captures_len() - 1
    }

    /// The compiled pattern.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }
}

/// The library draws a picture of several lines; the last one says what is wrong.
fn why(error: &regex::Error) -> PatternError {
    match error {
        regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            PatternError::Syntax(last.strip_prefix("error: ").unwrap_or(last).into())
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.ignores_case == other.ignores_case && self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?}, ignores case: {})", self.as_str(), self.ignores_case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_searched_for_and_know_their_groups() {
        let pattern = Pattern::new(r"^/a/(\d+)(x)?$", false).unwrap();
        assert_eq!(pattern.groups(), 2);
        assert!(pattern.regex().is_match(b"/a/12"));
        assert!(!pattern.regex().is_match(b"/A/12"));
        assert!(Pattern::new("^/a", true).unwrap().regex().is_match(b"/A/12"));
        assert!(Pattern::new("b", false).unwrap().regex().is_match(b"abc\xff"));
    }

    #[test]
    fn wrong_patterns_say_why_in_one_line() {
        for (text, why) in [
            ("a(b".to_owned(), "unclosed group"),
            ("a(?=b)".to_owned(), "look-around"),
            (r"(a)\1".to_owned(), "backreferences"),
            ("(a{1000}){1000}".to_owned(), "too large"),
            ("x".repeat(3000), "3000 bytes"),
        ] {
            let error = Pattern::new(&text, false).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains('\n'), "{error}");
        }
    }
}
