//! Any bytes as a stream of frames, cut anywhere, against a reading of the whole at once.

use crate::internals::script::Script;
use crate::tunnel::{Follow, Insert, Opcode, Refusal, Rules, Token, control};

const TOKEN: Token = *b"our ping";

/// Follows `data` piece by piece, with limits and with something to put in between as its first
/// bytes say, and compares what passes with what should.
///
/// # Panics
/// If anything else passes, or what is put in does not stand between two frames.
pub fn check_frames(data: &[u8]) {
    let mut script = Script(data);
    let limits = [None, Some(0), Some(3), Some(100), Some(20_000), Some(1 << 62)];
    let (of_frame, of_message) = (limits[script.below(6)], limits[script.below(6)]);
    let pinged = script.below(2) == 1;
    let has_rules = pinged || of_frame.is_some() || of_message.is_some();
    let mut rules = has_rules.then(|| Rules::new(of_frame, of_message, None));
    if let Some(rules) = rules.as_mut().filter(|_| pinged) {
        rules.pinged(TOKEN);
    }
    let ends = script.below(2) == 1;
    let ours = control(Opcode::Ping, b"from us", false);
    let (mut later, mut insert) = (Some(script.below(16)), None);
    let cuts: Vec<usize> = (0..script.below(12)).map(|_| 1 + script.below(40)).collect();
    let stream = script.0;

    let expected = Reading::of(stream, (of_frame, of_message), pinged);
    let (mut follow, mut passed, mut held, mut from) = (Follow::default(), vec![], vec![], 0);
    let (mut refused, mut asked_at) = (None, None);
    for piece in 0.. {
        let end = cuts.get(piece).map_or(stream.len(), |cut| stream.len().min(from + cut));
        if later.is_some_and(|later| later <= piece) && !follow.is_lost() {
            later = None;
            insert = Some(Box::new(Insert { frames: ours.clone(), ends }));
            asked_at = Some(passed.len());
        }
        let bytes = [&held[..], &stream[from..end]].concat();
        from = end;
        let was_asked = insert.is_some();
        let walked = follow.walk(&bytes, &mut insert, rules.as_mut());
        passed.extend_from_slice(&walked.out);
        held = walked.held.to_vec();
        refused = walked.refused;
        let ended = ends && was_asked && insert.is_none();
        if refused.is_some() || ended || (from == stream.len() && piece >= cuts.len()) {
            break;
        }
    }
    if ends && asked_at.is_some() && insert.is_none() {
        // Nothing after ours, whatever would have come of it.
        let before = passed.strip_suffix(&ours[..]).expect("ours comes last");
        assert!(expected.boundaries.contains(&before.len()), "ours stands inside a frame");
        assert!(expected.passes.starts_with(before), "something else passed");
        return;
    }
    assert_eq!(refused.is_some(), expected.refused, "{refused:?}");
    assert!(refused.is_none_or(|refusal| refusal == Refusal::TooBig));
    if refused.is_none() {
        passed.extend_from_slice(&held);
        assert_eq!(follow.is_lost(), expected.lost);
        assert_eq!(follow.messages(), expected.messages);
    }
    match asked_at.filter(|_| insert.is_none()) {
        None => assert!(passed == expected.passes, "something else passed"),
        Some(asked) => {
            let fits = |place: &usize| {
                let (before, after) = expected.passes.split_at(*place);
                *place >= asked && passed == [before, &ours[..], after].concat()
            };
            assert!(expected.boundaries.iter().any(fits), "ours does not stand between two frames");
        }
    }
}

/// What should come of a stream of which all is known.
#[derive(Debug, Default)]
struct Reading {
    passes: Vec<u8>,
    /// Where in it a frame of ours may stand.
    boundaries: Vec<usize>,
    messages: u64,
    refused: bool,
    lost: bool,
}

