//! The base framing of RFC 6455 5.2: as much of it as says where a frame ends and what it is.

use aws_lc_rs::rand;

/// The longest head of a frame: two bytes, eight of length, four of mask.
pub(crate) const LONGEST_HEAD: usize = 14;

/// What a control frame may carry (RFC 6455 5.5).
const LONGEST_CONTROL: u64 = 125;

/// What a frame is (RFC 6455 11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn of(first: u8) -> Option<Self> {
        Some(match first & 0x0f {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    fn number(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    /// Whether a frame of this kind may stand between the fragments of a message.
    pub(crate) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The last frame of its message.
    pub(crate) fin: bool,
    pub(crate) opcode: Opcode,
    pub(crate) mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub(crate) length: u64,
    /// Bytes of the head itself, 2 to 14.
    pub(crate) size: usize,
}

/// What bytes that should begin a frame are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    Head(Head),
    /// The beginning of a head.
    Short,
    /// No frame that anybody could make sense of: a reserved opcode, a control frame that is long or
    /// in parts, or a length of 2^63 or more.
    NotAFrame,
}

/// Reads the head of the frame that `bytes` begin with.
///
/// Reserved bits are for extensions and are not looked at, nor is whether the mask is where it has
/// to be or the length as short as it can be: where such a frame ends is plain all the same, and
/// its receiver judges it.
#[inline]
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let &[first, ref bytes @ ..] = bytes else {
        return Parsed::Short;
    };
    let fin = first & 0x80 != 0;
    let Some(opcode) = Opcode::of(first).filter(|opcode| fin || !opcode.is_control()) else {
        return Parsed::NotAFrame;
    };
    let &[second, ref more @ ..] = bytes else {
        return Parsed::Short;
    };
    let (length, wide) = match second & 0x7f {
        126 => match more.first_chunk() {
            Some(length) => (u64::from(u16::from_be_bytes(*length)), 2),
            None => return Parsed::Short,
        },
        127 => match more.first_chunk() {
            Some(length) => (u64::from_be_bytes(*length), 8),
            None => return Parsed::Short,
        },
        short => (u64::from(short), 0),
    };
    if length >> 63 != 0 || opcode.is_control() && length > LONGEST_CONTROL {
        return Parsed::NotAFrame;
    }
    let mask = match (second & 0x80 != 0, more.get(wide..).and_then(<[u8]>::first_chunk)) {
        (false, _) => None,
        (true, Some(mask)) => Some(*mask),
        (true, None) => return Parsed::Short,
    };
    let size = 2 + wide + if mask.is_some() { 4 } else { 0 };
    Parsed::Head(Head { fin, opcode, mask, length, size })
}

/// Makes a control frame; `masked` if it goes to a server (RFC 6455 5.1). The payload is at most
/// 125 bytes.
pub(crate) fn control(opcode: Opcode, payload: &[u8], masked: bool) -> Vec<u8> {
    debug_assert!(opcode.is_control() && payload.len() as u64 <= LONGEST_CONTROL);
    let mut frame = Vec::with_capacity(6 + payload.len());
    frame.push(0x80 | opcode.number());
    frame.push(payload.len() as u8 | if masked { 0x80 } else { 0 });
    if masked {
        let mut mask = [0; 4];
        // Without randomness nothing of this process would work; what is masked is no secret.
        let _ = rand::fill(&mut mask);
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    } else {
        frame.extend_from_slice(payload);
    }
    frame
}

/// Makes a Close frame with a status code (RFC 6455 5.5.1).
pub(crate) fn close(code: u16, masked: bool) -> Vec<u8> {
    control(Opcode::Close, &code.to_be_bytes(), masked)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

    use super::*;

    /// The same head as another library reads it; `None` if it is short.
    fn theirs(bytes: &[u8]) -> Option<Result<Head, ()>> {
        let mut cursor = std::io::Cursor::new(bytes);
        match FrameHeader::parse(&mut cursor) {
            Ok(None) => None,
            Err(_) => Some(Err(())),
            Ok(Some((header, length))) => {
                let opcode = match header.opcode {
                    OpCode::Data(Data::Continue) => Opcode::Continuation,
                    OpCode::Data(Data::Text) => Opcode::Text,
                    OpCode::Data(Data::Binary) => Opcode::Binary,
                    OpCode::Control(Control::Close) => Opcode::Close,
                    OpCode::Control(Control::Ping) => Opcode::Ping,
                    OpCode::Control(Control::Pong) => Opcode::Pong,
                    _ => return Some(Err(())),
                };
                let size = cursor.position() as usize;
                Some(Ok(Head { fin: header.is_final, opcode, mask: header.mask, length, size }))
            }
        }
    }

    proptest! {
        #[test]
        fn heads_are_read_as_another_library_reads_them(
            bytes in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            match (parse(&bytes), theirs(&bytes)) {
                (Parsed::Head(ours), Some(Ok(theirs))) => prop_assert_eq!(ours, theirs),
                (Parsed::Short, None) => {}
                (Parsed::NotAFrame, Some(Err(()))) => {}
                // What is no frame is seen to be none before the head is whole; lengths and control
                // frames are judged by us alone at this place.
                (Parsed::NotAFrame, None) => prop_assert!(bytes.len() < 14),
                (Parsed::NotAFrame, Some(Ok(head))) => prop_assert!(
                    head.length >> 63 != 0
                        || head.opcode.is_control() && (head.length > 125 || !head.fin)
                ),
                (ours, theirs) => prop_assert!(false, "{:?} {:?}", ours, theirs),
            }
        }

        #[test]
        fn what_is_made_is_read(
            payload in proptest::collection::vec(any::<u8>(), 0..=125),
            masked: bool,
        ) {
            let frame = control(Opcode::Ping, &payload, masked);
            let Parsed::Head(head) = parse(&frame) else { panic!("no head: {frame:?}") };
            prop_assert_eq!(head.length as usize, payload.len());
            prop_assert_eq!(head.size + payload.len(), frame.len());
            prop_assert_eq!(head.mask.is_some(), masked);
            let mask = head.mask.unwrap_or_default();
            let body: Vec<u8> =
                frame[head.size..].iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
            prop_assert_eq!(body, payload);
        }
    }

    #[test]
    fn a_close_frame_is_that_of_the_standard() {
        assert_eq!(close(1001, false), [0x88, 0x02, 0x03, 0xe9]);
    }
}
