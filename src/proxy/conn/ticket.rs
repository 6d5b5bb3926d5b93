//! The handle by which a core can end a connection it is not polling.
//!
//! Every client connection, member connection and tunnel owns a ticket. Its owner arms a deadline
//! and reads orders; the core's sweep fires deadlines that passed and gives orders when something
//! drains. So no connection needs a timer of its own, and ten thousand of them cost one pass over
//! a slab every step.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;

use crate::clock;

/// What the owner of a ticket should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Order {
    /// Go on.
    None = 0,
    /// Finish what runs, begin nothing new.
    Graceful = 1,
    /// End now: its deadline passed.
    Expired = 2,
    /// End now: what it belonged to is gone.
    Abort = 3,
    /// End now: the client did not send the request's body in time.
    ClientStalled = 4,
}

impl Order {
    fn from_u8(value: u8) -> Self {
        match value {
            1 => Self::Graceful,
            2 => Self::Expired,
            3 => Self::Abort,
            4 => Self::ClientStalled,
            _ => Self::None,
        }
    }

    /// Whether the owner has to end now.
    pub(crate) fn ends(self) -> bool {
        self as u8 >= Self::Expired as u8
    }
}

/// No deadline.
const NEVER: u64 = u64::MAX;
/// The sweep has fired this deadline; the owner can no longer take it back.
const FIRED: u64 = u64::MAX - 1;
/// Marks a deadline by which the client, not the member, has to move.
const CLIENT: u64 = 1 << 62;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ticket {
    waker: AtomicWaker,
    order: AtomicU8,
    deadline: AtomicU64,
    /// The next bytes that arrive begin a request.
    quiet: AtomicBool,
}

impl Ticket {
    pub(crate) fn new() -> Self {
        Self { deadline: AtomicU64::new(NEVER), ..Self::default() }
    }

    /// Sets the deadline, unless the last one fired already.
    pub(crate) fn arm(&self, after: Duration) {
        self.set(clock::deadline(after));
    }

    /// As [`arm`](Self::arm), with the client to blame.
    pub(crate) fn arm_client(&self, after: Duration) {
        self.set(clock::deadline(after) | CLIENT);
    }

    /// Takes the deadline back; `false` if it fired already, so that the owner is to end.
    pub(crate) fn disarm(&self) -> bool {
        self.set(NEVER)
    }

    fn set(&self, deadline: u64) -> bool {
        let mut current = self.deadline.load(Ordering::Relaxed);
        while current != FIRED {
            match self.deadline.compare_exchange_weak(
                current,
                deadline,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => current = now,
            }
        }
        false
    }

    /// Whether it has a deadline.
    pub(crate) fn is_armed(&self) -> bool {
        self.deadline.load(Ordering::Relaxed) != NEVER
    }

    /// Fires the deadline if it passed. Called by the sweep alone.
    pub(crate) fn sweep(&self, now: u64) {
        let deadline = self.deadline.load(Ordering::Relaxed);
        if deadline >= FIRED || deadline & !CLIENT > now {
            return;
        }
        let fired =
            self.deadline.compare_exchange(deadline, FIRED, Ordering::AcqRel, Ordering::Relaxed);
        if fired.is_ok() {
            let blame_client = deadline & CLIENT != 0;
            self.give(if blame_client { Order::ClientStalled } else { Order::Expired });
        }
    }

    /// Gives an order; a weaker one than the last changes nothing.
    pub(crate) fn give(&self, order: Order) {
        if self.order.fetch_max(order as u8, Ordering::AcqRel) < order as u8 {
            self.waker.wake();
        }
    }

    /// The strongest order given so far.
    pub(crate) fn order(&self) -> Order {
        Order::from_u8(self.order.load(Ordering::Acquire))
    }

    /// Has `waker` woken by the next order. Register first, then read the order.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Says that the next bytes begin a request.
    pub(crate) fn set_quiet(&self) {
        self.quiet.store(true, Ordering::Relaxed);
    }

    /// Whether no byte has arrived since the last request.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// Whether bytes that just arrived begin a request; true once.
    pub(crate) fn begins_request(&self) -> bool {
        self.quiet.load(Ordering::Relaxed) && self.quiet.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_fires_once_and_only_when_it_passed() {
        let ticket = Ticket::new();
        ticket.arm(Duration::from_secs(1));
        let now = clock::coarse();
        ticket.sweep(now + 1_000);
        assert_eq!(ticket.order(), Order::None);
        ticket.sweep(now + 2_000);
        assert_eq!(ticket.order(), Order::Expired);
        assert!(!ticket.disarm(), "a fired deadline was taken back");
    }

    #[test]
    fn a_deadline_taken_back_does_not_fire() {
        let ticket = Ticket::new();
        ticket.arm_client(Duration::ZERO);
        assert!(ticket.disarm());
        ticket.sweep(u64::MAX >> 3);
        assert_eq!(ticket.order(), Order::None);
        ticket.arm_client(Duration::ZERO);
        ticket.sweep(clock::coarse() + 10_000);
        assert_eq!(ticket.order(), Order::ClientStalled);
    }

    #[test]
    fn a_weaker_order_does_not_replace_a_stronger_one() {
        let ticket = Ticket::new();
        ticket.give(Order::Abort);
        ticket.give(Order::Graceful);
        assert_eq!(ticket.order(), Order::Abort);
    }
}
