//! Where a stream of frames stands: what of it may be passed on, and what may be put between.

use std::borrow::Cow;

use crate::tunnel::frame::{self, Head, Opcode, Parsed};
use crate::tunnel::rules::{Judgement, Refusal, Rules};

/// `left` of a stream that is not WebSocket.
const LOST: u64 = u64::MAX;

/// The code of a Close frame without one (RFC 6455 7.4.1).
const NO_CODE: u16 = 1005;

/// Follows the frames of one way through a tunnel. Only heads are looked at.
///
/// A head is passed on only when it is whole, so that there is always a boundary before it. A stream
/// that stops being WebSocket is lost: its bytes pass, and nothing is ever put between them.
#[derive(Debug, Default)]
pub(crate) struct Follow {
    /// Bytes of payload that have yet to pass.
    left: u64,
    /// Bytes of payload of the frame that passes, or passed last.
    length: u64,
    messages: u64,
    close: Option<Close>,
}

/// A Close frame that has begun to pass.
#[derive(Clone, Copy, Debug)]
struct Close {
    mask: [u8; 4],
    code: [u8; 2],
    taken: u8,
    /// Not all of it has passed.
    open: bool,
}

/// What may be passed on of some bytes.
#[derive(Debug, PartialEq)]
pub(crate) struct Walked<'a> {
    pub(crate) out: Cow<'a, [u8]>,
    /// The beginning of what cannot be judged yet; to be put before the bytes that follow.
    pub(crate) held: &'a [u8],
    /// Why nothing after it is to be passed on; what follows is gone over all the same.
    pub(crate) refused: Option<Refusal>,
}

/// Frames of our own, to be put into a stream between two of its frames.
#[derive(Debug)]
pub(crate) struct Insert {
    pub(crate) frames: Vec<u8>,
    /// The last of them is a Close frame: nothing may follow it.
    pub(crate) ends: bool,
}

impl Follow {
    /// Whether something may be put into the stream here.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.left == 0
    }

    /// Whether this is a stream of bytes alone.
    pub(crate) fn is_lost(&self) -> bool {
        self.left == LOST
    }

    /// From here on this is a stream of bytes alone.
    pub(crate) fn lose(&mut self) {
        self.left = LOST;
    }

    /// How many bytes pass whatever they are.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Bytes of payload of the frame that passes, or passed last; of a lost stream, endless.
    pub(crate) fn length(&self) -> u64 {
        if self.is_lost() { LOST } else { self.length }
    }

    /// Data messages that have passed, counted when the head of their last frame does.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// The code of the Close frame that has passed.
    pub(crate) fn close(&self) -> Option<u16> {
        let close = self.close.filter(|close| !close.open)?;
        Some(if close.taken < 2 { NO_CODE } else { u16::from_be_bytes(close.code) })
    }

    /// So many of the bytes that are [left](Self::left) have passed unseen.
    pub(crate) fn skip(&mut self, length: u64) {
        if !self.is_lost() {
            debug_assert!(length <= self.left);
            self.left -= length.min(self.left);
        }
    }

    /// Begins a frame whose head passes unseen with its payload.
    pub(crate) fn begin_whole(&mut self, head: &Head) {
        self.begin(head);
        self.left += head.size as u64;
    }

    /// Goes over `bytes`, which continue those before and begin with what was held of them. What
    /// `insert` has goes in at the first boundary.
    #[inline]
    pub(crate) fn walk<'a>(
        &mut self,
        bytes: &'a [u8],
        insert: &mut Option<Box<Insert>>,
        rules: Option<&mut Rules>,
    ) -> Walked<'a> {
        let mut rules = rules;
        let mut out = Out { bytes, from: 0, pieces: None };
        let mut at = 0;
        let mut refused = None;
        loop {
            at += self.pass(&bytes[at..]);
            if self.left > 0 {
                break;
            }
            if let Some(insert) = insert.take() {
                out.insert(at, &insert.frames);
                if insert.ends {
                    out.end(at);
                }
            }
            match frame::parse(&bytes[at..]) {
                Parsed::Short => break,
                Parsed::NotAFrame => self.lose(),
                Parsed::Head(head) => {
                    let judgement = match &mut rules {
                        Some(rules) => rules.judge(&head, &bytes[at + head.size..]),
                        None => Judgement::Pass,
                    };
                    match judgement {
                        Judgement::Pass => {
                            self.begin(&head);
                            at += head.size;
                        }
                        Judgement::Wait => break,
                        Judgement::Drop => {
                            let end = at + head.size + head.length as usize;
                            out.cut(at, end);
                            at = end;
                        }
                        Judgement::Refuse(refusal) => {
                            out.end(at);
                            refused = Some(refusal);
                            rules = None;
                            self.begin(&head);
                            at += head.size;
                        }
                    }
                }
            }
        }
        Walked { out: out.up_to(at), held: &bytes[at..], refused }
    }

    #[inline]
    fn begin(&mut self, head: &Head) {
        self.left = head.length;
        self.length = head.length;
        if head.opcode == Opcode::Close && self.close.is_none() {
            let mask = head.mask.unwrap_or_default();
            self.close = Some(Close { mask, code: [0; 2], taken: 0, open: true });
        } else if head.fin && !head.opcode.is_control() {
            self.messages += 1;
        }
    }

    /// Passes payload; how much of `bytes` is.
    #[inline]
    fn pass(&mut self, bytes: &[u8]) -> usize {
        if self.is_lost() {
            return bytes.len();
        }
        let length = self.left.min(bytes.len() as u64);
        self.left -= length;
        if let Some(close) = self.close.as_mut().filter(|close| close.open) {
            for byte in &bytes[..(length as usize).min(2 - usize::from(close.taken))] {
                let place = usize::from(close.taken);
                close.code[place] = byte ^ close.mask[place];
                close.taken += 1;
            }
            close.open = self.left > 0;
        }
        length as usize
    }
}

/// What is passed on of some bytes: mostly all of them as they are.
struct Out<'a> {
    bytes: &'a [u8],
    /// Where the piece begins that has not been put in yet; behind the last byte after an end.
    from: usize,
    pieces: Option<Vec<u8>>,
}

impl<'a> Out<'a> {
    fn take(&mut self, to: usize) -> &mut Vec<u8> {
        let pieces = self.pieces.get_or_insert_default();
        pieces.extend_from_slice(self.bytes.get(self.from..to).unwrap_or_default());
        self.from = self.from.max(to);
        pieces
    }

    fn insert(&mut self, at: usize, frames: &[u8]) {
        self.take(at).extend_from_slice(frames);
    }

    fn cut(&mut self, at: usize, end: usize) {
        self.take(at);
        self.from = self.from.max(end);
    }

    /// Nothing from here on.
    fn end(&mut self, at: usize) {
        self.take(at);
        self.from = usize::MAX;
    }

    fn up_to(mut self, at: usize) -> Cow<'a, [u8]> {
        if self.pieces.is_some() {
            self.take(at);
        }
        match self.pieces {
            Some(pieces) => Cow::Owned(pieces),
            None => Cow::Borrowed(&self.bytes[..at]),
        }
    }
}
