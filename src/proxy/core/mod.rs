//! One thread with one single-threaded runtime per core, and what it owns.
//!
//! A core has its own accept loops, client connections, member connections, tunnels and counters.
//! Nothing that a request does crosses to another core. What concerns all cores comes as a
//! [`Message`]; the loop that takes them also sweeps the tickets at every step of the clock.

mod closing;
mod handle;
mod id;
mod run;
mod scope;

pub(crate) use handle::{Core, Message, Owner, Pace, Shared, TunnelOwner};
pub(crate) use id::CoreId;
pub(crate) use run::spawn;
pub(crate) use scope::Scope;
