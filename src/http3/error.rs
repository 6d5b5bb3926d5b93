//! What can go wrong, and the code that each error is told to the peer with.

use crate::code;
use crate::sender::Sender;

/// What a peer did against the protocol. It ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({code:#x})")]
pub struct Violation {
    /// The code that the connection is closed with (RFC 9114 8.1, RFC 9204 6).
    pub code: u64,
    /// What it was, in a few words.
    pub reason: &'static str,
}

impl Violation {
    pub(crate) fn new(code: u64, reason: &'static str) -> Self {
        Self { code, reason }
    }
}

/// The connection is over.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The peer broke the protocol; the connection has been closed with the violation's code.
    #[error("HTTP/3: {0}")]
    Protocol(#[from] Violation),
    /// QUIC ended it.
    #[error("QUIC: {0}")]
    Quic(#[from] quinn::ConnectionError),
}

impl Error {
    /// The code that the connection was closed with, by us or by the peer.
    pub fn code(&self) -> u64 {
        match self {
            Self::Protocol(violation) => violation.code,
            Self::Quic(quinn::ConnectionError::ApplicationClosed(close)) => {
                close.error_code.into_inner()
            }
            Self::Quic(_) => code::H3_INTERNAL_ERROR,
        }
    }
}

/// One half of a request's stream is over.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StreamError {
    /// The peer has reset its half, with this code.
    #[error("the peer reset the stream ({0:#x})")]
    Reset(u64),
    /// The peer does not read our half any more, and said so with this code.
    #[error("the peer stopped the stream ({0:#x})")]
    Stopped(u64),
    /// The message is malformed (RFC 9114 4.1.2). The half it came by has been stopped; the other
    /// one is for the caller to [reset](Sender::reset) with this error's code.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// A field section is over its limit: the peer's trailers over ours, or ours over the peer's.
    #[error("the field section is too large")]
    TooLarge,
    /// The caller called what cannot be called in this state: nothing has been sent.
    #[error("out of order: {0}")]
    OutOfOrder(&'static str),
    /// This half was ended by the caller before.
    #[error("the stream is closed")]
    Closed,
    /// The connection is over.
    #[error(transparent)]
    Connection(#[from] Error),
}

impl StreamError {
    /// The code that fits the end of the stream because of this error, or that the peer gave.
    pub fn code(&self) -> u64 {
        match self {
            Self::Reset(code) | Self::Stopped(code) => *code,
            Self::Malformed(_) => code::H3_MESSAGE_ERROR,
            Self::TooLarge => code::H3_EXCESSIVE_LOAD,
            Self::OutOfOrder(_) => code::H3_INTERNAL_ERROR,
            Self::Closed => code::H3_REQUEST_CANCELLED,
            Self::Connection(error) => error.code(),
        }
    }
}

/// A stream that did not become a request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The request is malformed (RFC 9114 4.1.2). Both halves of its stream have been ended with
    /// H3_MESSAGE_ERROR.
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    /// The head is over the limit; its answer is a 431, which may be sent by what is here.
    #[error("the head of the request is too large")]
    TooLarge(Box<Sender>),
    /// The peer ended the stream before the head. Both halves have been ended with
    /// H3_REQUEST_INCOMPLETE.
    #[error("the stream ended before the head of a request")]
    Incomplete,
    /// The stream or the connection failed.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

impl RequestError {
    /// The code that the stream ended with.
    pub fn code(&self) -> u64 {
        match self {
            Self::Malformed(_) => code::H3_MESSAGE_ERROR,
            Self::TooLarge(_) => code::H3_NO_ERROR,
            Self::Incomplete => code::H3_REQUEST_INCOMPLETE,
            Self::Stream(error) => error.code(),
        }
    }
}
