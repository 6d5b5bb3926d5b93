//! The one right beyond a user's that is ever used: to bind ports below 1024.

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// Makes `CAP_NET_BIND_SERVICE` effective if the process may have it. An image's program has it as
/// a permitted one only, so that it starts where it is dropped too. To be called before any
/// thread is started: a thread has the rights of the one that starts it.
pub(crate) fn raise() {
    let Ok(mut sets) = capabilities(None) else { return };
    if sets.permitted.contains(CapabilitySet::NET_BIND_SERVICE) {
        sets.effective |= CapabilitySet::NET_BIND_SERVICE;
        // Without it a port that needs it cannot be opened, which says so itself.
        let _ = set_capabilities(None, sets);
    }
}
