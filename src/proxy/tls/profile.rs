//! What one HTTPS frontend shows its clients, and how it speaks with them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::ServerConfig;
use rustls::server::{
    ProducesTickets, ResolvesServerCert, ServerSessionMemoryCache, StoresServerSessions,
};
use rustls::sign::CertifiedKey;
use tidegate_model::{Certificate, HostPattern, ListenerTls, TlsPolicy, TlsVersion};

use crate::keys::TicketKeys;
use crate::lookup::HostIndex;
use crate::tls::client_auth::ClientAuth;
use crate::tls::policy;
use crate::tls::quic::ByName;
use crate::tls::resolver::{Nobody, Order, Resolver, Shown};
use crate::tls::tickets::Tickets;

/// TLS 1.2 sessions that a frontend remembers; newer ones are remembered by the client's ticket.
const SESSIONS: usize = 4096;

/// One listener, as a frontend's profile is made from it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// None for any.
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) tls: Arc<ListenerTls>,
}

/// Which listener takes which host: what requests go by as well.
pub(crate) type Takes = Arc<HostIndex<u32>>;

/// Certificates of a frontend and how its handshakes are made. The next profile of the same
/// frontend takes over what sessions are resumed by.
pub(crate) struct Profile {
    entries: Vec<Entry>,
    order: Order,
    choice: Arc<Choice>,
    auths: Vec<Option<Arc<ClientAuth>>>,
    quic: Arc<quinn::ServerConfig>,
    pub(super) keys: Vec<(Arc<Certificate>, Arc<CertifiedKey>)>,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("ways", &self.choice.ways.len()).finish_non_exhaustive()
    }
}

/// From the name that a client asks for to the way of its handshake.
struct Choice {
    takes: Takes,
    resolver: Arc<Resolver>,
    /// By listener, a place among the ways.
    by_listener: Vec<usize>,
    /// Never empty.
    ways: Vec<Arc<Way>>,
}

/// One way of shaking hands: listeners that offer and ask the same share it, and no others resume
/// sessions that were begun by it.
pub(crate) struct Way {
    policy: Arc<TlsPolicy>,
    http2: bool,
    config: Arc<ServerConfig>,
    /// `None` where TLS 1.3 is not offered.
    quic: Option<Arc<QuicServerConfig>>,
    sessions: Arc<dyn StoresServerSessions>,
    tickets: Arc<dyn ProducesTickets>,
    /// What it asks; what is made of the answer is each listener's own.
    pub(crate) question: Option<[u8; 32]>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Way {
    /// What a handshake is made with.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Whether HTTP/3 is spoken as well.
    pub(crate) fn has_quic(&self) -> bool {
        self.quic.is_some()
    }

    /// Whether sessions that were begun by the one may go on by the other.
    fn resumes(&self, policy: &TlsPolicy, question: Option<[u8; 32]>) -> bool {
        *self.policy == *policy && self.question == question
    }
}

impl Choice {
    /// The way of a handshake for a name: that of the listener which takes its requests, else that
    /// of the one whose certificate is shown.
    fn way(&self, name: Option<&str>) -> Option<&Arc<Way>> {
        let listener = self.takes.find(name.unwrap_or("")).map(|place| place as usize);
        let listener = listener.or_else(|| self.resolver.place(name)).unwrap_or(0);
        self.ways.get(*self.by_listener.get(listener)?)
    }
}

impl Profile {
    /// Of listeners in the order of the resource. What sessions are resumed by is `frontend`'s own.
    ///
    /// # Errors
    /// If a key cannot be used, or there is no listener at all.
    pub(crate) fn new(
        entries: Vec<Entry>,
        order: Order,
        takes: Takes,
        previous: Option<&Self>,
        shared: &Arc<TicketKeys>,
        frontend: &str,
    ) -> Result<Self, rustls::Error> {
        let mut keys: Vec<(Arc<Certificate>, Arc<CertifiedKey>)> = Vec::new();
        let mut shown = Vec::with_capacity(entries.len());
        for Entry { hosts, tls } in &entries {
            let mut own = Vec::with_capacity(1);
            for certificate in tls.certificates() {
                let key = key_of(certificate, &keys, previous)?;
                keys.push((certificate.clone(), key.clone()));
                own.push(key);
            }
            let (hosts, only_by_name) = (hosts.clone(), tls.requires_server_name);
            shown.push(Shown { hosts, keys: own, only_by_name });
        }
        let resolver = Arc::new(Resolver::new(shown, &order));
        // As long as the same is shown, configurations stay the same ones.
        let same = previous.filter(|last| last.entries == entries && last.order == order);
        let mut auths: Vec<Option<Arc<ClientAuth>>> = Vec::with_capacity(entries.len());
        let mut ways: Vec<Arc<Way>> = Vec::new();
        let mut by_listener = Vec::with_capacity(entries.len());
        for Entry { tls, .. } in &entries {
            let auth = auth_of(tls, &auths, previous)?;
            let question = auth.as_ref().map(|auth| auth.question);
            let found = ways
                .iter()
                .position(|way| way.resumes(&tls.policy, question) && way.http2 == tls.http2);
            by_listener.push(match found {
                Some(place) => place,
                None => {
                    let last = |of: &&Self| {
                        let ways = &of.choice.ways;
                        ways.iter().find(|way| way.resumes(&tls.policy, question)).cloned()
                    };
                    let way = match same.as_ref().and_then(last) {
                        Some(way) if way.http2 == tls.http2 => way,
                        _ => {
                            let last = previous.as_ref().and_then(last);
                            let resolver = resolver.clone();
                            Arc::new(way(tls, auth.as_ref(), resolver, last, shared, frontend)?)
                        }
                    };
                    ways.push(way);
                    ways.len() - 1
                }
            });
            auths.push(auth);
        }
        if ways.is_empty() {
            return Err(rustls::Error::NoCertificatesPresented);
        }
        let choice = Arc::new(Choice { takes, resolver, by_listener, ways });
        let quic = Arc::new(transport(by_name(choice.clone())?));
        Ok(Self { entries, order, choice, auths, quic, keys })
    }

