//! From a set of the model to one that is applied.

use http::HeaderName;
use tidegate_model as model;
use tidegate_model::{Matcher, Part, ServerVariable, Template};

use crate::rewrite::value::{Piece, Source, Value};

/// A set of rules, ready to be applied.
#[derive(Debug)]
pub(crate) struct Rewrites {
    pub(super) rules: Box<[Rule]>,
    /// What connections have to note when they begin.
    pub(crate) notes: Notes,
    /// Whether the path map may be looked at again.
    pub(crate) reroutes: bool,
}

/// What is only known when a connection begins, and only noted where a rule asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// The time to the client and back.
    pub(crate) rtt: bool,
    /// The suites that the client offers.
    pub(crate) suites: bool,
}

impl Notes {
    /// What either asks for.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { rtt: self.rtt || other.rtt, suites: self.suites || other.suites }
    }
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) conditions: Box<[Condition]>,
    pub(super) request: Box<[Change]>,
    pub(super) url: Option<UrlChange>,
    pub(super) response: Box<[Change]>,
    /// What the response part needs of the request.
    pub(super) held: Box<[Piece]>,
}

/// A condition, and whether anything needs what its groups capture.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) source: Source,
    pub(super) pattern: model::Pattern,
    pub(super) negate: bool,
    pub(super) captures: bool,
    pub(super) of_response: bool,
}

/// Sets or deletes a header.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) name: HeaderName,
    pub(super) value: Value,
    pub(super) matcher: Option<Matcher>,
}

/// Changes path or query.
#[derive(Debug)]
pub(super) struct UrlChange {
    pub(super) path: Option<Value>,
    pub(super) query: Option<Value>,
    pub(super) reroute: bool,
}

impl Rewrites {
    pub(crate) fn new(model: &model::RewriteSet) -> Self {
        let rules: Box<[Rule]> = model.rules.iter().map(rule).collect();
        let notes =
            model.rules.iter().flat_map(variables).fold(Notes::default(), |notes, its| match its {
                model::Variable::Server(ServerVariable::ClientTcpRtt) => {
                    Notes { rtt: true, ..notes }
                }
                model::Variable::Server(ServerVariable::CiphersSupported) => {
                    Notes { suites: true, ..notes }
                }
                _ => notes,
            });
        Self { reroutes: model.reroutes(), rules, notes }
    }
}

/// Every variable that a rule looks at.
fn variables(rule: &model::RewriteRule) -> impl Iterator<Item = &model::Variable> {
    let of_url = rule.url().into_iter().flat_map(|url| [&url.path, &url.query]).flatten();
    let of_headers = rule.request().iter().chain(rule.response()).map(|its| &its.value);
    let named = of_url.chain(of_headers).flat_map(Template::parts).filter_map(|part| match part {
        Part::Value(variable) => Some(variable),
        Part::Text(_) | Part::Group { .. } | Part::Matched(_) => None,
    });
    rule.conditions().iter().map(|its| &its.variable).chain(named)
}

fn rule(model: &model::RewriteRule) -> Rule {
    let templates = model.request().iter().chain(model.response()).map(|its| &its.value);
    let of_url = model.url().into_iter().flat_map(|url| [&url.path, &url.query]).flatten();
    let captured: Vec<usize> = templates
        .chain(of_url)
        .flat_map(Template::parts)
        .filter_map(|part| match part {
            Part::Group { condition, .. } => Some(*condition),
            Part::Text(_) | Part::Value(_) | Part::Matched(_) => None,
        })
        .collect();
    let conditions = model.conditions().iter().enumerate().map(|(index, its)| Condition {
        source: Source::of(&its.variable),
        pattern: its.pattern.clone(),
        negate: its.negate,
        captures: captured.contains(&index),
        of_response: its.variable.is_of_response(),
    });
    let conditions: Box<[Condition]> = conditions.collect();
    let mut held = Vec::new();
    let response = model.response().iter().filter_map(|action| {
        let mut change = change(action)?;
        change.value.hold(&conditions, &mut held);
        Some(change)
    });
    let response: Box<[Change]> = response.collect();
    Rule {
        request: model.request().iter().filter_map(change).collect(),
        url: model.url().map(|url| UrlChange {
            path: url.path.as_ref().map(Value::of),
            query: url.query.as_ref().map(Value::of),
            reroute: url.reroute,
        }),
        response,
        held: held.into(),
        conditions,
    }
}

/// The model has checked the name: one that is refused here has no effect.
fn change(action: &model::HeaderAction) -> Option<Change> {
    Some(Change {
        name: HeaderName::try_from(action.name.as_str()).ok()?,
        value: Value::of(&action.value),
        matcher: action.matcher.clone(),
    })
}
