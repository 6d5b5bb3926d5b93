//! Every metric of the data plane: the one place from which output and documents are made.

/// How a metric is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts durations by their length.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its name in the output.
    pub name: &'static str,
    /// How it is read.
    pub kind: Kind,
    /// What it says.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

const RULE: &[&str] = &["gateway", "listener", "rule", "pool", "settings"];
const RULE_STATUS: &[&str] = &["gateway", "listener", "rule", "pool", "settings", "status"];
const RULE_CLOSE: &[&str] = &["gateway", "listener", "rule", "pool", "settings", "side", "code"];
const RULE_SIDE: &[&str] = &["gateway", "listener", "rule", "pool", "settings", "side"];
const RULE_ANSWERED: &[&str] = &["gateway", "listener", "rule", "pool", "settings", "answered"];
const RULE_REASON: &[&str] = &["gateway", "listener", "rule", "pool", "settings", "reason"];
const MEMBER: &[&str] = &["gateway", "pool", "settings", "member"];
const MEMBER_STATUS: &[&str] = &["gateway", "pool", "settings", "member", "status"];
const MEMBER_RESULT: &[&str] = &["gateway", "pool", "settings", "member", "result"];

macro_rules! definitions {
    ($($constant:ident = $name:literal, $kind:ident, $labels:expr, $help:literal;)+) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Place { $($constant,)+ }
        $(pub(super) const $constant: usize = Place::$constant as usize;)+
        const ALL: &[Definition] = &[
            $(Definition { name: $name, kind: Kind::$kind, help: $help, labels: $labels },)+
        ];
    };
}

definitions! {
    REQUESTS = "tidegate_requests_total", Counter, RULE_STATUS, "Requests answered, by class of status code. Handshakes that became tunnels are not among them.";
    REQUEST_DURATION = "tidegate_request_duration_seconds", Histogram, RULE, "From the first byte of a request to the last of its response.";
    RECEIVED = "tidegate_received_bytes_total", Counter, RULE, "Bytes of request bodies from clients.";
    SENT = "tidegate_sent_bytes_total", Counter, RULE, "Bytes of response bodies to clients.";
    FAILURES = "tidegate_failures_total", Counter, RULE_REASON, "Requests that the gateway answered by itself, or whose response broke off, by reason.";
    TUNNELS_OPENED = "tidegate_tunnels_opened_total", Counter, RULE, "WebSocket handshakes that became tunnels.";
    TUNNELS_CLOSED = "tidegate_tunnels_closed_total", Counter, RULE_REASON, "Tunnels that ended, by how.";
    TUNNELS_OPEN = "tidegate_tunnels_open", Gauge, RULE, "Open tunnels.";
    TUNNEL_DURATION = "tidegate_tunnel_duration_seconds", Histogram, RULE, "How long tunnels lasted that have ended.";
    TUNNEL_RECEIVED = "tidegate_tunnel_received_bytes_total", Counter, RULE, "Bytes from clients through tunnels, open ones included.";
    TUNNEL_SENT = "tidegate_tunnel_sent_bytes_total", Counter, RULE, "Bytes to clients through tunnels, open ones included.";
    MESSAGES_RECEIVED = "tidegate_tunnel_messages_received_total", Counter, RULE, "Messages from clients through tunnels: text and binary, each counted with its last frame.";
    MESSAGES_SENT = "tidegate_tunnel_messages_sent_total", Counter, RULE, "Messages to clients through tunnels.";
    CLOSES = "tidegate_tunnel_closes_total", Counter, RULE_CLOSE, "Tunnels that ended, by whose Close frame came first and its code; 1005 for one without a code, 1006 for tunnels that ended without a Close frame.";
    DRAINED = "tidegate_tunnels_drained_total", Counter, RULE_ANSWERED, "Tunnels that the gateway told to close, by whether the client answered with a Close frame.";
    PING = "tidegate_tunnel_ping_seconds", Histogram, RULE_SIDE, "From a ping of the gateway to its pong, by the side that was asked.";
    HANDSHAKE_FAILURES = "tidegate_websocket_handshake_failures_total", Counter, RULE_REASON, "WebSocket handshakes that did not become tunnels, by reason.";
    MEMBER_REQUESTS = "tidegate_member_requests_total", Counter, MEMBER_STATUS, "Responses of a member, by class of status code.";
    MEMBER_LATENCY = "tidegate_member_response_seconds", Histogram, MEMBER, "From the first byte of a request to the head of the member's response.";
    MEMBER_IN_FLIGHT = "tidegate_member_requests_in_flight", Gauge, MEMBER, "Requests that a member has not answered to the end.";
    MEMBER_CONNECT = "tidegate_member_connect_seconds", Histogram, MEMBER, "Connecting to a member, TLS handshake included.";
    MEMBER_CONNECT_FAILURES = "tidegate_member_connect_failures_total", Counter, MEMBER, "Connections that a member did not take.";
    MEMBER_RETRIES = "tidegate_member_retries_total", Counter, MEMBER, "Requests sent again because a kept connection was closed.";
    MEMBER_TUNNELS_OPEN = "tidegate_member_tunnels_open", Gauge, MEMBER, "Open tunnels to a member.";
    MEMBER_UP = "tidegate_member_up", Gauge, MEMBER, "1 if the member takes traffic, as far as its health decides, else 0.";
    EJECTIONS = "tidegate_member_ejections_total", Counter, MEMBER, "How often a member was taken out because requests to it failed.";
    PROBES = "tidegate_probes_total", Counter, MEMBER_RESULT, "Probes of a member, by result.";
    CONNECTIONS = "tidegate_connections_total", Counter, &["tls"], "Client connections accepted.";
    CONNECTIONS_OPEN = "tidegate_connections_open", Gauge, &[], "Open client connections, those that became tunnels not among them.";
    TLS_HANDSHAKES = "tidegate_tls_handshakes_total", Counter, &["result"], "TLS handshakes with clients, by result.";
    TLS_HANDSHAKE_DURATION = "tidegate_tls_handshake_seconds", Histogram, &[], "TLS handshakes with clients.";
    CERTIFICATE_EXPIRY = "tidegate_certificate_expiry_timestamp_seconds", Gauge, &["gateway", "certificate"], "When a certificate that clients are shown expires, in seconds since 1970; certificate is its Secret.";
    ACCEPT_ERRORS = "tidegate_accept_errors_total", Counter, &["class"], "Connections that could not be accepted, by what was wrong.";
    SWAPS = "tidegate_swaps_total", Counter, &[], "Tables that were swapped in.";
    UNCHANGED = "tidegate_swaps_unchanged_total", Counter, &[], "Snapshots that were equal to the one before, and not swapped in.";
    SWAP_DURATION = "tidegate_swap_seconds", Histogram, &[], "Compiling a table and swapping it in.";
    LOG_DROPPED = "tidegate_access_log_dropped_total", Counter, &[], "Access-log lines that were dropped because they could not be written as fast as they came.";
    REVISION = "tidegate_table_revision", Gauge, &[], "The table that serves: counts swaps.";
}

/// Every metric of the data plane.
pub fn definitions() -> &'static [Definition] {
    ALL
}
