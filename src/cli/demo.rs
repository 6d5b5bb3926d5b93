//! `tidegate demo`.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tidegate_control::IngressFlags;

use crate::cli::options::{RunOptions, Switch, open_access_log};
use crate::cli::serve::finish;
use crate::cli::{FAILED, UNUSABLE, fail, print, say};
use crate::demo::{self, BackEnds, Places};
use crate::telemetry;
use crate::wire::{self, Config, RunError, Source};

/// Runs two chat back ends with a gateway in front, and a page to chat and watch.
///
/// The gateway is an ApplicationGateway in a file, which is printed; edit it while the demo runs.
/// Stop a back end on the page and see its probe take it out. Ctrl-C drains.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  tidegate demo\n  tidegate demo --http-port 18080 --https-port 18443 --dir ./demo"
)]
pub(super) struct Demo {
    /// The address to listen on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1", env = "TIDEGATE_BIND")]
    bind: IpAddr,
    /// The port of the HTTP listener
    #[arg(long, value_name = "PORT", default_value_t = 8080, env = "TIDEGATE_HTTP_PORT")]
    http_port: u16,
    /// The port of the HTTPS listener
    #[arg(long, value_name = "PORT", default_value_t = 8443, env = "TIDEGATE_HTTPS_PORT")]
    https_port: u16,
    /// The folder for the gateway's YAML, its certificate and the access log; by default a new one
    #[arg(long, value_name = "DIR", env = "TIDEGATE_DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    run: RunOptions,
}

impl Demo {
    pub(super) fn run(self) -> u8 {
        let mut log = self.run.log.clone();
        if log.log == "info" {
            // The demo says what matters itself.
            log.log = "warn".into();
        }
        if let Err(error) = telemetry::start(&log) {
            say(format_args!("{error:#}"));
            return UNUSABLE;
        }
        for (flag, port) in [("--http-port", self.http_port), ("--https-port", self.https_port)] {
            if let Err(error) = check_free(flag, SocketAddr::new(self.bind, port)) {
                return fail(&error);
            }
        }
        if let Err(error) = check_free("--admin", self.run.admin) {
            return fail(&error);
        }
        match wire::block_on(self.serve()) {
            Ok(()) => 0,
            Err(RunError::Failed(error)) => {
                say(format_args!("{error:#}"));
                FAILED
            }
            Err(other) => finish(Err(other)),
        }
    }

    async fn serve(self) -> Result<(), RunError> {
        let back_ends = BackEnds::start().await?;
        let places = Places::prepare(self.dir, self.http_port, self.https_port, &back_ends)?;
        let config = Config {
            source: Source::Files {
                paths: places.resources(),
                bind: self.bind,
                ingress: IngressFlags::default(),
            },
            threads: self.run.thread_count(),
            admin: self.run.admin,
            access_log: open_access_log(&places.access_log.to_string_lossy())?,
            http3: self.run.http3 == Switch::Enabled,
            shutdown_delay: Duration::ZERO,
            drain_limit: self.run.drain_limit(),
        };
        let running = wire::start(config).await?;
        back_ends.watch(running.proxy());
        let host = |port| SocketAddr::new(self.bind, port);
        print(demo::banner(&places, host(self.http_port), host(self.https_port), running.admin()));
        running.run_until_signal().await
    }
}

/// Whether an address is free, or an error that names the flag to change.
fn check_free(flag: &str, address: SocketAddr) -> anyhow::Result<()> {
    if address.port() == 0 && flag != "--admin" {
        bail!("{flag} 0: the demo prints its addresses, so it needs to know its ports");
    }
    TcpListener::bind(address)
        .map(drop)
        .with_context(|| format!("cannot listen on {address}: choose another with {flag}"))
}
