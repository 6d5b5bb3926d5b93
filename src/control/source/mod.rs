//! Where resources come from: files and folders so far.
//!
//! A source keeps the last good version of everything it read. A file that stops parsing, an
//! object that stops being valid, a Secret whose certificate stops being one: what was good goes on
//! serving, and a problem says so. What is removed is removed.

mod files;
mod object;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use files::Files;
pub use files::ReadError;
pub(crate) use object::typed;
pub(crate) use watch::{Touched, Watch};
