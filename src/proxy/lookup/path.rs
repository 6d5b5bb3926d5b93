//! An index from path to path rule whose answers take no longer when there are more rules.

use std::collections::HashMap;

use tidegate_model::{PathMatch, PathPattern};

/// The longest pattern that a path's copy in lower case has room for, in bytes; the model has no
/// longer ones.
const LONGEST: usize = 1024;

/// Patterns in which case matters, and those in which it does not: their letters are small.
#[derive(Debug, Default)]
pub(crate) struct PathIndex {
    as_written: Tree,
    folded: Tree,
}

/// Patterns by what can be looked up of them: exact paths as a whole, all others as a tree of the
/// elements between their slashes. A path of five elements takes at most six steps through the
/// tree, however many patterns there are, and no more than the longest pattern has.
#[derive(Debug, Default)]
struct Tree {
    exact: HashMap<Box<str>, u32>,
    /// The longest of the exact paths, in bytes: no longer path is worth hashing.
    longest_exact: usize,
    /// The longest of all patterns: what a path has after it makes no difference but that it is
    /// there. 0 where there is none.
    longest: usize,
    root: Node,
}

/// The patterns with the same elements so far.
#[derive(Debug, Default)]
struct Node {
    /// The first rule with a prefix that ends here.
    here: Option<u32>,
    children: HashMap<Box<str>, Node>,
    /// The first rule by the text that the next element has to begin with.
    begins: HashMap<Box<str>, u32>,
    /// The lengths of those texts, each once.
    lengths: Vec<usize>,
}

impl PathIndex {
    /// An index of the patterns of each rule, in the order of the rules.
    pub(crate) fn new<'a>(rules: impl IntoIterator<Item = &'a [PathPattern]>) -> Self {
        let mut index = Self::default();
        for (rule, patterns) in (0..).zip(rules) {
            for pattern in patterns {
                match pattern.ignores_case() {
                    true => index.folded.add(pattern, &pattern.path().to_ascii_lowercase(), rule),
                    false => index.as_written.add(pattern, pattern.path(), rule),
                }
            }
        }
        index
    }

    /// The first rule that takes a path without query.
    pub(crate) fn find(&self, path: &str) -> Option<u32> {
        let mut first = None;
        if self.as_written.longest > 0 {
            first = self.as_written.find(path);
        }
        if self.folded.longest > 0 {
            // One byte more than the longest pattern tells that the path is longer.
            let length = path.len().min(self.folded.longest + 1);
            let is_lower = !path.as_bytes()[..length].iter().any(u8::is_ascii_uppercase);
            let found = match is_lower {
                true => self.folded.find(path),
                false => self.folded.find_any_case(&path.as_bytes()[..length]),
            };
            keep_first(&mut first, found);
        }
        first
    }
}

impl Tree {
    /// Rules come in their order, so the first one of equal patterns stays.
    fn add(&mut self, pattern: &PathPattern, path: &str, rule: u32) {
        // The prefix `/` is the empty one, and there all the same.
        self.longest = self.longest.max(path.len()).max(1);
        // Patterns begin with a slash; the prefix `/` is the empty one.
        let elements = path.strip_prefix('/');
        match pattern.matching() {
            PathMatch::Exact => {
                self.exact.entry(path.into()).or_insert(rule);
                self.longest_exact = self.longest_exact.max(path.len());
            }
            PathMatch::Prefix => {
                let node = self.root.descend(elements.into_iter().flat_map(|all| all.split('/')));
                node.here.get_or_insert(rule);
            }
            PathMatch::Begins => {
                let all = elements.unwrap_or_default();
                let (above, begin) = match all.rsplit_once('/') {
                    Some((above, begin)) => (Some(above), begin),
                    None => (None, all),
                };
                let node = self.root.descend(above.into_iter().flat_map(|all| all.split('/')));
                node.begins.entry(begin.into()).or_insert(rule);
                if !node.lengths.contains(&begin.len()) {
                    node.lengths.push(begin.len());
                }
            }
        }
    }

    /// The same for a path that has letters of both cases, of which these bytes are enough.
    #[cold]
    fn find_any_case(&self, path: &[u8]) -> Option<u32> {
        let mut lower = [0; LONGEST + 1];
        let lower = lower.get_mut(..path.len())?;
        lower.copy_from_slice(path);
        lower.make_ascii_lowercase();
        // Where the end was cut, a character may have been: what is before it is all that a pattern,
        // which is ASCII, can have.
        let text = lower.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        self.find(text)
    }

    /// The first rule that takes a path without query.
    fn find(&self, path: &str) -> Option<u32> {
        let mut first = None;
        if path.len() <= self.longest_exact {
            keep_first(&mut first, self.exact.get(path).copied());
        }
        let Some(elements) = path.strip_prefix('/') else {
            return first;
        };
        let mut node = &self.root;
        keep_first(&mut first, node.here);
        for element in elements.split('/') {
            for &length in &node.lengths {
                let begin = element.get(..length).and_then(|begin| node.begins.get(begin));
                keep_first(&mut first, begin.copied());
            }
            let Some(child) = node.children.get(element) else {
                break;
            };
            node = child;
            keep_first(&mut first, node.here);
        }
        first
    }
}

impl Node {
    /// The node below by these elements, made if it is not there.
    fn descend<'a>(&mut self, elements: impl Iterator<Item = &'a str>) -> &mut Self {
        elements.fold(self, |node, element| node.children.entry(element.into()).or_default())
    }
}

fn keep_first(first: &mut Option<u32>, found: Option<u32>) {
    if found.is_some_and(|found| first.is_none_or(|first| found < first)) {
        *first = found;
    }
}
