//! Requests spread over several pools.

use std::sync::Arc;

use thiserror::Error;

use crate::{LoadDistribution, Settings, Target};

/// Several pools, used with the same settings, and how much of the requests each member gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    name: Box<str>,
    algorithm: LoadDistribution,
    shares: Vec<Share>,
}

/// A pool of a distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// The pool, with the settings that all shares have.
    pub target: Arc<Target>,
    /// What each of its members weighs.
    pub weight: Weight,
}

/// What a member weighs against those of other pools, 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u8);

/// A weight out of range.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("weight {0} is not within 1 to 100")]
pub struct WeightError(i64);

impl Weight {
    /// The least: what members weigh where nothing is said.
    pub const ONE: Self = Self(1);

    /// The value, 1 to 100.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<i64> for Weight {
    type Error = WeightError;

    fn try_from(value: i64) -> Result<Self, WeightError> {
        match u8::try_from(value) {
            Ok(weight @ 1..=100) => Ok(Self(weight)),
            _ => Err(WeightError(value)),
        }
    }
}

/// Why pools make no distribution.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DistributionError {
    /// Nothing to distribute over.
    #[error("it has no pool")]
    Empty,
    /// Its members would be spoken to in different ways.
    #[error("its pools have different settings")]
    Settings,
    /// A pool stands in it twice.
    #[error("pool {0:?} stands in it twice")]
    Twice(Box<str>),
}

impl Distribution {
    /// Requests spread over `shares`.
    ///
    /// # Errors
    /// If there is no share, if a pool stands in two, or if their settings differ.
    pub fn new(
        name: impl Into<Box<str>>,
        algorithm: LoadDistribution,
        shares: Vec<Share>,
    ) -> Result<Self, DistributionError> {
        let first = shares.first().ok_or(DistributionError::Empty)?;
        for (index, share) in shares.iter().enumerate() {
            let pool = &share.target.pool.name;
            if shares[..index].iter().any(|before| before.target.pool.name == *pool) {
                return Err(DistributionError::Twice(pool.clone()));
            }
            let (a, b) = (&first.target.settings, &share.target.settings);
            if !Arc::ptr_eq(a, b) && a != b {
                return Err(DistributionError::Settings);
            }
        }
        Ok(Self { name: name.into(), algorithm, shares })
    }

    /// Its name, unique in the gateway.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which member a request goes to.
    pub fn algorithm(&self) -> LoadDistribution {
        self.algorithm
    }

    /// Its pools, at least one.
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// The settings that all its pools are used with.
    pub fn settings(&self) -> &Arc<Settings> {
        // There is at least one.
        &self.shares[0].target.settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_1_to_100() {
        for (value, right) in [(0, false), (1, true), (100, true), (101, false), (-1, false)] {
            assert_eq!(Weight::try_from(value).is_ok(), right, "{value}");
        }
    }

    #[test]
    fn nothing_is_no_distribution() {
        let made = Distribution::new("d", LoadDistribution::RoundRobin, vec![]);
        assert_eq!(made, Err(DistributionError::Empty));
    }
}
