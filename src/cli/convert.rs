//! `tidegate convert`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use tidegate_control::{ConvertOptions, Severity};

use crate::cli::{FAILED, OK, UNUSABLE, say};

/// The largest text that is read, in bytes: deployments take templates of 4 MiB.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Converts an Azure template, an exported gateway or a fragment of one to this program's YAML.
///
/// The YAML goes to standard output, with the Secrets of the certificates that the template holds.
/// What was left out or is different is told on standard error, as `convert: file:line: path: why`.
/// Exits 0 if everything was converted, 1 if something was left out, and 2 if there is nothing to
/// convert. Judge the outcome with `tidegate check`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  tidegate convert template.json --parameters parameters.json > gateway.yaml\n  \
                        az network application-gateway show -g GROUP -n NAME | tidegate convert - > gateway.yaml"
)]
pub(super) struct Convert {
    /// A template, an exported gateway, or a fragment with some of its collections; `-` for standard input
    #[arg(value_name = "TEMPLATE.json")]
    template: PathBuf,
    /// A parameter file of the template; may be given several times, and the last one counts
    #[arg(long, value_name = "FILE", env = "TIDEGATE_PARAMETERS")]
    parameters: Vec<PathBuf>,
    /// The name of the gateway, in place of its own
    #[arg(long, value_name = "NAME", value_parser = object_name, env = "TIDEGATE_GATEWAY_NAME")]
    name: Option<String>,
    /// The namespace of what is made
    #[arg(long, value_name = "NAMESPACE", value_parser = object_name, env = "TIDEGATE_NAMESPACE")]
    namespace: Option<String>,
}

impl Convert {
    pub(super) fn run(self) -> u8 {
        let text = match read(&self.template) {
            Ok(text) => text,
            Err(error) => return unreadable(&self.template, &error),
        };
        let mut parameters = Vec::new();
        for file in self.parameters {
            match read(&file) {
                Ok(text) => parameters.push((file, text)),
                Err(error) => return unreadable(&file, &error),
            }
        }
        let (file, name, namespace) = (self.template, self.name, self.namespace);
        let options = ConvertOptions { file, name, namespace, parameters };
        let converted = match tidegate_control::convert(&text, &options) {
            Ok(converted) => converted,
            Err(error) => {
                tell(error);
                return UNUSABLE;
            }
        };
        if let Err(error) = io::stdout().write_all(converted.yaml.as_bytes()) {
            say(format_args!("cannot write to standard output: {error}"));
            return FAILED;
        }
        converted.notes.iter().for_each(tell);
        let (gateways, secrets) = (converted.gateways, converted.secrets);
        let left_out =
            converted.notes.iter().filter(|note| note.severity == Severity::Error).count();
        let warnings = converted.notes.len() - left_out;
        say(format_args!(
            "{gateways} gateways and {secrets} Secrets converted; {left_out} left out, {warnings} warnings"
        ));
        if left_out == 0 { OK } else { FAILED }
    }
}

fn tell(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "convert: {line}");
}

fn unreadable(file: &Path, error: &io::Error) -> u8 {
    say(format_args!("{}: {error}", file.display()));
    UNUSABLE
}

/// A file, or standard input.
fn read(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    let limit = LARGEST + 1;
    match file.to_str() {
        Some("-") => io::stdin().lock().take(limit).read_to_end(&mut bytes)?,
        _ => File::open(file)?.take(limit).read_to_end(&mut bytes)?,
    };
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("at most {LARGEST} bytes are read")));
    }
    // PowerShell writes UTF-16 where it is not told otherwise.
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8")),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> io::Result<String> {
    let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair)).collect();
    String::from_utf16(&units).map_err(|_| io::Error::other("it is not UTF-16"))
}

/// A name that Kubernetes takes.
fn object_name(text: &str) -> Result<String, String> {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let at_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_name = text.len() <= 253
        && text.chars().all(inside)
        && text.starts_with(at_end)
        && text.ends_with(at_end);
    match is_name {
        true => Ok(text.to_owned()),
        false => Err("it has to be a name of lower case letters, digits, - and .".to_owned()),
    }
}
