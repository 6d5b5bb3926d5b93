//! Rules that no request reaches, because others take every host of their listeners.

use tidegate_model::{Frontend, HostPattern, Listener, Rank};

use crate::translate::findings::Findings;

/// One of the hosts that a listener takes; `None` for any.
struct Host<'f> {
    rank: Rank,
    pattern: Option<&'f HostPattern>,
    listener: usize,
}

/// Tells of rules on a frontend that others hide for good; `path` tells where a rule stands.
pub(super) fn warn_of_hidden(
    frontend: &Frontend,
    path: impl Fn(&str) -> String,
    findings: &mut Findings,
) {
    let hosts: Vec<Vec<Host<'_>>> = frontend
        .listeners()
        .iter()
        .enumerate()
        .map(|(index, listener)| hosts(frontend, index, listener))
        .collect();
    // A name hides nothing but itself, and two listeners of one name were refused before.
    let is_wide = |host: &&Host<'_>| !matches!(host.pattern, Some(HostPattern::Exact(_)));
    let wide: Vec<&Host<'_>> = hosts.iter().flatten().filter(is_wide).collect();
    if wide.is_empty() {
        return;
    }
    for (index, own) in hosts.iter().enumerate() {
        let mut hiders: Vec<&str> = Vec::new();
        let mut is_hidden = !own.is_empty();
        for host in own {
            let hides = |other: &&&Host<'_>| {
                other.rank < host.rank && other.listener != index && includes(other, host)
            };
            let Some(hider) = wide.iter().find(hides) else {
                is_hidden = false;
                break;
            };
            let name = &*frontend.listeners()[hider.listener].rule.name;
            if !hiders.contains(&name) {
                hiders.push(name);
            }
        }
        if is_hidden {
            let why = format!(
                "no request reaches it: {} takes all of its hosts before it; a smaller priority, or \
                 hostPrecedence: MostSpecific, would let it have them",
                hiders.join(" and ")
            );
            findings.warn(path(&frontend.listeners()[index].rule.name), why);
        }
    }
}

fn hosts<'f>(frontend: &Frontend, index: usize, listener: &'f Listener) -> Vec<Host<'f>> {
    let host = |pattern: Option<&'f HostPattern>| {
        let rank = Rank::new(frontend.precedence(), listener.rule.priority, pattern, index);
        Host { rank, pattern, listener: index }
    };
    match listener.hosts.as_slice() {
        [] => vec![host(None)],
        patterns => patterns.iter().map(|pattern| host(Some(pattern))).collect(),
    }
}

fn includes(wide: &Host<'_>, other: &Host<'_>) -> bool {
    match (wide.pattern, other.pattern) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(other)) => wide.includes(other),
    }
}
