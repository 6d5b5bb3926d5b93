//! Rules: which listener's requests they are for, in which order, and what they do.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tidegate_model::{Action, PathMap, Priority, Rule};

use crate::api::{RequestRoutingRule, RuleType, UrlPathMap};
use crate::translate::destination::{Destinations, Said};
use crate::translate::findings::Findings;
use crate::translate::gateway::{Names, Parts, names};
use crate::translate::guard::guarded;
use crate::translate::path_maps::path_maps;

/// The rules of one gateway.
pub(super) struct Rules<'a, 'c, 'd> {
    destinations: &'d Destinations<'a, 'c>,
    path_maps: Vec<Arc<PathMap>>,
    path_map_names: Names<'a>,
}

impl<'a, 'c, 'd> Rules<'a, 'c, 'd> {
    pub(super) fn of(
        destinations: &'d Destinations<'a, 'c>,
        parts: &mut Parts,
        findings: &mut Findings,
    ) -> Self {
        let path_maps = path_maps(destinations, parts, findings);
        let path_map_names = names(&destinations.context.spec.url_path_maps, |map| &map.name);
        Self { destinations, path_maps, path_map_names }
    }

    /// The rule of each listener, by the listener's place: the first that names it.
    pub(super) fn by_listener(
        &self,
        listeners: &Names<'_>,
        findings: &mut Findings,
    ) -> HashMap<usize, usize> {
        let all = &self.destinations.context.spec.request_routing_rules;
        let mut rules: HashMap<usize, usize> = HashMap::new();
        let mut seen = HashSet::new();
        for (index, rule) in all.iter().enumerate() {
            // Of two with one name the second was refused.
            if !seen.insert(rule.name.as_str()) {
                continue;
            }
            let path = format!("spec.requestRoutingRules[{index}].httpListener");
            let Some(&listener) = listeners.get(rule.http_listener.as_str()) else {
                let why = format!("there is no {:?} in httpListeners", rule.http_listener);
                findings.unresolved(path, why);
                continue;
            };
            if let Some(first) = rules.get(&listener) {
                let first = &all[*first].name;
                let why = format!("{:?} already has the rule {first:?}", rule.http_listener);
                findings.refuse(path, why);
                continue;
            }
            rules.insert(listener, index);
        }
        rules
    }

    /// The rule at `index`; one that cannot work answers 502.
    pub(super) fn rule(&self, index: usize, parts: &mut Parts, findings: &mut Findings) -> Rule {
        let context = self.destinations.context;
        let source = &context.spec.request_routing_rules[index];
        let path = format!("spec.requestRoutingRules[{index}]");
        let priority = self.priority(index, source, &path, findings);
        let action = match source.rule_type {
            RuleType::Basic => self.basic(source, &path, parts, findings),
            RuleType::PathBasedRouting => self.path_based(source, &path, findings),
        };
        let (access, rate) = (source.access.as_ref(), source.rate_limit.as_ref());
        let place = format!("requestRoutingRules/{}", source.name);
        let guard = guarded(&place, access, rate, &path, findings);
        let is_right =
            guard.is_ok() && priority.is_ok() && !context.is_refused("requestRoutingRules", index);
        let action = action.filter(|_| is_right).unwrap_or_else(Action::refused);
        // Among rules with priorities one without must not go before them.
        let last = || Priority::try_from(20_000).ok();
        let priority = priority.unwrap_or_else(|()| last());
        let guards = guard.ok().flatten().into_iter().collect();
        Rule { name: source.name.as_str().into(), priority, guards, action }
    }

    fn priority(
        &self,
        index: usize,
        source: &RequestRoutingRule,
        path: &str,
        findings: &mut Findings,
    ) -> Result<Option<Priority>, ()> {
        let rules = &self.destinations.context.spec.request_routing_rules;
        let path = format!("{path}.priority");
        let Some(value) = source.priority else {
            if rules.iter().any(|rule| rule.priority.is_some()) {
                findings.refuse(path, "other rules have a priority: all rules need one, or none");
                return Err(());
            }
            return Ok(None);
        };
        if let Some(other) = rules[..index].iter().find(|rule| rule.priority == Some(value)) {
            findings.refuse(path, format!("{value} is already the priority of {:?}", other.name));
            return Err(());
        }
        Priority::try_from(value)
            .map(Some)
            .map_err(|error| findings.refuse(path, error.to_string()))
    }

