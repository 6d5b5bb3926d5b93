//! What `serve` would refuse, found without serving.

use std::path::PathBuf;

use crate::problem::Problem;
use crate::source::{Files, ReadError};
use crate::standalone::{Options, now};
use crate::translate::to_problems;

/// Reads and judges once. Host names are not looked up.
///
/// # Errors
/// If a path is not there, or cannot be read.
pub fn check(paths: &[PathBuf], options: &Options) -> Result<Vec<Problem>, ReadError> {
    let mut files = Files::new(paths.to_vec());
    files.read_first()?;
    let (mut resources, mut problems) = files.resources();
    resources.now = now();
    let outcome = options.translator().translate(&resources);
    problems.extend(to_problems(&resources, &outcome.findings));
    problems.sort();
    problems.dedup();
    Ok(problems)
}
