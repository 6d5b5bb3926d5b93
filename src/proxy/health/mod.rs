//! Whether members answer: one probe loop for each, apart from traffic.
//!
//! # Lifecycle
//! ```text
//! unknown --success--> up --threshold failures in a row--> down --success--> up
//!    \----failure----> down
//! ```
//! What requests find takes members out as well, where that is asked for, and some count as healthy
//! whatever is found: see the group.
//!
//! A member that has not been up yet is asked again sooner than its interval says, so that one
//! that is still starting serves as soon as it can.

mod ask;
mod cell;
mod group;
mod grpc;
mod http;
mod http2;
mod prober;
mod state;
#[cfg(test)]
mod tests;
mod websocket;

pub(crate) use cell::{Health, ProbeSpec, WHOLE};
pub use cell::{HealthState, HealthStatus};
pub(crate) use group::{Group, restore};
pub(crate) use prober::Prober;
