//! Field sections out: fields to bytes (RFC 9204 4.5), by the static table and without Huffman.

use bytes::{Bytes, BytesMut};

use crate::qpack::{OVERHEAD, integer, table};

/// A field section that is being made.
#[derive(Debug)]
pub(crate) struct Section {
    out: BytesMut,
    size: u64,
}

impl Section {
    pub(crate) fn new() -> Self {
        let mut out = BytesMut::with_capacity(256);
        // No insert is required, and the base is zero (RFC 9204 4.5.1).
        out.extend_from_slice(&[0, 0]);
        Self { out, size: 0 }
    }

    /// Adds a field. A `sensitive` one is marked as not to be indexed by anybody (RFC 9204 7.1).
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8], sensitive: bool) {
        self.size += OVERHEAD + name.len() as u64 + value.len() as u64;
        let never = if sensitive { 1 } else { 0 };
        match table::find(name, value) {
            Some((index, true)) if !sensitive => integer::put(0xc0, 6, index, &mut self.out),
            Some((index, _)) => {
                integer::put(0x50 | never << 5, 4, index, &mut self.out);
                integer::put_string(0, 7, value, &mut self.out);
            }
            None => {
                integer::put_string(0x20 | never << 4, 3, name, &mut self.out);
                integer::put_string(0, 7, value, &mut self.out);
            }
        }
    }

    /// What the section counts towards MAX_FIELD_SECTION_SIZE, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn finish(self) -> Bytes {
        self.out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::qpack::decode;

    fn encode(name: &str, value: &str, sensitive: bool) -> Bytes {
        let mut section = Section::new();
        section.add(name.as_bytes(), value.as_bytes(), sensitive);
        section.finish()
    }

    #[test]
    fn the_shortest_form_there_is_is_taken() {
        assert_eq!(encode(":status", "200", false), &b"\x00\x00\xd9"[..]);
        assert_eq!(encode(":status", "201", false), &b"\x00\x00\x5f\x09\x03201"[..]);
        assert_eq!(encode("abc", "de", false), &b"\x00\x00\x23abc\x02de"[..]);
        // RFC 9204 B.1.
        assert_eq!(encode(":path", "/index.html", false), &b"\x00\x00\x51\x0b/index.html"[..]);
    }

    #[test]
    fn a_sensitive_field_is_never_indexed() {
        assert_eq!(encode("abc", "de", true), &b"\x00\x00\x33abc\x02de"[..]);
        assert_eq!(encode("set-cookie", "a", true), &b"\x00\x00\x7e\x01a"[..]);
        assert_eq!(encode(":status", "200", true), &b"\x00\x00\x7f\x0a\x03200"[..]);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            own in proptest::collection::vec(("[a-z-]{1,300}", ".{0,300}"), 0..10),
            fixed in proptest::collection::vec((0..99_u64, ".{0,20}", any::<bool>()), 0..10),
            sensitive: bool,
        ) {
            let mut fields: Vec<(Vec<u8>, Vec<u8>)> =
                own.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            for (index, value, exact) in fixed {
                let (name, known) = table::get(index).unwrap();
                fields.push((name.to_vec(), if exact { known.to_vec() } else { value.into() }));
            }
            let mut section = Section::new();
            for (name, value) in &fields {
                section.add(name, value, sensitive);
            }
            let size = section.size();
            let bytes = section.finish();
            let decoded = decode::section(&bytes, size).unwrap();
            let decoded: Vec<_> =
                decoded.into_iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
            prop_assert_eq!(decoded, fields);
            prop_assert!(size == 0 || decode::section(&bytes, size - 1).is_err());
        }
    }
}
