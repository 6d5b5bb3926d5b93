//! Pipes for `splice(2)`: a few per thread, lent to a direction while much moves through it.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// What a pipe should hold. The system gives less once a user has many; then less it is.
const CAPACITY: usize = 256 * 1024;
/// How many pipes a thread keeps for the next direction.
const KEPT: usize = 16;

thread_local! {
    static FREE: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// A pipe and how much is in it.
#[derive(Debug)]
pub(super) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
    capacity: usize,
}

impl Pipe {
    /// An empty pipe; `None` if the system has no descriptors left, which is no reason to fail.
    pub(super) fn borrow() -> Option<Self> {
        if let Some(free) = FREE.with_borrow_mut(Vec::pop) {
            return Some(free);
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        let capacity = fcntl_setpipe_size(&write, CAPACITY).unwrap_or(64 * 1024);
        Some(Self { read, write, held: 0, capacity })
    }

    /// Returns an empty pipe for others to use; one with bytes in it is closed.
    pub(super) fn give_back(self) {
        if self.held == 0 {
            FREE.with_borrow_mut(|free| {
                if free.len() < KEPT {
                    free.push(self);
                }
            });
        }
    }

    /// Bytes that went in and have not come out.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Moves what a socket has into the pipe, `most` bytes at most; 0 at its end.
    pub(super) fn fill(&mut self, socket: impl AsFd, most: u64) -> io::Result<usize> {
        let room = self.capacity - self.held.min(self.capacity);
        let room = room.min(usize::try_from(most).unwrap_or(usize::MAX));
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let moved = splice(socket, None, &self.write, None, room, flags)?;
        self.held += moved;
        Ok(moved)
    }

    /// Moves what the pipe has into a socket.
    pub(super) fn empty(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let moved = splice(&self.read, None, socket, None, self.held, flags)?;
        self.held -= moved;
        Ok(moved)
    }
}
