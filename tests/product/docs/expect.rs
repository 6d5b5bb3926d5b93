//! Whether what was printed is what a page says.

/// `...` alone stands for any lines, within a line for any text.
pub fn matches<E: AsRef<str>, P: AsRef<str>>(expected: &[E], printed: &[P]) -> bool {
    lines(trimmed(expected), trimmed(printed))
}

fn trimmed<T: AsRef<str>>(lines: &[T]) -> &[T] {
    let used = lines.iter().rposition(|line| !line.as_ref().trim().is_empty());
    &lines[..used.map_or(0, |last| last + 1)]
}

fn lines<E: AsRef<str>, P: AsRef<str>>(expected: &[E], printed: &[P]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first.as_ref().trim() == "..." => {
            (0..=printed.len()).any(|skipped| lines(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed.split_first().is_some_and(|(line, more)| {
            is_like(first.as_ref(), line.as_ref()) && lines(rest, more)
        }),
    }
}

fn is_like(expected: &str, line: &str) -> bool {
    let Some((begin, rest)) = expected.split_once("...") else {
        return expected == line;
    };
    let Some(line) = line.strip_prefix(begin) else { return false };
    let mut ends = line.char_indices().map(|(place, _)| place).chain([line.len()]);
    ends.any(|place| is_like(rest, &line[place..]))
}

#[test]
fn three_dots_stand_for_what_may_vary() {
    for (expected, printed, holds) in [
        (&["a", "b"][..], &["a", "b"][..], true),
        (&["a", "b"], &["a", "b", ""], true),
        (&["a", "b"], &["a"], false),
        (&["a"], &["a", "b"], false),
        (&["a", "..."], &["a", "b", "c"], true),
        (&["...", "c"], &["a", "b", "c"], true),
        (&["...", "c"], &["c"], true),
        (&["...", "b"], &["a", "b", "c"], false),
        (&["x: ...y", "..."], &["x: ..1y"], true),
        (&["x: ...:y"], &["x: 1y"], false),
        (&[""], &["a"], false),
    ] {
        assert_eq!(matches(expected, printed), holds, "{expected:?} {printed:?}");
    }
}
