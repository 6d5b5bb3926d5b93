//! Ingresses: all of our class become one gateway.
//!
//! ```text
//! class -> annotations, tls -> plan (sites: a port and a host) -> sites -> listeners
//!                  backends ----^
//! ```
//! Kubernetes merges: paths of several Ingresses for one host are one path map, and where two say
//! the same the oldest one counts. What is wrong is refused alone, as everywhere.

mod annotations;
mod backends;
mod class;
mod gateway;
mod options;
mod paths;
mod plan;
#[cfg(test)]
mod tests;
mod tls;

pub(crate) use gateway::{Ingresses, OwnIngress};
pub(crate) use options::{Addresses, IngressOptions, WithoutClass};
