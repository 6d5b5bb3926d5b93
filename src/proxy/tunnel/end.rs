//! How tunnels end: closed sets, told as labels of metrics and in the access log.

use crate::metrics::labels;

labels! {
    /// Why a tunnel ended.
    TunnelEnd {
        /// The client closed its side first.
        ClientClosed = "client_closed",
        /// The member closed its side first.
        MemberClosed = "member_closed",
        /// The client's connection failed.
        ClientError = "client_error",
        /// The member's connection failed.
        MemberError = "member_error",
        /// Its listener was removed.
        ListenerRemoved = "listener_removed",
        /// Its member left the pool.
        MemberRemoved = "member_removed",
        /// Its member is terminating.
        MemberTerminating = "member_terminating",
        /// The process ends.
        Shutdown = "shutdown",
        /// It was moved to a member that has fewer.
        Rebalanced = "rebalanced",
        /// Nothing moved for too long.
        Idle = "idle_timeout",
        /// It lasted as long as it may.
        Lifetime = "lifetime",
        /// The client sent a frame or message that is too large.
        TooBig = "too_big",
        /// The client sent messages too fast.
        TooMany = "too_many_messages",
        /// The client did not answer a ping.
        ClientSilent = "client_silent",
        /// The member did not answer a ping.
        MemberSilent = "member_silent",
        /// One side had ended its stream, and the other said nothing more for too long.
        HalfClosed = "half_closed_timeout",
    }
}

labels! {
    /// Whose doing something is.
    Side {
        Client = "client",
        Member = "member",
        Gateway = "gateway",
    }
}

labels! {
    /// The code of a tunnel's first Close frame, as a label: those of RFC 6455 7.4.1 and of its
    /// registry, and the others by their range.
    CloseLabel {
        Normal = "1000",
        GoingAway = "1001",
        ProtocolError = "1002",
        Unsupported = "1003",
        NoCode = "1005",
        /// There was no Close frame.
        Abnormal = "1006",
        BadPayload = "1007",
        Policy = "1008",
        TooBig = "1009",
        MissingExtension = "1010",
        InternalError = "1011",
        ServiceRestart = "1012",
        TryAgainLater = "1013",
        BadGateway = "1014",
        Registered = "3xxx",
        Private = "4xxx",
        Other = "other",
    }
}

impl CloseLabel {
    /// The label of a code; `None` for a tunnel that ended without a Close frame.
    pub(crate) fn of(code: Option<u16>) -> Self {
        match code {
            Some(1000) => Self::Normal,
            Some(1001) => Self::GoingAway,
            Some(1002) => Self::ProtocolError,
            Some(1003) => Self::Unsupported,
            Some(1005) => Self::NoCode,
            None => Self::Abnormal,
            Some(1007) => Self::BadPayload,
            Some(1008) => Self::Policy,
            Some(1009) => Self::TooBig,
            Some(1010) => Self::MissingExtension,
            Some(1011) => Self::InternalError,
            Some(1012) => Self::ServiceRestart,
            Some(1013) => Self::TryAgainLater,
            Some(1014) => Self::BadGateway,
            Some(3000..=3999) => Self::Registered,
            Some(4000..=4999) => Self::Private,
            Some(_) => Self::Other,
        }
    }
}

/// How a tunnel was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    /// Whose Close frame came first; without one, who ended the tunnel.
    pub(crate) side: Side,
    /// The code in it, 1005 for none; `None` if there was no Close frame.
    pub(crate) code: Option<u16>,
}

impl TunnelEnd {
    /// Whose doing it is.
    pub(crate) fn side(self) -> Side {
        match self {
            Self::ClientClosed | Self::ClientError | Self::ClientSilent => Side::Client,
            Self::MemberClosed | Self::MemberError | Self::MemberSilent => Side::Member,
            _ => Side::Gateway,
        }
    }
}
