//! Tidegate's control side: resources in, a model and its problems out.
//!
//! ```text
//! files -> source -> Resources -> translate -> Snapshot
//!   DNS answers ------^              |
//!                                    +-> findings -> problems, with file and line
//! ```
//! Sources read, `translate` judges, and nothing here knows the data plane. `translate` is a
//! pure function of the resources, so that `tidegate check` says what `tidegate serve` would do.

pub mod api;
mod arm;
mod check;
mod cluster;
mod dns;
mod grants;
#[cfg(any(test, feature = "internals"))]
#[doc(hidden)]
pub mod internals;
mod pages;
mod pem;
mod places;
mod problem;
mod resources;
mod source;
mod standalone;
mod translate;
mod yaml;

pub use arm::{ConvertError, ConvertOptions, Converted, convert};
pub use check::check;
pub use cluster::{
    Cluster, ClusterError, ClusterOptions, Feedback, Keys, Leadership, ServiceTemplate,
    serve_cluster,
};
pub use problem::{ObjectRef, Problem, Severity};
pub use source::ReadError;
pub use standalone::{INGRESS_CONTROLLER, IngressFlags, Options, Update, serve_files};
pub use translate::{GatewayCondition, GatewayConditions};
