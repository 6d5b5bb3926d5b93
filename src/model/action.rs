//! What is done with a request.

use std::sync::Arc;

use crate::{Distribution, Guarded, PathPattern, Redirect, RewriteSet, Target};

/// What a rule does with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The same with every request of the listener.
    Always(Handling),
    /// Look at its path.
    Paths(Arc<PathMap>),
}

/// What happens to a request: all that a Basic rule, a path rule and the default of a path map
/// can say of it, which is the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Handling {
    /// Who may come here, and how often.
    pub guard: Option<Guarded>,
    /// What is changed on the way to a member and back.
    pub rewrites: Option<Arc<RewriteSet>>,
    /// What it comes to in the end.
    pub leaf: Leaf,
}

/// What a request comes to. Unlike an [`Action`] it cannot look at the path again.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    /// It is forwarded to a member of the target's pool.
    Forward(Arc<Target>),
    /// Forward it to a member of one of several pools.
    Distribute(Arc<Distribution>),
    /// The client is sent elsewhere.
    Redirect(Arc<Redirect>),
    /// The rule or path rule was refused: it keeps its hosts or paths, so that no other one takes
    /// requests that were never meant for it, and answers 502.
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
    pub default: Handling,
}

/// What happens to some paths.
#[derive(Clone, Debug, PartialEq)]
pub struct PathRule {
    /// Its name, unique in the gateway.
    pub name: Box<str>,
    /// The paths that it takes.
    pub patterns: Vec<PathPattern>,
    /// What happens to requests for them.
    pub handling: Handling,
}

impl From<Leaf> for Handling {
    /// Nothing else happens on the way.
    fn from(leaf: Leaf) -> Self {
        Self { guard: None, rewrites: None, leaf }
    }
}

impl Handling {
    /// Answers 502.
    pub fn refused() -> Self {
        Leaf::Refuse.into()
    }

    /// Whether any request is forwarded or redirected.
    pub fn serves(&self) -> bool {
        !matches!(self.leaf, Leaf::Refuse | Leaf::NotFound)
    }
}

impl Action {
    /// Answers 502, whatever the request.
    pub fn refused() -> Self {
        Self::Always(Handling::refused())
    }

    /// What happens to requests that no path rule takes.
    pub fn otherwise(&self) -> &Handling {
        match self {
            Self::Always(handling) => handling,
            Self::Paths(map) => &map.default,
        }
    }

    /// The path rules; empty unless the action looks at paths.
    pub fn path_rules(&self) -> &[PathRule] {
        match self {
            Self::Paths(map) => &map.rules,
            Self::Always(_) => &[],
        }
    }

    /// Whether any request is forwarded or redirected.
    pub fn serves(&self) -> bool {
        self.otherwise().serves() || self.path_rules().iter().any(|rule| rule.handling.serves())
    }
}
