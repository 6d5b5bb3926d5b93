//! Whether members answer: one probe loop for each, apart from traffic.
//!
//! # Lifecycle
//! ```text
//! unknown --success--> up --threshold failures in a row--> down --success--> up
//!    \----failure----> down
//! ```
//! A member that has not been up yet is asked again sooner than its interval says, so that one
//! that is still starting serves as soon as it can.

mod ask;
mod cell;
mod http;
mod prober;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use cell::{Health, ProbeSpec};
pub use cell::{HealthState, HealthStatus};
pub(crate) use prober::Prober;
