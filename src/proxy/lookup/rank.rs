//! The order in which patterns that cover the same host take it.

use tidegate_model::{HostPattern, Priority};

/// A place in the order; the lowest takes the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// 1 to 20000; all 0 in a gateway without priorities.
    priority: u16,
    /// How wide the pattern is, where priorities do not decide.
    width: u8,
    /// The place in the resource.
    index: u32,
}

impl Rank {
    /// The rank of one pattern of the listener at `index`. With priorities they alone decide, and
    /// a wide pattern may hide a narrow one; without, exact names go first, then wildcards, then
    /// listeners without a host.
    pub(crate) fn new(
        priority: Option<Priority>,
        pattern: Option<&HostPattern>,
        index: usize,
    ) -> Self {
        let width = match (priority, pattern) {
            (Some(_), _) | (None, Some(HostPattern::Exact(_))) => 0,
            (None, Some(HostPattern::Wildcard(_) | HostPattern::OneLabel(_))) => 1,
            (None, None) => 2,
        };
        Self { priority: priority.map_or(0, Priority::get), width, index: index as u32 }
    }
}
