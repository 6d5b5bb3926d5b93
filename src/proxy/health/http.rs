//! A probe that asks for a page, on a connection of its own.

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;

use crate::health::ask::open;
use crate::health::{ProbeSpec, http2};

/// How much of a body is searched.
const BODY_LIMIT: usize = 64 * 1024;

/// What probes call themselves.
pub(super) const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("tidegate-probe/", env!("CARGO_PKG_VERSION")));

/// Asks once; the status of a healthy answer, or what was wrong.
pub(super) async fn exchange(spec: &ProbeSpec) -> Result<u16, String> {
    if spec.http2 {
        return over_http2(spec).await;
    }
    let stream = open(spec, false).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("HTTP: {error}"))?;
    let answer = async {
        let request = request(spec)?;
        let response = sender.send_request(request).await.map_err(|e| format!("HTTP: {e}"))?;
        let status = response.status().as_u16();
        judge_status(spec, status)?;
        let mut search = Search::of(spec);
        let mut body = response.into_body();
        while !search.is_over()
            && let Some(frame) = body.frame().await
        {
            let frame = frame.map_err(|error| format!("HTTP: {error}"))?;
            frame.data_ref().into_iter().for_each(|data| search.take(data));
        }
        search.verdict(status)
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
    Request::get(&*spec.probe.path)
        .header(HOST, spec.host.clone())
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, HeaderValue::from_static("close"))
        .body(Empty::new())
        .map_err(|error| format!("the probe's path: {error}"))
}

async fn over_http2(spec: &ProbeSpec) -> Result<u16, String> {
    let request = http2::request(spec, http::Method::GET, &spec.probe.path)?;
    http2::exchange(spec, request, None, async |response| {
        let status = response.status().as_u16();
        judge_status(spec, status)?;
        let mut search = Search::of(spec);
        let body = response.body_mut();
        while !search.is_over()
            && let Some(data) = http2::data(body).await?
        {
            search.take(&data);
        }
        search.verdict(status)
    })
    .await
}

fn judge_status(spec: &ProbeSpec, status: u16) -> Result<(), String> {
    if spec.probe.matching.takes_status(status) {
        return Ok(());
    }
    let ranges: Vec<String> =
        spec.probe.matching.statuses.iter().map(ToString::to_string).collect();
    Err(format!("status {status} not in {}", ranges.join(", ")))
}

/// Looks for a text within the first 64 KiB of a body; reads no further than it must.
struct Search<'a> {
    wanted: &'a str,
    seen: Vec<u8>,
    found: bool,
}

impl<'a> Search<'a> {
    fn of(spec: &'a ProbeSpec) -> Self {
        let wanted = spec.probe.matching.body();
        Self { wanted, seen: Vec::new(), found: wanted.is_empty() }
    }

    fn is_over(&self) -> bool {
        self.found || self.seen.len() >= BODY_LIMIT
    }

    fn take(&mut self, data: &[u8]) {
        // Text that two frames share begins before the new one.
        let from = self.seen.len().saturating_sub(self.wanted.len().saturating_sub(1));
        let room = BODY_LIMIT - self.seen.len();
        self.seen.extend_from_slice(&data[..data.len().min(room)]);
        let wanted = self.wanted.as_bytes();
        self.found |= self.seen[from..].windows(wanted.len().max(1)).any(|its| its == wanted);
    }

    fn verdict(&self, status: u16) -> Result<u16, String> {
        match self.found {
            true => Ok(status),
            false => Err(format!("{status}, but the body lacks {:?}", self.wanted)),
        }
    }
}
