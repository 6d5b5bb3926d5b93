//! Clients that only these tests need.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::peers;

/// Whether a server shows this very certificate when it is asked for a name.
pub async fn shows(address: SocketAddr, chain: &str, name: &str) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(peers::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let Ok(tcp) = TcpStream::connect(address).await else { return false };
    let name = rustls_pki_types::ServerName::try_from(name.to_owned()).unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.is_ok()
}

/// Whether HTTP/3 is spoken there, with this very certificate for a name.
pub async fn speaks_http3(address: SocketAddr, chain: &str, name: &str) -> bool {
    let endpoint = crate::quic::endpoint(chain);
    let Ok(connecting) = endpoint.connect(address, name) else { return false };
    // A port that nobody has answers nothing at all.
    matches!(tokio::time::timeout(Duration::from_secs(2), connecting).await, Ok(Ok(_)))
}

/// Sends a text and waits for its echo.
pub async fn echoes(socket: &mut peers::Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
}
