//! One request of a probe over HTTP/2, on a connection of its own.

use bytes::Bytes;
use h2::RecvStream;
use http::header::USER_AGENT;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, Uri, Version};

use crate::health::ProbeSpec;
use crate::health::ask::open;
use crate::health::http::AGENT;

/// A request for a path with the probe's host.
pub(super) fn request(spec: &ProbeSpec, method: Method, path: &str) -> Result<Request<()>, String> {
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(if spec.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
    let authority = Authority::try_from(spec.host.as_bytes());
    uri.authority = Some(authority.map_err(|error| format!("the probe's host: {error}"))?);
    let path =
        PathAndQuery::try_from(path).map_err(|error| format!("the probe's path: {error}"))?;
    uri.path_and_query = Some(path);
    let uri = Uri::from_parts(uri).map_err(|error| format!("the probe's path: {error}"))?;
    let request = Request::builder().method(method).uri(uri).version(Version::HTTP_2);
    request.header(USER_AGENT, AGENT).body(()).map_err(|error| error.to_string())
}

/// Sends a request, and gives its response to `judge`.
pub(super) async fn exchange<T>(
    spec: &ProbeSpec,
    request: Request<()>,
    body: Option<Bytes>,
    judge: impl AsyncFnOnce(&mut Response<RecvStream>) -> Result<T, String>,
) -> Result<T, String> {
    let failed = |error: h2::Error| format!("HTTP/2: {error}");
    let stream = open(spec, true).await?;
    let (sender, connection) = h2::client::handshake(stream).await.map_err(failed)?;
    let answer = async {
        let mut sender = sender.ready().await.map_err(failed)?;
        let (response, mut send) = sender.send_request(request, body.is_none()).map_err(failed)?;
        if let Some(body) = body {
            // A few bytes, which every window has room for.
            send.send_data(body, true).map_err(failed)?;
        }
        let mut response = response.await.map_err(failed)?;
        judge(&mut response).await
    };
    // The connection is driven here and dropped with the answer: a probe leaves nothing behind.
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

/// The next part of a body.
pub(super) async fn data(body: &mut RecvStream) -> Result<Option<Bytes>, String> {
    let Some(data) = body.data().await else { return Ok(None) };
    let data = data.map_err(|error| format!("HTTP/2: {error}"))?;
    // A stream that was reset has no window left to give back to.
    let _ = body.flow_control().release_capacity(data.len());
    Ok(Some(data))
}
