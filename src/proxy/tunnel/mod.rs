//! An upgraded connection after its 101: bytes both ways until both sides have said all.
//!
//! # Lifecycle
//! ```text
//! 101 written -> both sides taken out of the HTTP library, with what they had read ahead
//!   each direction: open -> end of stream seen, what was read is written -> shut down -> done
//! both done, or one side failed -> counted and logged
//! its listener or member leaves, a limit is reached, the process ends
//!   -> the client is told Close between two frames, its answer goes on to the member -> ended
//! ```
//! The frames of both ways are followed: heads alone are looked at, and a head is passed on when it
//! is whole. Nothing else of a stream is known, and one that is not WebSocket is carried as bytes.
//!
//! A tunnel holds no table and, while nothing moves, no buffer: a direction borrows its thread's
//! buffer for as long as one poll, and what the other side did not take is kept in an allocation
//! of its own, exactly as large. Nothing more is read before that is gone, which is all the
//! back-pressure there is. When much moves between plain sockets, `splice(2)` moves it through a
//! pipe that is borrowed in the same way, a frame's payload at a time.

mod buffer;
mod count;
mod direction;
mod end;
mod follow;
mod frame;
mod pipe;
mod record;
mod rules;
mod start;
mod task;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use count::{Counted, RuleCount};
pub(crate) use end::{CloseLabel, Side, TunnelEnd};
pub(crate) use record::Traffic;

#[cfg(any(test, feature = "internals"))]
pub(crate) use direction::{Direction, Event};
#[cfg(any(test, feature = "internals"))]
pub(crate) use follow::{Follow, Insert};
#[cfg(any(test, feature = "internals"))]
pub(crate) use frame::{Opcode, Parsed, control, parse};
#[cfg(any(test, feature = "internals"))]
pub(crate) use rules::{Refusal, Rules, Token};
pub(crate) use start::{Leg, start};
