//! The instructions of the peer's encoder and decoder (RFC 9204 4.3 and 4.4).
//!
//! Both sides know that there is no dynamic table, so hardly any instruction is left.

use crate::code;
use crate::error::Violation;

/// The only instruction an encoder may send to a table of no capacity: Set Dynamic Table Capacity 0.
const CAPACITY_ZERO: u8 = 0x20;

/// Goes over what came by the peer's encoder stream.
pub(crate) fn encoder(bytes: &[u8]) -> Result<(), Violation> {
    if bytes.iter().any(|byte| *byte != CAPACITY_ZERO) {
        return Err(Violation::new(
            code::QPACK_ENCODER_STREAM_ERROR,
            "an instruction for a dynamic table that is not there",
        ));
    }
    Ok(())
}

/// Follows the peer's decoder stream.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// Bytes of the integer that is being passed; none if an instruction begins next.
    passed: u8,
}

/// Bytes that an integer of 62 bits has at most, behind its prefix.
const LONGEST: u8 = 9;

impl Decoder {
    /// Goes over what came. Stream Cancellation changes nothing and passes; the others acknowledge
    /// what we never send (RFC 9204 4.4.1 and 4.4.3).
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let violation = |reason| Err(Violation::new(code::QPACK_DECODER_STREAM_ERROR, reason));
        for byte in bytes {
            match (self.passed, byte) {
                (0, 0x7f) => self.passed = 1,
                (0, 0x40..0x7f) => {}
                (0, _) => return violation("an acknowledgement of nothing"),
                (LONGEST, 0x80..) => return violation("an integer that is too long"),
                (_, 0x80..) => self.passed += 1,
                (_, _) => self.passed = 0,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_may_say_no_more_than_that_there_is_no_table() {
        assert_eq!(encoder(b""), Ok(()));
        assert_eq!(encoder(&[0x20, 0x20]), Ok(()));
        // RFC 9204 B.2 begins with a capacity of 220.
        for bytes in [b"\x3f\xbd\x01".as_slice(), b"\x21", b"\xc0\x01a", b"\x41a\x01b", b"\x00"] {
            let violation = encoder(bytes).unwrap_err();
            assert_eq!(violation.code, code::QPACK_ENCODER_STREAM_ERROR, "{bytes:?}");
        }
    }

    #[test]
    fn a_decoder_may_say_no_more_than_that_a_stream_was_cancelled() {
        let bytes = b"\x48\x40\x7f\x00\x7f\xff\x7f\x41";
        assert_eq!(Decoder::default().feed(bytes), Ok(()));
        let mut decoder = Decoder::default();
        assert!(bytes.chunks(1).all(|byte| decoder.feed(byte).is_ok()));
        for bytes in [b"\x84".as_slice(), b"\x01", b"\x00", b"\x7f\x01\x80"] {
            let violation = Decoder::default().feed(bytes).unwrap_err();
            assert_eq!(violation.code, code::QPACK_DECODER_STREAM_ERROR, "{bytes:?}");
        }
        assert!(Decoder::default().feed(&[&[0x7f][..], &[0x80; 20]].concat()).is_err());
    }
}
