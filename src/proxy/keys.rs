//! Secret keys that processes share, so that what one gave a client another understands.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};

/// One secret key.
pub type SharedKey = [u8; 32];

/// Keys that other processes know, too. Each list begins with the one to give something out with;
/// what was given out with any of it is taken. Where a list is empty, the process uses its own.
#[derive(Clone, Default)]
pub struct SharedKeys {
    /// Sessions are resumed by these.
    pub session_tickets: Vec<SharedKey>,
    /// Cookies name members by these.
    pub affinity: Vec<SharedKey>,
}

impl std::fmt::Debug for SharedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = (self.session_tickets.len(), self.affinity.len());
        f.debug_tuple("SharedKeys").field(&counts).finish()
    }
}

/// Keys of session tickets, if any are shared.
pub(crate) type TicketKeys = ArcSwapOption<Vec<SharedKey>>;

/// Keys of affinity; never empty.
pub(crate) type AffinityKeys = ArcSwap<Vec<SharedKey>>;

/// The keys in use.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) tickets: Arc<TicketKeys>,
    pub(crate) affinity: Arc<AffinityKeys>,
}

impl Keys {
    /// This process's own.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub(crate) fn own() -> Result<Self, rustls::Error> {
        let mut key: SharedKey = [0; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| rustls::Error::FailedToGetRandomBytes)?;
        let affinity = Arc::new(AffinityKeys::from_pointee(vec![key]));
        Ok(Self { tickets: Arc::default(), affinity })
    }

    /// Uses shared ones from now on. A list that is empty changes nothing.
    pub(crate) fn share(&self, keys: SharedKeys) {
        if !keys.session_tickets.is_empty()
            && self.tickets.load().as_deref() != Some(&keys.session_tickets)
        {
            self.tickets.store(Some(Arc::new(keys.session_tickets)));
        }
        if !keys.affinity.is_empty() && **self.affinity.load() != keys.affinity {
            self.affinity.store(Arc::new(keys.affinity));
        }
    }
}
