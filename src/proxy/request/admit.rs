//! Whether a request may come to its listener by the connection that it came by.
//!
//! A handshake is made for the listener of the name that is asked for in it; a request may be for
//! another one. What that one asks of TLS and of clients holds all the same.

use std::sync::Arc;

use crate::conn::client::Client;
use crate::failure::Failure;
use crate::table::{Frontend, Rule};
use crate::tls::Verification;

/// What the listener makes of the client's certificate, and why the request is refused, if it is.
pub(super) fn admit(
    client: &Client,
    frontend: &Frontend,
    rule: &Arc<Rule>,
) -> (Verification, Result<(), Failure>) {
    let Some(gate) = &rule.gate else { return (Verification::None, Ok(())) };
    let misdirected = (Verification::None, Err(Failure::Misdirected));
    let Some(tls) = client.tls else { return misdirected };
    let offered = match tls.cipher {
        // Both suites of QUIC are in every policy that has TLS 1.3.
        "QUIC" => gate.tls13,
        cipher => gate.suites.contains(&cipher),
    };
    if !offered {
        return misdirected;
    }
    if gate.requires_server_name {
        let named = client.asked.as_ref().and_then(|asked| asked.server_name.as_deref());
        let leads_here = |name: &str| frontend.rule(name).is_some_and(|own| Arc::ptr_eq(own, rule));
        if !named.is_some_and(leads_here) {
            return misdirected;
        }
    }
    let Some(auth) = &gate.auth else { return (Verification::None, Ok(())) };
    let verification = client.verify(auth);
    let verdict = match verification {
        Verification::Success => Ok(()),
        // A connection of its own, and it can show another one.
        _ if client.asked.as_ref().and_then(|asked| asked.question) != Some(auth.question) => {
            Err(Failure::Misdirected)
        }
        _ if !auth.model.required => Ok(()),
        Verification::None => Err(Failure::NoCertificate),
        _ => Err(Failure::BadCertificate),
    };
    (verification, verdict)
}
