//! Why a request was not answered by a member: one closed set, told as a status code, a metric
//! label, and the access log's `error_info`.

use std::num::NonZeroU32;

use http::StatusCode;

use crate::member::ConnectError;
use crate::metrics::{FailureLabel, HandshakeFailure};

/// The part of a head that is not as HTTP/1.1 has it (RFC 9112).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    Method,
    Target,
    Version,
    ContentLength,
    Other,
}

/// A request that the gateway answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// What was sent is no request.
    Malformed(Malformed),
    /// HTTP where TLS is expected.
    PlainHttp,
    /// No `Host`, or more than one.
    NoHost,
    /// A `Host` that names no host.
    BadHost,
    /// A target that is no path.
    BadTarget,
    /// A target longer than 32 KiB.
    LongTarget,
    /// Headers longer than 32 KiB.
    LongHeaders,
    /// A body larger than the gateway takes.
    BodyTooLarge,
    /// Framing that another server might read differently.
    BadFraming,
    /// `Connection` names a field that must reach the member.
    BadConnectionHeader,
    /// An upgrade with a body: what follows would be neither.
    UpgradeWithBody,
    /// A handshake whose key is no key, to a member that speaks another version of HTTP.
    BadKey,
    /// The listener wants a certificate, and the client showed none.
    NoCertificate,
    /// The certificate that the client showed is not one that the listener takes.
    BadCertificate,
    /// The listener asks for more than the handshake of this connection came to.
    Misdirected,
    /// An extended CONNECT to something that is not WebSocket (RFC 8441 4).
    UnknownProtocol,
    /// A method that is not forwarded.
    BadMethod,
    /// The client's address is not let in.
    AddressDenied,
    /// Too many requests; after so many seconds one more may come.
    RateLimited(NonZeroU32),
    /// Rewrite rules have the path map looked at again without end.
    RewriteLoop,
    /// Rewrite rules made a value that cannot be sent.
    BadRewrite,
    /// No listener takes this host.
    UnknownHost,
    /// No path rule takes this path, and nothing else is meant to.
    NoPath,
    /// The frontend was removed.
    FrontendGone,
    /// The rule was refused.
    RuleRefused,
    /// The pool is empty, or all its members are down.
    NoLiveMember,
    /// The member did not take the connection.
    ConnectRefused,
    /// The member did not take the connection in time.
    ConnectTimedOut,
    /// The member's certificate or handshake is not what it should be.
    ConnectTls,
    /// The member closed the connection before it answered.
    MemberClosed,
    /// The member left its pool, and its time to drain is over.
    MemberGone,
    /// The member did not answer in time.
    MemberTimedOut,
    /// The member's answer is not HTTP, or not one to this request.
    BadResponse,
    /// A 101 that nobody asked for, or to another protocol.
    BadUpgrade,
    /// A 101 whose `Sec-WebSocket-Accept` does not belong to the key.
    BadAccept,
    /// The `Origin` of a handshake is not allowed.
    BadOrigin,
    /// A handshake offers no subprotocol that is allowed.
    BadSubprotocol,
    /// The rule, or all of its members, have as many tunnels as they may.
    TooManyTunnels,
    /// The client's address has as many tunnels as it may.
    TooManyOfClient,
    /// The client did not send the head of its request, or its body, in time.
    ClientStalled,
    /// The client left before the answer.
    ClientGone,
}

