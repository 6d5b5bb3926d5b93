//! The blocks `access` and `rateLimit` of listeners, rules and path rules.

use std::sync::Arc;

use tidegate_model::{AccessList, Guard, Guarded, Network, RateLimit, RateLimitPer};

use crate::api;
use crate::translate::findings::Findings;
use crate::translate::settings::in_range;

/// The guard at a place whose blocks stand at `path`; `Err` if one of them is wrong.
pub(super) fn guarded(
    place: &str,
    access: Option<&api::Access>,
    rate: Option<&api::RateLimit>,
    path: &str,
    findings: &mut Findings,
) -> Result<Option<Guarded>, ()> {
    let guard = guard(access, rate, path, findings).ok_or(())?;
    Ok((!guard.is_open()).then(|| Guarded { place: place.into(), guard }))
}

/// What the blocks at `path` let through; `None` if one of them is wrong: letting everything
/// through would not be what was meant.
fn guard(
    access: Option<&api::Access>,
    rate: Option<&api::RateLimit>,
    path: &str,
    findings: &mut Findings,
) -> Option<Guard> {
    let access = access.map(|its| access_list(its, &format!("{path}.access"), findings));
    let rate = rate.map(|its| rate_limit(its, &format!("{path}.rateLimit"), findings));
    let access = match access {
        Some(list) => Some(list?),
        None => None,
    };
    let rate = match rate {
        Some(rate) => Some(rate?),
        None => None,
    };
    Some(Guard { access: access.flatten(), rate })
}

fn access_list(
    source: &api::Access,
    path: &str,
    findings: &mut Findings,
) -> Option<Option<Arc<AccessList>>> {
    let mut read = |all: &[String], field: &str| {
        let mut networks = Vec::with_capacity(all.len());
        for (index, text) in all.iter().enumerate() {
            match Network::new(text) {
                Ok(network) => networks.push(network),
                Err(error) => {
                    findings.refuse(format!("{path}.{field}[{index}]"), error.to_string());
                }
            }
        }
        (networks.len() == all.len()).then_some(networks)
    };
    let (allow, deny) = (read(&source.allow, "allow"), read(&source.deny, "deny"));
    let (allow, deny) = (allow?, deny?);
    if allow.is_empty() && deny.is_empty() {
        findings.warn(path, "it names no network: everybody is let through");
        return Some(None);
    }
    Some(Some(Arc::new(AccessList::new(&allow, &deny))))
}

fn rate_limit(source: &api::RateLimit, path: &str, findings: &mut Findings) -> Option<RateLimit> {
    let mut count = |value: i32, field: &str| {
        let value = in_range(value, 1..=1_000_000, &format!("{path}.{field}"), findings)?;
        u32::try_from(value).ok()?.try_into().ok()
    };
    let per_second = count(source.requests_per_second, "requestsPerSecond");
    let burst = count(source.burst.unwrap_or(source.requests_per_second), "burst");
    let per = match source.per {
        api::RateLimitPer::Client => RateLimitPer::Client,
        api::RateLimitPer::All => RateLimitPer::All,
    };
    Some(RateLimit { per_second: per_second?, burst: burst?, per })
}
