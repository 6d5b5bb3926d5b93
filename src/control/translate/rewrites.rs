//! Sets of rules that rewrite requests and responses.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_model::{
    Condition, Matcher, Pattern, PatternError, RewriteRule, RewriteSet, Variable,
};

use crate::api;
use crate::translate::findings::Findings;
use crate::translate::gateway::{Context, Names, Parts, duplicates, names};

/// Conditions, and actions, that the rules of one set may have together.
const MOST: usize = 40;
/// Sets that a gateway may have.
const MOST_SETS: usize = 400;

/// Patterns that the last translation compiled, and this one: compiling takes longer than all else,
/// and most translations are for other reasons.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    last: HashMap<(Box<str>, bool), Result<Pattern, PatternError>>,
    now: HashMap<(Box<str>, bool), Result<Pattern, PatternError>>,
}

impl Patterns {
    fn get(&mut self, text: &str, ignores_case: bool) -> Result<Pattern, PatternError> {
        let key = (Box::from(text), ignores_case);
        if let Some(known) = self.now.get(&key) {
            return known.clone();
        }
        let compile = || Pattern::new(text, ignores_case);
        let pattern = self.last.remove(&key).unwrap_or_else(compile);
        self.now.insert(key, pattern.clone());
        pattern
    }

    /// This translation is the last one from now on.
    pub(super) fn turn(&mut self) {
        self.last = std::mem::take(&mut self.now);
    }
}

/// The sets of one gateway.
pub(super) struct RewriteSets<'a> {
    names: Names<'a>,
    /// `None` where they cannot be used.
    all: Vec<Option<Arc<RewriteSet>>>,
}

impl<'a> RewriteSets<'a> {
    pub(super) fn of(context: &Context<'a>, parts: &mut Parts, findings: &mut Findings) -> Self {
        let sets = &context.spec.rewrite_rule_sets;
        duplicates(sets, |set| &set.name, "rewriteRuleSets", findings);
        if sets.len() > MOST_SETS {
            findings.refuse(
                "spec.rewriteRuleSets",
                format!("at most {MOST_SETS} sets are allowed: those after them are left out"),
            );
        }
        let all = sets.iter().enumerate().map(|(index, source)| {
            if index >= MOST_SETS {
                return None;
            }
            let mut reader = Reader { patterns: &mut parts.patterns, findings, usable: true };
            let set = reader.set(source, &format!("spec.rewriteRuleSets[{index}]"))?;
            Some(parts.rewrites.share(set.name.clone(), set))
        });
        Self { all: all.collect(), names: names(sets, |set| &set.name) }
    }

    /// The set that a rule names at `path`; `Err` if it cannot be used.
    pub(super) fn named(
        &self,
        name: Option<&str>,
        path: &str,
        findings: &mut Findings,
    ) -> Result<Option<Arc<RewriteSet>>, ()> {
        let Some(name) = name else { return Ok(None) };
        let Some(place) = self.names.get(name) else {
            findings.unresolved(path, format!("there is no {name:?} in rewriteRuleSets"));
            return Err(());
        };
        let Some(set) = &self.all[*place] else {
            findings.refuse(path, format!("{name:?} cannot be used: see its own problems"));
            return Err(());
        };
        Ok(Some(set.clone()))
    }
}

struct Reader<'a> {
    patterns: &'a mut Patterns,
    findings: &'a mut Findings,
    usable: bool,
}

