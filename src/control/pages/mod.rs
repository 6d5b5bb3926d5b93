//! Error pages that stand at a URL: fetched once for every configuration that names them, and kept.

mod reach;

pub(crate) use reach::Reach;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::api::ApplicationGateway;
use crate::pages::reach::Resolver;
use crate::translate::LARGEST_PAGE;

/// How long a page may take.
const LIMIT: Duration = Duration::from_secs(10);
/// After a failure; doubled up to the second with each one that follows.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

type PageClient = Client<HttpsConnector<HttpConnector<Resolver>>, Empty<Bytes>>;

/// What is known of a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// The last page that was there.
    pub(crate) body: Option<Arc<[u8]>>,
    /// Why the newest one cannot be had.
    pub(crate) error: Option<String>,
}

type Known = Arc<HashMap<String, Page>>;

/// Fetches pages for as long as they are wanted.
#[derive(Debug)]
pub(crate) struct Pages {
    reach: Reach,
    client: Option<PageClient>,
    known: watch::Sender<Known>,
    wanted: Mutex<HashMap<String, Wanted>>,
}

/// A page, and the gateways as they are that it was fetched for.
#[derive(Debug)]
struct Wanted {
    gateways: Vec<Arc<ApplicationGateway>>,
    task: JoinHandle<()>,
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wanted {
    /// Whether nothing has changed in the gateways.
    fn is_for(&self, gateways: &[Arc<ApplicationGateway>]) -> bool {
        self.gateways.len() == gateways.len()
            && (self.gateways.iter().zip(gateways))
                .all(|(was, is)| Arc::ptr_eq(was, is) || was.spec == is.spec)
    }
}

impl Pages {
    pub(crate) fn new(reach: Reach) -> Arc<Self> {
        let client =
            client(reach).map_err(|error| warn!(%error, "error pages cannot be fetched")).ok();
        Arc::new(Self { reach, client, known: watch::Sender::default(), wanted: Mutex::default() })
    }

    /// What is known now.
    pub(crate) fn known(&self) -> Known {
        self.known.borrow().clone()
    }

    /// Told when a page is another one than before.
    pub(crate) fn changes(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }

    /// Fetches what is new, or named by a gateway that is another than before; keeps exactly these.
    pub(crate) fn want(self: &Arc<Self>, urls: BTreeMap<String, Vec<Arc<ApplicationGateway>>>) {
        let mut wanted = self.wanted.lock();
        wanted.retain(|url, _| urls.contains_key(url));
        self.known.send_if_modified(|known| {
            let is_stale = known.keys().any(|url| !urls.contains_key(url));
            if is_stale {
                Arc::make_mut(known).retain(|url, _| urls.contains_key(url));
            }
            is_stale
        });
        for (url, gateways) in urls {
            if wanted.get(&url).is_some_and(|its| its.is_for(&gateways)) {
                continue;
            }
            let task = tokio::spawn(keep_trying(Arc::downgrade(self), url.clone()));
            wanted.insert(url, Wanted { gateways, task });
        }
    }

    /// Waits until every wanted page is there, or has failed, for `limit` at most.
    pub(crate) async fn wait_for_all(&self, limit: Duration) {
        let wanted: Vec<String> = self.wanted.lock().keys().cloned().collect();
        let mut known = self.changes();
        let all = known.wait_for(|known| wanted.iter().all(|url| known.contains_key(url)));
        // Those that are late come with an update of their own.
        let _ = tokio::time::timeout(limit, all).await;
    }

    /// Fetches once; whether that worked.
    async fn fetch(&self, url: &str) -> bool {
        let found = match &self.client {
            Some(client) => tokio::time::timeout(LIMIT, get(client, self.reach, url))
                .await
                .unwrap_or_else(|_| Err(format!("no answer within {} s", LIMIT.as_secs()))),
            None => Err("this process has no client for it".to_owned()),
        };
        let worked = found.is_ok();
        self.known.send_if_modified(|known| {
            let last = known.get(url).cloned().unwrap_or_default();
            let next = match found {
                // The same page in the same place, so that nothing is compiled anew for it.
                Ok(body) if last.body.as_deref() == Some(&*body) => {
                    Page { body: last.body.clone(), error: None }
                }
                Ok(body) => {
                    info!(url, bytes = body.len(), "error page fetched");
                    Page { body: Some(Arc::from(&*body)), error: None }
                }
                Err(error) => {
                    warn!(url, error, "an error page cannot be fetched");
                    Page { body: last.body.clone(), error: Some(error) }
                }
            };
            let changed = known.get(url) != Some(&next);
            if changed {
                Arc::make_mut(known).insert(url.to_owned(), next);
            }
            changed
        });
        worked
    }
}

async fn keep_trying(pages: Weak<Pages>, url: String) {
    let mut wait = RETRY.0;
    // Nobody wants it any more once they are gone.
    while let Some(pages) = pages.upgrade() {
        if pages.fetch(&url).await {
            return;
        }
        drop(pages);
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY.1);
    }
}

/// The page, or why it cannot be had. Nothing is followed: where it stands is what was named.
async fn get(client: &PageClient, reach: Reach, url: &str) -> Result<Bytes, String> {
    let request = Request::get(url).body(Empty::new()).map_err(|error| error.to_string())?;
    reach.check(request.uri())?;
    let response = client.request(request).await.map_err(|error| whole(&error))?;
    if response.status() != StatusCode::OK {
        return Err(format!("the answer is {}, not 200", response.status().as_u16()));
    }
    let body = Limited::new(response.into_body(), LARGEST_PAGE).collect().await;
    Ok(body.map_err(|error| whole(&*error))?.to_bytes())
}

/// An error with what caused it.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn client(reach: Reach) -> Result<PageClient, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut http = HttpConnector::new_with_resolver(Resolver(reach));
    // Else it would not be one for https.
    http.enforce_http(false);
    let builder = HttpsConnectorBuilder::new().with_tls_config(config);
    let connector = builder.https_or_http().enable_http1().wrap_connector(http);
    // A page is asked for once: no connection is worth keeping.
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
}
