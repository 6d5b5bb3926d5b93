//! Values that cores write each for itself.

use std::ops::Deref;

/// A value on cache lines of its own, so that cores that write neighbours do not slow each other.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// One value for each of `cores`.
pub(crate) fn per_core<T>(cores: usize, make: impl FnMut() -> T) -> Box<[Padded<T>]> {
    std::iter::repeat_with(make).take(cores).map(Padded).collect()
}
