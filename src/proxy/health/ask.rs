//! One probe of any kind, within its time.

use std::time::Instant;

use tidegate_model::ProbeKind;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::conn::io::{Io, Stream};
use crate::health::{ProbeSpec, grpc, http, websocket};

/// Asks once: what was found, and whether it is healthy.
pub(super) async fn ask(spec: &ProbeSpec) -> (bool, String) {
    let started = Instant::now();
    let asked = async {
        // Boxed: waiting for the next probe should not carry this state.
        match &spec.probe.kind {
            ProbeKind::Http => Box::pin(http::exchange(spec)).await.map(|s| s.to_string()),
            ProbeKind::Grpc(service) => Box::pin(grpc::check(spec, service)).await,
            ProbeKind::WebSocket => Box::pin(websocket::shake_hands(spec)).await,
            ProbeKind::Tcp => connect(spec).await.map(|()| "connected".to_owned()),
        }
    };
    match tokio::time::timeout(spec.probe.timeout, asked).await {
        Ok(Ok(found)) => {
            let took = started.elapsed().as_secs_f64() * 1e3;
            (true, format!("{found} in {took:.1} ms"))
        }
        Ok(Err(why)) => (false, why),
        Err(_) => (false, format!("timeout after {} s", spec.probe.timeout.as_secs())),
    }
}

/// Connects and closes: for TLS members, too, because a certificate says nothing about health.
async fn connect(spec: &ProbeSpec) -> Result<(), String> {
    let connected = TcpStream::connect(spec.address).await;
    connected.map(drop).map_err(|error| format!("connect: {error}"))
}

/// A connection to speak on, with TLS where the settings say so.
pub(super) async fn open(spec: &ProbeSpec, http2: bool) -> Result<Stream, String> {
    let tcp =
        TcpStream::connect(spec.address).await.map_err(|error| format!("connect: {error}"))?;
    let Some((config, name)) = &spec.tls else {
        return Ok(Stream::new(Io::Plain(tcp)));
    };
    let config = match http2 {
        false => config.clone(),
        true => crate::tls::offering_http2(config, true),
    };
    let tls = TlsConnector::from(config).connect(name.clone(), tcp).await;
    let tls = tls.map_err(|error| format!("TLS: {error}"))?;
    if http2 && tls.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err("TLS: it does not speak HTTP/2".to_owned());
    }
    Ok(Stream::new(Io::Tls(Box::new(tls.into()))))
}
