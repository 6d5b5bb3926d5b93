//! The one buffer of each thread, and what is left over of it.

use std::cell::RefCell;

/// How much one read can take.
pub(super) const SIZE: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SIZE].into_boxed_slice());
}

/// Lends the thread's buffer for one call; the call must not lend it again.
pub(super) fn with<T>(call: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| call(buffer))
}

/// Bytes that were read and not yet taken; no memory while there are none.
#[derive(Debug, Default)]
pub(super) struct Leftover {
    bytes: Box<[u8]>,
    taken: usize,
}

impl Leftover {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), taken: 0 }
    }

    /// What is still to be written.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Puts something behind it.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        *self = Self::of(&[self.rest(), bytes].concat());
    }

    /// So many bytes were written; with the last the memory goes.
    pub(super) fn take(&mut self, written: usize) {
        self.taken += written;
        if self.taken >= self.bytes.len() {
            *self = Self::default();
        }
    }
}
