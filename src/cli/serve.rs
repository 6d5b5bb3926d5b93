//! `tidegate serve`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::options::{IngressArgs, RunOptions, Switch, open_access_log};
use crate::cli::{OK, UNUSABLE, fail, say};
use crate::wire::{self, Config, RunError, Source};
use crate::{cli, telemetry};

/// Serves ApplicationGateways and Ingresses from files and folders, and applies what changes in
/// them.
///
/// The files hold the same YAML that kubectl applies: ApplicationGateway, Ingress, IngressClass,
/// Secret, Service, EndpointSlice and ReferenceGrant. A file that cannot be read any more, or a resource that is
/// wrong, leaves the last good version serving; the log says `file:line: path: why`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  tidegate serve gateway.yaml secrets/\n  \
                        tidegate serve --bind 127.0.0.1 --access-log - ./gateways\n\n\
                        SIGTERM or Ctrl-C drains: /readyz turns off, connections are accepted for \
                        --shutdown-delay more,\nthen what is open has --drain-timeout to end. A \
                        second signal ends at once.")]
pub(super) struct Serve {
    /// Files, and folders with .yaml, .yml and .json files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The address of frontends that have none of their own
    #[arg(long, value_name = "IP", default_value = "0.0.0.0", env = "TIDEGATE_BIND")]
    bind: IpAddr,
    #[command(flatten)]
    ingress: IngressArgs,
    /// Where each request and tunnel is told of: `off`, `-` for standard output, or a file
    #[arg(long, value_name = "TARGET", default_value = "off", env = "TIDEGATE_ACCESS_LOG")]
    access_log: String,
    /// Seconds that connections are accepted for after /readyz has turned off
    #[arg(long, value_name = "SECONDS", default_value_t = 5, env = "TIDEGATE_SHUTDOWN_DELAY")]
    shutdown_delay: u64,
    #[command(flatten)]
    run: RunOptions,
}

impl Serve {
    pub(super) fn run(self) -> u8 {
        if let Err(error) = telemetry::start(&self.run.log) {
            say(format_args!("{error:#}"));
            return UNUSABLE;
        }
        let access_log = match open_access_log(&self.access_log) {
            Ok(access_log) => access_log,
            Err(error) => return fail(&error),
        };
        let config = Config {
            source: Source::Files {
                paths: self.paths,
                bind: self.bind,
                ingress: self.ingress.into(),
            },
            threads: self.run.thread_count(),
            admin: self.run.admin,
            access_log,
            http3: self.run.http3 == Switch::Enabled,
            shutdown_delay: Duration::from_secs(self.shutdown_delay),
            drain_limit: self.run.drain_limit(),
        };
        finish(wire::block_on(async { wire::start(config).await?.run_until_signal().await }))
    }
}

/// The exit code of a run, after saying what ended it.
pub(super) fn finish(outcome: Result<(), RunError>) -> u8 {
    match outcome {
        Ok(()) => OK,
        Err(RunError::Unreadable(error)) => {
            say(error);
            UNUSABLE
        }
        Err(RunError::Cluster(error)) => {
            say(error);
            UNUSABLE
        }
        Err(RunError::Failed(error)) => cli::fail(&error),
        Err(RunError::Interrupted(signal)) => signal.exit_code(),
    }
}
