//! `tidegate crd`.

use std::io::Write;

use crate::cli::OK;

/// Prints the custom resource definitions.
pub(super) fn run() -> u8 {
    // A reader that left wants no more.
    let _ = std::io::stdout().write_all(tidegate_control::api::crd_yaml().as_bytes());
    OK
}
