//! Which rule takes a host, and which path rule a path: pure matching, no sockets and no runtime.

mod host;
mod path;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub(crate) use host::HostIndex;
pub(crate) use path::PathIndex;
