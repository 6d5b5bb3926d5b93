//! Tidegate's data plane: everything between an accepted connection and a byte forwarded.
//!
//! It is given snapshots of the model and knows nothing of where they come from. [`Proxy::start`]
//! starts it; the [`Handle`] applies snapshots, tells what is going on, and drains it.
//!
//! ```text
//! Snapshot -> table (compiled) -> swap (one pointer)
//!                                   |
//! accept -> TLS -> HTTP -> request: rule -> member -> forward -> response, or a tunnel
//! ```
//! There is one single-threaded runtime per core. A connection, its requests, its tunnels and the
//! connections that they use towards members all live on one core, so that nothing on the way of
//! a byte is shared. Probes run on a thread of their own.

mod access_log;
mod balance;
mod clock;
mod conn;
mod core;
mod failure;
mod guard;
mod handle;
mod health;
#[cfg(any(test, feature = "internals"))]
#[doc(hidden)]
pub mod internals;
mod keys;
mod listen;
mod lookup;
mod member;
mod metrics;
mod padded;
mod request;
mod rewrite;
mod settings;
mod sockets;
mod status;
mod table;
mod tls;
mod tunnel;

pub use access_log::AccessLog;
pub use handle::{Applied, ApplyError, BindFailure, Drained, Handle, Proxy, StartError};
pub use health::{HealthState, HealthStatus};
pub use keys::{SharedKey, SharedKeys};
pub use metrics::{Definition, Kind, Lengths, TunnelFigures, definitions};
pub use settings::{Settings, Timeouts};
pub use status::{
    ActionStatus, FrontendStatus, ListenerStatus, MemberStatus, PathStatus, PoolHealth, Status,
    TargetStatus,
};
