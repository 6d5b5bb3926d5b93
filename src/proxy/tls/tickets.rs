//! Session tickets (RFC 5077, RFC 8446 2.2): what a client resumes its session with.
//!
//! Alone, a process makes its own keys and turns them by itself. Where it is told keys that it
//! shares with others, a client may resume with any of them. Each frontend derives keys of its own
//! from those, so that a session is never resumed at another gateway.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ProducesTickets;

use crate::keys::{SharedKey, TicketKeys};

/// How long a client may resume with a ticket, in seconds: the turn of the shared keys.
const LIFETIME: u32 = 12 * 3600;

/// The tickets of one frontend.
pub(super) struct Tickets {
    shared: Arc<TicketKeys>,
    /// What sets its keys apart from those of other frontends.
    frontend: Vec<u8>,
    derived: ArcSwap<Derived>,
    /// For as long as no key is shared.
    own: Arc<dyn ProducesTickets>,
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

/// Keys of the frontend, and the shared ones that they were derived from.
#[derive(Default)]
struct Derived {
    from: Option<Arc<Vec<SharedKey>>>,
    keys: Vec<RandomizedNonceKey>,
}

impl Tickets {
    pub(super) fn new(shared: Arc<TicketKeys>, frontend: &str) -> Result<Self, rustls::Error> {
        Ok(Self {
            shared,
            frontend: frontend.as_bytes().to_vec(),
            derived: ArcSwap::default(),
            own: Ticketer::new()?,
        })
    }

    /// The frontend's keys; `None` if none are shared.
    fn keys(&self) -> Option<Arc<Derived>> {
        let shared = self.shared.load_full()?;
        let derived = self.derived.load_full();
        if derived.from.as_ref().is_some_and(|from| Arc::ptr_eq(from, &shared)) {
            return Some(derived);
        }
        let keys = shared.iter().filter_map(|key| derive(key, &self.frontend)).collect();
        let derived = Arc::new(Derived { from: Some(shared), keys });
        self.derived.store(derived.clone());
        Some(derived)
    }
}

fn derive(key: &SharedKey, frontend: &[u8]) -> Option<RandomizedNonceKey> {
    let pseudo_random = Salt::new(HKDF_SHA256, b"tidegate session tickets").extract(key);
    let info = [frontend];
    let mut own = [0; 32];
    pseudo_random.expand(&info, HKDF_SHA256).ok()?.fill(&mut own).ok()?;
    RandomizedNonceKey::new(&AES_256_GCM, &own).ok()
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let Some(derived) = self.keys() else { return self.own.encrypt(plain) };
        let mut sealed = plain.to_vec();
        let key = derived.keys.first()?;
        let nonce = key.seal_in_place_append_tag(Aad::empty(), &mut sealed).ok()?;
        let mut ticket = nonce.as_ref().to_vec();
        ticket.append(&mut sealed);
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let Some(derived) = self.keys() else { return self.own.decrypt(ticket) };
        let (nonce, sealed) = ticket.split_at_checked(NONCE_LEN)?;
        derived.keys.iter().find_map(|key| {
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut text = sealed.to_vec();
            let length = key.open_in_place(nonce, Aad::empty(), &mut text).ok()?.len();
            text.truncate(length);
            Some(text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(keys: &[SharedKey]) -> Arc<TicketKeys> {
        Arc::new(TicketKeys::from_pointee(keys.to_vec()))
    }

    #[test]
    fn tickets_are_taken_by_whoever_knows_the_key_and_by_no_other_frontend() {
        let (a, b) = (shared(&[[1; 32], [2; 32]]), shared(&[[3; 32], [1; 32]]));
        let here = Tickets::new(a.clone(), "n/g:443").unwrap();
        let there = Tickets::new(b.clone(), "n/g:443").unwrap();
        let ticket = here.encrypt(b"session").unwrap();
        assert_eq!(here.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(there.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        let other = Tickets::new(b.clone(), "n/other:443").unwrap();
        assert_eq!(other.decrypt(&ticket), None);
        // Two turns later nobody knows the key any more.
        b.store(Some(Arc::new(vec![[4; 32], [3; 32]])));
        assert_eq!(there.decrypt(&ticket), None);
        for broken in [&ticket[..5], &ticket[..20], &[][..], &[0; 64][..]] {
            assert_eq!(here.decrypt(broken), None);
        }
    }

    #[test]
    fn alone_a_process_has_keys_of_its_own() {
        let none = Arc::new(TicketKeys::empty());
        let one = Tickets::new(none.clone(), "f").unwrap();
        let two = Tickets::new(none, "f").unwrap();
        let ticket = one.encrypt(b"session").unwrap();
        assert_eq!(one.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(two.decrypt(&ticket), None);
    }
}
