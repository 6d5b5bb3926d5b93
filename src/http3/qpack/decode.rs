//! Field sections in: bytes to fields (RFC 9204 4.5).

use bytes::Bytes;

use crate::qpack::{Failure, OVERHEAD, integer, table};

/// A field line, as it was sent. Name and value are no more than bytes yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: Bytes,
    pub(crate) value: Bytes,
}

/// Decodes a field section. `limit` is in bytes, counted as RFC 9114 4.2.2 says.
///
/// The strings share the memory of `input`.
pub(crate) fn section(input: &Bytes, limit: u64) -> Result<Vec<Field>, Failure> {
    let mut input = input.clone();
    // Without a dynamic table no insert can be required; a base before zero is never valid
    // (RFC 9204 4.5.1).
    if integer::take(&mut input, 8)? != 0 {
        return Err(Failure::Invalid);
    }
    if input.first().is_none_or(|first| first & 0x80 != 0) {
        return Err(Failure::Invalid);
    }
    integer::take(&mut input, 7)?;
    let mut fields = Vec::new();
    let mut left = limit;
    while let Some(first) = input.first().copied() {
        let room = left.checked_sub(OVERHEAD).ok_or(Failure::TooLarge)?;
        let field = line(&mut input, first, room)?;
        let size = field.name.len() as u64 + field.value.len() as u64;
        left = room.checked_sub(size).ok_or(Failure::TooLarge)?;
        fields.push(field);
    }
    Ok(fields)
}

fn line(input: &mut Bytes, first: u8, room: u64) -> Result<Field, Failure> {
    let fixed = |index| table::get(index).ok_or(Failure::Invalid);
    Ok(match first {
        // Indexed, static (4.5.2).
        0b1100_0000.. => {
            let (name, value) = fixed(integer::take(input, 6)?)?;
            Field { name: Bytes::from_static(name), value: Bytes::from_static(value) }
        }
        // Literal with a name of the static table (4.5.4), whether or not it may be indexed again.
        0b0101_0000..=0b0101_1111 | 0b0111_0000..=0b0111_1111 => {
            let (name, _) = fixed(integer::take(input, 4)?)?;
            Field { name: Bytes::from_static(name), value: integer::take_string(input, 7, room)? }
        }
        // Literal with a name of its own (4.5.6).
        0b0010_0000..=0b0011_1111 => Field {
            name: integer::take_string(input, 3, room)?,
            value: integer::take_string(input, 7, room)?,
        },
        // All else refers to the dynamic table.
        _ => return Err(Failure::Invalid),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8]) -> Result<Vec<(String, String)>, Failure> {
        let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
        let fields = section(&Bytes::copy_from_slice(bytes), 1 << 16)?;
        Ok(fields.into_iter().map(|field| (text(field.name), text(field.value))).collect())
    }

    fn one(name: &str, value: &str) -> Result<Vec<(String, String)>, Failure> {
        Ok(vec![(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn the_example_without_a_dynamic_table_is_decoded() {
        // RFC 9204 B.1.
        assert_eq!(decode(b"\x00\x00\x51\x0b/index.html"), one(":path", "/index.html"));
    }

    #[test]
    fn the_examples_with_a_dynamic_table_are_refused() {
        // RFC 9204 B.2, B.4.
        assert_eq!(decode(b"\x03\x81\x10\x11"), Err(Failure::Invalid));
        assert_eq!(decode(b"\x05\x00\x80\xc1\x81"), Err(Failure::Invalid));
    }

    #[test]
    fn every_kind_of_line_is_decoded() {
        assert_eq!(decode(b"\x00\x00\xd1"), one(":method", "GET"));
        assert_eq!(decode(b"\x00\x00\xff\x23"), one("x-frame-options", "sameorigin"), "98");
        assert_eq!(decode(b"\x00\x00\x23abc\x02de"), one("abc", "de"));
        assert_eq!(decode(b"\x00\x00\x33abc\x00"), one("abc", ""), "never indexed");
        assert_eq!(decode(b"\x00\x00\x71\x01/"), one(":path", "/"), "never indexed");
        assert_eq!(
            decode(b"\x00\x00\x2f\x01\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf"),
            one("custom-key", "custom-value"),
        );
    }

    #[test]
    fn what_refers_to_the_dynamic_table_is_refused() {
        for line in [b"\x80".as_slice(), b"\x40\x00", b"\x10", b"\x00\x00", b"\xff\x80\x01"] {
            assert_eq!(decode(&[b"\x00\x00", line].concat()), Err(Failure::Invalid), "{line:?}");
        }
        assert_eq!(decode(b"\x00\x80"), Err(Failure::Invalid), "a negative base");
        assert_eq!(decode(b"\x00"), Err(Failure::Invalid));
        assert_eq!(decode(b""), Err(Failure::Invalid));
    }

    #[test]
    fn the_limit_counts_thirty_two_bytes_a_field() {
        let bytes = Bytes::from_static(b"\x00\x00\xd1\x23abc\x02de");
        let size = 32 + 7 + 3 + 32 + 3 + 2;
        assert!(section(&bytes, size).is_ok());
        assert_eq!(section(&bytes, size - 1), Err(Failure::TooLarge));
        assert_eq!(section(&bytes, 0), Err(Failure::TooLarge));
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_are_decoded_or_refused_within_the_limit(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            limit in 0..2000_u64,
        ) {
            let bytes = [b"\x00\x00".as_slice(), &bytes].concat();
            if let Ok(fields) = section(&Bytes::from(bytes), limit) {
                let size: usize =
                    fields.iter().map(|field| 32 + field.name.len() + field.value.len()).sum();
                prop_assert!(size as u64 <= limit);
            }
        }
    }
}
