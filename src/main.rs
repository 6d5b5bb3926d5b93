//! `tidegate`: the command line. See `tidegate --help`.

mod admin;
mod cli;
mod demo;
mod privileges;
mod signals;
mod telemetry;
mod wire;

use std::process::ExitCode;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    privileges::raise();
    // The one cryptography of the process; only a second call could fail.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    cli::run()
}
