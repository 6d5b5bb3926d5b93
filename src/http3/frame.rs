//! The frames of HTTP/3 (RFC 9114 7), out of bytes that come in pieces of any size.
//!
//! Payload of DATA passes piece by piece. Other payload that matters is collected up to a limit,
//! all else is skipped.

use bytes::{Bytes, BytesMut};

use crate::code;
use crate::error::Violation;
use crate::varint;

pub(crate) const DATA: u64 = 0x00;
pub(crate) const HEADERS: u64 = 0x01;
pub(crate) const CANCEL_PUSH: u64 = 0x03;
pub(crate) const SETTINGS: u64 = 0x04;
pub(crate) const PUSH_PROMISE: u64 = 0x05;
pub(crate) const GOAWAY: u64 = 0x07;
pub(crate) const MAX_PUSH_ID: u64 = 0x0d;

/// Bytes of SETTINGS that are read; no sane peer needs a tenth of them.
const LONGEST_SETTINGS: u64 = 4096;
/// Bytes of a frame that has one integer.
const LONGEST_INTEGER: u64 = 8;

/// The stream that frames come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A request stream, with the bytes that a HEADERS frame may have.
    Request { limit: u64 },
    /// The control stream.
    Control {
        /// SETTINGS have been there.
        settled: bool,
    },
}

/// What frames come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A piece of a DATA frame's payload, not empty.
    Data(Bytes),
    /// The payload of a HEADERS frame.
    Headers(Bytes),
    /// The payload of a frame of the control stream.
    Control(u64, Bytes),
    /// A HEADERS frame that is over the limit. Its payload is skipped.
    TooLong,
}

#[derive(Debug)]
enum State {
    /// Between frames, or within the head of one.
    Head {
        bytes: [u8; 16],
        have: usize,
    },
    Data {
        left: u64,
    },
    Collect {
        kind: u64,
        left: u64,
        payload: BytesMut,
    },
    Skip {
        left: u64,
    },
}

const BOUNDARY: State = State::Head { bytes: [0; 16], have: 0 };

/// Reads the frames of one stream.
#[derive(Debug)]
pub(crate) struct Frames {
    place: Place,
    state: State,
}

impl Frames {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, state: BOUNDARY }
    }

    /// Whether the stream may end here (RFC 9114 7.1).
    pub(crate) fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Head { have: 0, .. })
    }

    /// Takes the next event out of `input`; `None` if all of it is taken.
    pub(crate) fn next(&mut self, input: &mut Bytes) -> Result<Option<Event>, Violation> {
        loop {
            match &mut self.state {
                State::Head { bytes, have } => {
                    let Some(first) = input.first().copied() else { return Ok(None) };
                    let _ = input.split_to(1);
                    // Two integers of eight bytes: it is whole before it is full.
                    if let Some(place) = bytes.get_mut(*have) {
                        *place = first;
                    }
                    *have += 1;
                    let Some((kind, length)) = head(bytes.get(..*have).unwrap_or_default()) else {
                        continue;
                    };
                    let event;
                    (self.state, event) = self.begin(kind, length)?;
                    if event.is_some() {
                        return Ok(event);
                    }
                }
                State::Data { left: 0 } | State::Skip { left: 0 } => self.state = BOUNDARY,
                State::Collect { left: 0, kind, payload } => {
                    let (kind, payload) = (*kind, std::mem::take(payload).freeze());
                    self.state = BOUNDARY;
                    return Ok(Some(match kind {
                        HEADERS => Event::Headers(payload),
                        kind => Event::Control(kind, payload),
                    }));
                }
                _ if input.is_empty() => return Ok(None),
                State::Data { left } => return Ok(Some(Event::Data(take(input, left)))),
                State::Skip { left } => drop(take(input, left)),
                State::Collect { left, payload, .. } => {
                    // A copy, so that fields that live long do not hold QUIC's large buffers.
                    payload.extend_from_slice(&take(input, left));
                }
            }
        }
    }

    /// What is done with the payload of a frame, by where it stands (RFC 9114 7.2, table 1).
    fn begin(&mut self, kind: u64, length: u64) -> Result<(State, Option<Event>), Violation> {
        let violation = |code, reason| Err(Violation::new(code, reason));
        let collect = State::Collect { kind, left: length, payload: BytesMut::new() };
        if let Place::Control { settled } = &mut self.place {
            match (kind, *settled) {
                (SETTINGS, true) => {
                    return violation(code::H3_FRAME_UNEXPECTED, "SETTINGS for the second time");
                }
                (SETTINGS, false) => *settled = true,
                (_, true) => {}
                (_, false) => {
                    return violation(code::H3_MISSING_SETTINGS, "no SETTINGS to begin with");
                }
            }
        }
        match (kind, self.place) {
            // Types of HTTP/2 that have no place here (RFC 9114 7.2.8).
            (0x02 | 0x06 | 0x08 | 0x09, _) => {
                violation(code::H3_FRAME_UNEXPECTED, "a frame of HTTP/2")
            }
            (DATA, Place::Request { .. }) => Ok((State::Data { left: length }, None)),
            (HEADERS, Place::Request { limit }) if length > limit => {
                Ok((State::Skip { left: length }, Some(Event::TooLong)))
            }
            (HEADERS, Place::Request { .. }) => Ok((collect, None)),
            (SETTINGS, Place::Control { .. }) if length > LONGEST_SETTINGS => {
                violation(code::H3_EXCESSIVE_LOAD, "too many settings")
            }
            (SETTINGS, Place::Control { .. }) => Ok((collect, None)),
            (GOAWAY | CANCEL_PUSH | MAX_PUSH_ID, Place::Control { .. }) => {
                if length > LONGEST_INTEGER {
                    return violation(code::H3_FRAME_ERROR, "a frame that is too long");
                }
                Ok((collect, None))
            }
            (DATA | HEADERS | PUSH_PROMISE, _)
            | (SETTINGS | GOAWAY | CANCEL_PUSH | MAX_PUSH_ID, _) => {
                violation(code::H3_FRAME_UNEXPECTED, "a frame on a stream of another kind")
            }
            _ => Ok((State::Skip { left: length }, None)),
        }
    }
}

fn head(bytes: &[u8]) -> Option<(u64, u64)> {
    let (kind, size) = varint::read(bytes)?;
    let (length, _) = varint::read(bytes.get(size..)?)?;
    Some((kind, length))
}

/// Takes as much of `left` as there is.
fn take(input: &mut Bytes, left: &mut u64) -> Bytes {
    let length = (input.len() as u64).min(*left);
    *left -= length;
    input.split_to(length as usize)
}

/// Writes the head of a frame.
pub(crate) fn put_head(kind: u64, length: u64, out: &mut BytesMut) {
    varint::write(kind, out);
    varint::write(length, out);
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
