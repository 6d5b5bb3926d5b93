//! A probe that opens a WebSocket and closes it: a member that speaks nothing else can be probed.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::health::ProbeSpec;
use crate::health::ask::open;
use crate::health::http::AGENT;
use crate::request::websocket::Proof;

/// Close with 1000 as a client sends it, masked with zeros (RFC 6455 5.5.1).
const CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
/// How long the member may take to answer that. It is healthy, whatever it does.
const GOODBYE: Duration = Duration::from_secs(1);

/// Shakes hands once; what was found, or what was wrong.
pub(super) async fn shake_hands(spec: &ProbeSpec) -> Result<String, String> {
    let stream = open(spec, false).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("HTTP: {error}"))?;
    let proof = Proof::new();
    let request = Request::get(&*spec.probe.path)
        .header(HOST, spec.host.clone())
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, proof.key())
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("the probe's path: {error}"))?;
    let answer = async {
        let mut response =
            sender.send_request(request).await.map_err(|error| format!("HTTP: {error}"))?;
        let status = response.status();
        if status != 101 {
            return Err(format!("status {} in place of 101", status.as_u16()));
        }
        if !proof.is_given_by(response.headers()) {
            return Err("101 without proof that the handshake was read".to_owned());
        }
        let upgraded = hyper::upgrade::on(&mut response).await;
        upgraded.map_err(|error| format!("HTTP: {error}"))
    };
    let connection = connection.with_upgrades();
    let opened = async {
        tokio::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            _ = connection => answer.await,
        }
    };
    let _ = tokio::time::timeout(GOODBYE, close(opened.await?)).await;
    Ok("101".to_owned())
}

/// Says goodbye, and waits until the member has, or has closed.
async fn close(upgraded: Upgraded) {
    let mut io = TokioIo::new(upgraded);
    if io.write_all(&CLOSE).await.is_err() || io.flush().await.is_err() {
        return;
    }
    // What it has sent before is read and forgotten.
    let mut buffer = [0; 1024];
    while let Ok(1..) = io.read(&mut buffer).await {}
    let _ = io.shutdown().await;
}