    /// What a handshake of QUIC is made with.
    pub(crate) fn quic(&self) -> Arc<quinn::ServerConfig> {
        self.quic.clone()
    }

    /// How a handshake for a name is made.
    pub(crate) fn way(&self, name: Option<&str>) -> Option<&Arc<Way>> {
        self.choice.way(name)
    }

    /// Whether it depends on the listener how a request may come, or what is asked of its client.
    pub(crate) fn differs(&self) -> bool {
        let asks =
            |entry: &Entry| entry.tls.client_auth.is_some() || entry.tls.requires_server_name;
        self.choice.ways.len() > 1 || self.entries.iter().any(asks)
    }

    /// What the listener at a place asks of clients.
    pub(crate) fn auth(&self, place: usize) -> Option<&Arc<ClientAuth>> {
        self.auths.get(place)?.as_ref()
    }

    /// The suites that the listener at a place offers, by name.
    pub(crate) fn suites(&self, place: usize) -> Box<[&'static str]> {
        self.entries.get(place).map_or_else(Box::default, |entry| policy::names(&entry.tls.policy))
    }
}

/// Asks what another listener, or the one before, asks already.
fn auth_of(
    tls: &ListenerTls,
    made: &[Option<Arc<ClientAuth>>],
    previous: Option<&Profile>,
) -> Result<Option<Arc<ClientAuth>>, rustls::Error> {
    let Some(model) = &tls.client_auth else { return Ok(None) };
    let before = previous.map_or(&[][..], |previous| &previous.auths);
    let known = made.iter().chain(before).flatten().find(|auth| *auth.model == **model);
    Ok(Some(match known {
        Some(auth) => auth.clone(),
        None => Arc::new(ClientAuth::new(model.clone())?),
    }))
}

fn way(
    tls: &ListenerTls,
    auth: Option<&Arc<ClientAuth>>,
    resolver: Arc<Resolver>,
    last: Option<Arc<Way>>,
    shared: &Arc<TicketKeys>,
    frontend: &str,
) -> Result<Way, rustls::Error> {
    let question = auth.map(|auth| auth.question);
    let (sessions, tickets) = match last {
        Some(last) => (last.sessions.clone(), last.tickets.clone()),
        None => {
            let name = resumed_by(frontend, &tls.policy, question);
            let tickets: Arc<dyn ProducesTickets> = Arc::new(Tickets::new(shared.clone(), &name)?);
            (ServerSessionMemoryCache::new(SESSIONS) as Arc<dyn StoresServerSessions>, tickets)
        }
    };
    let make = |resolver: Arc<dyn ResolvesServerCert>, protocols: &[&[u8]]| {
        let mut config = policy::begin(&tls.policy, auth)?.with_cert_resolver(resolver);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config.ignore_client_order = tls.policy.is_ordered();
        config.session_storage = sessions.clone();
        config.ticketer = tickets.clone();
        Ok::<_, rustls::Error>(config)
    };
    let protocols: &[&[u8]] = if tls.http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    let config = Arc::new(make(resolver.clone(), protocols)?);
    let quic = match tls.policy.offers(TlsVersion::Tls13) {
        true => Some(quic_of(make(resolver, &[b"h3"])?)?),
        false => None,
    };
    let (policy, http2) = (tls.policy.clone(), tls.http2);
    Ok(Way { policy, http2, config, quic, sessions, tickets, question })
}

/// What sets the keys of tickets apart. The default way's name is the frontend's alone.
fn resumed_by(frontend: &str, policy: &TlsPolicy, question: Option<[u8; 32]>) -> String {
    if *policy == TlsPolicy::default() && question.is_none() {
        return frontend.to_owned();
    }
    let mut text = policy::names(policy).join(" ").into_bytes();
    text.push(u8::from(question.is_some()));
    text.extend(question.unwrap_or_default());
    let hash = digest(&SHA256, &text);
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{frontend} {hash}")
}

fn quic_of(config: ServerConfig) -> Result<Arc<QuicServerConfig>, rustls::Error> {
    QuicServerConfig::try_from(config)
        .map(Arc::new)
        .map_err(|error| rustls::Error::General(error.to_string()))
}

/// Handshakes of QUIC go by the name, too. One for a listener without TLS 1.3 is refused.
fn by_name(choice: Arc<Choice>) -> Result<ByName, rustls::Error> {
    let nobody = policy::begin(&TlsPolicy::default(), None)?.with_cert_resolver(Arc::new(Nobody));
    let nobody = quic_of(nobody)?;
    let any = nobody.clone();
    let choose = move |name: Option<&str>| {
        let quic = choice.way(name).and_then(|way| way.quic.as_ref());
        quic.unwrap_or(&nobody).clone()
    };
    Ok(ByName { any, choose: Box::new(choose) })
}

/// How QUIC is spoken: windows as over HTTP/2, and a packet now and then for as long as a tunnel may
/// be idle, so that neither side nor a translator of addresses on the way forgets it.
fn transport(crypto: ByName) -> quinn::ServerConfig {
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
