//! What the requests of one client connection have in common.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::HeaderValue;
use rustls_pki_types::UnixTime;

use crate::access_log::TlsInfo;
use crate::conn::Noted;
use crate::conn::ticket::Ticket;
use crate::core::Core;
use crate::member::Own;
use crate::tls::{Agreed, Asked, ClientAuth, ClientCertificate, Verification};

/// What is spoken on a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    Http2,
    Http3,
}

/// Keeps a client's connection from being idle.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Client>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// One client connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct Client {
    /// The core that serves it.
    pub(crate) core: Arc<Core>,
    /// Its frontend's place in the table.
    pub(crate) slot: usize,
    /// Where the client is.
    pub(crate) peer: SocketAddr,
    /// What `X-Forwarded-For` gets: the client's address and port.
    pub(crate) forwarded_for: HeaderValue,
    /// What was agreed in the handshake.
    pub(crate) tls: Option<TlsInfo>,
    /// What it showed, where it was asked for a certificate. How it was judged is another question
    /// for each listener: see the exchange.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
    /// What was asked in the handshake; only where the frontend's listeners differ in it.
    pub(crate) asked: Option<Box<Asked>>,
    /// What rules ask for that is known at its beginning alone.
    pub(crate) noted: Option<Box<Noted>>,
    /// Its deadline and orders.
    pub(crate) ticket: Arc<Ticket>,
    version: Version,
    /// Where HTTP/3 is spoken as well, for clients that do not speak it yet (RFC 7838).
    pub(crate) alt_svc: Option<HeaderValue>,
    /// Connections to members that nobody else uses.
    pub(crate) own: Own,
    /// Requests in progress; more than one over HTTP/2 and HTTP/3 only.
    serving: AtomicU32,
}

impl Client {
    pub(crate) fn new(
        core: Arc<Core>,
        slot: usize,
        peer: SocketAddr,
        agreed: Option<Agreed>,
        version: Version,
        ticket: Arc<Ticket>,
    ) -> Self {
        let text = peer.to_string();
        let forwarded_for =
            HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        let has_quic = agreed.as_ref().is_some_and(|agreed| agreed.has_quic);
        let (tls, certificate, asked) = match agreed {
            None => (None, None, None),
            Some(agreed) => (Some(agreed.info), agreed.certificate, agreed.asked),
        };
        let alt_svc = match version {
            Version::Http3 => None,
            _ => has_quic.then(|| core.shared.alt_svc(slot)).flatten(),
        };
        let serving = AtomicU32::new(0);
        Self {
            core,
            slot,
            peer,
            forwarded_for,
            tls,
            certificate,
            asked,
            noted: None,
            ticket,
            version,
            alt_svc,
            own: Own::default(),
            serving,
        }
    }

    /// The same, of which this was noted.
    pub(super) fn noting(self, noted: Option<Box<Noted>>) -> Self {
        Self { noted, ..self }
    }

    /// What a listener makes of its certificate.
    pub(crate) fn verify(&self, auth: &ClientAuth) -> Verification {
        let judge = || auth.judge(self.certificate.as_deref(), UnixTime::now());
        match &self.asked {
            Some(asked) => asked.remember(auth, judge),
            None => judge(),
        }
    }

    /// A request began: no deadline runs while one is served.
    pub(crate) fn begin(&self) {
        if self.serving.fetch_add(1, Ordering::Relaxed) == 0 {
            self.ticket.disarm();
        }
    }

    /// For a tunnel: on a connection that others use, it counts as a request does.
    pub(crate) fn busy_if_shared(self: &Arc<Self>) -> Option<Busy> {
        (self.version != Version::Http1).then(|| {
            self.begin();
            Busy(self.clone())
        })
    }

    /// A request ended: with the last one the connection is idle.
    pub(crate) fn end(&self) {
        if self.serving.fetch_sub(1, Ordering::Relaxed) == 1 {
            let timeouts = &self.core.shared.timeouts;
            self.ticket.set_quiet();
            self.ticket.arm(match self.version {
                Version::Http1 => timeouts.keep_alive,
                Version::Http2 | Version::Http3 => timeouts.http2_idle,
            });
        }
    }
}
