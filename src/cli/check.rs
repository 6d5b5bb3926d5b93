//! `tidegate check`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use tidegate_control::{Options, Severity};

use crate::cli::options::IngressArgs;
use crate::cli::{FAILED, OK, UNUSABLE, print, say};

/// Says what `serve` would refuse, as `file:line: path: why`, without serving.
///
/// Exits 0 if nothing is refused, 1 if something is, and 2 if a path cannot be read. Warnings are
/// told and refuse nothing. Host names are not looked up.
#[derive(Args, Debug)]
pub(super) struct Check {
    /// Files, and folders with .yaml, .yml and .json files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The address of frontends that have none of their own
    #[arg(long, value_name = "IP", default_value = "0.0.0.0", env = "TIDEGATE_BIND")]
    bind: IpAddr,
    #[command(flatten)]
    ingress: IngressArgs,
}

impl Check {
    pub(super) fn run(self) -> u8 {
        let ingress = self.ingress.into();
        let options = Options { bind: self.bind, nameservers: Vec::new(), ingress };
        let problems = match tidegate_control::check(&self.paths, &options) {
            Ok(problems) => problems,
            Err(error) => {
                say(error);
                return UNUSABLE;
            }
        };
        problems.iter().for_each(print);
        let errors = problems.iter().filter(|p| p.severity == Severity::Error).count();
        let warnings = problems.len() - errors;
        say(match (errors, warnings) {
            (0, 0) => "nothing is wrong".to_owned(),
            (0, warnings) => format!("nothing is refused; {warnings} warnings"),
            (errors, warnings) => format!("{errors} refused, {warnings} warnings"),
        });
        if errors == 0 { OK } else { FAILED }
    }
}
