//! What is not passed on of one way through a tunnel: frames over a limit, and the answers to our
//! own pings.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::tunnel::frame::{Head, Opcode};

/// What our pings carry, so that their pongs are told from others.
pub(crate) type Token = [u8; 8];

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Pass,
    /// More of it has to be seen first.
    Wait,
    /// It is for us alone.
    Drop,
    Refuse(Refusal),
}

/// Why a frame is not passed on, nor anything after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It, or the message that it belongs to, is too large: 1009.
    TooBig,
    /// Messages come faster than they may: 1008.
    TooMany,
}

/// Limits on what a source sends, and the ping that it has not answered.
#[derive(Debug)]
pub(crate) struct Rules {
    max_frame: u64,
    max_message: u64,
    /// Bytes of the message that is passing.
    message: u64,
    rate: Option<Bucket>,
    ping: Option<(Token, Instant)>,
    /// How long the last ping took that was answered, and whether that was told.
    answered: Option<Duration>,
    told: bool,
    /// Pings of the source itself that have passed.
    pings: u32,
    /// Pongs of the source that have passed.
    pongs: u32,
}

impl Rules {
    pub(crate) fn new(
        max_frame: Option<u64>,
        max_message: Option<u64>,
        max_messages_per_second: Option<NonZeroU32>,
    ) -> Self {
        Self {
            max_frame: max_frame.unwrap_or(u64::MAX),
            max_message: max_message.unwrap_or(u64::MAX),
            message: 0,
            rate: max_messages_per_second.map(Bucket::full),
            ping: None,
            answered: None,
            told: true,
            pings: 0,
            pongs: 0,
        }
    }

    /// The source is sent a ping with this payload.
    pub(crate) fn pinged(&mut self, token: Token) {
        self.ping = Some((token, Instant::now()));
    }

    /// How long the last answer to a ping took, once.
    pub(super) fn answered(&mut self) -> Option<Duration> {
        self.answered.filter(|_| !std::mem::replace(&mut self.told, true))
    }

    /// How long the last answer to a ping took.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.answered
    }

    /// Pings of the source that have passed.
    pub(super) fn pings(&self) -> u32 {
        self.pings
    }

    /// Pongs of the source that have passed: those that were not for us.
    pub(super) fn pongs(&self) -> u32 {
        self.pongs
    }

    /// What becomes of a frame with this head; `payload` is what has come of it.
    pub(super) fn judge(&mut self, head: &Head, payload: &[u8]) -> Judgement {
        match head.opcode {
            Opcode::Pong => {
                let judgement = self.judge_pong(head, payload);
                self.pongs += u32::from(judgement == Judgement::Pass);
                return judgement;
            }
            Opcode::Ping => self.pings += 1,
            Opcode::Close => {}
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                if let Some(refusal) = self.judge_data(head) {
                    return Judgement::Refuse(refusal);
                }
            }
        }
        Judgement::Pass
    }

    fn judge_data(&mut self, head: &Head) -> Option<Refusal> {
        if head.opcode != Opcode::Continuation {
            self.message = 0;
            if self.rate.as_mut().is_some_and(|rate| !rate.take()) {
                return Some(Refusal::TooMany);
            }
        }
        self.message = self.message.saturating_add(head.length);
        let too_big = head.length > self.max_frame || self.message > self.max_message;
        too_big.then_some(Refusal::TooBig)
    }

    fn judge_pong(&mut self, head: &Head, payload: &[u8]) -> Judgement {
        let Some((token, since)) = self.ping else {
            return Judgement::Pass;
        };
        if head.length != token.len() as u64 {
            return Judgement::Pass;
        }
        let Some(payload) = payload.first_chunk::<{ size_of::<Token>() }>() else {
            return Judgement::Wait;
        };
        let mask = head.mask.unwrap_or_default();
        if payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).eq(token) {
            self.ping = None;
            self.answered = Some(since.elapsed());
            self.told = false;
            return Judgement::Drop;
        }
        Judgement::Pass
    }
}

/// A second's worth of messages at once, and then as many a second.
#[derive(Debug)]
struct Bucket {
    rate: f64,
    level: f64,
    seen: Instant,
}

impl Bucket {
    fn full(rate: NonZeroU32) -> Self {
        let rate = f64::from(rate.get());
        Self { rate, level: rate, seen: Instant::now() }
    }

    fn take(&mut self) -> bool {
        let now = Instant::now();
        let gained = (now - self.seen).as_secs_f64() * self.rate;
        self.level = (self.level + gained).min(self.rate);
        self.seen = now;
        let has = self.level >= 1.0;
        if has {
            self.level -= 1.0;
        }
        has
    }
}
