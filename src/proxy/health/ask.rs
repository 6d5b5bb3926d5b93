//! One probe of either kind, within its time.

use std::time::Instant;

use tidegate_model::ProbeKind;
use tokio::net::TcpStream;

use crate::health::{ProbeSpec, http};

/// Asks once: what was found, and whether it is healthy.
pub(super) async fn ask(spec: &ProbeSpec) -> (bool, String) {
    let started = Instant::now();
    let asked = async {
        match spec.probe.kind {
            ProbeKind::Http => Box::pin(http::exchange(spec)).await.map(|s| s.to_string()),
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
