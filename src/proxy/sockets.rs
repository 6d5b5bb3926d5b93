//! Which addresses are listened on, and the place that each has in the table.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::core::{Core, Message, Shared};
use crate::listen::bind::bind;
use crate::listen::quic;

/// Addresses by place. A place belongs to its address for as long as the process lives, so that a
/// connection that outlives its frontend never finds another gateway's in its stead.
#[derive(Debug)]
pub(crate) struct Sockets {
    slots: HashMap<SocketAddr, usize>,
    listening: HashMap<SocketAddr, State>,
    /// Addresses that QUIC is spoken on, or was to be: whether it is. None where it is not to be.
    quic: Option<HashMap<SocketAddr, bool>>,
}

#[derive(Debug)]
enum State {
    Open,
    /// Not to be had so far, and why.
    Refused(io::Error),
}

impl Sockets {
    pub(crate) fn new(quic: bool) -> Self {
        let (slots, listening) = (HashMap::new(), HashMap::new());
        Self { slots, listening, quic: quic.then(HashMap::new) }
    }

    /// Speaks QUIC on the HTTPS frontends among these addresses, and nowhere else. An address whose
    /// UDP port is not to be had does without.
    pub(crate) fn keep_quic(&mut self, wanted: &HashSet<SocketAddr>, shared: &Shared) {
        let Some(quic) = &mut self.quic else { return };
        let table = shared.table.load();
        let slots = &self.slots;
        let stays = |address: &SocketAddr| {
            let tls = table.frontend(slots[address]).and_then(|frontend| frontend.tls.as_ref());
            wanted.contains(address) && tls.is_some()
        };
        quic.retain(|address, is_open| {
            let stays = stays(address);
            if !stays && *is_open {
                let slot = slots[address];
                shared.quic.write().remove(&slot);
                if let Some(core) = reader(slot, shared) {
                    core.tell(Message::UnlistenQuic { slot });
                }
            }
            stays
        });
        for address in wanted.iter().filter(|address| stays(address)) {
            quic.entry(*address).or_insert_with(|| {
                listen_quic(*address, slots[address], shared)
                    .inspect_err(|error| {
                        tracing::warn!(%address, %error, "no HTTP/3: its UDP port cannot be opened");
                    })
                    .is_ok()
            });
        }
    }

    /// Tries again where the UDP port was not to be had.
    pub(crate) fn retry_quic(&mut self, shared: &Shared) {
        for (address, is_open) in self.quic.iter_mut().flatten().filter(|(_, open)| !**open) {
            if listen_quic(*address, self.slots[address], shared).is_ok() {
                tracing::info!(%address, "HTTP/3 after all");
                *is_open = true;
            }
        }
    }

    /// The places of these addresses, old and new.
    pub(crate) fn slots(&mut self, wanted: &HashSet<SocketAddr>) -> HashMap<SocketAddr, usize> {
        for &address in wanted {
            let next = self.slots.len();
            self.slots.entry(address).or_insert(next);
        }
        wanted.iter().map(|address| (*address, self.slots[address])).collect()
    }

    /// Opens what is wanted and not open, and tells the cores to accept on it.
    pub(crate) fn open(&mut self, wanted: &HashSet<SocketAddr>, shared: &Shared) {
        for &address in wanted {
            if !matches!(self.listening.get(&address), Some(State::Open)) {
                let state = match self.listen(address, shared) {
                    Ok(()) => State::Open,
                    Err(error) => State::Refused(error),
                };
                self.listening.insert(address, state);
            }
        }
    }

    fn listen(&self, address: SocketAddr, shared: &Shared) -> io::Result<()> {
        let sockets = bind(address, shared.cores().len())?;
        for (core, socket) in shared.cores().iter().zip(sockets) {
            core.tell(Message::Listen { slot: self.slots[&address], socket });
        }
        Ok(())
    }

    /// Closes what is open and not wanted; requests in progress have `drain` to finish.
    pub(crate) fn close_others(
        &mut self,
        wanted: &HashSet<SocketAddr>,
        drain: Duration,
        shared: &Shared,
    ) {
        let slots = &self.slots;
        self.listening.retain(|address, state| {
            let stays = wanted.contains(address);
            if !stays && matches!(state, State::Open) {
                shared.tell(|| Message::Unlisten { slot: slots[address], after: drain });
            }
            stays
        });
    }

    /// Addresses that are wanted and could not be opened.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (SocketAddr, &io::Error)> {
        self.listening.iter().filter_map(|(address, state)| match state {
            State::Open => None,
            State::Refused(error) => Some((*address, error)),
        })
    }
}

/// The core that reads a frontend's UDP packets.
fn reader(slot: usize, shared: &Shared) -> Option<&Arc<Core>> {
    shared.cores().get(slot % shared.cores().len().max(1))
}

fn listen_quic(address: SocketAddr, slot: usize, shared: &Shared) -> io::Result<()> {
    let socket = quic::bind(address)?;
    if let Some(core) = reader(slot, shared) {
        core.tell(Message::ListenQuic { slot, socket });
        shared.quic.write().insert(slot);
    }
    Ok(())
}
