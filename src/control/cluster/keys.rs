//! Keys that all replicas share, in one Secret that the leader makes and rotates.
//!
//! A line is a key and when it was made. The first line is the next key, the second is the one in
//! use, those after it are former ones: who gives something out with the key in use can be sure
//! that every replica has known that key for a whole turn.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tracing::info;

/// Seconds in an hour.
const HOUR: i64 = 3600;
/// The next key, the one in use, and two former ones.
const KEPT: usize = 4;
/// An entry of the Secret.
#[derive(Clone, Copy, Debug)]
struct Entry {
    name: &'static str,
    /// Seconds that one of its keys is in use.
    turn: i64,
}

/// Sessions are resumed within hours, and every turn ends the secrecy of fewer of them.
const SESSION_TICKETS: Entry = Entry { name: "session-tickets", turn: 12 * HOUR };
/// A browser that comes back within weeks is to find its member.
const AFFINITY: Entry = Entry { name: "affinity", turn: 7 * 24 * HOUR };

/// One secret key.
type Key = [u8; 32];

/// A key, and when it was made.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
struct Line {
    made: Timestamp,
    key: Key,
}

impl Line {
    fn new(now: Timestamp) -> Option<Self> {
        let mut key = [0; 32];
        rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut key).ok()?;
        Some(Self { made: now, key })
    }

    fn parse(text: &str) -> Option<Self> {
        let (made, hex) = text.trim().split_once(' ')?;
        let mut key = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        for (byte, place) in key.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&hex[place..place + 2], 16).ok()?;
        }
        Some(Self { made: made.parse().ok()?, key })
    }

    fn write(&self) -> String {
        let hex: String = self.key.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} {hex}", self.made)
    }
}

/// The keys that replicas share. Of each list the one in use is the first.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Sessions are resumed by these.
    pub session_tickets: Vec<Key>,
    /// Cookies name members by these.
    pub affinity: Vec<Key>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = (self.session_tickets.len(), self.affinity.len());
        f.debug_tuple("Keys").field(&counts).finish()
    }
}

/// The keys that a Secret holds.
pub(super) fn read(secret: &Secret) -> Keys {
    Keys { session_tickets: of(secret, SESSION_TICKETS), affinity: of(secret, AFFINITY) }
}

/// The one in use first, then all others.
fn of(secret: &Secret, entry: Entry) -> Vec<Key> {
    let mut keys: Vec<Key> = lines(secret, entry).into_iter().map(|line| line.key).collect();
    if keys.len() > 1 {
        keys.swap(0, 1);
    }
    keys
}

fn lines(secret: &Secret, entry: Entry) -> Vec<Line> {
    let text = secret.data.as_ref().and_then(|data| data.get(entry.name));
    let text = text.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()).unwrap_or_default();
    text.lines().filter_map(Line::parse).collect()
}

/// What the lines are to be; `None` if they are as they should be.
fn turned(mut lines: Vec<Line>, turn: i64, now: Timestamp) -> Option<Vec<Line>> {
    let newest = lines.first().map(|line| now.as_second() - line.made.as_second());
    if lines.len() > 1 && newest.is_some_and(|age| age < turn) {
        return None;
    }
    lines.insert(0, Line::new(now)?);
    if lines.len() < 2 {
        lines.insert(0, Line::new(now)?);
    }
    lines.truncate(KEPT);
    Some(lines)
}

/// Makes the Secret if it is not there, and turns its keys when it is time.
///
/// # Errors
/// If the API server refuses it.
pub(super) async fn keep(
    client: &Client,
    namespace: &str,
    name: &str,
    owner: Option<&Value>,
) -> Result<(), kube::Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let there = api.get_opt(name).await?;
    let mut data = BTreeMap::new();
    for entry in [SESSION_TICKETS, AFFINITY] {
        let before = there.as_ref().map(|secret| lines(secret, entry)).unwrap_or_default();
        if let Some(lines) = turned(before, entry.turn, Timestamp::now()) {
            let text: Vec<String> = lines.iter().map(Line::write).collect();
            data.insert(entry.name.to_owned(), ByteString(text.join("\n").into_bytes()));
        }
    }
    let owned = there.as_ref().is_some_and(|secret| {
        let owners = secret.metadata.owner_references.iter().flatten();
        owner.is_none_or(|owner| owners.into_iter().any(|its| owner["uid"] == its.uid.as_str()))
    });
    if data.is_empty() && owned {
        return Ok(());
    }
    match there {
        None => {
            let mut secret = Secret { data: Some(data), ..Secret::default() };
            secret.metadata.name = Some(name.to_owned());
            let label =
                (super::kept::MANAGED_BY.0.to_owned(), super::kept::MANAGED_BY.1.to_owned());
            secret.metadata.labels = Some(BTreeMap::from([label]));
            let owner = owner.and_then(|owner| serde_json::from_value(owner.clone()).ok());
            secret.metadata.owner_references = owner.map(|owner| vec![owner]);
            api.create(&PostParams::default(), &secret).await?;
            info!(secret = name, "made the keys that replicas share");
        }
        Some(there) => {
            // Of two that turn at once the second finds another version, and fails.
            let version = there.metadata.resource_version;
            let mut patch = json!({"metadata": {"resourceVersion": version}, "data": data});
            if let Some(owner) = owner {
                patch["metadata"]["ownerReferences"] = json!([owner]);
            }
            api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
            info!(secret = name, "turned the keys that replicas share, or took them over");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn keys_are_made_once_and_turned_in_time() {
        let turn = AFFINITY.turn;
        let turned = |lines, now| turned(lines, turn, now);
        let first = turned(vec![], at(1000)).unwrap();
        assert_eq!(first.len(), 2);
        assert_eq!(turned(first.clone(), at(1000 + turn - 1)).map(|lines| lines.len()), None);
        let second = turned(first.clone(), at(1000 + turn)).unwrap();
        assert_eq!((second.len(), &second[1..]), (3, &first[..]));
        let mut lines = second;
        for turns in 2..6 {
            lines = turned(lines, at(1000 + turns * turn)).unwrap();
        }
        assert_eq!(lines.len(), KEPT);
    }

    #[test]
    fn the_key_in_use_is_the_second_and_broken_lines_are_left_out() {
        let lines = turned(vec![], 1, at(1000)).unwrap();
        let text = format!("{}\nnonsense\n{}\n", lines[0].write(), lines[1].write());
        let data = [(AFFINITY.name.to_owned(), ByteString(text.into_bytes()))].into();
        let secret = Secret { data: Some(data), ..Secret::default() };
        let keys = Keys { affinity: vec![lines[1].key, lines[0].key], ..Keys::default() };
        assert!(read(&secret) == keys);
        assert!(read(&Secret::default()) == Keys::default());
    }
}
