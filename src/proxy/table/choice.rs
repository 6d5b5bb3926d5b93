//! Ways to choose one of several, by their places: no allocation, no lock, and nothing that is kept
//! but a turn. What they choose among is said by functions, so that they know neither members nor
//! health.

/// The fraction of the golden ratio: its multiples, cut at the point, fill an interval more evenly
/// than chance does.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number as one that has nothing to do with its neighbours (SplitMix64).
pub(super) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The one whose turn it is. Turns of those that are out go to all others alike, and not to the
/// next one alone.
pub(super) fn in_turn(count: usize, turn: usize, able: impl Fn(usize) -> bool) -> Option<usize> {
    let first = turn.checked_rem(count)?;
    if able(first) {
        return Some(first);
    }
    let left = (0..count).filter(|place| able(*place)).count();
    let nth = (mix(turn as u64) as usize).checked_rem(left)?;
    nth_able(count, nth, able)
}

/// Who is out may change while others are looked at.
fn nth_able(count: usize, nth: usize, able: impl Fn(usize) -> bool) -> Option<usize> {
    let mut last = None;
    for (index, place) in (0..count).filter(|place| able(*place)).enumerate() {
        last = Some(place);
        if index >= nth {
            break;
        }
    }
    last
}

/// The one with the least load; of equal ones the first from `turn` on.
pub(super) fn least(
    count: usize,
    turn: usize,
    able: impl Fn(usize) -> bool,
    load: impl Fn(usize) -> u64,
) -> Option<usize> {
    let first = turn.checked_rem(count)?;
    (first..count).chain(0..first).filter(|place| able(*place)).min_by_key(|place| load(*place))
}

/// One by its weight: over many turns each gets its share of those that are able.
pub(super) fn by_weight(
    count: usize,
    turn: usize,
    able: impl Fn(usize) -> bool,
    weight: impl Fn(usize) -> u64,
) -> Option<usize> {
    let all: u64 = (0..count).filter(|place| able(*place)).map(&weight).sum();
    draw(count, all, turn, able, weight)
}

fn draw(
    count: usize,
    all: u64,
    turn: usize,
    able: impl Fn(usize) -> bool,
    weight: impl Fn(usize) -> u64,
) -> Option<usize> {
    let point = (turn as u64).wrapping_mul(GOLDEN);
    let mut point = ((u128::from(point) * u128::from(all)) >> 64) as u64;
    let mut last = None;
    for place in (0..count).filter(|place| able(*place)) {
        last = Some(place);
        match point.checked_sub(weight(place)) {
            Some(rest) => point = rest,
            None => break,
        }
    }
    last
}

/// The one that its weight gives the turn, unless it has more than its share of the load: then the
/// one with the least for its weight. So shares follow weights when there is little to do, and the
/// load does when there is much.
pub(super) fn least_by_weight(
    count: usize,
    turn: usize,
    able: impl Fn(usize) -> bool,
    weight: impl Fn(usize) -> u64,
    load: impl Fn(usize) -> u64,
) -> Option<usize> {
    let (mut weights, mut loads) = (0, 0);
    let mut best: Option<(usize, u128, u128)> = None;
    for place in (0..count).filter(|place| able(*place)) {
        let (its_weight, its_load) = (weight(place), load(place));
        weights += its_weight;
        loads += its_load;
        let (its_weight, next) = (u128::from(its_weight.max(1)), u128::from(its_load) + 1);
        // next / its_weight < load / weight, without dividing.
        if best.is_none_or(|(_, weight, load)| next * weight < load * its_weight) {
            best = Some((place, its_weight, next));
        }
    }
    let (best, ..) = best?;
    let drawn = draw(count, weights, turn, able, &weight)?;
    let is_above = |place| {
        u128::from(load(place)) * u128::from(weights)
            > u128::from(loads) * u128::from(weight(place))
    };
    Some(if is_above(drawn) { best } else { drawn })
}

/// The one that this hash prefers (rendezvous hashing): each goes with its own ones to the others
/// when it is out, and gets them back after. `score` is a hash of both.
pub(super) fn by_hash(
    count: usize,
    able: impl Fn(usize) -> bool,
    score: impl Fn(usize) -> u64,
) -> Option<usize> {
    (0..count).filter(|place| able(*place)).max_by_key(|place| score(*place))
}

