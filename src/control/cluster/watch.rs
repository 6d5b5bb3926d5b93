//! One watch of one kind, kept going whatever happens to the API server.
//!
//! What is not needed of an object is dropped as it arrives. While a list is read anew, what was
//! known before stays: the new one replaces it when it is complete.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use kube::api::Api;
use kube::core::NamespaceResourceScope;
use kube::runtime::watcher::{self, Error, Event, watcher};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tidegate_model::ObjectName;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::cluster::store::Seen;

/// The first wait after an error.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait after an error.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a streamed list may pause before its end: some servers accept it, and never end it.
const STREAM_WAIT: Duration = Duration::from_secs(3);
/// How often a kind is looked for that the cluster does not have.
const ABSENT_WAIT: Duration = Duration::from_secs(10);
/// Seconds after which the server is to end a watch, so that one whose connection has died unseen
/// is found out.
const WATCH_SECONDS: u32 = 120;

/// The namespace that a watch is limited to.
pub(super) type Scope = Option<Box<str>>;

/// What happened to objects of a kind.
#[derive(Debug)]
pub(super) enum Change<T> {
    /// These are all that there are in the scope.
    All(Scope, Vec<(ObjectName, T)>),
    /// One is new, or another than before.
    Put(ObjectName, T),
    /// One is gone, or nothing of ours any more.
    Gone(ObjectName),
}

/// Watches, with what all of them share.
#[derive(Clone)]
pub(super) struct Watches {
    pub(super) client: Client,
    pub(super) seen: mpsc::Sender<Seen>,
}

/// How one kind is watched.
pub(super) struct Kind<K: Resource, T> {
    pub(super) name: &'static str,
    pub(super) api: Api<K>,
    pub(super) scope: Scope,
    pub(super) config: watcher::Config,
    /// What to keep of an object; `None` if it is nothing of ours.
    pub(super) trim: Box<dyn Fn(K) -> Option<T> + Send + Sync>,
    pub(super) wrap: fn(Change<T>) -> Seen,
}

impl Watches {
    /// Watches a namespaced kind, in all namespaces or in those of `scopes`.
    pub(super) fn namespaced<K, T>(
        &self,
        name: &'static str,
        scopes: &[Scope],
        trim: fn(K) -> Option<T>,
        wrap: fn(Change<T>) -> Seen,
    ) where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        T: Send + 'static,
    {
        for scope in scopes {
            let api = match scope {
                Some(namespace) => Api::namespaced(self.client.clone(), namespace),
                None => Api::all(self.client.clone()),
            };
            let config = watcher::Config::default();
            let trim = Box::new(trim);
            self.one(Kind { name, api, scope: scope.clone(), config, trim, wrap });
        }
    }

    /// Watches one kind in one scope.
    pub(super) fn one<K, T>(&self, kind: Kind<K, T>)
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        K::DynamicType: Send + Sync,
        T: Send + 'static,
    {
        tokio::spawn(follow(kind, self.seen.clone()));
    }
}

/// Runs until nobody listens any more.
async fn follow<K, T>(kind: Kind<K, T>, seen: mpsc::Sender<Seen>)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Send + Sync,
    T: Send + 'static,
{
    let mut streaming = true;
    let mut wait = FIRST_WAIT;
    let mut failing = false;
    // A list was read to its end.
    let mut known = false;
    loop {
        let mut config = kind.config.clone().timeout(WATCH_SECONDS);
        if streaming {
            config = config.streaming_lists();
        }
        let mut events = pin!(watcher(kind.api.clone(), config));
        let mut list = Vec::new();
        let mut listing = true;
        loop {
            let event = tokio::select! {
                () = seen.closed() => return,
                event = events.next() => event,
                () = tokio::time::sleep(STREAM_WAIT), if streaming && listing => {
                    debug!(kind = kind.name, "the streamed list has no end: listing instead");
                    streaming = false;
                    break;
                }
            };
            let change = match event {
                // The stream of a watcher has no end.
                None => break,
                Some(Ok(event)) => {
                    let change = to_change(event, &kind, &mut list);
                    listing = change.is_none();
                    if change.is_some() {
                        known = true;
                        wait = FIRST_WAIT;
                        if std::mem::take(&mut failing) {
                            info!(kind = kind.name, "watching again");
                        }
                    }
                    change
                }
                Some(Err(error)) if streaming && listing && refuses_to_stream(&error) => {
                    debug!(kind = kind.name, %error, "the server has no streaming lists");
                    streaming = false;
                    break;
                }
                // Once it was there, its objects are gone only when the watch says so: an API server
                // that starts may not have the kind yet.
                Some(Err(error)) if !known && is_absent(&error) => {
                    debug!(kind = kind.name, "the cluster does not have this kind");
                    let none = (kind.wrap)(Change::All(kind.scope.clone(), Vec::new()));
                    if seen.send(none).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(ABSENT_WAIT).await;
                    None
                }
                Some(Err(error)) => {
                    // Told once: an API server that is away is away for every watch.
                    match std::mem::replace(&mut failing, true) {
                        false => warn!(kind = kind.name, %error, "cannot watch; trying again"),
                        true => debug!(kind = kind.name, %error, "cannot watch"),
                    }
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                    None
                }
            };
            if let Some(change) = change
                && seen.send((kind.wrap)(change)).await.is_err()
            {
                return;
            }
        }
    }
}

/// What an event comes to; a list only when it is complete.
fn to_change<K: Resource, T>(
    event: Event<K>,
    kind: &Kind<K, T>,
    list: &mut Vec<(ObjectName, T)>,
) -> Option<Change<T>> {
    match event {
        Event::Init => {
            list.clear();
            None
        }
        Event::InitApply(object) => {
            let name = name_of(&object);
            list.extend((kind.trim)(object).map(|trimmed| (name, trimmed)));
            None
        }
        Event::InitDone => Some(Change::All(kind.scope.clone(), std::mem::take(list))),
        Event::Apply(object) => {
            let name = name_of(&object);
            Some(match (kind.trim)(object) {
                Some(trimmed) => Change::Put(name, trimmed),
                None => Change::Gone(name),
            })
        }
        Event::Delete(object) => Some(Change::Gone(name_of(&object))),
    }
}

fn name_of(object: &impl Resource) -> ObjectName {
    let meta = object.meta();
    ObjectName::new(
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
    )
}

/// Whether the server refused to send a list as a stream: it is older, has that turned off, or its
/// etcd cannot do it, which it only says once the stream has begun.
fn refuses_to_stream(error: &Error) -> bool {
    match error {
        Error::WatchStartFailed(kube::Error::Api(status)) => matches!(status.code, 400 | 422),
        Error::WatchError(status) => status.code != 410,
        _ => false,
    }
}

/// Whether the cluster does not have the kind.
fn is_absent(error: &Error) -> bool {
    let (Error::WatchStartFailed(error) | Error::InitialListFailed(error)) = error else {
        return false;
    };
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
