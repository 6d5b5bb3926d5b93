//! The tickets of one core, each with what it belongs to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use slab::Slab;

use crate::conn::ticket::Ticket;

/// How many tickets are looked at before the core serves its sockets again.
const CHUNK: usize = 256;

/// Tickets of one kind on one core. `T` says what each belongs to.
#[derive(Debug)]
pub(crate) struct Registry<T> {
    entries: Mutex<Slab<(Arc<Ticket>, T)>>,
    open: AtomicUsize,
}

impl<T> Registry<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { entries: Mutex::new(Slab::new()), open: AtomicUsize::new(0) })
    }

    /// Enters a ticket until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>, ticket: Arc<Ticket>, owner: T) -> Entered<T> {
        self.open.fetch_add(1, Ordering::Relaxed);
        let key = self.entries.lock().insert((ticket, owner));
        Entered { registry: self.clone(), key }
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Calls `each` on every ticket, letting the core serve its sockets in between. What enters
    /// meanwhile may be left out.
    pub(crate) async fn walk(&self, mut each: impl FnMut(&Arc<Ticket>, &T)) {
        let mut next = 0;
        loop {
            {
                let entries = self.entries.lock();
                // Keys are indexes: freed ones are gaps that cost one look.
                let end = next + CHUNK;
                for key in next..end {
                    if let Some((ticket, owner)) = entries.get(key) {
                        each(ticket, owner);
                    }
                }
                if end >= entries.capacity() {
                    return;
                }
                next = end;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Holds a ticket's place in its registry.
#[derive(Debug)]
pub(crate) struct Entered<T> {
    registry: Arc<Registry<T>>,
    key: usize,
}

impl<T> Drop for Entered<T> {
    fn drop(&mut self) {
        let mut entries = self.registry.entries.lock();
        drop(entries.remove(self.key));
        // After a crowd has left, its slab goes too.
        if entries.is_empty() && entries.capacity() > 4 * CHUNK {
            entries.shrink_to_fit();
        }
        drop(entries);
        self.registry.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::ticket::Order;

    #[tokio::test]
    async fn a_walk_meets_every_ticket_and_none_that_left() {
        let registry = Registry::new();
        let tickets: Vec<_> = (0..1000).map(|_| Arc::new(Ticket::new())).collect();
        let mut entered: Vec<_> =
            tickets.iter().enumerate().map(|(n, t)| registry.enter(t.clone(), n)).collect();
        entered.truncate(700);
        assert_eq!(registry.open(), 700);
        registry
            .walk(|ticket, n| {
                if n % 2 == 0 {
                    ticket.give(Order::Abort)
                }
            })
            .await;
        for (n, ticket) in tickets.iter().enumerate() {
            let expected = if n % 2 == 0 && n < 700 { Order::Abort } else { Order::None };
            assert_eq!(ticket.order(), expected, "{n}");
        }
        drop(entered);
        assert_eq!(registry.open(), 0);
    }
}
