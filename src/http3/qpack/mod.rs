//! QPACK (RFC 9204) with the static table alone.
//!
//! We announce a dynamic table of no capacity, so a peer's field sections and instructions may not
//! use one, and ours do not.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod huffman;
pub(crate) mod instructions;
pub(crate) mod integer;
mod table;

/// Why a field section is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It is no field section, or one that needs a dynamic table: QPACK_DECOMPRESSION_FAILED.
    Invalid,
    /// It is over the limit.
    TooLarge,
}

/// What a field counts towards MAX_FIELD_SECTION_SIZE beside its name and value, in bytes
/// (RFC 9114 4.2.2).
pub(crate) const OVERHEAD: u64 = 32;
