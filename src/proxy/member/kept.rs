//! Connections that wait for the next request.

use parking_lot::Mutex;

use crate::core::CoreId;
use crate::member::connect::Name;
use crate::member::connection::Connection;
use crate::padded::{Padded, per_core};

/// How many connections wait on one core for one member, at most.
const LIMIT: usize = 256;

/// A stack for each core: the connection used last is the likeliest to be alive, and those at the
/// bottom age until they are closed.
#[derive(Debug)]
pub(super) struct Kept(Box<[Padded<Mutex<Vec<Connection>>>]>);

impl Kept {
    pub(super) fn new(cores: usize) -> Self {
        Self(per_core(cores, || Mutex::new(Vec::new())))
    }

    /// Takes a connection that was made for `name` and has not been closed as far as we know.
    pub(super) fn pop(&self, core: CoreId, name: &Name) -> Option<Connection> {
        let mut stack = self.0.get(core.index())?.lock();
        while let Some(connection) = pop_for(&mut stack, name) {
            if connection.wake() {
                return Some(connection);
            }
        }
        None
    }

    pub(super) fn push(&self, core: CoreId, connection: Connection) {
        let Some(stack) = self.0.get(core.index()) else {
            return;
        };
        let mut stack = stack.lock();
        // The oldest ones are at the bottom and were closed first.
        if stack.len() >= LIMIT || stack.first().is_some_and(Connection::is_closed) {
            stack.retain(|connection| !connection.is_closed());
        }
        if stack.len() < LIMIT {
            stack.push(connection);
        }
    }

    pub(super) fn clear(&self) {
        for stack in &self.0 {
            let old = std::mem::take(&mut *stack.lock());
            drop(old);
        }
    }
}

fn pop_for(stack: &mut Vec<Connection>, name: &Name) -> Option<Connection> {
    // Nearly always the top: names differ only towards HTTPS members that get the client's host.
    if stack.last()?.name == *name {
        return stack.pop();
    }
    let index = stack.iter().rposition(|connection| connection.name == *name)?;
    Some(stack.remove(index))
}