impl Reader<'_> {
    fn refuse(&mut self, path: String, why: String) {
        self.usable = false;
        self.findings.refuse(path, why);
    }

    fn set(&mut self, source: &api::RewriteRuleSet, path: &str) -> Option<RewriteSet> {
        let rules = &source.rewrite_rules;
        let conditions: usize = rules.iter().map(|rule| rule.conditions.len()).sum();
        let actions: usize = rules.iter().map(|rule| actions(&rule.action_set)).sum();
        for (what, count) in [("conditions", conditions), ("actions", actions)] {
            if count > MOST {
                let path = format!("{path}.rewriteRules");
                self.refuse(path, format!("a set has at most {MOST} {what}; these are {count}"));
            }
        }
        let mut made = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            let path = format!("{path}.rewriteRules[{index}]");
            if let Some(other) = rules[..index].iter().position(|its| its.name == rule.name) {
                let why = format!("{:?} is already the name of rewriteRules[{other}]", rule.name);
                self.refuse(format!("{path}.name"), why);
            }
            made.push((rule.rule_sequence, self.rule(rule, &path)));
        }
        made.sort_by_key(|(sequence, _)| *sequence);
        let rules = made.into_iter().map(|(_, rule)| rule).collect();
        self.usable.then(|| RewriteSet { name: source.name.as_str().into(), rules })
    }

    fn rule(&mut self, source: &api::RewriteRule, path: &str) -> RewriteRule {
        let mut conditions = Vec::with_capacity(source.conditions.len());
        for (index, its) in source.conditions.iter().enumerate() {
            let path = format!("{path}.conditions[{index}]");
            let variable = Variable::parse(&its.variable);
            let variable = variable
                .map_err(|error| self.refuse(format!("{path}.variable"), error.to_string()));
            let pattern = self.pattern(&its.pattern, its.ignore_case, &path);
            if let (Ok(variable), Some(pattern)) = (variable, pattern) {
                conditions.push(Condition { variable, pattern, negate: its.negate });
            }
        }
        let are_right = conditions.len() == source.conditions.len();
        let mut rule = RewriteRule::new(&source.name, conditions);
        // Without one of its conditions, nothing true can be said of what refers to them.
        if are_right {
            self.actions(&source.action_set, &mut rule, &format!("{path}.actionSet"));
        }
        rule
    }

    fn actions(&mut self, source: &api::RewriteActionSet, rule: &mut RewriteRule, path: &str) {
        for (index, its) in source.request_header_configurations.iter().enumerate() {
            let path = format!("{path}.requestHeaderConfigurations[{index}]");
            if its.header_value_matcher.is_some() {
                let why = "it is for Set-Cookie in responses alone".to_owned();
                self.refuse(format!("{path}.headerValueMatcher"), why);
            }
            if let Err(error) = rule.rewrite_request(&its.header_name, &its.header_value) {
                self.refuse(path, error.to_string());
            }
        }
        for (index, its) in source.response_header_configurations.iter().enumerate() {
            let path = format!("{path}.responseHeaderConfigurations[{index}]");
            let matcher = match &its.header_value_matcher {
                None => None,
                Some(matcher) => {
                    let path = format!("{path}.headerValueMatcher");
                    let pattern = self.pattern(&matcher.pattern, matcher.ignore_case, &path);
                    let Some(pattern) = pattern else { continue };
                    Some(Matcher { pattern, negate: matcher.negate })
                }
            };
            let done = rule.rewrite_response(&its.header_name, &its.header_value, matcher);
            if let Err(error) = done {
                self.refuse(path, error.to_string());
            }
        }
        if let Some(url) = &source.url_configuration {
            let path = format!("{path}.urlConfiguration");
            // Exported templates have an empty path where only the query changes.
            let new_path = url.modified_path.as_deref().filter(|path| !path.is_empty());
            let query = url.modified_query_string.as_deref();
            if new_path.is_none() && query.is_none() {
                self.findings.warn(&path, "it changes neither path nor query");
            }
            if let Err(error) = rule.rewrite_url(new_path, query, url.reroute) {
                self.refuse(path, error.to_string());
            }
        }
        if actions(source) == 0 {
            self.findings.warn(path, "there is nothing in it: the rule changes nothing");
        }
    }

    fn pattern(&mut self, text: &str, ignores_case: bool, path: &str) -> Option<Pattern> {
        let pattern = self.patterns.get(text, ignores_case);
        let refused = |error: PatternError| {
            self.refuse(format!("{path}.pattern"), format!("{text:?}: {error}"));
        };
        pattern.map_err(refused).ok()
    }
}

fn actions(set: &api::RewriteActionSet) -> usize {
    set.request_header_configurations.len()
        + set.response_header_configurations.len()
        + usize::from(set.url_configuration.is_some())
}
