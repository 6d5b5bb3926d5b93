//! Secrets that gateways refer to: asked for one by one, and again when their version changes. Of
//! all others nothing is ever read but their names and versions.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use kube::{Api, Client};
use tidegate_model::ObjectName;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::warn;

use crate::cluster::store::{Seen, Store};
use crate::resources::Secret;

/// How long after a failure a Secret is asked for again.
const RETRY: Duration = Duration::from_secs(1);

/// What is known of the Secrets that are wanted.
pub(super) struct Secrets {
    client: Client,
    seen: mpsc::Sender<Seen>,
    wanted: HashMap<ObjectName, Asked>,
}

/// How far asking has come.
#[derive(Debug, Default)]
struct Asked {
    /// The version that was there when the last request was sent; `None` if it was not.
    version: Option<String>,
    under_way: bool,
    /// At least one answer has come, or could not be had.
    answered: bool,
    failed: bool,
}

impl Secrets {
    pub(super) fn new(client: Client, seen: mpsc::Sender<Seen>) -> Self {
        Self { client, seen, wanted: HashMap::new() }
    }

    /// Asks for what is wanted and new, or another than when it was asked for.
    pub(super) fn want(&mut self, names: HashSet<ObjectName>, store: &mut Store) {
        self.wanted.retain(|name, _| names.contains(name));
        store.keep_secrets(&names);
        for name in names {
            let version = store.version(&name).map(str::to_owned);
            let known = self.wanted.contains_key(&name);
            let asked = self.wanted.entry(name.clone()).or_default();
            if asked.under_way || (known && asked.version == version) {
                continue;
            }
            asked.version = version;
            asked.under_way = true;
            let wait = if std::mem::take(&mut asked.failed) { RETRY } else { Duration::ZERO };
            let api = Api::namespaced(self.client.clone(), &name.namespace);
            tokio::spawn(ask(api, name, wait, self.seen.clone()));
        }
    }

    /// An answer has come.
    pub(super) fn answered(&mut self, name: &ObjectName, found: bool) {
        if let Some(asked) = self.wanted.get_mut(name) {
            asked.under_way = false;
            asked.answered = true;
            if !found {
                // Another version than any: it is asked for again.
                asked.failed = true;
                asked.version = Some(String::new());
            }
        }
    }

    /// Whether every Secret that is wanted was answered for at least once.
    pub(super) fn all_answered(&self) -> bool {
        self.wanted.values().all(|asked| asked.answered)
    }
}

async fn ask(api: Api<core::Secret>, name: ObjectName, wait: Duration, seen: mpsc::Sender<Seen>) {
    tokio::time::sleep_until(Instant::now() + wait).await;
    let found = match api.get_opt(&name.name).await {
        Ok(found) => Ok(found.map(|secret| Box::new(Secret::read(&name, &secret)))),
        Err(error) => {
            warn!(secret = %name, %error, "cannot read; trying again");
            Err(error.to_string())
        }
    };
    // Nobody listens at the end of the process.
    let _ = seen.send(Seen::Secret(name, found)).await;
}
