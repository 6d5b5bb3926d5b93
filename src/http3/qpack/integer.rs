//! Integers and strings of QPACK (RFC 9204 4.1, RFC 7541 5.1).

use bytes::{BufMut, Bytes, BytesMut};

use crate::qpack::{Failure, huffman};

/// Takes an integer with a prefix of `bits` (1 to 8) off the front of `input`.
///
/// Integers of more than 62 bits are refused (RFC 9204 4.1.1), and with them endless ones.
pub(crate) fn take(input: &mut Bytes, bits: u32) -> Result<u64, Failure> {
    let mask = (1_u64 << bits) - 1;
    let mut value = u64::from(byte(input)?) & mask;
    if value < mask {
        return Ok(value);
    }
    for shift in (0..63).step_by(7) {
        let next = byte(input)?;
        // 63 bits at most: no overflow.
        let part = u64::from(next & 0x7f) << shift;
        value = value.checked_add(part).filter(|value| value >> 62 == 0).ok_or(Failure::Invalid)?;
        if next & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Failure::Invalid)
}

fn byte(input: &mut Bytes) -> Result<u8, Failure> {
    let first = *input.first().ok_or(Failure::Invalid)?;
    let _ = input.split_to(1);
    Ok(first)
}

/// Takes a string off the front of `input`: the length has a prefix of `bits`, and the bit before
/// it says Huffman. What is longer than `room` when it is decoded is [too large](Failure::TooLarge).
pub(crate) fn take_string(input: &mut Bytes, bits: u32, room: u64) -> Result<Bytes, Failure> {
    let first = *input.first().ok_or(Failure::Invalid)?;
    let length = take(input, bits)?;
    let length =
        usize::try_from(length).ok().filter(|l| *l <= input.len()).ok_or(Failure::Invalid)?;
    let string = input.split_to(length);
    if first >> bits & 1 != 0 {
        return huffman::decode(&string, room).map(Bytes::from);
    }
    if length as u64 > room {
        return Err(Failure::TooLarge);
    }
    Ok(string)
}

/// Writes an integer with a prefix of `bits` (1 to 8); `first` has the bits before it.
pub(crate) fn put(first: u8, bits: u32, value: u64, out: &mut BytesMut) {
    let mask = (1_u64 << bits) - 1;
    if value < mask {
        out.put_u8(first | value as u8);
        return;
    }
    out.put_u8(first | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

/// Writes a string without Huffman; `first` has the bits before the one that says so.
pub(crate) fn put_string(first: u8, bits: u32, string: &[u8], out: &mut BytesMut) {
    put(first, bits, string.len() as u64, out);
    out.put_slice(string);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_standard_are_read_and_written() {
        // RFC 7541 C.1.
        let examples: [(&[u8], u32, u64); 3] =
            [(&[0x0a], 5, 10), (&[0x1f, 0x9a, 0x0a], 5, 1337), (&[0x2a], 8, 42)];
        for (bytes, bits, value) in examples {
            assert_eq!(take(&mut Bytes::from_static(bytes), bits), Ok(value));
            let mut out = BytesMut::new();
            put(0, bits, value, &mut out);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn an_integer_without_an_end_is_refused() {
        for filler in [0x80, 0xff] {
            let mut bytes = vec![filler; 100];
            bytes[0] = 0xff;
            assert_eq!(take(&mut Bytes::from(bytes), 7), Err(Failure::Invalid));
        }
        assert_eq!(take(&mut Bytes::from_static(&[0x7f, 0x80]), 7), Err(Failure::Invalid));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in 0..1_u64 << 62, shift in 0..62_u32, bits in 1..=8_u32) {
            let value = value >> shift;
            let mut out = BytesMut::new();
            put(0, bits, value, &mut out);
            let mut input = out.freeze();
            prop_assert_eq!(take(&mut input, bits), Ok(value));
            prop_assert!(input.is_empty());
        }
    }
}
