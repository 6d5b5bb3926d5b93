//! Policies that spread requests over several pools.

use std::sync::Arc;

use tidegate_model::{
    Distribution, DistributionError, LoadDistribution, Pool, Settings, Share, Target, Weight,
};

use crate::api::LoadDistributionAlgorithm;
use crate::translate::findings::Findings;
use crate::translate::gateway::{Context, Names, Parts, duplicates, names};

/// The model's word for an algorithm.
pub(super) fn algorithm(source: LoadDistributionAlgorithm) -> LoadDistribution {
    match source {
        LoadDistributionAlgorithm::RoundRobin => LoadDistribution::RoundRobin,
        LoadDistributionAlgorithm::LeastConnections => LoadDistribution::LeastConnections,
        LoadDistributionAlgorithm::IpHash => LoadDistribution::IpHash,
    }
}

/// The policies of a gateway, each with the pools that it can use.
pub(super) struct Policies<'a> {
    names: Names<'a>,
    all: Vec<Vec<(Weight, Arc<Pool>)>>,
}

impl<'a> Policies<'a> {
    /// Checks them. What is wrong with one of its pools leaves out that pool alone.
    pub(super) fn of(
        context: &Context<'a>,
        pools: &[Arc<Pool>],
        pool_names: &Names<'_>,
        findings: &mut Findings,
    ) -> Self {
        let policies = &context.spec.load_distribution_policies;
        duplicates(policies, |policy| &policy.name, "loadDistributionPolicies", findings);
        let mut all = Vec::with_capacity(policies.len());
        for (index, policy) in policies.iter().enumerate() {
            let path = format!("spec.loadDistributionPolicies[{index}].loadDistributionTargets");
            let mut usable: Vec<(Weight, Arc<Pool>)> = Vec::new();
            for (place, target) in policy.load_distribution_targets.iter().enumerate() {
                let path = format!("{path}[{place}]");
                let name = target.backend_address_pool.as_str();
                let Some(pool) = pool_names.get(name) else {
                    let why = format!("there is no {name:?} in backendAddressPools");
                    findings.unresolved(format!("{path}.backendAddressPool"), why);
                    continue;
                };
                if usable.iter().any(|(_, before)| *before.name == *name) {
                    let why = format!("{name:?} stands in this policy twice");
                    findings.refuse(format!("{path}.backendAddressPool"), why);
                    continue;
                }
                match Weight::try_from(target.weight_per_server) {
                    Ok(weight) => usable.push((weight, pools[*pool].clone())),
                    Err(error) => {
                        findings.refuse(format!("{path}.weightPerServer"), error.to_string());
                    }
                }
            }
            if usable.is_empty() {
                findings
                    .refuse(path, "none of its pools can be used: rules that name it answer 502");
            }
            all.push(usable);
        }
        Self { names: names(policies, |policy| &policy.name), all }
    }

    /// What a rule does that names a policy at `path`; `None` if it cannot work.
    pub(super) fn distribution(
        &self,
        context: &Context<'_>,
        name: &str,
        settings: &Arc<Settings>,
        path: String,
        parts: &mut Parts,
        findings: &mut Findings,
    ) -> Option<Arc<Distribution>> {
        let Some(&place) = self.names.get(name) else {
            findings.unresolved(path, format!("there is no {name:?} in loadDistributionPolicies"));
            return None;
        };
        let policy = &context.spec.load_distribution_policies[place];
        let algorithm = algorithm(policy.load_distribution_algorithm);
        if settings.web_socket.rebalance.is_some()
            && algorithm != LoadDistribution::LeastConnections
        {
            let why = "webSocket.rebalance of its settings needs a policy with \
                       loadDistributionAlgorithm: LeastConnections: those that are moved come back \
                       to any member";
            findings.warn(&path, why);
        }
        let share = |(weight, pool): &(Weight, Arc<Pool>), parts: &mut Parts| {
            let target = Target { pool: pool.clone(), settings: settings.clone() };
            Share { target: parts.target(target), weight: *weight }
        };
        let shares = self.all[place].iter().map(|its| share(its, parts)).collect();
        match Distribution::new(name, algorithm, shares) {
            Ok(made) => {
                let key = (name.into(), settings.name.clone());
                Some(parts.distributions.share(key, made))
            }
            Err(DistributionError::Empty) => {
                findings.refuse(path, format!("{name:?} cannot be used: see its own problems"));
                None
            }
            Err(error) => {
                findings.refuse(path, error.to_string());
                None
            }
        }
    }
}
