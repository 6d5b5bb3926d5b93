//! The error codes of HTTP/3 (RFC 9114 8.1) and QPACK (RFC 9204 6).

/// The end of something that went well.
pub const H3_NO_ERROR: u64 = 0x100;
/// Something of ours went wrong.
pub const H3_INTERNAL_ERROR: u64 = 0x102;
/// A stream that the peer may not open.
pub const H3_STREAM_CREATION_ERROR: u64 = 0x103;
/// A stream that the connection cannot do without has ended.
pub const H3_CLOSED_CRITICAL_STREAM: u64 = 0x104;
/// A frame that is not allowed where it stands.
pub const H3_FRAME_UNEXPECTED: u64 = 0x105;
/// A frame whose layout or length is wrong.
pub const H3_FRAME_ERROR: u64 = 0x106;
/// The peer asks for more than it may.
pub const H3_EXCESSIVE_LOAD: u64 = 0x107;
/// An identifier that is not valid where it stands.
pub const H3_ID_ERROR: u64 = 0x108;
/// An error within SETTINGS.
pub const H3_SETTINGS_ERROR: u64 = 0x109;
/// The control stream does not begin with SETTINGS.
pub const H3_MISSING_SETTINGS: u64 = 0x10a;
/// A request that nothing was done for; it may be sent again.
pub const H3_REQUEST_REJECTED: u64 = 0x10b;
/// A request that is no longer wanted, or that is given up.
pub const H3_REQUEST_CANCELLED: u64 = 0x10c;
/// A request stream that ended before the request did.
pub const H3_REQUEST_INCOMPLETE: u64 = 0x10d;
/// A malformed message.
pub const H3_MESSAGE_ERROR: u64 = 0x10e;
/// The connection behind a CONNECT request was reset or closed with an error.
pub const H3_CONNECT_ERROR: u64 = 0x10f;
/// A field section that cannot be decoded.
pub const QPACK_DECOMPRESSION_FAILED: u64 = 0x200;
/// An instruction of the peer's encoder that is not valid.
pub const QPACK_ENCODER_STREAM_ERROR: u64 = 0x201;
/// An instruction of the peer's decoder that is not valid.
pub const QPACK_DECODER_STREAM_ERROR: u64 = 0x202;
