//! Connecting to a member.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::conn::io::{Io, Stream};
use crate::conn::serve::keep_alive;
use crate::conn::ticket::Ticket;
use crate::core::Core;
use crate::member::Member;
use crate::member::connection::{Connection, drive};

/// The name that a member's certificate has to have; `None` where no TLS is spoken.
pub(crate) type Name = Option<ServerName<'static>>;

/// Why there is no connection.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    #[error("connect: {0}")]
    Tcp(io::Error),
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("no connection within the limit")]
    TimedOut,
    #[error("the member does not speak HTTP/2, or takes no WebSocket handshakes over it")]
    NoHttp2,
}

/// A connection on which nothing has been said yet.
pub(super) struct Wire {
    pub(super) io: Io,
    /// Our port on it.
    pub(super) local_port: u16,
    /// What it is for: agreed by ALPN, or asked for where there is no TLS.
    pub(super) http2: bool,
}

impl Member {
    /// The name to ask for in the TLS handshake, if there is one: the name given, else the
    /// member's address.
    pub(crate) fn name(&self, host: Option<&str>) -> Name {
        self.tls.as_ref()?;
        let given = host.and_then(|host| ServerName::try_from(host.to_owned()).ok());
        Some(given.unwrap_or_else(|| ServerName::from(self.address.ip())))
    }

    /// Opens a connection; one for a handshake keeps the letters of field names as they are.
    pub(crate) async fn connect(
        &self,
        core: &Arc<Core>,
        name: Name,
        keeps_case: bool,
    ) -> Result<Connection, ConnectError> {
        let started = Instant::now();
        // Boxed: most requests find a kept connection and should not carry this state.
        let opening = Box::pin(self.open(core, name, keeps_case));
        let outcome = match tokio::time::timeout(core.shared.timeouts.connect, opening).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ConnectError::TimedOut),
        };
        match &outcome {
            Ok(_) => self.series.connected(core.id, started.elapsed()),
            Err(error) => {
                self.series.connect_failed(core.id);
                tracing::debug!(member = %self.address, %error, "no connection");
            }
        }
        outcome
    }

    async fn open(
        &self,
        core: &Arc<Core>,
        name: Name,
        keeps_case: bool,
    ) -> Result<Connection, ConnectError> {
        let wire = self.wire(&name, None).await?;
        self.speak_http1(core, wire.io, name, wire.local_port, keeps_case).await
    }

    /// Connects, with TLS if it is spoken to the member. HTTP/2 is offered if that is asked for, or
    /// alone with `Some(true)`.
    pub(super) async fn wire(
        &self,
        name: &Name,
        offers_http2: Option<bool>,
    ) -> Result<Wire, ConnectError> {
        let tcp = TcpStream::connect(self.address).await.map_err(ConnectError::Tcp)?;
        // A socket that refuses an option is about to fail by itself.
        let _ = tcp.set_nodelay(true);
        keep_alive(&tcp);
        let local_port = tcp.local_addr().map_or(0, |address| address.port());
        let (Some(config), Some(name)) = (&self.tls, name) else {
            return Ok(Wire { io: Io::Plain(tcp), local_port, http2: offers_http2.is_some() });
        };
        let config = match offers_http2 {
            None => config.clone(),
            Some(alone) => crate::tls::offering_http2(config, alone),
        };
        let connector = TlsConnector::from(config);
        let tls = connector.connect(name.clone(), tcp).await.map_err(ConnectError::Tls)?;
        let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Wire { io: Io::Tls(Box::new(tls.into())), local_port, http2 })
    }

    pub(super) async fn speak_http1(
        &self,
        core: &Arc<Core>,
        io: Io,
        name: Name,
        local_port: u16,
        keeps_case: bool,
    ) -> Result<Connection, ConnectError> {
        let mut builder = hyper::client::conn::http1::Builder::new();
        builder.max_buf_size(64 * 1024).preserve_header_case(keeps_case);
        let (sender, connection) = builder
            .handshake(TokioIo::new(Stream::new(io)))
            .await
            .map_err(|error| ConnectError::Tcp(io::Error::other(error)))?;
        let ticket = Arc::new(Ticket::new());
        drive(core, self.scope.id(), ticket.clone(), connection);
        Ok(Connection::new(sender, ticket, name, local_port))
    }
}
