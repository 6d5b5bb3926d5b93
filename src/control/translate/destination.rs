//! What happens to a request: what a Basic rule, a path rule and the default of a path map say of
//! it, in one place for all three.

use std::sync::Arc;

use tidegate_model::{Guarded, Handling, Leaf, Pool, Settings, Target};

use crate::api::{Later, PathRule, RequestRoutingRule, UrlPathMap};
use crate::translate::distribution::Policies;
use crate::translate::findings::Findings;
use crate::translate::gateway::{Context, NOT_SUPPORTED, Names, Parts};
use crate::translate::guard::guarded;
use crate::translate::redirects::Usable;
use crate::translate::rewrites::RewriteSets;

/// What rules can lead to.
pub(super) struct Destinations<'a, 'c> {
    pub(super) context: &'c Context<'a>,
    pub(super) pools: Vec<Arc<Pool>>,
    pub(super) pool_names: Names<'a>,
    /// `None` where they cannot be used.
    pub(super) settings: Vec<Option<Arc<Settings>>>,
    pub(super) settings_names: Names<'a>,
    /// `None` where they cannot be used.
    pub(super) redirects: Vec<Option<Usable<'a>>>,
    pub(super) redirect_names: Names<'a>,
    pub(super) policies: Policies<'a>,
    pub(super) rewrites: RewriteSets<'a>,
}

/// What is said of requests, and where.
pub(super) struct Said<'s> {
    /// Where the rule, path rule or map stands.
    path: &'s str,
    /// The names of a map's own fields begin with `default`.
    is_default: bool,
    pool: Option<&'s str>,
    settings: Option<&'s str>,
    redirect: Option<&'s str>,
    /// In place of the pool.
    policy: Option<&'s str>,
    rewrites: Option<&'s str>,
    /// Of a path rule: who may come, and how often, by its name.
    guard: Option<(String, &'s PathRule)>,
    /// Of a path rule: what cannot be had, so that what has it is refused.
    firewall: Option<&'s Later>,
}

impl<'s> Said<'s> {
    /// By a Basic rule.
    pub(super) fn by_rule(path: &'s str, rule: &'s RequestRoutingRule) -> Self {
        Self {
            path,
            is_default: false,
            pool: rule.backend_address_pool.as_deref(),
            settings: rule.backend_http_settings.as_deref(),
            redirect: rule.redirect_configuration.as_deref(),
            policy: rule.load_distribution_policy.as_deref(),
            rewrites: rule.rewrite_rule_set.as_deref(),
            guard: None,
            firewall: None,
        }
    }

    /// By a path rule of a map.
    pub(super) fn by_path_rule(path: &'s str, map: &str, rule: &'s PathRule) -> Self {
        Self {
            path,
            is_default: false,
            pool: rule.backend_address_pool.as_deref(),
            settings: rule.backend_http_settings.as_deref(),
            redirect: rule.redirect_configuration.as_deref(),
            policy: rule.load_distribution_policy.as_deref(),
            rewrites: rule.rewrite_rule_set.as_deref(),
            guard: Some((format!("urlPathMaps/{map}/{}", rule.name), rule)),
            firewall: rule.firewall_policy.as_ref(),
        }
    }

    /// By a path map, of requests that none of its path rules takes.
    pub(super) fn by_default(path: &'s str, map: &'s UrlPathMap) -> Self {
        Self {
            path,
            is_default: true,
            pool: map.default_backend_address_pool.as_deref(),
            settings: map.default_backend_http_settings.as_deref(),
            redirect: map.default_redirect_configuration.as_deref(),
            policy: map.default_load_distribution_policy.as_deref(),
            rewrites: map.default_rewrite_rule_set.as_deref(),
            guard: None,
            firewall: None,
        }
    }

    /// The guard that stands here; `Err` if it is wrong.
    fn guarded(&self, findings: &mut Findings) -> Result<Option<Guarded>, ()> {
        let Some((place, rule)) = &self.guard else { return Ok(None) };
        let (access, rate) = (rule.access.as_ref(), rule.rate_limit.as_ref());
        guarded(place, access, rate, self.path, findings)
    }

