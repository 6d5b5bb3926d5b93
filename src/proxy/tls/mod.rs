//! TLS towards clients and towards members. Its settings are made when a table is compiled; what
//! sessions can be resumed by outlives tables.

mod backends;
mod client_auth;
mod client_certificate;
mod distinguished_name;
mod member_judge;
mod policy;
mod profile;
mod quic;
mod resolver;
#[cfg(test)]
mod tests;
mod tickets;

pub(crate) use backends::Backends;
pub(crate) use client_auth::ClientAuth;
pub(crate) use client_certificate::{ClientCertificate, Verification};
pub(crate) use profile::{Entry, Profile, Way};
pub(crate) use resolver::Order;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::crypto::CryptoProvider;

use crate::access_log::TlsInfo;
use crate::clock;

/// What a client's handshake came to.
#[derive(Debug)]
pub(crate) struct Agreed {
    pub(crate) info: TlsInfo,
    /// What the client showed, where it was asked for a certificate.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
    /// Whether HTTP/3 is spoken to who asks for the same name.
    pub(crate) has_quic: bool,
    /// Where listeners of the frontend differ in what they ask.
    pub(crate) asked: Option<Box<Asked>>,
}

/// What was asked in a handshake, by either side.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The name that the client asked for.
    pub(crate) server_name: Option<Box<str>>,
    /// What the client was asked: see [`ClientAuth`].
    pub(crate) question: Option<[u8; 32]>,
    /// The last verdict on its certificate, and by whom and when: see [`Asked::remember`].
    verdict: AtomicU64,
}

/// How long a verdict holds, in seconds: certificates and lists of what was revoked run out.
const VERDICT: u64 = 60;

impl Asked {
    pub(crate) fn new(server_name: Option<&str>, question: Option<[u8; 32]>) -> Self {
        let server_name = server_name.map(Into::into);
        Self { server_name, question, verdict: AtomicU64::new(0) }
    }

    /// The verdict of `auth` that `judge` comes to, or came to a short while ago.
    ///
    /// In one word, so that requests that come together need no lock: a number for who judged, the
    /// second in which that was, and the verdict. At worst two of them judge.
    pub(crate) fn remember(
        &self,
        auth: &ClientAuth,
        judge: impl FnOnce() -> Verification,
    ) -> Verification {
        let now = (clock::coarse() / 1000) & 0xffff_ffff;
        let id = u64::from(auth.id) & 0x00ff_ffff;
        let last = self.verdict.load(Ordering::Relaxed);
        let age = now.saturating_sub(last >> 8 & 0xffff_ffff);
        if last >> 40 == id
            && age < VERDICT
            && let Some(verdict) = Verification::ALL.get((last & 0xff) as usize)
        {
            return *verdict;
        }
        let verdict = judge();
        self.verdict.store(id << 40 | now << 8 | verdict as u64, Ordering::Relaxed);
        verdict
    }
}

/// The same towards members, with HTTP/2 offered first, or alone.
pub(crate) fn offering_http2(
    config: &rustls::ClientConfig,
    alone: bool,
) -> Arc<rustls::ClientConfig> {
    let mut offering = config.clone();
    offering.alpn_protocols.insert(0, b"h2".to_vec());
    offering.alpn_protocols.truncate(if alone { 1 } else { 2 });
    Arc::new(offering)
}

/// The one cryptography of the process.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())).clone()
}

/// The same for tests of other modules.
#[cfg(test)]
pub(crate) fn test_provider() -> Arc<CryptoProvider> {
    provider()
}
