//! When a member counts as up or down, and when it is asked next. No clock and no socket.

use std::time::Duration;

use crate::health::HealthState;

/// After the first failure of a member that was never up.
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// What the answers so far come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    state: HealthState,
    failures: u32,
    was_up: bool,
    retry: Duration,
}

impl Verdict {
    pub(super) fn unknown() -> Self {
        Self { state: HealthState::Unknown, failures: 0, was_up: false, retry: FIRST_RETRY }
    }

    /// Goes on from what another probe of the same member found.
    pub(super) fn after(state: HealthState) -> Self {
        Self { state, was_up: state == HealthState::Up, ..Self::unknown() }
    }

    /// Takes an answer; how long after its start the next probe is due.
    pub(super) fn take(&mut self, healthy: bool, threshold: u32, interval: Duration) -> Duration {
        if healthy {
            *self = Self { state: HealthState::Up, failures: 0, was_up: true, retry: FIRST_RETRY };
            return interval;
        }
        self.failures = self.failures.saturating_add(1);
        if self.state == HealthState::Unknown || self.failures >= threshold {
            self.state = HealthState::Down;
        }
        if self.was_up {
            return interval;
        }
        let due = self.retry.min(interval);
        self.retry = self.retry.saturating_mul(2);
        due
    }

    pub(super) fn state(&self) -> HealthState {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);

    #[test]
    fn a_member_that_starts_late_is_asked_soon_and_then_at_its_interval() {
        let mut verdict = Verdict::unknown();
        let due: Vec<u128> = (0..6).map(|_| verdict.take(false, 3, INTERVAL).as_millis()).collect();
        assert_eq!(due, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(verdict.take(true, 3, INTERVAL), INTERVAL);
        assert_eq!(verdict.take(false, 3, INTERVAL), INTERVAL);
    }

    proptest! {
        #[test]
        fn up_and_down_are_what_the_definition_says(
            answers in proptest::collection::vec(any::<bool>(), 0..40),
            threshold in 1..5u32,
        ) {
            let mut verdict = Verdict::unknown();
            for (count, &answer) in answers.iter().enumerate() {
                verdict.take(answer, threshold, INTERVAL);
                let seen = &answers[..=count];
                let failures = seen.iter().rev().take_while(|healthy| !**healthy).count();
                let never_up = failures == seen.len();
                let expected = if failures == 0 || (!never_up && failures < threshold as usize) {
                    HealthState::Up
                } else {
                    HealthState::Down
                };
                // Down stays down until a success.
                prop_assert_eq!(verdict.state(), expected);
            }
        }
    }
}
