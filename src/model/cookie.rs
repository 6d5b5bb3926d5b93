//! Names of cookies.

use std::fmt;

use thiserror::Error;

/// The name of a cookie: a token (RFC 6265 4.1.1, RFC 9110 5.6.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CookieName(Box<str>);

/// Why a text is no name of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CookieNameError {
    /// There is nothing.
    #[error("a cookie has to have a name")]
    Empty,
    /// It has more than [`CookieName::LONGEST`] bytes.
    #[error("it has more than {} characters", CookieName::LONGEST)]
    TooLong,
    /// This cannot be in a token.
    #[error("{0:?} cannot stand in the name of a cookie")]
    Character(char),
}

impl CookieName {
    /// The most bytes of a name.
    pub const LONGEST: usize = 100;

    /// Checks a name.
    ///
    /// # Errors
    /// If it is empty, too long, or has a character that no token has.
    pub fn new(text: &str) -> Result<Self, CookieNameError> {
        if text.is_empty() {
            return Err(CookieNameError::Empty);
        }
        if text.len() > Self::LONGEST {
            return Err(CookieNameError::TooLong);
        }
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        match text.chars().find(|c| !is_token(*c)) {
            Some(other) => Err(CookieNameError::Character(other)),
            None => Ok(Self(text.into())),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for CookieName {
    /// What Application Gateway names it.
    fn default() -> Self {
        Self("ApplicationGatewayAffinity".into())
    }
}

impl fmt::Display for CookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_token_of_bounded_length() {
        for right in ["a", "ApplicationGatewayAffinity", "x-1_2.3~!"] {
            assert_eq!(CookieName::new(right).unwrap().as_str(), right);
        }
        for wrong in ["a b", "a=b", "a;", "\"a\"", "ä", "a,b", "a\n"] {
            assert!(matches!(CookieName::new(wrong), Err(CookieNameError::Character(_))));
        }
        assert_eq!(CookieName::new(""), Err(CookieNameError::Empty));
        assert!(CookieName::new(&"a".repeat(100)).is_ok());
        assert_eq!(CookieName::new(&"a".repeat(101)), Err(CookieNameError::TooLong));
    }
}
