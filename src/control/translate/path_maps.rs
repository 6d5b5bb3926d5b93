//! Path maps: patterns, and what their path rules and defaults lead to. A path rule that is wrong
//! is refused alone: it keeps the paths that it has a right to, and answers 502.

use std::sync::Arc;

use tidegate_model::{Handling, PathMap, PathPattern, PathRule};

use crate::api::{self, UrlPathMap};
use crate::translate::destination::{Destinations, Said};
use crate::translate::findings::Findings;
use crate::translate::gateway::{Parts, duplicates, names};

/// What Application Gateway takes of path rules in a map.
const MOST_RULES: usize = 100;

/// All maps, by place. A map that is wrong is there all the same, and refuses what is wrong of it.
pub(super) fn path_maps(
    destinations: &Destinations<'_, '_>,
    parts: &mut Parts,
    findings: &mut Findings,
) -> Vec<Arc<PathMap>> {
    let spec = destinations.context.spec;
    duplicates(&spec.url_path_maps, |map| &map.name, "urlPathMaps", findings);
    let mut maps = Vec::with_capacity(spec.url_path_maps.len());
    for (index, source) in spec.url_path_maps.iter().enumerate() {
        let path = format!("spec.urlPathMaps[{index}]");
        if !spec.request_routing_rules.iter().any(|r| r.url_path_map.as_ref() == Some(&source.name))
        {
            findings.warn(&path, "no rule names this map: it has no effect");
        }
        let map = path_map(destinations, source, &path, parts, findings);
        maps.push(parts.path_maps.share(source.name.as_str().into(), map));
    }
    maps
}

fn path_map(
    destinations: &Destinations<'_, '_>,
    source: &UrlPathMap,
    path: &str,
    parts: &mut Parts,
    findings: &mut Findings,
) -> PathMap {
    let default = destinations.handling(&Said::by_default(path, source), parts, findings);
    let first = names(&source.path_rules, |rule| &rule.name);
    let mut rules: Vec<PathRule> = Vec::with_capacity(source.path_rules.len());
    for (index, rule) in source.path_rules.iter().enumerate() {
        let path = format!("{path}.pathRules[{index}]");
        let mut handling =
            destinations.handling(&Said::by_path_rule(&path, &source.name, rule), parts, findings);
        let (patterns, are_right) = patterns(rule, &path, findings);
        let other = first.get(rule.name.as_str()).copied().filter(|other| *other != index);
        if let Some(other) = other {
            let why = format!("{:?} is already the name of pathRules[{other}]", rule.name);
            findings.refuse(format!("{path}.name"), why);
        }
        if index >= MOST_RULES {
            findings.refuse(&path, format!("a map has at most {MOST_RULES} path rules"));
        }
        if !are_right || other.is_some() || index >= MOST_RULES {
            handling = Handling::refused();
        }
        warn_if_hidden(&patterns, &rules, &path, findings);
        let name = format!("{}/{}", source.name, rule.name).into();
        rules.push(PathRule { name, patterns, handling });
    }
    refuse_if_endless(PathMap { rules, default }, path, findings)
}

/// Refuses the path rules of a map in which every request would have it looked at again.
fn refuse_if_endless(map: PathMap, path: &str, findings: &mut Findings) -> PathMap {
    let reroutes = |its: &Handling| its.rewrites.as_ref().is_some_and(|set| set.reroutes());
    if !(map.rules.iter().all(|rule| reroutes(&rule.handling)) && reroutes(&map.default)) {
        return map;
    }
    let why = "the rewrite rules of all its path rules and of its default reroute: requests might \
               never come to an end. Let one of them be without";
    findings.refuse(path, why);
    let refused = |rule| PathRule { handling: Handling::refused(), ..rule };
    PathMap { rules: map.rules.into_iter().map(refused).collect(), default: Handling::refused() }
}

/// The patterns that are right, and whether all of them are.
fn patterns(rule: &api::PathRule, path: &str, findings: &mut Findings) -> (Vec<PathPattern>, bool) {
    let mut patterns = Vec::with_capacity(rule.paths.len());
    let mut are_right = true;
    if rule.paths.is_empty() {
        findings.refuse(format!("{path}.paths"), "a path rule needs at least one path");
        are_right = false;
    }
    for (index, text) in rule.paths.iter().enumerate() {
        match PathPattern::application_gateway(text) {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => {
                findings.refuse(format!("{path}.paths[{index}]"), format!("{text:?}: {error}"));
                are_right = false;
            }
        }
    }
    (patterns, are_right)
}

/// Tells of a path rule that rules before it leave nothing to.
fn warn_if_hidden(
    patterns: &[PathPattern],
    before: &[PathRule],
    path: &str,
    findings: &mut Findings,
) {
    let hider = |pattern: &PathPattern| {
        before.iter().find(|rule| rule.patterns.iter().any(|its| its.includes(pattern)))
    };
    let mut hiders: Vec<&str> = Vec::new();
    for pattern in patterns {
        let Some(hider) = hider(pattern) else { return };
        let name = hider.name.rsplit('/').next().unwrap_or_default();
        if !hiders.contains(&name) {
            hiders.push(name);
        }
    }
    if !hiders.is_empty() {
        let why = format!(
            "no request reaches it: the first path rule that fits takes a request, and {} before it \
             takes all of its paths",
            hiders.join(", ")
        );
        findings.warn(path, why);
    }
}
