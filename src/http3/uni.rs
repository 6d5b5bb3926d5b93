//! The unidirectional streams that a peer opens (RFC 9114 6.2, RFC 9204 4.2).

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use quinn::{ReadError, RecvStream};

use crate::control::{self, Control};
use crate::error::Violation;
use crate::frame::{Event, Frames, Place};
use crate::qpack::instructions;
use crate::shared::quic_code;
use crate::{code, varint};

const PUSH: u64 = 0x01;
const QPACK_ENCODER: u64 = 0x02;
const QPACK_DECODER: u64 = 0x03;

/// Pieces of a stream that are read before others have their turn.
const TURN: usize = 32;

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Control,
    Encoder,
    Decoder,
}

/// What became of a stream, when something did.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It has to wait for more.
    Waits,
    /// It has said what it is for.
    Known(Kind),
    /// It is of no use, and is not read further.
    Useless,
}

/// One stream of the peer's.
#[derive(Debug)]
pub(crate) struct Uni {
    stream: RecvStream,
    piece: Bytes,
    role: Role,
}

#[derive(Debug)]
enum Role {
    /// The beginning of the integer that says it.
    Unknown {
        bytes: [u8; 8],
        have: usize,
    },
    Control(Frames, Control),
    Encoder,
    Decoder(instructions::Decoder),
}

impl Uni {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self { stream, piece: Bytes::new(), role: Role::Unknown { bytes: [0; 8], have: 0 } }
    }

    /// What the peer's settings say about our field sections, if this is its control stream.
    pub(crate) fn max_field_section(&self) -> Option<u64> {
        match &self.role {
            Role::Control(_, control) => control.max_field_section,
            _ => None,
        }
    }

    /// Reads what has come. The end of the connection is no end of a stream, and waits.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Result<Turn, Violation> {
        for _ in 0..TURN {
            if let Some(turn) = self.take()? {
                return Ok(turn);
            }
            let read = pin!(self.stream.read_chunk(usize::MAX, true)).poll(cx);
            match (read, &self.role) {
                (Poll::Pending | Poll::Ready(Err(ReadError::ConnectionLost(_))), _) => {
                    return Ok(Turn::Waits);
                }
                (Poll::Ready(Ok(Some(chunk))), _) => self.piece = chunk.bytes,
                // A stream may end before it said what it is for (RFC 9114 6.2).
                (Poll::Ready(_), Role::Unknown { .. }) => return Ok(Turn::Useless),
                (Poll::Ready(_), _) => {
                    let reason = "the end of a stream that has to stay";
                    return Err(Violation::new(code::H3_CLOSED_CRITICAL_STREAM, reason));
                }
            }
        }
        cx.waker().wake_by_ref();
        Ok(Turn::Waits)
    }

    /// Goes over the piece that was read; all of it is gone then, if nothing becomes of it.
    fn take(&mut self) -> Result<Option<Turn>, Violation> {
        match &mut self.role {
            Role::Unknown { bytes, have } => {
                while let Some(first) = self.piece.first().copied() {
                    let _ = self.piece.split_to(1);
                    if let Some(place) = bytes.get_mut(*have) {
                        *place = first;
                    }
                    *have += 1;
                    if let Some((kind, _)) = varint::read(bytes.get(..*have).unwrap_or_default()) {
                        return self.begin(kind).map(Some);
                    }
                }
            }
            Role::Control(frames, control) => {
                while let Some(event) = frames.next(&mut self.piece)? {
                    // There are no others in this place.
                    if let Event::Control(kind, payload) = event {
                        control.frame(kind, &payload)?;
                    }
                }
            }
            Role::Encoder => instructions::encoder(&std::mem::take(&mut self.piece))?,
            Role::Decoder(decoder) => decoder.feed(&std::mem::take(&mut self.piece))?,
        }
        Ok(None)
    }

    fn begin(&mut self, kind: u64) -> Result<Turn, Violation> {
        let (role, kind) = match kind {
            control::STREAM => {
                let frames = Frames::new(Place::Control { settled: false });
                (Role::Control(frames, Control::default()), Kind::Control)
            }
            QPACK_ENCODER => (Role::Encoder, Kind::Encoder),
            QPACK_DECODER => (Role::Decoder(instructions::Decoder::default()), Kind::Decoder),
            PUSH => {
                let reason = "a push by a client";
                return Err(Violation::new(code::H3_STREAM_CREATION_ERROR, reason));
            }
            _ => {
                let _ = self.stream.stop(quic_code(code::H3_STREAM_CREATION_ERROR));
                return Ok(Turn::Useless);
            }
        };
        self.role = role;
        Ok(Turn::Known(kind))
    }
}
