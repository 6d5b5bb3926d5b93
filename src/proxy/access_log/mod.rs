//! One JSON line for each request, and one for each tunnel at its end, with the field names of
//! Application Gateway's access log.
//!
//! A line is made on the thread that served the request, in one buffer, and written by a thread of
//! its own. A disk that is too slow loses lines, and counts them; it never slows traffic.

mod entry;
mod sink;

pub(crate) use entry::{Entry, TlsInfo, TunnelLine};
pub use sink::AccessLog;
