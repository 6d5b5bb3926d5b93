//! What is told of a conversion.

use std::path::PathBuf;

use crate::problem::{Problem, Severity};

/// What was told so far, about one file.
#[derive(Debug)]
pub(super) struct Notes {
    file: PathBuf,
    all: Vec<Problem>,
}

impl Notes {
    pub(super) fn of(file: PathBuf) -> Self {
        Self { file, all: Vec::new() }
    }

    /// Something is not in what was made, and somebody has to do something about it.
    pub(super) fn left_out(&mut self, line: u32, path: &str, why: impl Into<String>) {
        self.add(Severity::Error, line, path, why.into());
    }

    /// Something is different, and nothing has to be done about it.
    pub(super) fn tell(&mut self, line: u32, path: &str, why: impl Into<String>) {
        self.add(Severity::Warning, line, path, why.into());
    }

    fn add(&mut self, severity: Severity, line: u32, path: &str, why: String) {
        let (file, path) = (self.file.clone(), path.to_owned());
        self.all.push(Problem { file, line: line.max(1), path, why, severity, object: None });
    }

    /// Everything, in the order of the lines.
    pub(super) fn into_all(mut self) -> Vec<Problem> {
        self.all.sort_by_key(|problem| problem.line);
        let mut told = std::collections::HashSet::new();
        self.all.retain(|problem| told.insert(problem.clone()));
        self.all
    }
}
