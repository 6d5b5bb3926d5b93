//! Commands, flags and exit codes.

mod check;
mod convert;
mod crd;
mod demo;
mod options;
mod probe;
mod run;
mod serve;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use options::{LogFormat, LogOptions};

/// Everything went as asked.
const OK: u8 = 0;
/// Something was refused, or failed while running.
const FAILED: u8 = 1;
/// A path cannot be read, or the command line is wrong.
const UNUSABLE: u8 = 2;

/// Application Gateway's model for any cluster, and for WebSocket traffic first.
#[derive(Parser)]
#[command(
    name = "tidegate",
    version,
    max_term_width = 100,
    after_help = "Begin with `tidegate demo`: it needs nothing but this program.\n\
                  Every flag has an environment twin, such as TIDEGATE_BIND for --bind."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs two chat back ends with a gateway in front, and a page to chat and watch
    Demo(demo::Demo),
    /// Serves ApplicationGateways and Ingresses from files and folders, and applies what changes
    Serve(serve::Serve),
    /// Serves the ApplicationGateways and Ingresses of a Kubernetes cluster
    Run(Box<run::Run>),
    /// Says what `serve` would refuse: `file:line: path: why`
    Check(check::Check),
    /// Converts an Azure template or an exported gateway to this program's YAML
    Convert(convert::Convert),
    /// Prints the custom resource definitions
    Crd,
    /// Asks for an http URL; exits 0 if its status is 2xx
    Probe(probe::Probe),
}

/// Runs the command that the command line asks for.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; a closed standard output is nobody's.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { UNUSABLE } else { OK });
        }
    };
    ExitCode::from(match cli.command {
        Command::Demo(demo) => demo.run(),
        Command::Serve(serve) => serve.run(),
        Command::Run(run) => run.run(),
        Command::Check(check) => check.run(),
        Command::Convert(convert) => convert.run(),
        Command::Probe(probe) => probe.run(),
        Command::Crd => crd::run(),
    })
}

/// Writes a line to standard output; a reader that left wants no more.
fn print(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Tells the person at the terminal.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "tidegate: {line}");
}

/// Tells what ended the command, with all its causes.
fn fail(error: &anyhow::Error) -> u8 {
    say(format_args!("{error:#}"));
    FAILED
}
