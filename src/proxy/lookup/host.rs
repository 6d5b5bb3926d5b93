//! An index from host to rule whose answers take no longer when there are more rules.

use std::collections::HashMap;

use tidegate_model::{HostPattern, Rank};

/// The longest host that a pattern can cover, in bytes.
const LONGEST: usize = 253;

/// Patterns, by what can be looked up of them: a name as a whole; of a wildcard, the literal text
/// from the first dot after its last `*` or `?`. A host with five labels asks for one name and
/// five such ends, however many patterns there are.
#[derive(Debug)]
pub(crate) struct HostIndex<T> {
    exact: HashMap<Box<str>, (Rank, T)>,
    wildcards: HashMap<Box<str>, Ending<T>>,
    /// By what follows the one label that `*` stands for, dot included.
    one_label: HashMap<Box<str>, (Rank, T)>,
    /// Takes any host.
    basic: Option<(Rank, T)>,
}

/// Wildcards with the same literal end.
#[derive(Debug)]
struct Ending<T> {
    /// The first that is `*` and the end: it covers every longer host.
    star: Option<(Rank, T)>,
    /// All others, by rank.
    others: Vec<(Rank, HostPattern, T)>,
}

impl<T> Default for Ending<T> {
    fn default() -> Self {
        Self { star: None, others: Vec::new() }
    }
}

impl<T: Copy> HostIndex<T> {
    /// An index of patterns; `None` takes any host.
    pub(crate) fn new(entries: impl IntoIterator<Item = (Option<HostPattern>, Rank, T)>) -> Self {
        let mut index = Self {
            exact: HashMap::new(),
            wildcards: HashMap::new(),
            one_label: HashMap::new(),
            basic: None,
        };
        for (pattern, rank, value) in entries {
            match pattern {
                None => keep_first(&mut index.basic, rank, value),
                Some(HostPattern::Exact(name)) => {
                    keep_first_at(&mut index.exact, name.as_str(), rank, value);
                }
                Some(HostPattern::OneLabel(text)) => {
                    keep_first_at(&mut index.one_label, &text[1..], rank, value);
                }
                Some(HostPattern::Wildcard(text)) => {
                    let end = literal_end(&text);
                    let ending = index.wildcards.entry(end.into()).or_default();
                    if text.len() == end.len() + 1 && text.starts_with('*') {
                        keep_first(&mut ending.star, rank, value);
                    } else {
                        ending.others.push((rank, HostPattern::Wildcard(text), value));
                    }
                }
            }
        }
        for ending in index.wildcards.values_mut() {
            ending.others.sort_by_key(|(rank, ..)| *rank);
        }
        index
    }

    /// What takes `host`, a name without port in any case; a dot at its end changes nothing.
    pub(crate) fn find(&self, host: &str) -> Option<T> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let mut lower = [0; LONGEST];
        let Some(lower) = lower.get_mut(..host.len()) else {
            return self.basic.map(|(_, value)| value);
        };
        lower.copy_from_slice(host.as_bytes());
        lower.make_ascii_lowercase();
        // Lower-casing ASCII letters leaves UTF-8 as it was.
        let host = std::str::from_utf8(lower).ok()?;
        self.find_lower(host).map(|(_, value)| value)
    }

    fn find_lower(&self, host: &str) -> Option<(Rank, T)> {
        let mut first = self.basic;
        if let Some(&(rank, value)) = self.exact.get(host) {
            keep_first(&mut first, rank, value);
        }
        if let Some(dot) = host.find('.').filter(|dot| *dot > 0)
            && let Some(&(rank, value)) = self.one_label.get(&host[dot..])
        {
            keep_first(&mut first, rank, value);
        }
        if !self.wildcards.is_empty() {
            let dots = host.bytes().enumerate().filter(|(_, byte)| *byte == b'.');
            for start in dots.map(|(place, _)| place).chain([host.len()]) {
                if let Some(ending) = self.wildcards.get(&host[start..]) {
                    ending.find(host, start, &mut first);
                }
            }
        }
        first
    }
}

impl<T: Copy> Ending<T> {
    /// Improves `first` by what covers `host`, whose end at `start` is this one's.
    fn find(&self, host: &str, start: usize, first: &mut Option<(Rank, T)>) {
        if start > 0
            && let Some((rank, value)) = self.star
        {
            keep_first(first, rank, value);
        }
        for (rank, pattern, value) in &self.others {
            if first.is_some_and(|(best, _)| best <= *rank) {
                return;
            }
            if pattern.covers(host) {
                *first = Some((*rank, *value));
                return;
            }
        }
    }
}

fn keep_first<T>(first: &mut Option<(Rank, T)>, rank: Rank, value: T) {
    if first.as_ref().is_none_or(|(best, _)| rank < *best) {
        *first = Some((rank, value));
    }
}

fn keep_first_at<T: Copy>(map: &mut HashMap<Box<str>, (Rank, T)>, key: &str, rank: Rank, value: T) {
    let mut first = map.get(key).copied();
    keep_first(&mut first, rank, value);
    map.extend(first.map(|first| (key.into(), first)));
}

/// The text of a wildcard from the first dot after its last `*` or `?`; empty if there is none.
fn literal_end(pattern: &str) -> &str {
    let after = pattern.rfind(['*', '?']).map_or(0, |place| place + 1);
    let rest = &pattern[after..];
    rest.find('.').map_or("", |dot| &rest[dot..])
}