    fn basic(
        &self,
        source: &RequestRoutingRule,
        path: &str,
        parts: &mut Parts,
        findings: &mut Findings,
    ) -> Option<Action> {
        let handling = self.destinations.handling(&Said::by_rule(path, source), parts, findings);
        if source.url_path_map.is_some() {
            let why = "a Basic rule has no paths: ruleType PathBasedRouting goes with it";
            findings.refuse(format!("{path}.urlPathMap"), why);
            return None;
        }
        if self.leads_to(source.redirect_configuration.as_deref(), source).is_some() {
            let why = "it leads to the rule's own listener: clients would go round in circles";
            findings.refuse(format!("{path}.redirectConfiguration"), why);
            return None;
        }
        if handling.rewrites.as_ref().is_some_and(|set| set.reroutes()) {
            let why = "it has a rule with reroute: a Basic rule has no path map to look at again";
            findings.refuse(format!("{path}.rewriteRuleSet"), why);
            return None;
        }
        Some(Action::Always(handling))
    }

    fn path_based(
        &self,
        source: &RequestRoutingRule,
        path: &str,
        findings: &mut Findings,
    ) -> Option<Action> {
        let mut is_right = true;
        for (is_set, field) in [
            (source.backend_address_pool.is_some(), "backendAddressPool"),
            (source.backend_http_settings.is_some(), "backendHttpSettings"),
            (source.redirect_configuration.is_some(), "redirectConfiguration"),
            (source.rewrite_rule_set.is_some(), "rewriteRuleSet"),
            (source.load_distribution_policy.is_some(), "loadDistributionPolicy"),
        ] {
            if is_set {
                let why = "with PathBasedRouting it belongs into the path map";
                findings.refuse(format!("{path}.{field}"), why);
                is_right = false;
            }
        }
        let field = format!("{path}.urlPathMap");
        let Some(name) = &source.url_path_map else {
            findings.refuse(field, "PathBasedRouting needs it");
            return None;
        };
        let Some(&place) = self.path_map_names.get(name.as_str()) else {
            findings.unresolved(field, format!("there is no {name:?} in urlPathMaps"));
            return None;
        };
        let map = &self.path_maps[place];
        let sources = &self.destinations.context.spec.url_path_maps[place];
        self.warn_of_circles(source, sources, map, &field, findings);
        is_right.then(|| Action::Paths(map.clone()))
    }

    /// Tells of redirects in a map that lead to the rule's own listener, and there to themselves.
    fn warn_of_circles(
        &self,
        rule: &RequestRoutingRule,
        source: &UrlPathMap,
        map: &PathMap,
        field: &str,
        findings: &mut Findings,
    ) {
        let root = map.rules.iter().position(|rule| rule.patterns.iter().any(|p| p.covers("/")));
        let paths = source.path_rules.iter().enumerate().map(|(place, path_rule)| {
            (Some(place), path_rule.redirect_configuration.as_deref(), path_rule.name.as_str())
        });
        let default = source.default_redirect_configuration.as_deref();
        for (place, redirect, name) in paths.chain([(None, default, "the default")]) {
            let Some(keeps_path) = self.leads_to(redirect, rule) else { continue };
            // Without a path clients come back to `/`.
            if keeps_path || root == place {
                let why = format!(
                    "the redirect of {name} leads to the rule's own listener: clients go round in \
                     circles"
                );
                findings.warn(field, why);
            }
        }
    }

    /// Whether a redirect leads to the rule's own listener, and then, whether with its path.
    fn leads_to(&self, redirect: Option<&str>, rule: &RequestRoutingRule) -> Option<bool> {
        let place = *self.destinations.redirect_names.get(redirect?)?;
        let usable = self.destinations.redirects[place].as_ref()?;
        (usable.listener? == rule.http_listener).then_some(usable.redirect.keeps_path)
    }
}

/// Listeners with their rules, in the order of the rules.
pub(super) fn in_rule_order(rules: &HashMap<usize, usize>) -> Vec<(usize, usize)> {
    let mut order: Vec<(usize, usize)> = rules.iter().map(|(l, r)| (*l, *r)).collect();
    order.sort_by_key(|(_, rule)| *rule);
    order
}
