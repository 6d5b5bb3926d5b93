//! Handshakes of QUIC that go by the name that the client asks for.
//!
//! QUIC's library wants one configuration before it has seen a byte. A session begins with any,
//! keeps what comes until the ClientHello is complete, and then goes on with the listener's own.

use std::any::Any;
use std::io::Cursor;
use std::sync::Arc;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::crypto::{
    self, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, Session,
    UnsupportedVersion,
};
use quinn::{ConnectionId, Side};
use quinn_proto::TransportError;
use quinn_proto::transport_parameters::TransportParameters;
use rustls::server::Acceptor;

/// The longest ClientHello that is waited for; a longer one goes the way of any.
const LONGEST_HELLO: usize = 64 * 1024;
/// The most that a TLS record holds (RFC 8446 5.1).
const LONGEST_RECORD: usize = 16 * 1024;

/// The configuration for a client that asks for a name.
pub(super) type Choose = dyn Fn(Option<&str>) -> Arc<QuicServerConfig> + Send + Sync;

/// Begins sessions that choose their configuration.
pub(super) struct ByName {
    /// For what does not depend on the choice.
    pub(super) any: Arc<QuicServerConfig>,
    pub(super) choose: Box<Choose>,
}

impl crypto::ServerConfig for ByName {
    fn initial_keys(
        &self,
        version: u32,
        connection: &ConnectionId,
    ) -> Result<Keys, UnsupportedVersion> {
        self.any.initial_keys(version, connection)
    }

    fn retry_tag(&self, version: u32, connection: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.any.retry_tag(version, connection, packet)
    }

    fn start_session(
        self: Arc<Self>,
        version: u32,
        parameters: &TransportParameters,
    ) -> Box<dyn Session> {
        let session = self.any.clone().start_session(version, parameters);
        let waiting = Waiting { config: self, version, parameters: *parameters, hello: Vec::new() };
        Box::new(Choosing { waiting: Some(waiting), session })
    }
}

/// A session whose configuration may not be chosen yet.
struct Choosing {
    waiting: Option<Waiting>,
    session: Box<dyn Session>,
}

struct Waiting {
    config: Arc<ByName>,
    version: u32,
    parameters: TransportParameters,
    hello: Vec<u8>,
}

/// The name that a complete ClientHello asks for; `Err` if more has to come.
fn server_name(hello: &[u8]) -> Result<Option<String>, ()> {
    let mut acceptor = Acceptor::default();
    for part in hello.chunks(LONGEST_RECORD) {
        let length = part.len() as u16;
        let head = [22, 3, 1, length.to_be_bytes()[0], length.to_be_bytes()[1]];
        let mut record = Cursor::new([&head, part].concat());
        while (record.position() as usize) < part.len() + head.len() {
            match acceptor.read_tls(&mut record) {
                Ok(1..) => {}
                // What is no ClientHello fails in the session, which knows how to say so.
                Ok(0) | Err(_) => return Ok(None),
            }
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                return Ok(accepted.client_hello().server_name().map(str::to_owned));
            }
            Ok(None) => {}
            Err(_) => return Ok(None),
        }
    }
    Err(())
}

impl Session for Choosing {
    fn read_handshake(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        let Some(waiting) = &mut self.waiting else { return self.session.read_handshake(bytes) };
        waiting.hello.extend_from_slice(bytes);
        let name = match server_name(&waiting.hello) {
            Ok(name) => name,
            Err(()) if waiting.hello.len() < LONGEST_HELLO => return Ok(false),
            Err(()) => None,
        };
        let Some(chosen) = self.waiting.take() else { return Ok(false) };
        let config = (chosen.config.choose)(name.as_deref());
        self.session =
            crypto::ServerConfig::start_session(config, chosen.version, &chosen.parameters);
        self.session.read_handshake(&chosen.hello)
    }

    fn write_handshake(&mut self, out: &mut Vec<u8>) -> Option<Keys> {
        if self.waiting.is_some() {
            return None;
        }
        self.session.write_handshake(out)
    }

    fn initial_keys(&self, connection: &ConnectionId, side: Side) -> Keys {
        self.session.initial_keys(connection, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.session.handshake_data()
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.session.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        self.session.early_crypto()
    }

    fn early_data_accepted(&self) -> Option<bool> {
        self.session.early_data_accepted()
    }

    fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        self.session.transport_parameters()
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        self.session.next_1rtt_keys()
    }

    fn is_valid_retry(&self, connection: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.session.is_valid_retry(connection, header, payload)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        self.session.export_keying_material(output, label, context)
    }
}
