//! What a client sent that never became a request. It was answered without one, and is counted and
//! logged all the same: who asks why a client gets 400 has to find it.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::access_log::{Entry, TlsInfo};
use crate::core::Core;
use crate::failure::{Failure, Malformed};
use crate::tls::Verification;

/// Why hyper answered by itself and ended the connection; `None` if it ended for another reason.
///
/// Some of the reasons it tells in words alone. Were they to change, the access log would be less
/// exact, and the test of all status codes would say so.
pub(super) fn reason(error: &hyper::Error) -> Option<Failure> {
    // Of HTTP/2 where HTTP/1.1 is spoken nothing is answered.
    if !error.is_parse() || error.is_parse_version_h2() {
        return None;
    }
    Some(match error.to_string().as_str() {
        "URI too long" => Failure::LongTarget,
        _ if error.is_parse_too_large() => Failure::LongHeaders,
        "invalid HTTP method parsed" => Failure::Malformed(Malformed::Method),
        "invalid HTTP version parsed" => Failure::Malformed(Malformed::Version),
        "invalid URI" => Failure::Malformed(Malformed::Target),
        "invalid content-length parsed" => Failure::Malformed(Malformed::ContentLength),
        _ => Failure::Malformed(Malformed::Other),
    })
}

/// Counts and logs the answer to a client at `peer` of the frontend at `slot`, `took` after the
/// client began to send.
pub(super) fn record(
    core: &Core,
    slot: usize,
    peer: SocketAddr,
    tls: Option<TlsInfo>,
    failure: Failure,
    took: Duration,
) {
    let table = core.shared.table.load();
    let Some(frontend) = table.frontend(slot) else { return };
    let status = failure.status();
    frontend.unmatched.request(core.id, status, took, 0, 0);
    frontend.unmatched.failure(core.id, failure.label());
    let Some(log) = &core.shared.access_log else { return };
    let now = SystemTime::now();
    log.write(&Entry {
        time: now.checked_sub(took).unwrap_or(now),
        gateway: Some(&frontend.gateway),
        listener: "",
        rule: "",
        pool: "",
        settings: "",
        client: peer,
        method: "",
        uri: "",
        target: "",
        user_agent: None,
        content_type: None,
        status,
        version: http::Version::HTTP_11,
        received: 0,
        sent: 0,
        took,
        transaction_id: "",
        tls,
        verification: Verification::None,
        certificate: None,
        server: None,
        server_status: None,
        server_latency: None,
        upstream_port: None,
        original_host: None,
        host: None,
        error_info: failure.error_info(),
        tunnel: None,
    });
}
