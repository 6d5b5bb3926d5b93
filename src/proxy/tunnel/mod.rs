//! An upgraded connection after its 101: bytes both ways until both sides have said all.
//!
//! # Lifecycle
//! ```text
//! 101 written -> both sides taken out of the HTTP library, with what they had read ahead
//!   each direction: open -> end of stream seen, what was read is written -> shut down -> done
//! both done, or one side failed, or its listener or member left and drained -> counted and logged
//! ```
//! A tunnel holds no table and, while nothing moves, no buffer: a direction borrows its thread's
//! buffer for as long as one poll, and what the other side did not take is kept in an allocation
//! of its own, exactly as large. Nothing more is read before that is gone, which is all the
//! back-pressure there is. When much moves between plain sockets, `splice(2)` moves it through a
//! pipe that is borrowed in the same way.

mod buffer;
mod direction;
mod pipe;
mod record;
mod start;
mod task;

#[cfg(any(test, feature = "internals"))]
pub(crate) use direction::Direction;
pub(crate) use start::start;
