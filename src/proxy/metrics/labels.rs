//! Closed sets of labels: nothing from the wire becomes one.

/// Makes an enum whose variants have a label each and can be counted in an array.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
        #[serde(rename_all = "camelCase")]
        pub(crate) enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Their labels, in the order of their numbers.
            pub(crate) const LABELS: &[&str] = &[$($label,)+];
        }
    };
}
pub(crate) use labels;

labels! {
    /// Why the gateway answered by itself.
    FailureLabel {
        InvalidHost = "invalid_host",
        InvalidRequest = "invalid_request",
        BodyTooLarge = "body_too_large",
        InvalidMethod = "invalid_method",
        NotAllowed = "not_allowed",
        AddressDenied = "address_denied",
        RateLimited = "rate_limited",
        Rewrite = "rewrite",
        ClientCertificate = "client_certificate",
        Misdirected = "misdirected",
        TooManyTunnels = "too_many_tunnels",
        UnknownHost = "unknown_host",
        NoPath = "no_path",
        RuleRefused = "rule_refused",
        NoLiveMember = "no_live_member",
        ConnectRefused = "connect_refused",
        ConnectTimeout = "connect_timeout",
        Tls = "connect_tls",
        UpstreamClosed = "member_closed",
        UpstreamTimeout = "member_timeout",
        BadResponse = "bad_response",
        ClientStalled = "client_stalled",
        ClientClosed = "client_closed",
    }
}

labels! {
    /// Why a WebSocket handshake made no tunnel.
    HandshakeFailure {
        NoMember = "no_member",
        Connect = "connect",
        /// The member answered with another status than 101.
        Refused = "refused",
        BadUpgrade = "bad_upgrade",
        BadAccept = "bad_accept",
        Timeout = "timeout",
        Closed = "closed",
        ClientGone = "client_gone",
        BadRequest = "bad_request",
        /// Its `Origin` is not allowed.
        Origin = "origin",
        /// Its client's address is not let in.
        Address = "address",
        /// It offers no subprotocol that is allowed.
        Subprotocol = "subprotocol",
        /// There are as many tunnels, or requests, as there may be.
        Limit = "limit",
    }
}

labels! {
    /// What accepting failed for.
    AcceptErrorClass {
        Connection = "connection",
        Resources = "resources",
        Listener = "listener",
    }
}
