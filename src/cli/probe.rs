//! `tidegate probe`.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::cli::{OK, fail, print};
use crate::wire::{self, RunError};

/// Asks for an http URL and prints the answer; exits 0 if its status is 2xx.
///
/// For `helm test` and for pods in which there is nothing else to ask with.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tidegate probe http://127.0.0.1:9440/readyz")]
pub(super) struct Probe {
    /// What to ask for
    #[arg(value_name = "URL")]
    url: http::Uri,
    /// Seconds that it may take, connecting again and again until then
    #[arg(long, value_name = "SECONDS", default_value_t = 10, env = "TIDEGATE_TIMEOUT")]
    timeout: u64,
}

impl Probe {
    pub(super) fn run(self) -> u8 {
        let limit = Duration::from_secs(self.timeout);
        let asked = wire::block_on(async {
            let asking = async {
                loop {
                    match ask(&self.url).await {
                        Ok(answer) => return Ok::<_, RunError>(answer),
                        Err(error) => tracing::debug!("{error:#}"),
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            };
            match tokio::time::timeout(limit, asking).await {
                Ok(answer) => answer,
                Err(_) => Ok(ask(&self.url).await?),
            }
        });
        match asked {
            Ok(answer) => {
                print(answer);
                OK
            }
            Err(RunError::Failed(error)) => fail(&error),
            Err(other) => fail(&anyhow::Error::new(other)),
        }
    }
}

async fn ask(url: &http::Uri) -> anyhow::Result<String> {
    let authority = url.authority().with_context(|| format!("{url} names no host"))?;
    if url.scheme_str().is_some_and(|scheme| scheme != "http") {
        bail!("{url}: only http is asked");
    }
    let place = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
    let stream =
        TcpStream::connect(place).await.with_context(|| format!("cannot reach {authority}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = http::Request::get(path).header("host", authority.as_str()).body(Empty::new())?;
    let response = sender.send_request(request).await.with_context(|| format!("asking {url}"))?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    drop(sender);
    let _ = connection.await;
    let text = String::from_utf8_lossy(&body).trim_end().to_owned();
    if !status.is_success() {
        bail!("{url} answered {status}: {text}");
    }
    Ok(text)
}