impl Reading {
    fn of(stream: &[u8], limits: (Option<u64>, Option<u64>), mut pinged: bool) -> Self {
        let mut reading = Self::default();
        let (mut at, mut message) = (0_usize, 0_u64);
        loop {
            reading.boundaries.push(reading.passes.len());
            let Some((fin, opcode, size, length, mask)) = head_of(&stream[at..]) else {
                break;
            };
            let is_frame = matches!(opcode, 0..=2 | 8..=10)
                && length < 1 << 63
                && (opcode < 8 || fin && length <= 125);
            if !is_frame {
                reading.lost = true;
                break;
            }
            // Everything of the head is there, or nothing can be said of it.
            let Some(body) = stream.get(at + size..) else { break };
            let length_here = usize::try_from(length).map_or(body.len(), |l| l.min(body.len()));
            if pinged && opcode == 10 && length == TOKEN.len() as u64 {
                if body.len() < TOKEN.len() {
                    break;
                }
                let plain = body.iter().enumerate().map(|(place, byte)| byte ^ mask[place % 4]);
                if plain.take(TOKEN.len()).eq(TOKEN) {
                    pinged = false;
                    at += size + length_here;
                    continue;
                }
            }
            if opcode < 8 {
                message = if opcode == 0 { message.saturating_add(length) } else { length };
                let over = |limit: Option<u64>, value| limit.is_some_and(|limit| value > limit);
                if over(limits.0, length) || over(limits.1, message) {
                    reading.refused = true;
                    return reading;
                }
                reading.messages += u64::from(fin);
            }
            let whole = length_here as u64 == length;
            reading.passes.extend_from_slice(&stream[at..at + size + length_here]);
            at += size + length_here;
            if !whole {
                return reading;
            }
        }
        reading.passes.extend_from_slice(&stream[at..]);
        reading
    }
}

/// FIN, opcode, bytes of the head, bytes of payload and mask (RFC 6455 5.2), as far as the bytes
/// that say them are there. What cannot be a frame is known before its mask has come.
fn head_of(bytes: &[u8]) -> Option<(bool, u8, usize, u64, [u8; 4])> {
    let (fin, opcode) = (bytes.first()? & 0x80 != 0, bytes[0] & 0x0f);
    if !matches!(opcode, 0..=2 | 8..=10) || opcode >= 8 && !fin {
        return Some((fin, 15, 0, 0, [0; 4]));
    }
    let second = *bytes.get(1)?;
    let wide = [2, 8].get(usize::from(second & 0x7f).wrapping_sub(126)).copied().unwrap_or(0);
    let length = match wide {
        0 => u64::from(second & 0x7f),
        _ => bytes.get(2..2 + wide)?.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
    };
    if length >= 1 << 63 || opcode >= 8 && length > 125 {
        return Some((fin, 15, 0, 0, [0; 4]));
    }
    let masked = second & 0x80 != 0;
    let mask = if masked { bytes.get(2 + wide..6 + wide)?.try_into().ok()? } else { [0; 4] };
    Some((fin, opcode, 2 + wide + if masked { 4 } else { 0 }, length, mask))
}

/// A read of several masked frames, to be followed over and over.
#[derive(Debug)]
pub struct FramesOf {
    bytes: Vec<u8>,
    follow: Follow,
    rules: Option<Rules>,
}

impl FramesOf {
    /// `count` binary messages of `size` bytes each.
    pub fn new(count: usize, size: usize, limited: bool) -> Self {
        let mut frame = vec![0x82, 0x80 | 126];
        frame.extend((size as u16).to_be_bytes());
        frame.resize(frame.len() + 4 + size, 7);
        let most = Some(1 << 40);
        let rules = limited.then(|| Rules::new(most, most, std::num::NonZeroU32::new(u32::MAX)));
        Self { bytes: frame.repeat(count), follow: Follow::default(), rules }
    }

    /// Goes over the read; the messages that have passed in all.
    pub fn follow(&mut self) -> u64 {
        let walked = self.follow.walk(&self.bytes, &mut None, self.rules.as_mut());
        assert!(walked.held.is_empty());
        self.follow.messages()
    }
}
