//! Bodies that are collected before they go on, where a gateway asks for it.
//!
//! Only a body that says its length is: of one that does not, nobody knows whether its sender waits
//! for an answer before it sends the rest, as calls of gRPC and streams of events do. What is held
//! is bounded, for one body and for the process; what is beyond goes on as it comes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::request::body::{BodyError, Inbound};

/// What is held of one body, in bytes, at most.
const OF_ONE: u64 = 1024 * 1024;

/// What is held of all bodies together; with that much held, bodies go on as they come.
const OF_ALL: usize = 128 * 1024 * 1024;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// A place for bytes that are held.
#[derive(Debug)]
struct Place(usize);

impl Place {
    fn take(size: usize) -> Option<Self> {
        let more = |held: usize| held.checked_add(size).filter(|held| *held <= OF_ALL);
        let taken = HELD.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Self(size))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// A body of which a part was collected.
#[derive(Debug)]
pub(crate) struct Collected {
    frames: VecDeque<Frame<Bytes>>,
    /// Bytes in the frames.
    held: u64,
    /// What comes after them.
    rest: Inbound,
    _place: Place,
}

/// Why a body was not collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Its sender did not go on in time.
    Stalled,
    /// It ended before its end.
    Broken,
}

/// Collects a body, if it is to be. Its sender may take `limit` from one part to the next.
pub(super) async fn collect(mut body: Inbound, limit: Duration) -> Result<Inbound, Stopped> {
    let Some(length) = body.size_hint().exact().filter(|length| *length > 0) else {
        return Ok(body);
    };
    let most = length.min(OF_ONE);
    let Some(place) = usize::try_from(most).ok().and_then(Place::take) else {
        return Ok(body);
    };
    let (mut frames, mut held) = (VecDeque::new(), 0);
    while held < most {
        let next = tokio::time::timeout(limit, poll_fn(|cx| body.poll_frame(cx))).await;
        match next {
            Err(_) => return Err(Stopped::Stalled),
            Ok(Some(Err(_))) => return Err(Stopped::Broken),
            Ok(None) => break,
            Ok(Some(Ok(frame))) => {
                held += frame.data_ref().map_or(0, Bytes::len) as u64;
                frames.push_back(frame);
            }
        }
    }
    let rest = if body.is_end_stream() { Inbound::Empty } else { body };
    Ok(Inbound::Collected(Box::new(Collected { frames, held, rest, _place: place })))
}

impl Collected {
    /// Whether nothing more is to come from the sender.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.rest, Inbound::Empty)
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.frames.pop_front() {
            Some(frame) => {
                self.held -= frame.data_ref().map_or(0, Bytes::len) as u64;
                Poll::Ready(Some(Ok(frame)))
            }
            None => self.rest.poll_frame(cx),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self.rest.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(self.held + rest),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_held_than_there_may_be() {
        let all: Vec<Place> = std::iter::from_fn(|| Place::take(OF_ONE as usize)).collect();
        assert_eq!(all.len(), OF_ALL / OF_ONE as usize);
        drop(all);
        assert!(Place::take(OF_ALL).is_some());
    }
}
