//! What the two control streams say (RFC 9114 7.2.3 to 7.2.7): our SETTINGS and GOAWAY, and the
//! peer's, judged.

use bytes::{Bytes, BytesMut};

use crate::code;
use crate::error::Violation;
use crate::{frame, varint};

/// The type of a control stream (RFC 9114 6.2.1).
pub(crate) const STREAM: u64 = 0x00;

const QPACK_MAX_TABLE_CAPACITY: u64 = 0x01;
const MAX_FIELD_SECTION_SIZE: u64 = 0x06;
const QPACK_BLOCKED_STREAMS: u64 = 0x07;
/// RFC 9220 3.
const ENABLE_CONNECT_PROTOCOL: u64 = 0x08;

/// How our control stream begins: its type and SETTINGS.
pub(crate) fn opening(max_field_section: u64) -> Bytes {
    let mut settings = BytesMut::new();
    for (setting, value) in [
        (QPACK_MAX_TABLE_CAPACITY, 0),
        (MAX_FIELD_SECTION_SIZE, max_field_section),
        (QPACK_BLOCKED_STREAMS, 0),
        (ENABLE_CONNECT_PROTOCOL, 1),
    ] {
        varint::write(setting, &mut settings);
        varint::write(value, &mut settings);
    }
    let mut out = BytesMut::new();
    varint::write(STREAM, &mut out);
    frame::put_head(frame::SETTINGS, settings.len() as u64, &mut out);
    out.unsplit(settings);
    out.freeze()
}

/// A GOAWAY frame: no request from the stream `first` on is handled.
pub(crate) fn goaway(first: u64) -> Bytes {
    let mut id = BytesMut::new();
    varint::write(first, &mut id);
    let mut out = BytesMut::new();
    frame::put_head(frame::GOAWAY, id.len() as u64, &mut out);
    out.unsplit(id);
    out.freeze()
}

/// What the peer's control stream has said so far.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// What a field section of ours may have, in bytes; without a limit until SETTINGS say one.
    pub(crate) max_field_section: Option<u64>,
    max_push: Option<u64>,
    goaway: Option<u64>,
}

impl Control {
    /// Judges a frame; the reader of frames has seen to it that SETTINGS are first, and once.
    pub(crate) fn frame(&mut self, kind: u64, payload: &[u8]) -> Result<(), Violation> {
        if kind == frame::SETTINGS {
            return self.settings(payload);
        }
        let id = varint::whole(payload)
            .ok_or(Violation::new(code::H3_FRAME_ERROR, "a frame that is not one integer"))?;
        let fault = match kind {
            // RFC 9114 5.2: it may become less.
            frame::GOAWAY if self.goaway.is_some_and(|last| id > last) => "GOAWAY that takes back",
            frame::GOAWAY => {
                self.goaway = Some(id);
                return Ok(());
            }
            // RFC 9114 7.2.7: it may become more.
            frame::MAX_PUSH_ID if self.max_push.is_some_and(|last| id < last) => {
                "MAX_PUSH_ID that takes back"
            }
            frame::MAX_PUSH_ID => {
                self.max_push = Some(id);
                return Ok(());
            }
            // RFC 9114 7.2.3: it names a push that was promised, and we promise none.
            _ => "CANCEL_PUSH of nothing",
        };
        Err(Violation::new(code::H3_ID_ERROR, fault))
    }

    fn settings(&mut self, mut payload: &[u8]) -> Result<(), Violation> {
        let cut = Violation::new(code::H3_FRAME_ERROR, "SETTINGS that are cut off");
        let fault = |reason| Err(Violation::new(code::H3_SETTINGS_ERROR, reason));
        let mut seen = Vec::new();
        while !payload.is_empty() {
            let (setting, size) = varint::read(payload).ok_or(cut)?;
            payload = payload.get(size..).unwrap_or_default();
            let (value, size) = varint::read(payload).ok_or(cut)?;
            payload = payload.get(size..).unwrap_or_default();
            seen.push(setting);
            match setting {
                // RFC 9114 7.2.4.1.
                0x00 | 0x02..=0x05 => return fault("a setting of HTTP/2"),
                MAX_FIELD_SECTION_SIZE => self.max_field_section = Some(value),
                ENABLE_CONNECT_PROTOCOL if value > 1 => return fault("not a switch"),
                _ => {}
            }
        }
        seen.sort_unstable();
        if seen.windows(2).any(|pair| pair.first() == pair.last()) {
            return fault("a setting that is there twice");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{Event, Frames, Place};

    fn settings(pairs: &[(u64, u64)]) -> Result<Option<u64>, u64> {
        let mut payload = BytesMut::new();
        for (setting, value) in pairs {
            varint::write(*setting, &mut payload);
            varint::write(*value, &mut payload);
        }
        let mut control = Control::default();
        control.frame(frame::SETTINGS, &payload).map_err(|violation| violation.code)?;
        Ok(control.max_field_section)
    }

    #[test]
    fn our_own_stream_is_one_that_we_would_take() {
        let mut bytes = opening(32768);
        assert_eq!(bytes.split_to(1), [0][..]);
        let mut bytes = Bytes::from([bytes, goaway(400)].concat());
        let mut frames = Frames::new(Place::Control { settled: false });
        let mut control = Control::default();
        while let Some(event) = frames.next(&mut bytes).unwrap() {
            let Event::Control(kind, payload) = event else { panic!("{event:?}") };
            control.frame(kind, &payload).unwrap();
        }
        assert_eq!(control.max_field_section, Some(32768));
        assert_eq!(control.goaway, Some(400));
    }

    #[test]
    fn settings_that_nobody_knows_are_passed_over() {
        assert_eq!(settings(&[]), Ok(None));
        assert_eq!(settings(&[(0x21, 7), (6, 99), (0x33, 1), (1, 4096), (7, 100)]), Ok(Some(99)));
    }

    #[test]
    fn settings_of_http2_or_twice_or_out_of_range_are_refused() {
        for pairs in [
            &[(2, 0)][..],
            &[(3, 1)],
            &[(0, 0)],
            &[(5, 1)],
            &[(8, 2)],
            &[(6, 1), (0x21, 0), (6, 1)],
        ] {
            assert_eq!(settings(pairs), Err(code::H3_SETTINGS_ERROR), "{pairs:?}");
        }
        let cut = Control::default().frame(frame::SETTINGS, &[6]).unwrap_err();
        assert_eq!(cut.code, code::H3_FRAME_ERROR);
    }

    #[test]
    fn identifiers_move_one_way_alone() {
        let mut control = Control::default();
        assert!(control.frame(frame::GOAWAY, &[8]).is_ok());
        assert!(control.frame(frame::GOAWAY, &[4]).is_ok());
        assert_eq!(control.frame(frame::GOAWAY, &[5]).unwrap_err().code, code::H3_ID_ERROR);
        assert!(control.frame(frame::MAX_PUSH_ID, &[8]).is_ok());
        assert_eq!(control.frame(frame::MAX_PUSH_ID, &[7]).unwrap_err().code, code::H3_ID_ERROR);
        assert_eq!(control.frame(frame::CANCEL_PUSH, &[1]).unwrap_err().code, code::H3_ID_ERROR);
        assert_eq!(control.frame(frame::GOAWAY, &[]).unwrap_err().code, code::H3_FRAME_ERROR);
        assert_eq!(control.frame(frame::GOAWAY, &[1, 2]).unwrap_err().code, code::H3_FRAME_ERROR);
    }

    proptest! {
        #[test]
        fn payload_of_any_kind_is_judged(
            kind in 3..14_u64,
            payload in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = Control::default().frame(kind, &payload);
        }
    }
}
