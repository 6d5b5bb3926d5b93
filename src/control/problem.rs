//! What is wrong with a resource, and where.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use tidegate_model::ObjectName;

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// What it is about was refused.
    Error,
    /// It works, but perhaps not as meant.
    Warning,
}

/// The object that a problem is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectRef {
    /// Its kind, such as `ApplicationGateway`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// The object of this kind and name.
    pub(crate) fn of(kind: &str, name: &ObjectName) -> Self {
        let (namespace, name) = (name.namespace.to_string(), name.name.to_string());
        Self { kind: kind.to_owned(), namespace, name }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// One thing that is wrong, written `file:line: path: why`, or `kind namespace/name: path: why` where
/// there is no file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Problem {
    /// The file that it stands in; empty for one that the cluster holds.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: u32,
    /// The field, such as `spec.requestRoutingRules[2].httpListener`; empty for a whole file.
    pub path: String,
    /// What is wrong, and what would be right.
    pub why: String,
    /// Whether something was refused for it.
    pub severity: Severity,
    /// The object, if the file could be read so far.
    pub object: Option<ObjectRef>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.object {
            Some(object) if self.file.as_os_str().is_empty() => write!(f, "{object}: ")?,
            _ => write!(f, "{}:{}: ", self.file.display(), self.line)?,
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.why)
    }
}
