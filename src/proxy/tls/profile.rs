//! What one HTTPS frontend shows its clients.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use rustls::ServerConfig;
use rustls::server::{
    ClientHello, ProducesTickets, ResolvesServerCert, ServerSessionMemoryCache,
    StoresServerSessions,
};
use rustls::sign::CertifiedKey;
use tidegate_model::{Certificate, HostPattern};

use crate::keys::TicketKeys;
use crate::lookup::{HostIndex, Rank};
use crate::tls::tickets::Tickets;

/// TLS 1.2 sessions that a frontend remembers; newer ones are remembered by the client's ticket.
const SESSIONS: usize = 4096;

/// Certificates of a frontend and how its handshakes are made. The next profile of the same
/// frontend takes over what sessions are resumed by.
#[derive(Debug)]
pub(crate) struct Profile {
    config: Arc<ServerConfig>,
    quic: Arc<quinn::ServerConfig>,
    sessions: Arc<dyn StoresServerSessions>,
    tickets: Arc<dyn ProducesTickets>,
    pub(super) keys: Vec<(Arc<Certificate>, Arc<CertifiedKey>)>,
}

impl Profile {
    /// Certificates in rule order, each with the hosts that its listener takes; none for any. What
    /// sessions are resumed by is `frontend`'s own.
    ///
    /// # Errors
    /// If a key cannot be used, or there is no certificate at all.
    pub(crate) fn new(
        certificates: &[(Vec<HostPattern>, Arc<Certificate>)],
        previous: Option<&Self>,
        shared: &Arc<TicketKeys>,
        frontend: &str,
    ) -> Result<Self, rustls::Error> {
        let mut keys = Vec::with_capacity(certificates.len());
        let mut entries = Vec::new();
        for (index, (hosts, certificate)) in certificates.iter().enumerate() {
            keys.push((certificate.clone(), key_of(certificate, &keys, previous)?));
            if hosts.is_empty() {
                entries.push((None, Rank::new(None, None, index), index));
            }
            for host in hosts {
                entries.push((Some(host.clone()), Rank::new(None, Some(host), index), index));
            }
        }
        let Some((_, first)) = keys.first() else {
            return Err(rustls::Error::NoCertificatesPresented);
        };
        let resolver = Resolver {
            index: HostIndex::new(entries),
            first: first.clone(),
            keys: keys.iter().map(|(_, key)| key.clone()).collect(),
        };
        let sessions = match previous {
            Some(previous) => previous.sessions.clone(),
            None => ServerSessionMemoryCache::new(SESSIONS),
        };
        let tickets = match previous {
            Some(previous) => previous.tickets.clone(),
            None => Arc::new(Tickets::new(shared.clone(), frontend)?),
        };
        let mut config = ServerConfig::builder_with_provider(super::provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = sessions.clone();
        config.ticketer = tickets.clone();
        let mut quic = config.clone();
        quic.alpn_protocols = vec![b"h3".to_vec()];
        let quic = QuicServerConfig::try_from(quic)
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(Self {
            config: Arc::new(config),
            quic: Arc::new(transport(quic)),
            sessions,
            tickets,
            keys,
        })
    }

    /// What a handshake of QUIC is made with.
    pub(crate) fn quic(&self) -> Arc<quinn::ServerConfig> {
        self.quic.clone()
    }

    /// What a handshake is made with.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}

/// How QUIC is spoken: windows as over HTTP/2, and a packet now and then for as long as a tunnel may
/// be idle, so that neither side nor a translator of addresses on the way forgets it.
fn transport(crypto: QuicServerConfig) -> quinn::ServerConfig {
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let mut transport = quinn::TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(400_u32.into())
        .max_concurrent_uni_streams(16_u32.into())
        .stream_receive_window((256_u32 * 1024).into())
        .receive_window((4096_u32 * 1024).into())
        .send_window(1024 * 1024)
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .max_idle_timeout(quinn::IdleTimeout::try_from(Duration::from_secs(60)).ok());
    config.transport_config(Arc::new(transport));
    config
}

/// The key in a form that can sign; one that is known already is not parsed again.
fn key_of(
    certificate: &Arc<Certificate>,
    known: &[(Arc<Certificate>, Arc<CertifiedKey>)],
    previous: Option<&Profile>,
) -> Result<Arc<CertifiedKey>, rustls::Error> {
    let before = previous.map_or(&[][..], |previous| &previous.keys);
    let same = |(other, _): &&(Arc<Certificate>, _)| {
        Arc::ptr_eq(other, certificate) || **other == **certificate
    };
    if let Some((_, key)) = known.iter().chain(before).find(same) {
        return Ok(key.clone());
    }
    let chain = certificate.chain().to_vec();
    let key = certificate.key().clone_key();
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &super::provider())?))
}

/// The certificate by the name that the client asks for: that of the listener which takes it, else
/// the basic listener's, else the first by rule order.
struct Resolver {
    index: HostIndex<usize>,
    keys: Vec<Arc<CertifiedKey>>,
    first: Arc<CertifiedKey>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = self.index.find(hello.server_name().unwrap_or(""));
        let key = found.and_then(|index| self.keys.get(index)).unwrap_or(&self.first);
        Some(key.clone())
    }
}