/// The same, of all hashes to each the share that its weight is of all weights: the first of
/// several alarms that ring at random, each as often as its weight says.
pub(super) fn by_hash_and_weight(
    count: usize,
    able: impl Fn(usize) -> bool,
    weight: impl Fn(usize) -> u64,
    score: impl Fn(usize) -> u64,
) -> Option<usize> {
    let rings = |place: &usize| {
        // Above 0 and below 1.
        let chance = ((score(*place) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        -chance.ln() / weight(*place).max(1) as f64
    };
    (0..count).filter(|place| able(*place)).min_by(|a, b| rings(a).total_cmp(&rings(b)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Weights of places; those with 0 are out.
    fn places() -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::vec(prop_oneof![Just(0), 1..=100u64], 0..12)
    }

    fn counted(weights: &[u64], choices: impl Iterator<Item = Option<usize>>) -> Vec<f64> {
        let mut counts = vec![0.0; weights.len()];
        for choice in choices {
            match choice {
                Some(place) => counts[place] += 1.0,
                None => assert!(weights.iter().all(|weight| *weight == 0)),
            }
        }
        counts
    }

    /// What everyone should get of so many turns.
    fn shares(weights: &[u64], turns: f64) -> Vec<f64> {
        let all: u64 = weights.iter().sum();
        weights.iter().map(|weight| turns * *weight as f64 / all.max(1) as f64).collect()
    }

    fn check(counts: &[f64], shares: &[f64], off: impl Fn(f64) -> f64) {
        for (place, (count, share)) in counts.iter().zip(shares).enumerate() {
            let right = (count - share).abs() <= off(*share) && (*share > 0.0 || *count == 0.0);
            assert!(right, "{place} got {count}, not {share}: {counts:?} {shares:?}");
        }
    }

    const TURNS: usize = 2000;

    proptest! {
        #[test]
        fn weighted_turns_come_to_the_shares_within_a_few(weights in places(), start: u32) {
            let turns = (0..TURNS).map(|n| start as usize + n);
            let able = |place: usize| weights[place] > 0;
            let choices = turns.map(|t| by_weight(weights.len(), t, able, |place| weights[place]));
            check(&counted(&weights, choices), &shares(&weights, TURNS as f64), |_| 10.0);
        }

        #[test]
        fn turns_of_those_that_are_out_go_to_all_others_alike(weights in places(), start: u32) {
            let even: Vec<u64> = weights.iter().map(|weight| (*weight).min(1)).collect();
            let turns = (0..TURNS).map(|n| start as usize + n);
            let choices = turns.map(|t| in_turn(even.len(), t, |place| even[place] > 0));
            // What is given by chance is within five standard deviations.
            let off = |share: f64| 5.0 * share.sqrt() + 1.0;
            check(&counted(&even, choices), &shares(&even, TURNS as f64), off);
        }

        #[test]
        fn with_nobody_out_each_has_its_turn(count in 1..50usize, start: u32) {
            let turns = (0..count).map(|n| in_turn(count, start as usize + n, |_| true).unwrap());
            let mut seen: Vec<usize> = turns.collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }

        #[test]
        fn the_least_load_wins_and_turns_decide_among_equal_ones(
            loads in proptest::collection::vec((any::<bool>(), 0..4u64), 0..12),
            turn: u32,
        ) {
            let able = |place: usize| loads[place].0;
            let found = least(loads.len(), turn as usize, able, |place| loads[place].1);
            let lowest = loads.iter().filter(|its| its.0).map(|its| its.1).min();
            let first = turn as usize % loads.len().max(1);
            let naive = (first..loads.len()).chain(0..first).find(|p| Some(loads[*p].1) == lowest && able(*p));
            prop_assert_eq!(found, naive);
        }

        #[test]
        fn open_tunnels_come_to_the_shares_whatever_ends_in_between(
            weights in places(),
            ends in proptest::collection::vec(any::<u16>(), 0..200),
        ) {
            let mut loads = vec![0u64; weights.len()];
            let able = |place: usize| weights[place] > 0;
            for turn in 0..TURNS {
                let load = |place: usize| loads[place];
                let found = least_by_weight(weights.len(), turn, able, |p| weights[p], load);
                let Some(place) = found else { break };
                loads[place] += 1;
                if turn < TURNS / 2 && let Some(end) = ends.get(turn / 5) {
                    let place = usize::from(*end) % loads.len();
                    loads[place] = loads[place].saturating_sub(3);
                }
            }
            let open: u64 = loads.iter().sum();
            let counts: Vec<f64> = loads.iter().map(|load| *load as f64).collect();
            let able = weights.iter().filter(|weight| **weight > 0).count() as f64;
            check(&counts, &shares(&weights, open as f64), |_| able + 1.0);
        }

        #[test]
        fn without_load_shares_follow_the_weights(weights in places(), start: u32) {
            let turns = (0..TURNS).map(|n| start as usize + n);
            let able = |place: usize| weights[place] > 0;
            let weight = |place: usize| weights[place];
            let choices = turns.map(|t| least_by_weight(weights.len(), t, able, weight, |_| 0));
            check(&counted(&weights, choices), &shares(&weights, TURNS as f64), |_| 10.0);
        }

        #[test]
        fn a_hash_moves_only_if_its_own_place_is_out(
            weights in places(),
            gone: prop::sample::Index,
            weighted: bool,
        ) {
            let find = |hash: u64, weights: &[u64]| {
                let able = |place: usize| weights[place] > 0;
                let score = |place: usize| mix(mix(hash) ^ mix(place as u64));
                match weighted {
                    true => by_hash_and_weight(weights.len(), able, |place| weights[place], score),
                    false => by_hash(weights.len(), able, score),
                }
            };
            let even: Vec<u64> = weights.iter().map(|weight| (*weight).min(1)).collect();
            let weights = if weighted { weights } else { even };
            let choices: Vec<_> = (0..TURNS as u64).map(|hash| find(hash, &weights)).collect();
            let off = |share: f64| 5.0 * share.sqrt() + 1.0;
            let counts = counted(&weights, choices.iter().copied());
            check(&counts, &shares(&weights, TURNS as f64), off);
            if weights.is_empty() {
                return Ok(());
            }
            let (gone, mut left) = (gone.index(weights.len()), weights.clone());
            left[gone] = 0;
            for (hash, before) in choices.iter().enumerate().filter(|its| *its.1 != Some(gone)) {
                prop_assert_eq!(find(hash as u64, &left), *before);
            }
        }
    }
}
