//! One rate limit of one listener, rule or path rule. It outlives tables: a swap fills no bucket.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tidegate_model::{RateLimit, RateLimitPer};

use crate::guard::buckets::Buckets;

/// Counts requests, and says which are too many.
///
/// A bucket is one number: the time at which it will be full again. A request is let through if that
/// is not further away than the burst lasts, and moves it on by what one request takes. So a bucket
/// that is full needs no memory, and nothing has to be done as time passes. All cores count
/// together: were the rate split among them, a client that has one connection, and so one core,
/// would get a part of what it may.
#[derive(Debug)]
pub(crate) struct Limiter {
    began: Instant,
    /// What one request takes, in nanoseconds.
    each: u64,
    /// How far ahead the time may be for one more request.
    most: u64,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// One for everybody: a number that cores change without a lock.
    All(AtomicU64),
    /// One for each client.
    Client(Buckets),
}

impl Limiter {
    pub(crate) fn new(model: &RateLimit) -> Self {
        let each = 1_000_000_000 / u64::from(model.per_second.get());
        let most = each * u64::from(model.burst.get() - 1);
        let kind = match model.per {
            RateLimitPer::All => Kind::All(AtomicU64::new(0)),
            RateLimitPer::Client => Kind::Client(Buckets::default()),
        };
        Self { began: Instant::now(), each, most, kind }
    }

    /// Takes a place for a request.
    ///
    /// # Errors
    /// If there is none: after so many seconds there is one.
    pub(crate) fn take(&self, client: IpAddr) -> Result<(), NonZeroU32> {
        let now = self.began.elapsed().as_nanos() as u64;
        self.take_at(client, now)
    }

    /// The same at a time, in nanoseconds since it began.
    pub(super) fn take_at(&self, client: IpAddr, now: u64) -> Result<(), NonZeroU32> {
        let taken = match &self.kind {
            Kind::All(full) => full
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full| {
                    self.next(full, now).ok()
                })
                .map(drop)
                .map_err(|full| self.wait(full, now)),
            Kind::Client(buckets) => buckets.with(key(client), now, |full| {
                *full = self.next(*full, now).map_err(|()| self.wait(*full, now))?;
                Ok(())
            }),
        };
        taken.map_err(|wait| {
            let seconds = u32::try_from(wait.div_ceil(1_000_000_000)).unwrap_or(u32::MAX);
            NonZeroU32::MIN.max(NonZeroU32::new(seconds).unwrap_or(NonZeroU32::MIN))
        })
    }

    /// When the bucket is full after one more request; an error if that is one too many.
    fn next(&self, full: u64, now: u64) -> Result<u64, ()> {
        let full = full.max(now);
        if full - now > self.most { Err(()) } else { Ok(full + self.each) }
    }

    fn wait(&self, full: u64, now: u64) -> u64 {
        full.saturating_sub(now).saturating_sub(self.most)
    }
}

/// What one client has: an address, or a network of 64 bits of IPv6, in which it may have them all.
fn key(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            std::net::Ipv6Addr::from(network).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn limiter(per_second: u32, burst: u32, per: RateLimitPer) -> Limiter {
        let count = |count| NonZeroU32::new(count).unwrap();
        Limiter::new(&RateLimit { per_second: count(per_second), burst: count(burst), per })
    }

    fn taken(limiter: &Limiter, client: &str, now: u64, tries: usize) -> usize {
        let client = client.parse().unwrap();
        (0..tries).filter(|_| limiter.take_at(client, now).is_ok()).count()
    }

    #[test]
    fn a_burst_passes_and_then_as_much_as_comes_back() {
        for per in [RateLimitPer::All, RateLimitPer::Client] {
            let limiter = limiter(10, 5, per);
            assert_eq!(taken(&limiter, "1.2.3.4", 0, 20), 5);
            assert_eq!(taken(&limiter, "1.2.3.4", SECOND / 10, 20), 1);
            assert_eq!(taken(&limiter, "1.2.3.4", SECOND / 2, 20), 4);
            assert_eq!(taken(&limiter, "1.2.3.4", 100 * SECOND, 20), 5, "no more than the burst");
        }
    }

    #[test]
    fn clients_have_buckets_of_their_own_and_a_network_of_ipv6_is_one() {
        let limiter = limiter(1, 2, RateLimitPer::Client);
        assert_eq!(taken(&limiter, "1.2.3.4", 0, 5), 2);
        assert_eq!(taken(&limiter, "::ffff:1.2.3.4", 0, 5), 0);
        assert_eq!(taken(&limiter, "1.2.3.5", 0, 5), 2);
        assert_eq!(taken(&limiter, "2001:db8::1", 0, 5), 2);
        assert_eq!(taken(&limiter, "2001:db8::2:0:0:1", 0, 5), 0);
        assert_eq!(taken(&limiter, "2001:db8:0:1::1", 0, 5), 2);
    }

    #[test]
    fn one_too_many_is_told_how_long_to_wait() {
        let limiter = limiter(1, 3, RateLimitPer::All);
        assert_eq!(taken(&limiter, "::1", 0, 3), 3);
        let wait = |now| limiter.take_at("::1".parse().unwrap(), now).unwrap_err().get();
        assert_eq!(wait(0), 1);
        assert_eq!(wait(SECOND - 1), 1);
    }

    #[test]
    fn cores_together_take_no_more_than_the_burst() {
        for per in [RateLimitPer::All, RateLimitPer::Client] {
            let limiter = limiter(1, 1000, per);
            let all: usize = std::thread::scope(|scope| {
                let threads: Vec<_> =
                    (0..4).map(|_| scope.spawn(|| taken(&limiter, "::1", 0, 600))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(all, 1000);
        }
    }
}
