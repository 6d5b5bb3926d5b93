//! Numbers that cores add to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that one core adds to and others read.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Adds to it. Its core alone may: a load and a store cost a tenth of what it takes to keep
    /// others from adding in between.
    pub(super) fn add(&self, amount: u64) {
        self.0.store(self.get().wrapping_add(amount), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the buckets, in microseconds: half a millisecond to a minute.
const BOUNDS_US: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000, 60_000_000,
];

/// The same for what lives long: a second to a day.
const LONG_BOUNDS_US: [u64; 14] = [
    1_000_000,
    5_000_000,
    15_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    900_000_000,
    1_800_000_000,
    3_600_000_000,
    7_200_000_000,
    14_400_000_000,
    28_800_000_000,
    43_200_000_000,
    86_400_000_000,
];

/// Durations, counted by how long they are.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static [u64; 14],
    /// The last is for all that is longer.
    buckets: [Counter; 15],
    sum_us: Counter,
}

impl Histogram {
    /// For what takes milliseconds.
    pub(super) fn short() -> Self {
        Self { bounds: &BOUNDS_US, buckets: Default::default(), sum_us: Counter::default() }
    }

    /// For what takes minutes.
    pub(super) fn long() -> Self {
        Self { bounds: &LONG_BOUNDS_US, ..Self::short() }
    }

    pub(super) fn observe(&self, took: Duration) {
        let us = took.as_micros() as u64;
        let bucket = self.bounds.iter().position(|bound| us <= *bound).unwrap_or(14);
        self.buckets[bucket].add(1);
        self.sum_us.add(us);
    }

    /// Adds another core's.
    pub(super) fn add_to(&self, total: &mut Observed) {
        total.bounds = self.bounds;
        total.sum_us += self.sum_us.get();
        for (count, bucket) in total.counts.iter_mut().zip(&self.buckets) {
            *count += bucket.get();
        }
    }
}

/// A histogram's total over all cores.
#[derive(Debug)]
pub(super) struct Observed {
    bounds: &'static [u64; 14],
    counts: [u64; 15],
    sum_us: u64,
}

impl Observed {
    pub(super) fn none() -> Self {
        Self { bounds: &BOUNDS_US, counts: [0; 15], sum_us: 0 }
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// In seconds.
    pub(super) fn sum(&self) -> f64 {
        self.sum_us as f64 / 1e6
    }

    /// Upper bounds in seconds, each with how many were no longer.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut below = 0;
        self.bounds.iter().zip(&self.counts).map(move |(bound, count)| {
            below += count;
            (*bound as f64 / 1e6, below)
        })
    }
}
