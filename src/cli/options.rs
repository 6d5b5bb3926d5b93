//! Flags that commands share.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tidegate_control::IngressFlags;
use tidegate_proxy::AccessLog;

/// How to run.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunOptions {
    /// Threads that carry traffic; by default as many as there are cores for this process
    #[arg(long, value_name = "N", env = "TIDEGATE_THREADS")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Where /metrics, /livez, /readyz, /status and /status.json are
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9440", env = "TIDEGATE_ADMIN")]
    pub(crate) admin: SocketAddr,
    /// Seconds that a draining process waits for requests and tunnels to end by themselves
    #[arg(long, value_name = "SECONDS", default_value_t = 25, env = "TIDEGATE_DRAIN_TIMEOUT")]
    pub(crate) drain_timeout: u64,
    /// Whether HTTP/3 is spoken, on the UDP ports of HTTPS frontends
    #[arg(long, value_enum, default_value_t = Switch::Enabled, env = "TIDEGATE_HTTP3")]
    pub(crate) http3: Switch,
    #[command(flatten)]
    pub(crate) log: LogOptions,
}

/// What is logged.
#[derive(Args, Clone, Debug)]
pub(crate) struct LogOptions {
    /// What to log: a level, or levels by module, such as `info,tidegate_proxy=debug`
    #[arg(long, value_name = "FILTER", default_value = "info", env = "TIDEGATE_LOG")]
    pub(crate) log: String,
    /// How to log
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "TIDEGATE_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    Enabled,
    Disabled,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object for each line
    Json,
}

/// How Ingresses are served.
#[derive(Args, Clone, Debug)]
pub(crate) struct IngressArgs {
    /// The class of Ingresses that are served; those without a class are, too
    #[arg(long, value_name = "NAME", default_value = "tidegate", env = "TIDEGATE_INGRESS_CLASS")]
    ingress_class: String,
    /// The port that Ingresses are served on in place of 80
    #[arg(long, value_name = "PORT", default_value_t = 80, env = "TIDEGATE_INGRESS_HTTP_PORT")]
    ingress_http_port: u16,
    /// The port that Ingresses are served on in place of 443
    #[arg(long, value_name = "PORT", default_value_t = 443, env = "TIDEGATE_INGRESS_HTTPS_PORT")]
    ingress_https_port: u16,
    /// Lets Ingresses lead to Services of type ExternalName
    #[arg(long, env = "TIDEGATE_INGRESS_ALLOW_EXTERNAL_NAME")]
    ingress_allow_external_name: bool,
}

impl From<IngressArgs> for IngressFlags {
    fn from(args: IngressArgs) -> Self {
        Self {
            class: args.ingress_class,
            http_port: args.ingress_http_port,
            https_port: args.ingress_https_port,
            allow_external_name: args.ingress_allow_external_name,
        }
    }
}

impl RunOptions {
    pub(crate) fn thread_count(&self) -> NonZeroUsize {
        thread_count(self.threads)
    }

    pub(crate) fn drain_limit(&self) -> Duration {
        Duration::from_secs(self.drain_timeout)
    }
}

/// Threads to start: as many as asked for, else as the process may use.
pub(crate) fn thread_count(asked: Option<NonZeroUsize>) -> NonZeroUsize {
    let available = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    asked.unwrap_or_else(available)
}

/// Opens what `--access-log` names.
pub(crate) fn open_access_log(target: &str) -> anyhow::Result<Option<AccessLog>> {
    Ok(match target {
        "off" => None,
        "-" => Some(AccessLog::stdout().context("--access-log -")?),
        path => {
            let log = AccessLog::file(Path::new(path));
            Some(log.with_context(|| format!("--access-log {path}"))?)
        }
    })
}
