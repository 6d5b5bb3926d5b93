//! Events: what a person must put right, where `kubectl describe` shows it.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tracing::debug;

/// The longest note that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;
/// The most events that are written at a time; the rest follows.
const AT_ONCE: usize = 50;

/// Who reports.
const CONTROLLER: &str = "tidegate.dev/controller";

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Note {
    /// One word.
    pub(super) reason: &'static str,
    /// In full.
    pub(super) text: String,
}

/// What has been told, so that each thing is told once.
#[derive(Debug, Default)]
pub(super) struct Told(HashMap<String, HashSet<Note>>);

impl Told {
    /// Forgets objects that are gone.
    pub(super) fn keep(&mut self, uids: &HashSet<&str>) {
        self.0.retain(|uid, _| uids.contains(uid.as_str()));
    }

    /// Notes of an object that have not been told; those that are not true any more are forgotten,
    /// so that they are told again when they come back.
    pub(super) fn new_ones(&mut self, uid: &str, notes: Vec<Note>) -> Vec<Note> {
        let told = self.0.entry(uid.to_owned()).or_default();
        told.retain(|note| notes.contains(note));
        let new = notes.into_iter().filter(|note| !told.contains(note)).take(AT_ONCE);
        let new: Vec<Note> = new.collect();
        told.extend(new.iter().cloned());
        new
    }
}

/// Writes an event. A failure costs the event alone.
pub(super) async fn write(client: &Client, instance: &str, about: &ObjectReference, note: &Note) {
    let namespace = about.namespace.as_deref().unwrap_or("default");
    let mut hasher = DefaultHasher::new();
    note.hash(&mut hasher);
    let now = Timestamp::now();
    let digest = hasher.finish() ^ u64::try_from(now.as_millisecond()).unwrap_or(0);
    let name = about.name.as_deref().unwrap_or_default();
    let mut text = note.text.clone();
    if text.len() > LONGEST_NOTE {
        let end = (0..=LONGEST_NOTE).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    let event = Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{digest:016x}", &name[..name.len().min(200)])),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        action: Some("Translate".into()),
        event_time: Some(MicroTime(now)),
        note: Some(text),
        reason: Some(note.reason.into()),
        regarding: Some(about.clone()),
        reporting_controller: Some(CONTROLLER.into()),
        reporting_instance: Some(instance.chars().take(128).collect()),
        type_: Some("Warning".into()),
        ..Event::default()
    };
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    if let Err(error) = api.create(&PostParams::default(), &event).await {
        debug!(%error, object = name, "cannot write an event");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_told_once_and_again_when_it_comes_back() {
        let note = |text: &str| Note { reason: "Refused", text: text.to_owned() };
        let mut told = Told::default();
        assert_eq!(told.new_ones("u", vec![note("a"), note("b")]).len(), 2);
        assert_eq!(told.new_ones("u", vec![note("b"), note("c")]), [note("c")]);
        assert_eq!(told.new_ones("u", vec![note("a")]), [note("a")]);
        told.keep(&HashSet::new());
        assert_eq!(told.new_ones("u", vec![note("a")]), [note("a")]);
    }
}
