use proptest::prelude::*;
use tidegate_model::{HostPattern, HostPrecedence, PathMatch, PathPattern, Priority, Rank};

use super::{HostIndex, PathIndex};

fn index(patterns: &[(&str, Option<i64>)]) -> HostIndex<usize> {
    HostIndex::new(entries(patterns, HostPrecedence::Priority))
}

/// `1` at the start makes it one of Kubernetes' patterns.
fn parse(text: &str) -> Option<HostPattern> {
    match text.strip_prefix('1') {
        Some(text) => HostPattern::kubernetes(text).ok(),
        None => HostPattern::new(text).ok(),
    }
}

fn entries(
    patterns: &[(&str, Option<i64>)],
    precedence: HostPrecedence,
) -> Vec<(Option<HostPattern>, Rank, usize)> {
    let entry = |(place, (text, priority)): (usize, &(&str, Option<i64>))| {
        let pattern = (!text.is_empty()).then(|| parse(text).unwrap());
        let priority = priority.map(|value| Priority::try_from(value).unwrap());
        let rank = Rank::new(precedence, priority, pattern.as_ref(), place);
        (pattern, rank, place)
    };
    patterns.iter().enumerate().map(entry).collect()
}

#[test]
fn without_priorities_narrow_patterns_go_first() {
    let index =
        index(&[("", None), ("*.a.example", None), ("b.a.example", None), ("*.example", None)]);
    assert_eq!(index.find("b.a.example"), Some(2));
    assert_eq!(index.find("B.A.Example."), Some(2));
    assert_eq!(index.find("c.a.example"), Some(1));
    assert_eq!(index.find("x.y.example"), Some(3));
    assert_eq!(index.find("other"), Some(0));
    assert_eq!(index.find(""), Some(0));
}

#[test]
fn with_priorities_they_alone_decide() {
    let index = index(&[("b.a.example", Some(30)), ("*.example", Some(20)), ("", Some(25))]);
    assert_eq!(index.find("b.a.example"), Some(1));
    assert_eq!(index.find("other"), Some(2));
}

#[test]
fn the_most_specific_host_goes_first_if_that_is_asked_for() {
    let patterns = [
        ("", Some(1)),
        ("*.example", Some(2)),
        ("*.a.example", Some(3)),
        ("b.a.example", Some(9)),
        ("*.b?.example", Some(5)),
        ("*.c?.example", Some(4)),
    ];
    let index = HostIndex::new(entries(&patterns, HostPrecedence::MostSpecific));
    for (host, place) in [
        ("b.a.example", 3),
        ("c.a.example", 2),
        ("c.d.example", 1),
        ("other", 0),
        // As narrow as one another: the priority decides, and it takes another host anyway.
        ("x.bb.example", 4),
    ] {
        assert_eq!(index.find(host), Some(place), "{host}");
    }
}

#[test]
fn a_host_that_nothing_covers_is_not_found() {
    let index = index(&[("a.example", None), ("*.a.example", None)]);
    for host in ["", ".", "b.example", ".a.example", "example", &"x".repeat(300)] {
        assert_eq!(index.find(host), None, "{host:?}");
    }
}

/// Text made of few parts, so that patterns and hosts often meet.
fn pattern() -> impl Strategy<Value = String> {
    let label = proptest::sample::select(&["a", "b", "ab", "*", "?", "a*", "??", "*b", "x-1"][..]);
    let labels = proptest::collection::vec(label, 0..4);
    (any::<bool>(), labels).prop_map(|(kubernetes, labels)| {
        let text = labels.join(".");
        if kubernetes && !text.is_empty() { format!("1{text}") } else { text }
    })
}

fn host() -> impl Strategy<Value = String> {
    let label = proptest::sample::select(&["a", "b", "ab", "A", "aB", "x-1", "", "ba"][..]);
    proptest::collection::vec(label, 0..5).prop_map(|labels| labels.join("."))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_index_agrees_with_trying_every_pattern(
        patterns in proptest::collection::vec((pattern(), proptest::option::of(1..20i64)), 0..12),
        host in host(),
        ranked in any::<bool>(),
        narrow in any::<bool>(),
    ) {
        let patterns: Vec<(&str, Option<i64>)> = patterns
            .iter()
            .filter(|(text, _)| text.is_empty() || parse(text).is_some())
            .map(|(text, priority)| (text.as_str(), ranked.then(|| priority.unwrap_or(7))))
            .collect();
        let precedence = if narrow { HostPrecedence::MostSpecific } else { HostPrecedence::Priority };
        let entries = entries(&patterns, precedence);
        let lower = host.to_ascii_lowercase();
        let name = lower.strip_suffix('.').unwrap_or(&lower);
        let expected = entries
            .iter()
            .filter(|(pattern, ..)| pattern.as_ref().is_none_or(|pattern| pattern.covers(name)))
            .min_by_key(|(_, rank, _)| *rank)
            .map(|(.., value)| *value);
        prop_assert_eq!(HostIndex::new(entries).find(&host), expected);
    }
}

fn path_pattern() -> impl Strategy<Value = PathPattern> {
    let matching = &[PathMatch::Exact, PathMatch::Prefix, PathMatch::Begins];
    let part = proptest::sample::select(&["a", "b", "ab", "", "A"][..]);
    let parts = proptest::collection::vec(part, 0..4);
    (proptest::sample::select(&matching[..]), parts).prop_map(|(matching, parts)| {
        PathPattern::new(matching, &format!("/{}", parts.join("/"))).unwrap()
    })
}

/// What a gateway has: case does not matter.
fn folded_pattern() -> impl Strategy<Value = PathPattern> {
    let part = proptest::sample::select(&["a", "b", "aB", "", "A"][..]);
    (proptest::collection::vec(part, 0..4), any::<bool>()).prop_map(|(parts, star)| {
        let path = format!("/{}{}", parts.join("/"), if star { "*" } else { "" });
        PathPattern::application_gateway(if path == "/" { "/*" } else { &path }).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_first_path_rule_that_covers_a_path_takes_it(
        rules in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![path_pattern(), folded_pattern()], 0..3),
            0..12,
        ),
        path in "(/|(/(a|b|ab|abb|A|aB|))*|\\*|[/abA]{0,6})",
    ) {
        let expected = rules.iter().position(|rule| rule.iter().any(|p| p.covers(&path)));
        let index = PathIndex::new(rules.iter().map(Vec::as_slice));
        prop_assert_eq!(index.find(&path).map(|found| found as usize), expected);
    }
}

#[test]
fn a_path_of_many_elements_is_found_by_its_first() {
    let pattern = PathPattern::new(PathMatch::Prefix, "/a").unwrap();
    let index = PathIndex::new([std::slice::from_ref(&pattern)]);
    assert_eq!(index.find(&format!("/a{}", "/b".repeat(16_000))), Some(0));
    assert_eq!(index.find(&"/".repeat(32_000)), None);
    let pattern = PathPattern::application_gateway("/a/b*").unwrap();
    let index = PathIndex::new([std::slice::from_ref(&pattern)]);
    assert_eq!(index.find(&format!("/A/{}", "B".repeat(32_000))), Some(0));
    assert_eq!(index.find(&format!("/A/a{}", "B".repeat(32_000))), None);
}
