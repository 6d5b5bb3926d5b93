//! Indexes of any size, for benches.

use tidegate_model::{HostPattern, HostPrecedence, PathMatch, PathPattern, Rank};

use crate::lookup::{HostIndex, PathIndex};

/// An index of `count` hosts.
#[derive(Debug)]
pub struct Hosts(HostIndex<u32>);

impl Hosts {
    /// Half of them exact names, half wildcards, and one that takes any host.
    pub fn new(count: usize) -> Self {
        let pattern = |index: usize| match index % 2 {
            0 => format!("h{index}.example"),
            _ => format!("*.w{index}.example"),
        };
        let entry = |index| {
            let pattern = HostPattern::new(&pattern(index)).ok();
            let rank = Rank::new(HostPrecedence::default(), None, pattern.as_ref(), index);
            (pattern, rank, index as u32)
        };
        Self(HostIndex::new((0..count).map(entry)))
    }

    /// What takes a host.
    pub fn find(&self, host: &str) -> Option<u32> {
        self.0.find(host)
    }
}

/// An index of `count` path rules.
#[derive(Debug)]
pub struct Paths(PathIndex);

impl Paths {
    /// A third of them exact, a third prefixes, a third texts that paths begin with.
    pub fn new(count: usize) -> Self {
        let kinds = [PathMatch::Exact, PathMatch::Prefix, PathMatch::Begins];
        let pattern = |index: usize| {
            let path = format!("/api/v{}/service{index}", index % 7);
            PathPattern::new(kinds[index % 3], &path).into_iter().collect::<Vec<_>>()
        };
        let rules: Vec<Vec<PathPattern>> = (0..count).map(pattern).collect();
        Self(PathIndex::new(rules.iter().map(Vec::as_slice)))
    }

    /// The rule that takes a path.
    pub fn find(&self, path: &str) -> Option<u32> {
        self.0.find(path)
    }
}
