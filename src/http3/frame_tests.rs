//! Tests of the frame reader, against a model that has all bytes at once.

use proptest::prelude::*;

use super::*;

const LIMIT: u64 = 40;
const REQUEST: Place = Place::Request { limit: LIMIT };
const CONTROL: Place = Place::Control { settled: false };

fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    put_head(kind, payload.len() as u64, &mut out);
    out.extend_from_slice(payload);
    out.to_vec()
}

/// What comes of `bytes` in pieces of these sizes; pieces of DATA are put together.
fn run(place: Place, bytes: &[u8], sizes: &[usize]) -> (Vec<Event>, Result<bool, u64>) {
    let mut frames = Frames::new(place);
    let mut events = Vec::new();
    let mut rest = bytes;
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let (piece, more) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        rest = more;
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match frames.next(&mut input) {
                Ok(Some(Event::Data(data))) => {
                    assert!(!data.is_empty());
                    match events.last_mut() {
                        Some(Event::Data(last)) => *last = [&last[..], &data].concat().into(),
                        _ => events.push(Event::Data(data)),
                    }
                }
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(violation) => return (events, Err(violation.code)),
            }
        }
        assert!(input.is_empty());
    }
    (events, Ok(frames.is_between_frames()))
}

/// The same, frame by frame out of the whole.
fn model(bytes: &[u8]) -> (Vec<Event>, Result<bool, u64>) {
    let mut events = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((kind, size)) = varint::read(rest) else { return (events, Ok(false)) };
        let Some((length, more)) = varint::read(&rest[size..]) else { return (events, Ok(false)) };
        let body = &rest[size + more..];
        let have = (length as usize).min(body.len());
        let whole = have as u64 == length;
        match kind {
            DATA if have > 0 => match events.last_mut() {
                Some(Event::Data(last)) => *last = [&last[..], &body[..have]].concat().into(),
                _ => events.push(Event::Data(Bytes::copy_from_slice(&body[..have]))),
            },
            DATA => {}
            HEADERS if length > LIMIT => events.push(Event::TooLong),
            HEADERS if whole => events.push(Event::Headers(Bytes::copy_from_slice(&body[..have]))),
            HEADERS => {}
            2..=9 | 13 => return (events, Err(code::H3_FRAME_UNEXPECTED)),
            _ => {}
        }
        if !whole {
            return (events, Ok(false));
        }
        rest = &body[have..];
    }
    (events, Ok(true))
}

proptest! {
    #[test]
    fn frames_in_pieces_are_what_they_are_in_one(
        list in proptest::collection::vec(
            (
                prop_oneof![8 => Just(0_u64), 4 => Just(1), 2 => 10..13_u64, 1 => 0..100_u64, 2 => Just(0x21 + 0x1f * 99)],
                proptest::collection::vec(any::<u8>(), 0..60),
            ),
            0..12,
        ),
        cut in 0..4_usize,
        sizes in proptest::collection::vec(1..40_usize, 1..8),
    ) {
        let mut bytes: Vec<u8> =
            list.iter().flat_map(|(kind, payload)| frame(*kind, payload)).collect();
        bytes.truncate(bytes.len().saturating_sub(cut));
        // Type 5 is none of HTTP/2's but a PUSH_PROMISE, which is as unexpected.
        prop_assert_eq!(run(REQUEST, &bytes, &sizes), model(&bytes));
    }

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        sizes in proptest::collection::vec(1..40_usize, 1..8),
    ) {
        prop_assert_eq!(run(REQUEST, &bytes, &sizes), model(&bytes));
        prop_assert_eq!(run(CONTROL, &bytes, &sizes), run(CONTROL, &bytes, &[bytes.len().max(1)]));
    }
}

#[test]
fn a_frame_may_be_empty() {
    let bytes = [frame(DATA, b""), frame(HEADERS, b""), frame(0x21, b"")].concat();
    assert_eq!(run(REQUEST, &bytes, &[1]), (vec![Event::Headers(Bytes::new())], Ok(true)));
}

#[test]
fn a_head_may_be_as_long_as_it_can_be() {
    let bytes = [&[0xc0, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 1][..], b"a"].concat();
    assert_eq!(run(REQUEST, &bytes, &[1]).0, [Event::Data(Bytes::from_static(b"a"))]);
}

#[test]
fn a_length_that_is_never_reached_allocates_nothing() {
    let mut bytes = BytesMut::new();
    put_head(DATA, varint::MAX, &mut bytes);
    bytes.extend_from_slice(b"ab");
    assert_eq!(run(REQUEST, &bytes, &[9]).0, [Event::Data(Bytes::from_static(b"ab"))]);
    let mut bytes = BytesMut::new();
    put_head(SETTINGS, 4097, &mut bytes);
    assert_eq!(run(CONTROL, &bytes, &[9]), (vec![], Err(code::H3_EXCESSIVE_LOAD)));
}

#[test]
fn the_control_stream_begins_with_settings_and_has_them_once() {
    let settings = frame(SETTINGS, b"");
    let goaway = frame(GOAWAY, &[0]);
    let event = |kind, payload| Event::Control(kind, Bytes::from_static(payload));
    assert_eq!(
        run(CONTROL, &[&settings[..], &goaway].concat(), &[1]),
        (vec![event(SETTINGS, b""), event(GOAWAY, &[0])], Ok(true))
    );
    for (bytes, code) in [
        (goaway.clone(), code::H3_MISSING_SETTINGS),
        (frame(0x21, b""), code::H3_MISSING_SETTINGS),
        ([settings.clone(), settings.clone()].concat(), code::H3_FRAME_UNEXPECTED),
        ([settings.clone(), frame(DATA, b"")].concat(), code::H3_FRAME_UNEXPECTED),
        ([settings.clone(), frame(HEADERS, b"")].concat(), code::H3_FRAME_UNEXPECTED),
        ([settings.clone(), frame(PUSH_PROMISE, b"")].concat(), code::H3_FRAME_UNEXPECTED),
        ([settings.clone(), frame(8, b"")].concat(), code::H3_FRAME_UNEXPECTED),
        ([settings, frame(GOAWAY, &[0; 9])].concat(), code::H3_FRAME_ERROR),
    ] {
        assert_eq!(run(CONTROL, &bytes, &[3]).1, Err(code), "{bytes:?}");
    }
}
