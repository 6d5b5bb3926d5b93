//! The Huffman code of header strings (RFC 7541 5.2 and appendix B). Only decoding: we send none.
//!
//! The code is canonical: the lengths of its words say what the words are. Both tables below come
//! from the lengths when this is compiled.

use crate::qpack::Failure;

/// The symbol that ends a string. It stands for no byte and must not occur (RFC 7541 5.2).
const END: u16 = 256;
const SYMBOLS: usize = 257;
/// Bits of the longest word.
const LONGEST: usize = 30;

/// Bits of the word of every byte, and of the end.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30, // the end of a string
];

/// The words of one length. Words are compared as if they were 32 bits long, filled with zeros.
#[derive(Clone, Copy)]
struct Words {
    first: u32,
    /// Beyond the last; the length has no word if it is `first`.
    end: u64,
    /// Where the symbol of the first word is in [`BY_WORD`].
    index: usize,
}

/// Symbols in the order of their words.
const BY_WORD: [u16; SYMBOLS] = {
    let mut symbols = [0; SYMBOLS];
    let mut at = 0;
    let mut length = 0;
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                symbols[at] = symbol as u16;
                at += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    symbols
};

/// The words of every length from 0.
const BY_LENGTH: [Words; LONGEST + 1] = {
    let mut table = [Words { first: 0, end: 0, index: 0 }; LONGEST + 1];
    let mut next = 0_u64;
    let mut index = 0;
    let mut length = 1;
    while length <= LONGEST {
        let first = next;
        let start = index;
        while index < SYMBOLS && LENGTHS[BY_WORD[index] as usize] as usize == length {
            next += 1 << (32 - length);
            index += 1;
        }
        table[length] = Words { first: first as u32, end: next, index: start };
        length += 1;
    }
    table
};

/// Decodes a string; if it is longer than `room`, it is [too large](Failure::TooLarge).
pub(crate) fn decode(input: &[u8], room: u64) -> Result<Vec<u8>, Failure> {
    // The shortest word has five bits.
    let most = (input.len() as u64).saturating_mul(8) / 5;
    let mut out = Vec::with_capacity(most.min(room) as usize);
    // The bits that are not decoded yet are the first `have` ones of `bits`.
    let mut bits = 0_u64;
    let mut have = 0_usize;
    let mut input = input.iter();
    loop {
        while have <= 56
            && let Some(byte) = input.next()
        {
            bits |= u64::from(*byte) << (56 - have);
            have += 8;
        }
        if have == 0 {
            return Ok(out);
        }
        // Behind the last bit everything is one: the padding is the beginning of the end's word.
        let ones = if have < 64 { u64::MAX >> have } else { 0 };
        let window = ((bits | ones) >> 32) as u32;
        let (symbol, length) = symbol(window).ok_or(Failure::Invalid)?;
        if length > have {
            // A word that is cut off. It is padding if it is short and nothing but ones.
            return if have < 8 && (bits | ones) == u64::MAX {
                Ok(out)
            } else {
                Err(Failure::Invalid)
            };
        }
        if symbol == END {
            return Err(Failure::Invalid);
        }
        if out.len() as u64 >= room {
            return Err(Failure::TooLarge);
        }
        out.push(symbol as u8);
        bits <<= length;
        have -= length;
    }
}

/// The symbol whose word `window` begins with, and the length of the word.
fn symbol(window: u32) -> Option<(u16, usize)> {
    let (length, words) =
        BY_LENGTH.iter().enumerate().skip(5).find(|(_, words)| u64::from(window) < words.end)?;
    let place = window.checked_sub(words.first)? >> (32 - length);
    Some((*BY_WORD.get(words.index + place as usize)?, length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOM: u64 = 1 << 20;

    #[test]
    fn the_examples_of_the_standard_are_decoded() {
        // RFC 7541 C.4 and C.6.
        let examples: [(&[u8], &str); 8] = [
            (b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff", "www.example.com"),
            (b"\xa8\xeb\x10\x64\x9c\xbf", "no-cache"),
            (b"\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f", "custom-key"),
            (b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf", "custom-value"),
            (b"\x64\x02", "302"),
            (b"\xae\xc3\x77\x1a\x4b", "private"),
            (
                b"\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff",
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
            (
                b"\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3",
                "https://www.example.com",
            ),
        ];
        for (bytes, string) in examples {
            assert_eq!(decode(bytes, ROOM).as_deref(), Ok(string.as_bytes()));
        }
    }

    #[test]
    fn padding_that_is_long_or_not_ones_is_refused() {
        assert_eq!(decode(b"", ROOM), Ok(vec![]));
        // "0" is 00000, and three bits follow.
        assert_eq!(decode(&[0b0000_0111], ROOM), Ok(b"0".to_vec()));
        for last in 0..7 {
            assert_eq!(decode(&[last], ROOM), Err(Failure::Invalid));
        }
        assert_eq!(decode(&[0b0000_0111, 0xff], ROOM), Err(Failure::Invalid));
        assert_eq!(decode(&[0xff], ROOM), Err(Failure::Invalid));
        assert_eq!(decode(&[0xff; 4], ROOM), Err(Failure::Invalid), "the end as a symbol");
    }

    #[test]
    fn a_string_that_is_longer_than_its_room_is_too_large() {
        let mut bytes = Vec::new();
        httlib_huffman::encode(b"0123456789", &mut bytes).unwrap();
        assert_eq!(decode(&bytes, 10).as_deref(), Ok(b"0123456789".as_slice()));
        assert_eq!(decode(&bytes, 9), Err(Failure::TooLarge));
    }

    proptest! {
        #[test]
        fn what_another_library_encodes_is_decoded(
            string in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut bytes = Vec::new();
            httlib_huffman::encode(&string, &mut bytes).unwrap();
            prop_assert_eq!(decode(&bytes, ROOM), Ok(string));
        }

        /// There is one encoding of every string, so what is decoded must encode to the same.
        #[test]
        fn what_can_be_decoded_is_what_another_library_encodes(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            if let Ok(string) = decode(&bytes, ROOM) {
                let mut again = Vec::new();
                httlib_huffman::encode(&string, &mut again).unwrap();
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
