//! What a gateway should do, checked and free of its source.
//!
//! Every kind of resource becomes these types, and the data plane compiles its tables from them.
//! The model knows no Kubernetes client, no file, no HTTP library and no runtime. Its values are
//! made by constructors that check them, so a value that exists is one that can be served.
//!
//! ```text
//! Snapshot -> Gateway -> Frontend (one socket) -> Listener -> Rule -> Target = Pool x Settings
//!                                                            |-> Distribution -> Targets, weighted
//!                                                            \-> PathMap -> PathRule -> Target
//! ```

mod access;
mod action;
mod bodies;
mod certificate;
mod cookie;
mod distribution;
mod error_pages;
mod gateway;
mod guard;
mod host;
mod listener;
mod name;
mod path;
mod path_override;
mod pool;
mod probe;
mod rank;
mod redirect;
mod rewrite;
mod settings;
mod tls;
mod websocket;

pub use access::{AccessList, Network, NetworkError};
pub use action::{Action, Handling, Leaf, PathMap, PathRule};
pub use bodies::Bodies;
pub use certificate::{Certificate, CertificateError, TrustedRoots};
pub use cookie::{CookieName, CookieNameError};
pub use distribution::{Distribution, DistributionError, Share, Weight, WeightError};
pub use error_pages::ErrorPages;
pub use gateway::{Frontend, FrontendError, Gateway, KnownListener, Snapshot};
pub use guard::{Guard, Guarded, RateLimit, RateLimitPer};
pub use host::{HostPattern, HostPatternError, Hostname, HostnameError};
pub use listener::{Listener, Priority, PriorityError, Protocol, Rule};
pub use name::ObjectName;
pub use path::{PathMatch, PathPattern, PathPatternError};
pub use path_override::{PathOverride, PathOverrideError};
pub use pool::{Member, MemberState, Pool};
pub use probe::{
    BodyMatchError, Probe, ProbeHost, ProbeKind, ProbeMatch, StatusRange, StatusRangeError,
};
pub use rank::{HostPrecedence, Rank};
pub use redirect::{Redirect, RedirectStatus, RedirectTo, RedirectUrl, RedirectUrlError};
pub use rewrite::{
    ActionError, Condition, FieldName, FieldNameError, HeaderAction, Matcher, Part, Pattern,
    PatternError, RewriteRule, RewriteSet, Scope, ServerVariable, Template, TemplateError,
    UrlAction, Variable, VariableError,
};
pub use settings::{
    BackendTls, HostOverride, LoadDistribution, MemberHttp, OutlierEjection, Settings, Target,
    Trust,
};
pub use tls::{
    CipherSuite, ClientAuth, ListenerTls, NothingOffered, RevocationLists, TlsPolicy, TlsVersion,
};
pub use websocket::{
    Lifetime, MemberVersion, MessageLimits, OriginPattern, OriginPatternError, Ping, Rebalance,
    TcpOptions, TunnelLimits, WebSocket,
};
