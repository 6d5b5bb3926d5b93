//! Which addresses are listened on, and the place that each has in the table.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::core::{Message, Shared};
use crate::listen::bind::bind;

/// Addresses by place. A place belongs to its address for as long as the process lives, so that a
/// connection that outlives its frontend never finds another gateway's in its stead.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    slots: HashMap<SocketAddr, usize>,
    listening: HashMap<SocketAddr, State>,
}

#[derive(Debug)]
enum State {
    Open,
    /// Not to be had so far, and why.
    Refused(io::Error),
}

impl Sockets {
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
