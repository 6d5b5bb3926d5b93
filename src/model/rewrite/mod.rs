//! What is changed in requests on their way to a member, and in its responses on their way back.
//!
//! ```text
//! RewriteSet -> RewriteRule -> conditions: Variable, Pattern
//!                          \-> actions: FieldName, Template -> Variable
//! ```
//! What is wrong with an action is said by the constructors here; that it fits into its rule is
//! checked by the rule that takes it.

mod pattern;
mod template;
mod variable;

pub use pattern::{Pattern, PatternError};
pub use template::{Part, Scope, Template, TemplateError};
pub use variable::{FieldName, FieldNameError, ServerVariable, Variable, VariableError};

use thiserror::Error;

/// Rules that are applied one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct RewriteSet {
    /// Its name, unique in the gateway.
    pub name: Box<str>,
    /// In the order in which they are applied.
    pub rules: Vec<RewriteRule>,
}

/// Changes that are made if all conditions hold.
#[derive(Clone, Debug, PartialEq)]
pub struct RewriteRule {
    name: Box<str>,
    conditions: Vec<Condition>,
    request: Vec<HeaderAction>,
    response: Vec<HeaderAction>,
    url: Option<UrlAction>,
}

/// Holds if the pattern is found in the value, or with `negate` if it is not.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// What is looked at; what is not there is empty.
    pub variable: Variable,
    /// What is looked for.
    pub pattern: Pattern,
    /// Whether it must not be found.
    pub negate: bool,
}

/// Sets or deletes a header.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderAction {
    /// The header; all lines of it become one.
    pub name: FieldName,
    /// What it becomes; deleted if that is empty.
    pub value: Template,
    /// Only the lines that are like this change, each by itself.
    pub matcher: Option<Matcher>,
}

/// Which of several `Set-Cookie` lines are meant.
#[derive(Clone, Debug, PartialEq)]
pub struct Matcher {
    /// What is looked for in a line.
    pub pattern: Pattern,
    /// Whether it must not be found.
    pub negate: bool,
}

/// Changes the path or query.
#[derive(Clone, Debug, PartialEq)]
pub struct UrlAction {
    /// The new path; `None` for the one that is there.
    pub path: Option<Template>,
    /// The new query, without `?`; `None` for the one that is there. An empty one leaves none.
    pub query: Option<Template>,
    /// Whether the path map is looked at again.
    pub reroute: bool,
}

