//! The room that the back ends share: what is said in one is heard in both.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::broadcast;

/// Messages that someone who comes later still sees.
const REMEMBERED: usize = 30;
/// The longest message, in characters.
const LONGEST: usize = 500;

/// What was said.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Message {
    #[serde(rename = "type")]
    kind: &'static str,
    who: String,
    text: String,
    /// The back end that carried it.
    via: &'static str,
    /// Milliseconds since 1970.
    time: u64,
}

/// The room.
#[derive(Debug)]
pub(super) struct Room {
    said: broadcast::Sender<Message>,
    last: Mutex<VecDeque<Message>>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self { said: broadcast::Sender::new(256), last: Default::default() }
    }

    /// Says something through a back end.
    pub(super) fn say(&self, via: &'static str, who: &str, text: &str) {
        let short = |text: &str, limit| text.trim().chars().take(limit).collect::<String>();
        let (who, text) = (short(who, 30), short(text, LONGEST));
        if text.is_empty() {
            return;
        }
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        let message = Message { kind: "message", who, text, via, time };
        {
            let mut last = self.last.lock();
            last.push_back(message.clone());
            while last.len() > REMEMBERED {
                last.pop_front();
            }
        }
        // Nobody may be there to hear it.
        let _ = self.said.send(message);
    }

    /// What was said last, and what will be said.
    pub(super) fn enter(&self) -> (Vec<Message>, broadcast::Receiver<Message>) {
        let hear = self.said.subscribe();
        let last = self.last.lock().iter().cloned().collect();
        (last, hear)
    }
}
