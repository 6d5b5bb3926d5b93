//! ConfigMaps that gateways name for their error pages: a watch for each one, and for no other.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1 as core;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tidegate_model::ObjectName;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::cluster::store::{Seen, Store};
use crate::resources::ConfigMap;

/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// The watches under way.
pub(super) struct ConfigMaps {
    client: Client,
    seen: mpsc::Sender<Seen>,
    watches: HashMap<ObjectName, Watched>,
}

struct Watched {
    /// Something was heard of it, be it that it cannot be had.
    answered: bool,
    task: JoinHandle<()>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ConfigMaps {
    pub(super) fn new(client: Client, seen: mpsc::Sender<Seen>) -> Self {
        Self { client, seen, watches: HashMap::new() }
    }

    /// Watches exactly these from now on.
    pub(super) fn want(&mut self, names: HashSet<ObjectName>, store: &mut Store) {
        self.watches.retain(|name, _| names.contains(name));
        store.keep_config_maps(&names);
        for name in names {
            self.watches.entry(name.clone()).or_insert_with(|| {
                let api = Api::namespaced(self.client.clone(), &name.namespace);
                let task = tokio::spawn(watch(api, name, self.seen.clone()));
                Watched { answered: false, task }
            });
        }
    }

    /// Something was heard of one.
    pub(super) fn answered(&mut self, name: &ObjectName) {
        if let Some(watched) = self.watches.get_mut(name) {
            watched.answered = true;
        }
    }

    /// Whether something was heard of all that are wanted.
    pub(super) fn all_answered(&self) -> bool {
        self.watches.values().all(|watched| watched.answered)
    }
}

async fn watch(api: Api<core::ConfigMap>, name: ObjectName, seen: mpsc::Sender<Seen>) {
    let config = watcher::Config::default().fields(&format!("metadata.name={}", name.name));
    let mut events = pin!(watcher(api, config));
    let mut listed: Option<Arc<ConfigMap>> = None;
    while let Some(event) = events.next().await {
        let read = |found: core::ConfigMap| Arc::new(ConfigMap::read(&found));
        let found = match event {
            Ok(Event::Init) => {
                listed = None;
                continue;
            }
            Ok(Event::InitApply(found)) => {
                listed = Some(read(found));
                continue;
            }
            Ok(Event::InitDone) => Ok(listed.take()),
            Ok(Event::Apply(found)) => Ok(Some(read(found))),
            Ok(Event::Delete(_)) => Ok(None),
            Err(error) => {
                warn!(config_map = %name, %error, "cannot watch; trying again");
                Err(error.to_string())
            }
        };
        let failed = found.is_err();
        if seen.send(Seen::ConfigMap(name.clone(), found)).await.is_err() {
            return;
        }
        if failed {
            tokio::time::sleep(RETRY).await;
        }
    }
}
