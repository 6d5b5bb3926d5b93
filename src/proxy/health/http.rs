//! One probe: a request on a connection of its own.

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::conn::io::{Io, Stream};
use crate::health::ProbeSpec;

/// How much of a body is searched.
const BODY_LIMIT: usize = 64 * 1024;

/// Asks once; the status of a healthy answer, or what was wrong.
pub(super) async fn exchange(spec: &ProbeSpec) -> Result<u16, String> {
    let tcp =
        TcpStream::connect(spec.address).await.map_err(|error| format!("connect: {error}"))?;
    let io = match &spec.tls {
        None => Io::Plain(tcp),
        Some((config, name)) => {
            let connector = TlsConnector::from(config.clone());
            let tls = connector.connect(name.clone(), tcp).await;
            Io::Tls(Box::new(tls.map_err(|error| format!("TLS: {error}"))?.into()))
        }
    };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(Stream::new(io)))
            .await
            .map_err(|error| format!("HTTP: {error}"))?;
    let answer = async {
        let request = request(spec)?;
        let response = sender.send_request(request).await.map_err(|e| format!("HTTP: {e}"))?;
        let status = response.status().as_u16();
        if !spec.probe.matching.takes_status(status) {
            let ranges: Vec<String> =
                spec.probe.matching.statuses.iter().map(ToString::to_string).collect();
            return Err(format!("status {status} not in {}", ranges.join(", ")));
        }
        let wanted = spec.probe.matching.body();
        if !wanted.is_empty() && !contains(response.into_body(), wanted).await? {
            return Err(format!("{status}, but the body lacks {wanted:?}"));
        }
        Ok(status)
    };
    // The connection is driven here and dropped with the answer: a probe leaves nothing behind.
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // The whole response may have been read before the answer is looked at.
        _ = connection => answer.await,
    }
}

fn request(spec: &ProbeSpec) -> Result<Request<Empty<Bytes>>, String> {
    const AGENT: &str = concat!("tidegate-probe/", env!("CARGO_PKG_VERSION"));
    Request::get(&*spec.probe.path)
        .header(HOST, spec.host.clone())
        .header(USER_AGENT, HeaderValue::from_static(AGENT))
        .header(CONNECTION, HeaderValue::from_static("close"))
        .body(Empty::new())
        .map_err(|error| format!("the probe's path: {error}"))
}

/// Whether a body has the text within its first 64 KiB; reads no further than it must.
async fn contains(mut body: hyper::body::Incoming, wanted: &str) -> Result<bool, String> {
    let mut seen = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("HTTP: {error}"))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        // Text that two frames share begins before the new one.
        let from = seen.len().saturating_sub(wanted.len() - 1);
        let room = BODY_LIMIT - seen.len();
        seen.extend_from_slice(&data[..data.len().min(room)]);
        if seen[from..].windows(wanted.len()).any(|window| window == wanted.as_bytes()) {
            return Ok(true);
        }
        if seen.len() == BODY_LIMIT {
            break;
        }
    }
    Ok(false)
}