/// Not a change that can be made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ActionError {
    /// Not a header.
    #[error(transparent)]
    Name(#[from] FieldNameError),
    /// Not a value.
    #[error(transparent)]
    Value(#[from] TemplateError),
    /// The gateway needs it for the connection or for the length of messages.
    #[error("{0} cannot be rewritten: connections and the length of messages depend on it")]
    Framing(FieldName),
    /// The two ends of a WebSocket would not agree on it.
    #[error("{0} cannot be rewritten: a WebSocket's two ends agree by it")]
    Handshake(FieldName),
    /// There is no request without one.
    #[error("host cannot be deleted: every request has one")]
    Host,
    /// Only one header comes in several lines that cannot be joined.
    #[error("headerValueMatcher is for Set-Cookie in responses alone")]
    Matcher,
    /// A request cannot wait for its response.
    #[error("a condition of this rule is on the response: it cannot decide about the request")]
    OfResponse,
    /// Not a path.
    #[error("modifiedPath has to begin with / or a variable, and has no ? or #")]
    Path,
    /// Not a query.
    #[error("modifiedQueryString is written without its ?, and has no #")]
    Query,
}

/// Fields that concern one connection, or say where a message ends.
const FRAMING: [&str; 9] = [
    "connection",
    "upgrade",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "content-length",
    "expect",
];

impl RewriteRule {
    /// A rule that changes nothing yet.
    pub fn new(name: &str, conditions: Vec<Condition>) -> Self {
        let name = name.into();
        Self { name, conditions, request: Vec::new(), response: Vec::new(), url: None }
    }

    /// Sets a header of requests; deletes it if the value is empty.
    ///
    /// # Errors
    /// If that header cannot be rewritten, or the value is not right.
    pub fn rewrite_request(&mut self, name: &str, value: &str) -> Result<(), ActionError> {
        self.is_of_request()?;
        let name = rewritable(name)?;
        if matches!(
            name.as_str(),
            "sec-websocket-key" | "sec-websocket-accept" | "sec-websocket-version"
        ) {
            return Err(ActionError::Handshake(name));
        }
        let value = self.template(value, None, false)?;
        if value.is_empty() && name.as_str() == "host" {
            return Err(ActionError::Host);
        }
        self.request.push(HeaderAction { name, value, matcher: None });
        Ok(())
    }

    /// Sets a header of responses; deletes it if the value is empty.
    ///
    /// # Errors
    /// If that header cannot be rewritten, the value is not right, or there is a matcher and the
    /// header is not `Set-Cookie`.
    pub fn rewrite_response(
        &mut self,
        name: &str,
        value: &str,
        matcher: Option<Matcher>,
    ) -> Result<(), ActionError> {
        let name = rewritable(name)?;
        if name.as_str().starts_with("sec-websocket-") {
            return Err(ActionError::Handshake(name));
        }
        if matcher.is_some() && name.as_str() != "set-cookie" {
            return Err(ActionError::Matcher);
        }
        let captures = matcher.as_ref().filter(|its| !its.negate).map(|its| &its.pattern);
        let value = self.template(value, captures, true)?;
        self.response.push(HeaderAction { name, value, matcher });
        Ok(())
    }

    /// Changes the path, the query or both.
    ///
    /// # Errors
    /// If one of them is not right.
    pub fn rewrite_url(
        &mut self,
        path: Option<&str>,
        query: Option<&str>,
        reroute: bool,
    ) -> Result<(), ActionError> {
        self.is_of_request()?;
        let path = path.map(|path| self.template(path, None, false)).transpose()?;
        let query = query.map(|query| self.template(query, None, false)).transpose()?;
        let has = |template: &Option<Template>, odd: &[char]| {
            let mut parts = template.iter().flat_map(|its| its.parts());
            parts.any(|part| matches!(part, Part::Text(text) if text.contains(odd)))
        };
        let first = path.as_ref().map(|path| path.parts().first());
        let begins = match first {
            Some(Some(Part::Text(text))) => text.starts_with('/'),
            Some(Some(_)) | None => true,
            Some(None) => false,
        };
        if !begins || has(&path, &['?', '#']) {
            return Err(ActionError::Path);
        }
        let asks = query.as_ref().and_then(|query| query.parts().first());
        let asks = matches!(asks, Some(Part::Text(text)) if text.starts_with('?'));
        if asks || has(&query, &['#']) {
            return Err(ActionError::Query);
        }
        self.url = Some(UrlAction { path, query, reroute });
        Ok(())
    }

    fn is_of_request(&self) -> Result<(), ActionError> {
        match self.conditions.iter().any(|its| its.variable.is_of_response()) {
            true => Err(ActionError::OfResponse),
            false => Ok(()),
        }
    }

    fn template(
        &self,
        text: &str,
        matcher: Option<&Pattern>,
        of_response: bool,
    ) -> Result<Template, TemplateError> {
        let scope = Scope { conditions: &self.conditions, matcher, of_response };
        Template::parse(text, scope)
    }

    /// Its name, unique in its set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All of them have to hold.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// What becomes of the request's headers.
    pub fn request(&self) -> &[HeaderAction] {
        &self.request
    }

    /// What becomes of the response's headers.
    pub fn response(&self) -> &[HeaderAction] {
        &self.response
    }

    /// What becomes of path and query.
    pub fn url(&self) -> Option<&UrlAction> {
        self.url.as_ref()
    }

    /// Whether the path map may be looked at again.
    pub fn reroutes(&self) -> bool {
        self.url.as_ref().is_some_and(|url| url.reroute)
    }
}

impl RewriteSet {
    /// Whether the path map may be looked at again.
    pub fn reroutes(&self) -> bool {
        self.rules.iter().any(RewriteRule::reroutes)
    }
}

/// A header that may be rewritten.
fn rewritable(name: &str) -> Result<FieldName, ActionError> {
    let name = FieldName::new(name)?;
    match FRAMING.contains(&name.as_str()) {
        true => Err(ActionError::Framing(name)),
        false => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(variable: &str) -> RewriteRule {
        let variable = Variable::parse(variable).unwrap();
        let pattern = Pattern::new("(.*)", false).unwrap();
        RewriteRule::new("r", vec![Condition { variable, pattern, negate: false }])
    }

    #[test]
    fn what_the_gateway_needs_cannot_be_rewritten() {
        for name in ["Connection", "Upgrade", "Transfer-Encoding", "content-length", "Keep-Alive"] {
            let error = rule("var_host").rewrite_request(name, "x").unwrap_err();
            assert!(matches!(error, ActionError::Framing(_)), "{name}: {error}");
            let error = rule("var_host").rewrite_response(name, "x", None).unwrap_err();
            assert!(matches!(error, ActionError::Framing(_)), "{name}: {error}");
        }
        let accept = rule("var_host").rewrite_response("Sec-WebSocket-Accept", "x", None);
        assert!(matches!(accept, Err(ActionError::Handshake(_))));
        let key = rule("var_host").rewrite_request("Sec-WebSocket-Key", "x");
        assert!(matches!(key, Err(ActionError::Handshake(_))));
        assert_eq!(rule("var_host").rewrite_request("Host", ""), Err(ActionError::Host));
        assert_eq!(rule("var_host").rewrite_request("Host", "{var_host_1}"), Ok(()));
    }

    #[test]
    fn a_response_decides_nothing_about_its_request() {
        for variable in ["http_resp_X", "var_http_status"] {
            let mut rule = rule(variable);
            assert_eq!(rule.rewrite_request("x", "y"), Err(ActionError::OfResponse));
            assert_eq!(rule.rewrite_url(Some("/"), None, false), Err(ActionError::OfResponse));
            assert_eq!(rule.rewrite_response("x", "y", None), Ok(()));
        }
    }

    #[test]
    fn matchers_are_for_cookies_that_are_set() {
        let matcher =
            |negate| Some(Matcher { pattern: Pattern::new("(a)", false).unwrap(), negate });
        let value = "{capt_header_value_matcher_1}; Secure";
        let mut rule = rule("var_host");
        assert_eq!(rule.rewrite_response("Set-Cookie", value, matcher(false)), Ok(()));
        assert_eq!(rule.rewrite_response("X", "y", matcher(false)), Err(ActionError::Matcher));
        assert!(rule.rewrite_response("Set-Cookie", value, matcher(true)).is_err());
    }

    #[test]
    fn paths_and_queries_are_checked() {
        for (path, query, expected) in [
            (Some("/x/{var_host_1}"), None, Ok(())),
            (Some("{var_uri_path}"), Some(""), Ok(())),
            (None, Some("a=b&c={var_host_1}?"), Ok(())),
            (Some("x"), None, Err(ActionError::Path)),
            (Some(""), None, Err(ActionError::Path)),
            (Some("/x?y"), None, Err(ActionError::Path)),
            (Some("/x#y"), None, Err(ActionError::Path)),
            (None, Some("?a"), Err(ActionError::Query)),
            (None, Some("a#b"), Err(ActionError::Query)),
        ] {
            let done = rule("var_host").rewrite_url(path, query, false);
            assert_eq!(done, expected, "{path:?} {query:?}");
        }
    }
}
