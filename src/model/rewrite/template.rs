//! Values that mix text with what a request or response has.

use thiserror::Error;

use super::{Condition, Pattern, Variable, VariableError};

/// The longest value as it is written, in bytes.
const LONGEST: usize = 8 * 1024;

/// A value. One without parts is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template(Vec<Part>);

/// A part of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// As it is written.
    Text(Box<str>),
    /// The whole value of a variable.
    Value(Variable),
    /// What a group of a condition captured.
    Group {
        /// The condition's place in its rule.
        condition: usize,
        /// 1 for the first group.
        group: usize,
    },
    /// What a group of the header's own matcher captured; 0 for the whole value.
    Matched(usize),
}

/// Not a value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TemplateError {
    /// Too much to read.
    #[error("the value has {0} bytes, at most {LONGEST} are allowed")]
    TooLong(usize),
    /// Such as a line break.
    #[error("{0:?} cannot stand in a value")]
    Character(char),
    /// Begins like a variable and never ends.
    #[error("{0:?} is not closed with a }}")]
    Open(Box<str>),
    /// Names what there is not.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// A group that nothing captures.
    #[error(
        "{{{0}}} needs a condition of the same rule on {1}, without negate, whose pattern has group {2}"
    )]
    NoGroup(Box<str>, Box<str>, usize),
    /// A group of a matcher that is not there.
    #[error("{{{0}}} needs a headerValueMatcher, without negate, whose pattern has the group")]
    NoMatcher(Box<str>),
    /// A request cannot wait for its response.
    #[error("{{{0}}} is of the response: it has no value when the request is rewritten")]
    OfResponse(Box<str>),
}

/// What the names in a value may refer to.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The conditions of its rule.
    pub conditions: &'a [Condition],
    /// The pattern of its matcher, unless that is negated.
    pub matcher: Option<&'a Pattern>,
    /// Whether there is a response yet.
    pub of_response: bool,
}

/// What a name in braces begins with; other braces are text.
const PREFIXES: [&str; 4] = ["http_req_", "http_resp_", "var_", MATCHER];
const MATCHER: &str = "capt_header_value_matcher";

impl Template {
    /// Reads a value.
    ///
    /// # Errors
    /// If it is too long, has characters that no header has, or names what there is not.
    pub fn parse(text: &str, scope: Scope<'_>) -> Result<Self, TemplateError> {
        if text.len() > LONGEST {
            return Err(TemplateError::TooLong(text.len()));
        }
        if let Some(odd) = text.chars().find(|c| c.is_ascii_control() && *c != '\t') {
            return Err(TemplateError::Character(odd));
        }
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find('{') {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            let inside = &from[1..];
            if !PREFIXES.iter().any(|prefix| inside.starts_with(prefix)) {
                literal.push('{');
                rest = inside;
                continue;
            }
            let Some((name, after)) = inside.split_once('}') else {
                return Err(TemplateError::Open(from.into()));
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
            }
            parts.push(part(name, scope)?);
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal.into()));
        }
        Ok(Self(parts))
    }

    /// Its parts, in order.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a name in braces means.
fn part(name: &str, scope: Scope<'_>) -> Result<Part, TemplateError> {
    if let Some(rest) = name.strip_prefix(MATCHER) {
        let group = match rest.strip_prefix('_') {
            None if rest.is_empty() => Some(0),
            None => None,
            Some(digits) => number(digits),
        };
        return match (group, scope.matcher) {
            (Some(group), Some(matcher)) if group <= matcher.groups() => Ok(Part::Matched(group)),
            _ => Err(TemplateError::NoMatcher(name.into())),
        };
    }
    let part = captured(name, scope)?;
    let is_of_response = match &part {
        Part::Value(variable) => variable.is_of_response(),
        Part::Group { condition, .. } => scope.conditions[*condition].variable.is_of_response(),
        Part::Text(_) | Part::Matched(_) => false,
    };
    if is_of_response && !scope.of_response {
        return Err(TemplateError::OfResponse(name.into()));
    }
    Ok(part)
}

