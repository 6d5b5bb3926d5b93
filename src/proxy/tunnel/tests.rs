//! Streams of frames against a naive reading of them.

use proptest::prelude::*;

use crate::tunnel::follow::{Follow, Insert};
use crate::tunnel::frame::{self, Opcode};
use crate::tunnel::rules::{Refusal, Rules, Token};

const OPCODES: [Opcode; 6] =
    [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];

/// A frame as a peer sends it.
#[derive(Clone, Debug)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    masked: bool,
    payload: Vec<u8>,
}

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        let number = OPCODES.iter().position(|opcode| *opcode == self.opcode).unwrap();
        let mut bytes = vec![[0, 1, 2, 8, 9, 10][number] | u8::from(self.fin) << 7];
        let mask = u8::from(self.masked) << 7;
        match self.payload.len() {
            length @ ..=125 => bytes.push(length as u8 | mask),
            length @ ..=0xffff => {
                bytes.push(126 | mask);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(127 | mask);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        let key = [7, 77, 177, 0];
        if self.masked {
            bytes.extend(key);
            bytes.extend(self.payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k));
        } else {
            bytes.extend(&self.payload);
        }
        bytes
    }
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let length = prop_oneof![0..4_usize, 120..130_usize, 65_530..65_540_usize];
    (0..6_usize, any::<bool>(), any::<bool>(), length, any::<u8>()).prop_map(
        |(opcode, fin, masked, length, first)| {
            let opcode = OPCODES[opcode];
            let length = if opcode.is_control() { length.min(125) } else { length };
            let payload = (0..length).map(|place| (place as u8).wrapping_add(first)).collect();
            Frame { opcode, fin: fin || opcode.is_control(), masked, payload }
        },
    )
}

/// Walks over `bytes` in pieces that end where `cuts` say, with something to insert from the piece
/// `from` on; what passed, the follower, and why it was refused.
fn walk(
    bytes: &[u8],
    cuts: &[usize],
    insert: Option<(usize, Insert)>,
    mut rules: Option<Rules>,
) -> (Vec<u8>, Follow, Option<Refusal>) {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let (mut follow, mut passed, mut held, mut from) = (Follow::default(), vec![], vec![], 0);
    let ends_stream = insert.as_ref().is_some_and(|(_, insert)| insert.ends);
    let (mut later, mut now) = (insert, None);
    for (place, end) in ends.into_iter().enumerate() {
        if later.as_ref().is_some_and(|(from, _)| *from <= place) {
            now = later.take().map(|(_, insert)| Box::new(insert));
        }
        let piece = [&held[..], &bytes[from..end]].concat();
        from = end;
        let walked = follow.walk(&piece, &mut now, rules.as_mut());
        passed.extend_from_slice(&walked.out);
        held = walked.held.to_vec();
        if ends_stream && later.is_none() && now.is_none() {
            return (passed, follow, None);
        }
        if let Some(refusal) = walked.refused {
            return (passed, follow, Some(refusal));
        }
    }
    passed.extend(held);
    (passed, follow, None)
}

proptest! {
    #[test]
    fn whatever_comes_passes_as_it_is(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        prop_assert_eq!(walk(&bytes, &cuts, None, None).0, bytes);
    }

    #[test]
    fn frames_are_counted_and_the_first_close_is_read(
        frames in proptest::collection::vec(any_frame(), 0..8),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let bytes = frames.iter().flat_map(Frame::bytes).collect::<Vec<u8>>();
        let (passed, follow, _) = walk(&bytes, &cuts, None, None);
        prop_assert!(passed == bytes);
        prop_assert!(follow.is_between_frames() && !follow.is_lost());
        let messages = frames.iter().filter(|f| f.fin && !f.opcode.is_control()).count();
        prop_assert_eq!(follow.messages(), messages as u64);
        let close = frames.iter().find(|frame| frame.opcode == Opcode::Close);
        let code = close.map(|close| match close.payload[..] {
            [high, low, ..] => u16::from_be_bytes([high, low]),
            _ => 1005,
        });
        prop_assert_eq!(follow.close(), code);
    }

    #[test]
    fn what_is_inserted_stands_between_two_frames(
        frames in proptest::collection::vec(any_frame(), 0..6),
        cuts in proptest::collection::vec(any::<usize>(), 1..20),
        from in any::<usize>(),
        ends: bool,
    ) {
        let all: Vec<Vec<u8>> = frames.iter().map(Frame::bytes).collect();
        let bytes = all.concat();
        let ours = frame::control(Opcode::Ping, b"ours", true);
        let insert = Insert { frames: ours.clone(), ends };
        let (passed, ..) = walk(&bytes, &cuts, Some((from % (cuts.len() + 1), insert)), None);
        let fits = |place: usize| {
            let (before, after) = all.split_at(place);
            let after = if ends { vec![] } else { after.concat() };
            [before.concat(), ours.clone(), after].concat() == passed
        };
        prop_assert!((0..=all.len()).any(fits));
    }

    #[test]
    fn our_pongs_are_kept_and_others_pass(
        frames in proptest::collection::vec(any_frame(), 0..6),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
        place in any::<usize>(),
        masked: bool,
    ) {
        let token: Token = *b"\x00a token";
        let pong = Frame { opcode: Opcode::Pong, fin: true, masked, payload: token.to_vec() };
        let mut all: Vec<Vec<u8>> = frames.iter().map(Frame::bytes).collect();
        let expected = all.concat();
        all.insert(place % (all.len() + 1), pong.bytes());
        let mut rules = Rules::new(None, None, None);
        rules.pinged(token);
        prop_assert!(walk(&all.concat(), &cuts, None, Some(rules)).0 == expected);
    }

    #[test]
    fn nothing_passes_from_the_first_frame_on_that_is_too_large(
        frames in proptest::collection::vec(any_frame(), 0..8),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
        of_message: bool,
        most in prop_oneof![1..10_u64, 100..200_u64, 65_000..140_000_u64],
    ) {
        let (frame, message) = if of_message { (None, Some(most)) } else { (Some(most), None) };
        let all: Vec<Vec<u8>> = frames.iter().map(Frame::bytes).collect();
        let rules = Rules::new(frame, message, None);
        let (passed, _, refused) = walk(&all.concat(), &cuts, None, Some(rules));
        let mut size = 0;
        let first = frames.iter().position(|frame| {
            let length = frame.payload.len() as u64;
            if frame.opcode.is_control() {
                return false;
            }
            size = if frame.opcode == Opcode::Continuation { size + length } else { length };
            if of_message { size > most } else { length > most }
        });
        prop_assert_eq!(refused, first.map(|_| Refusal::TooBig));
        prop_assert!(passed == all[..first.unwrap_or(all.len())].concat());
    }
}

#[test]
fn messages_are_let_through_as_fast_as_they_may_come() {
    let text = Frame { opcode: Opcode::Text, fin: true, masked: true, payload: vec![1] }.bytes();
    let ping = Frame { opcode: Opcode::Ping, fin: true, masked: true, payload: vec![] }.bytes();
    let rules = || Some(Rules::new(None, None, std::num::NonZeroU32::new(3)));
    let bytes = [text.clone(), ping, text.clone(), text.clone()].concat();
    assert_eq!(walk(&bytes, &[], None, rules()).2, None);
    let (passed, _, refused) = walk(&[bytes.clone(), text].concat(), &[], None, rules());
    assert_eq!((passed, refused), (bytes, Some(Refusal::TooMany)));
}
