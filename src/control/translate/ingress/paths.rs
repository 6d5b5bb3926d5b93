//! Paths of an Ingress as patterns, and the order in which they are tried.

use std::cmp::Reverse;

use tidegate_model::{PathMatch, PathPattern};

use crate::resources::IngressPath;
use crate::translate::findings::Findings;

/// The pattern of a path; `None` if there is no such path.
///
/// `ImplementationSpecific` is a prefix by elements, but for the `*` at its end that Application
/// Gateway's users write: then it is every path that begins so.
pub(super) fn pattern(
    source: &IngressPath,
    path: &str,
    findings: &mut Findings,
) -> Option<PathPattern> {
    let text = source.path.as_str();
    let (matching, text) = match source.path_type.as_str() {
        "Exact" => (PathMatch::Exact, text),
        "Prefix" => {
            if text.ends_with('*') {
                let why = "with pathType Prefix a * stands for itself; ImplementationSpecific \
                           takes it for anything";
                findings.warn(format!("{path}.path"), why);
            }
            (PathMatch::Prefix, text)
        }
        "ImplementationSpecific" => match text.strip_suffix('*') {
            Some(begin) => (PathMatch::Begins, begin),
            None => (PathMatch::Prefix, text),
        },
        other => {
            let why = format!("{other:?} is not Exact, Prefix or ImplementationSpecific");
            findings.refuse(format!("{path}.pathType"), why);
            return None;
        }
    };
    let text = if source.path.is_empty() { "/" } else { text };
    PathPattern::new(matching, text)
        .map_err(|error| {
            findings.refuse(format!("{path}.path"), format!("{:?}: {error}", source.path))
        })
        .ok()
}

/// Exact paths go first, then longer ones before shorter ones.
pub(super) fn precedence(pattern: &PathPattern) -> impl Ord + use<> {
    let exact = pattern.matching() == PathMatch::Exact;
    (!exact, Reverse(pattern.path().len()), pattern.matching())
}
