//! The order in which patterns that cover the same host take it.

use std::cmp::Reverse;

use crate::{HostPattern, Priority};

/// What decides which of several listeners takes a host that all of them cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostPrecedence {
    /// The priority of their rules alone, however wide their hosts are.
    #[default]
    Priority,
    /// How narrow their hosts are; of equally narrow ones, the priority.
    MostSpecific,
}

/// A place in the order; the lowest takes the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// How wide the pattern is, where that goes before priorities.
    wide: (u8, Reverse<usize>),
    /// 1 to 20000; all 0 in a gateway without priorities.
    priority: u16,
    /// How wide the pattern is, where there are no priorities.
    width: u8,
    /// The place in the resource.
    index: u32,
}

impl Rank {
    /// The rank of one pattern of the listener at `index`; `None` takes any host. Where priorities
    /// decide, a wide pattern may hide a narrow one. Without priorities exact names go first, then
    /// wildcards, then listeners without a host. Where the narrowest decides, wildcards with more
    /// letters go before those with fewer.
    pub fn new(
        precedence: HostPrecedence,
        priority: Option<Priority>,
        pattern: Option<&HostPattern>,
        index: usize,
    ) -> Self {
        let width = match pattern {
            Some(HostPattern::Exact(_)) => 0,
            Some(HostPattern::Wildcard(_) | HostPattern::OneLabel(_)) => 1,
            None => 2,
        };
        let wide = match precedence {
            HostPrecedence::Priority => (0, Reverse(0)),
            HostPrecedence::MostSpecific => {
                let text = pattern.map_or("", HostPattern::as_str);
                let letters = text.bytes().filter(|byte| !matches!(byte, b'*' | b'?'));
                (width, Reverse(letters.count()))
            }
        };
        Self {
            wide,
            priority: priority.map_or(0, Priority::get),
            width: if priority.is_some() { 0 } else { width },
            index: index as u32,
        }
    }
}
