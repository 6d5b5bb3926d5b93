//! QUIC's integers of variable length (RFC 9000 16).

use bytes::{BufMut, BytesMut};

/// The largest there is.
pub(crate) const MAX: u64 = (1 << 62) - 1;

/// Reads the integer that `bytes` begin with: it, and how many bytes it has. `None` if it is short.
pub(crate) fn read(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let size = 1_usize << (first >> 6);
    let rest = bytes.get(1..size)?;
    let value =
        rest.iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte));
    Some((value, size))
}

/// Reads an integer that is all of `bytes`.
pub(crate) fn whole(bytes: &[u8]) -> Option<u64> {
    read(bytes).filter(|(_, size)| *size == bytes.len()).map(|(value, _)| value)
}

/// Writes `value` as short as it can be; what is over [`MAX`] becomes it.
pub(crate) fn write(value: u64, out: &mut BytesMut) {
    let value = value.min(MAX);
    match value {
        0..0x40 => out.put_u8(value as u8),
        0x40..0x4000 => out.put_u16(0x4000 | value as u16),
        0x4000..0x4000_0000 => out.put_u32(0x8000_0000 | value as u32),
        _ => out.put_u64(0xc000_0000_0000_0000 | value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_standard_are_read() {
        // RFC 9000 A.1.
        let examples: [(&[u8], u64); 5] = [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ];
        for (bytes, value) in examples {
            assert_eq!(read(bytes), Some((value, bytes.len())));
            assert_eq!(read(&bytes[..bytes.len() - 1]), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in 0..=MAX, shift in 0..62_u32) {
            let value = value >> shift;
            let mut out = BytesMut::new();
            write(value, &mut out);
            prop_assert_eq!(whole(&out), Some(value));
        }
    }
}
