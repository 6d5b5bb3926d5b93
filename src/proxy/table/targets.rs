//! The targets of a gateway in the making, and what spreads over several of them. What was there
//! before and is still the same is taken over.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_model::{ObjectName, RewriteSet};

use crate::rewrite::Rewrites;
use crate::table::compile::{Compiler, target};
use crate::table::{Distribution, Forward, Spread, Target, Unit};

/// Names of a target: pool, settings. Of a spread: its own, settings.
type Key = (Box<str>, Box<str>);

/// See the module.
pub(super) struct Targets<'a> {
    before: HashMap<Key, &'a Arc<Target>>,
    made: HashMap<Key, Forward>,
    all: Vec<Arc<Target>>,
    spreads_before: HashMap<Key, &'a Spread>,
    spreads: HashMap<Key, Spread>,
    /// By name.
    rewrites: HashMap<Box<str>, Arc<Rewrites>>,
}

fn key_of(model: &tidegate_model::Target) -> Key {
    (model.pool.name.clone(), model.settings.name.clone())
}

fn key_of_spread(model: &tidegate_model::Distribution) -> Key {
    (model.name().into(), model.settings().name.clone())
}

impl<'a> Targets<'a> {
    pub(super) fn new(before: Option<&'a Unit>) -> Self {
        let targets = before.into_iter().flat_map(|unit| &unit.targets);
        let spreads = before.into_iter().flat_map(|unit| &unit.spreads);
        Self {
            before: targets.map(|target| (key_of(&target.model), target)).collect(),
            made: HashMap::new(),
            all: Vec::new(),
            spreads_before: spreads.map(|spread| (key_of_spread(&spread.model), spread)).collect(),
            spreads: HashMap::new(),
            rewrites: HashMap::new(),
        }
    }

    /// A set of rewrite rules, compiled once.
    pub(super) fn rewrites(&mut self, model: &Arc<RewriteSet>) -> Arc<Rewrites> {
        let made = self.rewrites.entry(model.name.clone());
        made.or_insert_with(|| Arc::new(Rewrites::new(model))).clone()
    }

    /// All that was made.
    pub(super) fn finish(self) -> (Vec<Arc<Target>>, Vec<Spread>) {
        (self.all, self.spreads.into_values().collect())
    }

    /// The way to one pool.
    pub(super) fn one(
        &mut self,
        gateway: &Arc<ObjectName>,
        model: &Arc<tidegate_model::Target>,
        compiler: &mut Compiler<'_>,
    ) -> Result<Forward, rustls::Error> {
        let key = key_of(model);
        if let Some(made) = self.made.get(&key) {
            return Ok(made.clone());
        }
        let before = self.before.get(&key).copied();
        let target = match before {
            Some(before) if Arc::ptr_eq(&before.model, model) || before.model == *model => {
                before.clone()
            }
            _ => Arc::new(target(gateway, model, before, compiler)?),
        };
        let (distribution, targets) = (target.distribution.clone(), [target.clone()].into());
        let forward = Forward { distribution, targets };
        self.all.push(target);
        self.made.insert(key, forward.clone());
        Ok(forward)
    }

    /// The way to several pools. They are targets as if rules led to each of them.
    pub(super) fn several(
        &mut self,
        gateway: &Arc<ObjectName>,
        model: &Arc<tidegate_model::Distribution>,
        compiler: &mut Compiler<'_>,
    ) -> Result<Forward, rustls::Error> {
        let key = key_of_spread(model);
        if let Some(made) = self.spreads.get(&key) {
            return Ok(made.forward.clone());
        }
        let mut targets = Vec::with_capacity(model.shares().len());
        let mut candidates = Vec::new();
        for share in model.shares() {
            let forward = self.one(gateway, &share.target, compiler)?;
            let members = forward.distribution.candidates.iter();
            candidates.extend(members.map(|member| member.weighing(share.weight)));
            targets.extend(forward.targets.iter().cloned());
        }
        let before = self.spreads_before.get(&key).copied();
        let is_same = |before: &&Spread| {
            let same = |(a, b): (&Arc<Target>, &Arc<Target>)| Arc::ptr_eq(a, b);
            before.model == *model
                && before.forward.targets.len() == targets.len()
                && before.forward.targets.iter().zip(&targets).all(same)
        };
        let forward = match before.filter(is_same) {
            Some(before) => before.forward.clone(),
            None => {
                let settings = model.settings().clone();
                let keys = &compiler.keys.affinity;
                let before = before.map(|before| &*before.forward.distribution);
                let affinity =
                    Distribution::affinity_of(&settings, gateway, keys, &candidates, before);
                let (algorithm, cores) = (model.algorithm(), compiler.cores);
                let made =
                    Distribution::new(settings, algorithm, candidates.into(), affinity, cores);
                Forward { distribution: Arc::new(made), targets: targets.into() }
            }
        };
        let spread = Spread { model: model.clone(), forward: forward.clone() };
        self.spreads.insert(key, spread);
        Ok(forward)
    }
}