impl Failure {
    /// The answer; 499 for a client that is gone stands in logs alone.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Malformed(_)
            | Self::PlainHttp
            | Self::NoHost
            | Self::BadHost
            | Self::BadTarget
            | Self::BadFraming
            | Self::BadConnectionHeader
            | Self::UpgradeWithBody
            | Self::BadKey
            | Self::NoCertificate
            | Self::BadCertificate
            | Self::BadSubprotocol => 400,
            Self::Misdirected => 421,
            Self::UnknownProtocol => 501,
            Self::BadOrigin | Self::AddressDenied => 403,
            Self::TooManyOfClient | Self::RateLimited(_) => 429,
            Self::RewriteLoop | Self::BadRewrite => 500,
            Self::TooManyTunnels => 503,
            Self::LongTarget => 414,
            Self::LongHeaders => 431,
            Self::BodyTooLarge => 413,
            Self::UnknownHost | Self::NoPath => 404,
            Self::BadMethod => 405,
            Self::ClientStalled => 408,
            Self::ClientGone => 499,
            Self::FrontendGone
            | Self::RuleRefused
            | Self::NoLiveMember
            | Self::ConnectRefused
            | Self::ConnectTimedOut
            | Self::ConnectTls
            | Self::MemberClosed
            | Self::MemberGone
            | Self::BadResponse
            | Self::BadUpgrade
            | Self::BadAccept => 502,
            Self::MemberTimedOut => 504,
        }
    }

    /// The answer as a status code of HTTP.
    pub(crate) fn status_code(self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::BAD_GATEWAY)
    }

    /// What the access log calls it.
    pub(crate) fn error_info(self) -> &'static str {
        match self {
            Self::PlainHttp => "ERRORINFO_HTTP_TO_HTTPS_PORT",
            Self::NoHost => "ERRORINFO_HTTP_NO_HOST_HEADER",
            Self::BadHost | Self::UnknownHost | Self::FrontendGone => "ERRORINFO_INVALID_HOST",
            Self::Malformed(Malformed::Target) | Self::BadTarget | Self::LongTarget => {
                "ERRORINFO_REQUEST_URI_INVALID"
            }
            Self::Malformed(Malformed::Version) => "ERRORINFO_INVALID_VERSION",
            Self::Malformed(Malformed::ContentLength) => "ERRORINFO_INVALID_CONTENT_LENGTH",
            Self::BodyTooLarge => "ERRORINFO_BODY_TOO_LARGE",
            Self::AddressDenied => "ERRORINFO_ADDRESS_DENIED",
            Self::RateLimited(_) => "ERRORINFO_RATE_LIMITED",
            Self::RewriteLoop => "ERRORINFO_REWRITE_LOOP",
            Self::BadRewrite => "ERRORINFO_REWRITE_FAILED",
            // No member had a part in it: Application Gateway has no word of its own for this.
            Self::NoPath => "ERRORINFO_NO_ERROR",
            Self::Malformed(Malformed::Other)
            | Self::BadFraming
            | Self::LongHeaders
            | Self::BadConnectionHeader
            | Self::UpgradeWithBody
            | Self::BadKey
            | Self::BadSubprotocol
            | Self::BadOrigin
            | Self::TooManyOfClient => "ERRORINFO_INVALID_REQUEST",
            Self::NoCertificate => "ERRORINFO_HTTPS_NO_CERT",
            Self::BadCertificate => "ERRORINFO_HTTPS_CERT_ERROR",
            Self::Misdirected => "ERRORINFO_INVALID_HOST",
            Self::Malformed(Malformed::Method) | Self::BadMethod | Self::UnknownProtocol => {
                "ERRORINFO_INVALID_METHOD"
            }
            Self::ClientStalled | Self::ClientGone => "ERRORINFO_CLIENT_CLOSED_REQUEST",
            Self::RuleRefused | Self::NoLiveMember | Self::TooManyTunnels => {
                "ERRORINFO_UPSTREAM_NO_LIVE"
            }
            Self::ConnectRefused
            | Self::ConnectTls
            | Self::MemberClosed
            | Self::MemberGone
            | Self::BadResponse
            | Self::BadUpgrade
            | Self::BadAccept => "ERRORINFO_UPSTREAM_CLOSED_CONNECTION",
            Self::ConnectTimedOut | Self::MemberTimedOut => "ERRORINFO_UPSTREAM_TIMED_OUT",
        }
    }

    /// What the client is told beside the status: enough to find the cause on this side, nothing
    /// about what is behind the gateway.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Malformed(_) => "400 Bad Request\n",
            Self::PlainHttp => "400 Bad Request: plain HTTP was sent to an HTTPS listener\n",
            Self::NoHost => "400 Bad Request: exactly one Host is needed\n",
            Self::BadHost => "400 Bad Request: Host is not a host name\n",
            Self::BadTarget => "400 Bad Request: the request target is not valid\n",
            Self::LongTarget => "414 URI Too Long\n",
            Self::LongHeaders => "431 Request Header Fields Too Large\n",
            Self::BodyTooLarge => "413 Content Too Large\n",
            Self::BadFraming => "400 Bad Request: Transfer-Encoding is not \"chunked\"\n",
            Self::BadConnectionHeader => "400 Bad Request: Connection names an end-to-end field\n",
            Self::UpgradeWithBody => "400 Bad Request: an upgrade cannot have a body\n",
            Self::BadOrigin => "403 Forbidden: connections from this origin are not allowed\n",
            Self::AddressDenied => "403 Forbidden: requests from this address are not allowed\n",
            Self::RateLimited(_) => "429 Too Many Requests\n",
            Self::RewriteLoop => "500 Internal Server Error: rewrite rules lead round in circles\n",
            Self::BadRewrite => "500 Internal Server Error: a rewritten value cannot be sent\n",
            Self::BadSubprotocol => "400 Bad Request: none of the subprotocols is allowed\n",
            Self::TooManyTunnels => "503 Service Unavailable: too many WebSockets are open\n",
            Self::TooManyOfClient => {
                "429 Too Many Requests: too many WebSockets of this address are open\n"
            }
            Self::UnknownHost => "404 Not Found: no listener takes this host\n",
            Self::FrontendGone => "502 Bad Gateway: the listener of this port is gone\n",
            Self::NoPath => "404 Not Found: no rule takes this path\n",
            Self::BadMethod => "405 Method Not Allowed\n",
            Self::BadKey => "400 Bad Request: Sec-WebSocket-Key is not 16 bytes in Base64\n",
            Self::NoCertificate => "400 Bad Request: a client certificate is needed\n",
            Self::BadCertificate => "400 Bad Request: the client certificate is not accepted\n",
            Self::Misdirected => {
                "421 Misdirected Request: this host needs a connection of its own\n"
            }
            Self::UnknownProtocol => "501 Not Implemented: only websocket can be connected to\n",
            Self::ClientStalled => "408 Request Timeout\n",
            Self::RuleRefused => "502 Bad Gateway: the rule of this listener is not valid\n",
            Self::NoLiveMember => "502 Bad Gateway: no member of the pool is up\n",
            Self::MemberTimedOut => "504 Gateway Timeout\n",
            _ => "502 Bad Gateway\n",
        }
    }

    /// Whether the client's connection cannot be used any more after the answer.
    pub(crate) fn ends_connection(self) -> bool {
        matches!(
            self,
            Self::BadFraming
                | Self::UpgradeWithBody
                | Self::BodyTooLarge
                | Self::ClientStalled
                | Self::FrontendGone
        )
    }

    /// Its label in metrics.
    pub(crate) fn label(self) -> FailureLabel {
        match self {
            Self::NoHost | Self::BadHost => FailureLabel::InvalidHost,
            Self::Malformed(_)
            | Self::PlainHttp
            | Self::BadTarget
            | Self::LongTarget
            | Self::LongHeaders
            | Self::BadFraming
            | Self::BadConnectionHeader
            | Self::UpgradeWithBody
            | Self::BadKey => FailureLabel::InvalidRequest,
            Self::BodyTooLarge => FailureLabel::BodyTooLarge,
            Self::AddressDenied => FailureLabel::AddressDenied,
            Self::RateLimited(_) => FailureLabel::RateLimited,
            Self::RewriteLoop | Self::BadRewrite => FailureLabel::Rewrite,
            Self::BadMethod | Self::UnknownProtocol => FailureLabel::InvalidMethod,
            Self::BadOrigin | Self::BadSubprotocol => FailureLabel::NotAllowed,
            Self::NoCertificate | Self::BadCertificate => FailureLabel::ClientCertificate,
            Self::Misdirected => FailureLabel::Misdirected,
            Self::TooManyTunnels | Self::TooManyOfClient => FailureLabel::TooManyTunnels,
            Self::UnknownHost | Self::FrontendGone => FailureLabel::UnknownHost,
            Self::NoPath => FailureLabel::NoPath,
            Self::RuleRefused => FailureLabel::RuleRefused,
            Self::NoLiveMember => FailureLabel::NoLiveMember,
            Self::ConnectRefused => FailureLabel::ConnectRefused,
            Self::ConnectTimedOut => FailureLabel::ConnectTimeout,
            Self::ConnectTls => FailureLabel::Tls,
            Self::MemberClosed | Self::MemberGone => FailureLabel::UpstreamClosed,
            Self::MemberTimedOut => FailureLabel::UpstreamTimeout,
            Self::BadResponse | Self::BadUpgrade | Self::BadAccept => FailureLabel::BadResponse,
            Self::ClientStalled => FailureLabel::ClientStalled,
            Self::ClientGone => FailureLabel::ClientClosed,
        }
    }

    /// Its label among failed WebSocket handshakes.
    pub(crate) fn handshake_label(self) -> HandshakeFailure {
        match self {
            Self::RuleRefused | Self::NoLiveMember => HandshakeFailure::NoMember,
            Self::ConnectRefused | Self::ConnectTimedOut | Self::ConnectTls => {
                HandshakeFailure::Connect
            }
            Self::MemberTimedOut => HandshakeFailure::Timeout,
            Self::MemberClosed | Self::MemberGone | Self::BadResponse => HandshakeFailure::Closed,
            Self::BadOrigin => HandshakeFailure::Origin,
            Self::BadSubprotocol => HandshakeFailure::Subprotocol,
            Self::TooManyTunnels | Self::TooManyOfClient | Self::RateLimited(_) => {
                HandshakeFailure::Limit
            }
            Self::AddressDenied => HandshakeFailure::Address,
            Self::BadUpgrade => HandshakeFailure::BadUpgrade,
            Self::BadAccept => HandshakeFailure::BadAccept,
            Self::ClientGone | Self::ClientStalled => HandshakeFailure::ClientGone,
            _ => HandshakeFailure::BadRequest,
        }
    }
}

impl From<&ConnectError> for Failure {
    fn from(error: &ConnectError) -> Self {
        match error {
            ConnectError::Tcp(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                Self::ConnectTimedOut
            }
            ConnectError::Tcp(_) => Self::ConnectRefused,
            ConnectError::Tls(_) => Self::ConnectTls,
            ConnectError::TimedOut => Self::ConnectTimedOut,
            ConnectError::NoHttp2 => Self::BadUpgrade,
        }
    }
}