    /// Whether there are rewrite rules and nothing to rewrite.
    fn is_not_rewritten(&self, leaf: &Leaf, findings: &mut Findings) -> bool {
        let is_redirect = matches!(leaf, Leaf::Redirect(_));
        if is_redirect && self.rewrites.is_some() {
            let why = "it has no effect: redirects are not rewritten";
            findings.warn(self.field("rewriteRuleSet"), why);
        }
        is_redirect
    }

    /// Where a field stands.
    fn field(&self, name: &str) -> String {
        let Self { path, is_default, .. } = self;
        match (is_default, name.split_at_checked(1)) {
            (true, Some((first, rest))) => {
                format!("{path}.default{}{rest}", first.to_ascii_uppercase())
            }
            _ => format!("{path}.{name}"),
        }
    }
}

impl Destinations<'_, '_> {
    /// What happens to requests of which this is said; what cannot work answers 502.
    pub(super) fn handling(
        &self,
        said: &Said<'_>,
        parts: &mut Parts,
        findings: &mut Findings,
    ) -> Handling {
        let mut usable = true;
        if said.firewall.is_some_and(Later::is_set) {
            findings.refuse(said.field("firewallPolicy"), NOT_SUPPORTED);
            usable = false;
        }
        let leaf = match said.redirect {
            Some(name) => self.redirect(name, said, findings),
            None => self.forward(said, parts, findings),
        };
        let rewrites = self.rewrites.named(said.rewrites, &said.field("rewriteRuleSet"), findings);
        let guarded = said.guarded(findings);
        match (leaf, rewrites, guarded) {
            (Some(leaf), Ok(rewrites), Ok(guard)) if usable => {
                let rewrites = rewrites.filter(|_| !said.is_not_rewritten(&leaf, findings));
                Handling { guard, rewrites, leaf }
            }
            _ => Handling::refused(),
        }
    }

    fn redirect(&self, name: &str, said: &Said<'_>, findings: &mut Findings) -> Option<Leaf> {
        let field = said.field("redirectConfiguration");
        if said.pool.is_some() || said.policy.is_some() || said.settings.is_some() {
            let why =
                "it and a pool with settings exclude each other: requests can go one way only";
            findings.refuse(field, why);
            return None;
        }
        let Some(&place) = self.redirect_names.get(name) else {
            findings.unresolved(field, format!("there is no {name:?} in redirectConfigurations"));
            return None;
        };
        let Some(usable) = &self.redirects[place] else {
            findings.refuse(field, cannot_be_used(name));
            return None;
        };
        Some(Leaf::Redirect(usable.redirect.clone()))
    }

    fn forward(&self, said: &Said<'_>, parts: &mut Parts, findings: &mut Findings) -> Option<Leaf> {
        let pool = ("backendAddressPool", "backendAddressPools");
        let pool = match said.policy {
            None => find(said, said.pool, &self.pool_names, pool, findings),
            Some(_) => None,
        };
        let field = ("backendHttpSettings", "backendHttpSettingsCollection");
        let settings = find(said, said.settings, &self.settings_names, field, findings)?;
        let Some(settings) = &self.settings[settings] else {
            let name = said.settings.unwrap_or_default();
            findings.refuse(said.field("backendHttpSettings"), cannot_be_used(name));
            return None;
        };
        if let Some(policy) = said.policy {
            if said.pool.is_some() {
                let why = "it has no effect beside loadDistributionPolicy";
                findings.warn(said.field("backendAddressPool"), why);
            }
            let field = said.field("loadDistributionPolicy");
            let policies = &self.policies;
            let spread =
                policies.distribution(self.context, policy, settings, field, parts, findings);
            return spread.map(Leaf::Distribute);
        }
        let target = Target { pool: self.pools[pool?].clone(), settings: settings.clone() };
        Some(Leaf::Forward(parts.target(target)))
    }
}

fn cannot_be_used(name: &str) -> String {
    format!("{name:?} cannot be used: see its own problems")
}

/// The place of what is named.
fn find(
    said: &Said<'_>,
    name: Option<&str>,
    names: &Names<'_>,
    (field, collection): (&str, &str),
    findings: &mut Findings,
) -> Option<usize> {
    let field = said.field(field);
    let Some(name) = name else {
        findings.refuse(field, "it is needed where there is no redirect");
        return None;
    };
    let place = names.get(name).copied();
    if place.is_none() {
        findings.unresolved(field, format!("there is no {name:?} in {collection}"));
    }
    place
}
