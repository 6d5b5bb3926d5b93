//! What is done with a request.

use std::sync::Arc;

use crate::{PathPattern, Target};

/// What a rule does with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Forward it to a member of the target's pool.
    Forward(Arc<Target>),
    /// Send the client elsewhere.
    Redirect(Redirect),
    /// Look at its path.
    Paths(Arc<PathMap>),
    /// The rule was refused: its listener keeps its hosts, so that no other listener takes
    /// requests that were never meant for it, and answers 502.
    Refuse,
}

/// What a path rule does with a request, or a path map with those that no path rule takes. Unlike
/// an [`Action`] it cannot look at the path again.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    /// Forward it to a member of the target's pool.
    Forward(Arc<Target>),
    /// Send the client elsewhere.
    Redirect(Redirect),
    /// The path rule was refused: it keeps its paths and answers 502.
    Refuse,
    /// Nothing was ever meant to take it: 404.
    NotFound,
}

/// Path rules, and what happens where none fits.
#[derive(Clone, Debug, PartialEq)]
pub struct PathMap {
    /// The first whose pattern covers the path takes the request.
    pub rules: Vec<PathRule>,
    /// What happens to all others.
    pub default: Leaf,
}

/// What happens to some paths.
#[derive(Clone, Debug, PartialEq)]
pub struct PathRule {
    /// Its name, unique in the gateway.
    pub name: Box<str>,
    /// The paths that it takes.
    pub patterns: Vec<PathPattern>,
    /// What it does.
    pub action: Leaf,
}

/// A redirect to HTTPS: host, path and query stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Redirect {
    /// The answer's status code.
    pub status: RedirectStatus,
    /// The port to go to; `None` for 443.
    pub port: Option<u16>,
}

/// The status code of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RedirectStatus {
    /// 301.
    MovedPermanently,
    /// 302.
    Found,
    /// 307: the method stays.
    Temporary,
    /// 308: the method stays.
    Permanent,
}

impl RedirectStatus {
    /// The number.
    pub fn code(self) -> u16 {
        match self {
            Self::MovedPermanently => 301,
            Self::Found => 302,
            Self::Temporary => 307,
            Self::Permanent => 308,
        }
    }
}

impl Action {
    /// What happens to requests that no path rule takes.
    pub fn otherwise(&self) -> Leaf {
        match self {
            Self::Forward(target) => Leaf::Forward(target.clone()),
            Self::Redirect(redirect) => Leaf::Redirect(*redirect),
            Self::Paths(map) => map.default.clone(),
            Self::Refuse => Leaf::Refuse,
        }
    }

    /// The path rules; empty unless the action looks at paths.
    pub fn path_rules(&self) -> &[PathRule] {
        match self {
            Self::Paths(map) => &map.rules,
            Self::Forward(_) | Self::Redirect(_) | Self::Refuse => &[],
        }
    }

    /// Whether any request is forwarded or redirected.
    pub fn serves(&self) -> bool {
        let works = |leaf: &Leaf| matches!(leaf, Leaf::Forward(_) | Leaf::Redirect(_));
        works(&self.otherwise()) || self.path_rules().iter().any(|rule| works(&rule.action))
    }
}
