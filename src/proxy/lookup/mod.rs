//! Which rule takes a host: pure matching, no sockets and no runtime.

mod host;
mod rank;
#[cfg(test)]
mod tests;

pub(crate) use host::HostIndex;
pub(crate) use rank::Rank;
