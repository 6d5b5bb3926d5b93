//! The choice of rule and path rule against section 2.1 of the reference, read word by word: nothing
//! here knows how hosts and paths are compared elsewhere.

use proptest::prelude::*;
use tidegate_model::{HostPattern, HostPrecedence, PathPattern, Priority, Rank};

use super::{HostIndex, PathIndex};

/// `*` any run of characters, dots included, `?` exactly one.
fn host_matches(pattern: &str, host: &str) -> bool {
    match (pattern.chars().next(), host.chars().next()) {
        (None, None) => true,
        (Some('*'), Some(_)) => {
            host_matches(&pattern[1..], &host[1..]) || host_matches(pattern, &host[1..])
        }
        (Some('?'), Some(_)) => host_matches(&pattern[1..], &host[1..]),
        (Some(p), Some(h)) => p == h && host_matches(&pattern[1..], &host[1..]),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// Case-insensitive; `*` only as the last character.
fn path_matches(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.to_lowercase(), path.to_lowercase());
    match pattern.strip_suffix('*') {
        Some(begin) => path.starts_with(begin),
        None => path == pattern,
    }
}

fn host_text() -> impl Strategy<Value = String> {
    let label = proptest::sample::select(&["a", "b", "ab", "*", "?", "a*", "??", "*b", "x-1"][..]);
    proptest::collection::vec(label, 1..4).prop_map(|labels| labels.join("."))
}

fn path_text() -> impl Strategy<Value = String> {
    let part = proptest::sample::select(&["a", "B", "Ab", "", "a-b", "images"][..]);
    let parts = proptest::collection::vec(part, 0..4);
    (parts, any::<bool>())
        .prop_map(|(parts, star)| format!("/{}{}", parts.join("/"), if star { "*" } else { "" }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// "Walk rules by ascending priority; first whose listener's host matches wins: specificity
    /// plays no part."
    #[test]
    fn the_smallest_priority_whose_host_matches_wins(
        rules in proptest::collection::vec(proptest::collection::vec(host_text(), 0..3), 1..8),
        order in proptest::sample::subsequence((1..40i64).collect::<Vec<_>>(), 8).prop_shuffle(),
        host in "(a|b|ab|x-1|ba)(\\.(a|b|ab|x-1|ba)){0,3}",
    ) {
        let is_right = |text: &String| HostPattern::new(text).is_ok();
        let rules: Vec<(Vec<String>, i64)> = rules
            .into_iter()
            .map(|hosts| hosts.into_iter().filter(is_right).collect())
            .zip(order)
            .collect();
        let mut by_priority: Vec<usize> = (0..rules.len()).collect();
        by_priority.sort_by_key(|place| rules[*place].1);
        let expected = by_priority.into_iter().find(|place| {
            let hosts = &rules[*place].0;
            hosts.is_empty() || hosts.iter().any(|pattern| host_matches(pattern, &host))
        });

        let entries = rules.iter().enumerate().flat_map(|(place, (hosts, priority))| {
            let priority = Priority::try_from(*priority).ok();
            let mut patterns: Vec<Option<HostPattern>> =
                hosts.iter().map(|text| HostPattern::new(text).ok()).collect();
            if patterns.is_empty() {
                patterns.push(None);
            }
            patterns.into_iter().map(move |pattern| {
                let precedence = HostPrecedence::Priority;
                let rank = Rank::new(precedence, priority, pattern.as_ref(), place);
                (pattern, rank, place)
            })
        });
        prop_assert_eq!(HostIndex::new(entries).find(&host), expected, "{:?}", rules);
    }

    /// "Path rules in listed order, first match wins (not longest)."
    #[test]
    fn the_first_path_rule_in_listed_order_wins(
        rules in proptest::collection::vec(proptest::collection::vec(path_text(), 1..4), 0..10),
        path in "(/|(/(a|b|AB|ab|Ab|a-b|IMAGES|images|))*|\\*)",
    ) {
        let is_right = |text: &String| PathPattern::application_gateway(text).is_ok();
        let rules: Vec<Vec<String>> = rules
            .into_iter()
            .map(|patterns| patterns.into_iter().filter(is_right).collect())
            .collect();
        let expected = rules.iter().position(|patterns| {
            patterns.iter().any(|pattern| path_matches(pattern, &path))
        });
        let parsed: Vec<Vec<PathPattern>> = rules
            .iter()
            .map(|texts| texts.iter().flat_map(|t| PathPattern::application_gateway(t)).collect())
            .collect();
        let index = PathIndex::new(parsed.iter().map(Vec::as_slice));
        prop_assert_eq!(index.find(&path).map(|found| found as usize), expected, "{:?}", rules);
    }
}