/// A group if a condition captures it, else a variable. Of several conditions on one variable the
/// last one that has the group counts.
fn captured(name: &str, scope: Scope<'_>) -> Result<Part, TemplateError> {
    let split = name.rsplit_once('_').and_then(|(base, digits)| Some((base, number(digits)?)));
    let Some((base, group)) = split.filter(|(_, group)| *group > 0) else {
        return Ok(Part::Value(Variable::parse(name)?));
    };
    let Ok(variable) = Variable::parse(base) else {
        return Ok(Part::Value(Variable::parse(name)?));
    };
    let captures = |its: &Condition| its.variable == variable && !its.negate;
    let has = |its: &Condition| captures(its) && its.pattern.groups() >= group;
    if let Some(condition) = scope.conditions.iter().rposition(has) {
        return Ok(Part::Group { condition, group });
    }
    // Names of response headers and cookies may end like this themselves.
    let own = match &variable {
        Variable::ResponseHeader(_) | Variable::Cookie(_) => Variable::parse(name).ok(),
        Variable::RequestHeader(_) | Variable::Server(_) => None,
    };
    match own.filter(|_| !scope.conditions.iter().any(|its| its.variable == variable)) {
        Some(own) => Ok(Part::Value(own)),
        None => Err(TemplateError::NoGroup(name.into(), base.into(), group)),
    }
}

fn number(digits: &str) -> Option<usize> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ServerVariable;

    fn condition(variable: &str, pattern: &str, negate: bool) -> Condition {
        let variable = Variable::parse(variable).unwrap();
        Condition { variable, pattern: Pattern::new(pattern, false).unwrap(), negate }
    }

    fn parse(text: &str, of_response: bool) -> Result<Vec<Part>, TemplateError> {
        let conditions = [
            condition("var_uri_path", "^/(a)/(b)", false),
            condition("http_req_Host", "(x)", true),
            condition("http_resp_X", "(x)", false),
            condition("var_uri_path", "(c)", false),
        ];
        let matcher = Pattern::new("(a)=(b)", false).unwrap();
        let matcher = of_response.then_some(&matcher);
        let scope = Scope { conditions: &conditions, matcher, of_response };
        Template::parse(text, scope).map(|template| template.0)
    }

    #[test]
    fn values_mix_text_variables_and_groups() {
        let text = |text: &str| Part::Text(text.into());
        let value = |name: &str| Part::Value(Variable::parse(name).unwrap());
        for (source, expected) in [
            ("", vec![]),
            ("plain", vec![text("plain")]),
            ("{\"a\": {b}}", vec![text("{\"a\": {b}}")]),
            ("a {var_host}, b", vec![text("a "), value("var_host"), text(", b")]),
            ("{http_req_X-Y}{var_cookie_n}", vec![value("http_req_x-y"), value("var_cookie_n")]),
            ("{var_uri_path_2}", vec![Part::Group { condition: 0, group: 2 }]),
            ("{var_uri_path_1}", vec![Part::Group { condition: 3, group: 1 }]),
            ("{http_resp_X_1}", vec![Part::Group { condition: 2, group: 1 }]),
            ("{http_resp_Y_1}", vec![value("http_resp_y_1")]),
            ("{var_cookie_y_1}", vec![value("var_cookie_y_1")]),
            ("{capt_header_value_matcher_2}!", vec![Part::Matched(2), text("!")]),
            ("{capt_header_value_matcher}", vec![Part::Matched(0)]),
            ("{var_http_status}", vec![Part::Value(Variable::Server(ServerVariable::HttpStatus))]),
        ] {
            assert_eq!(parse(source, true), Ok(expected), "{source}");
        }
    }

    #[test]
    fn wrong_values_say_why() {
        for (source, of_response, why) in [
            ("{var_host", true, "not closed"),
            ("{var_nobody}", true, "no server variable"),
            ("a\nb", true, "cannot stand"),
            ("{var_uri_path_3}", true, "needs a condition"),
            ("{var_host_1}", true, "needs a condition of the same rule on var_host"),
            ("{http_req_Host_1}", true, "without negate"),
            ("{http_resp_X_2}", true, "group 2"),
            ("{capt_header_value_matcher_3}", true, "needs a headerValueMatcher"),
            ("{capt_header_value_matcher_1}", false, "needs a headerValueMatcher"),
            ("{http_resp_X}", false, "of the response"),
            ("{http_resp_X_1}", false, "of the response"),
            ("{var_http_status}", false, "of the response"),
        ] {
            let error = parse(source, of_response).unwrap_err().to_string();
            assert!(error.contains(why), "{source}: {error}");
        }
        assert!(parse(&"x".repeat(9000), true).is_err());
    }
}
