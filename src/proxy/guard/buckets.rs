//! The buckets of clients, in bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use parking_lot::Mutex;

/// Parts with a lock each, so that cores seldom meet: a bucket has to be found before it can be
/// changed, and the lock is held for no longer than that.
const PARTS: usize = 64;

/// Buckets of one generation in one part: some 130,000 clients in all, and a few megabytes.
const GENERATION: usize = 1024;

/// Times at which buckets are full again, by client.
#[derive(Debug)]
pub(super) struct Buckets {
    /// Keyed, so that nobody can choose addresses that meet in one part.
    hasher: RandomState,
    parts: Box<[Mutex<Part>]>,
}

/// Clients that came lately, and those before them. What is in neither has been away while more
/// than a generation of others came, or is full: its bucket is taken to be full. So many addresses
/// gain each of them a burst, and cost nobody else anything.
#[derive(Debug, Default)]
struct Part {
    lately: HashMap<IpAddr, u64>,
    before: HashMap<IpAddr, u64>,
}

impl Default for Buckets {
    fn default() -> Self {
        let parts = std::iter::repeat_with(Mutex::default).take(PARTS).collect();
        Self { hasher: RandomState::new(), parts }
    }
}

impl Buckets {
    /// Does something with a client's bucket.
    pub(super) fn with<T>(
        &self,
        client: IpAddr,
        now: u64,
        change: impl FnOnce(&mut u64) -> T,
    ) -> T {
        let part = self.hasher.hash_one(client) as usize % PARTS;
        let mut part = self.parts[part].lock();
        let Part { lately, before } = &mut *part;
        if let Some(full) = lately.get_mut(&client) {
            return change(full);
        }
        if lately.len() >= GENERATION {
            lately.retain(|_, full| *full > now);
            // Half of them are full at least: then it is long until the next time.
            if lately.len() > GENERATION / 2 {
                *before = std::mem::take(lately);
            }
        }
        let mut full = before.remove(&client).unwrap_or(0);
        let done = change(&mut full);
        lately.insert(client, full);
        done
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn count(buckets: &Buckets) -> usize {
        let parts = buckets.parts.iter().map(|part| part.lock());
        parts.map(|part| part.lately.len() + part.before.len()).sum()
    }

    #[test]
    fn many_addresses_take_no_more_memory_than_some() {
        let buckets = Buckets::default();
        for number in 0..300_000_u32 {
            buckets.with(Ipv4Addr::from(number).into(), 0, |full| *full = 10);
        }
        assert!(count(&buckets) <= 2 * PARTS * GENERATION);
        // Those that came last are remembered.
        let last = buckets.with(Ipv4Addr::from(299_999).into(), 0, |full| *full);
        assert_eq!(last, 10);
    }

    #[test]
    fn who_comes_again_is_remembered_while_others_come() {
        let buckets = Buckets::default();
        let client: IpAddr = "9.9.9.9".parse().unwrap();
        buckets.with(client, 0, |full| *full = 77);
        for number in 0..500_000_u32 {
            buckets.with(Ipv4Addr::from(number).into(), 0, |full| *full = 10);
            if number % 1000 == 0 {
                assert_eq!(buckets.with(client, 0, |full| *full), 77);
            }
        }
    }

    #[test]
    fn full_buckets_are_forgotten_first() {
        let buckets = Buckets::default();
        let client: IpAddr = "9.9.9.9".parse().unwrap();
        buckets.with(client, 0, |full| *full = 1_000_000);
        for number in 0..500_000_u32 {
            let now = u64::from(number);
            buckets.with(Ipv4Addr::from(number).into(), now, |full| *full = now + 1);
        }
        assert_eq!(buckets.with(client, 500_000, |full| *full), 1_000_000);
    }
}
