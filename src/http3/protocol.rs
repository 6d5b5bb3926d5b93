//! The `:protocol` of an extended CONNECT (RFC 8441 4, RFC 9220 3).

/// What a client asks to be spoken on the stream, for example `websocket`. A request that has one is
/// an extended CONNECT; it is in the request's extensions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Protocol(Box<str>);

impl Protocol {
    /// Its name as it was sent; it is not empty and has visible ASCII characters alone.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        good.then(|| Self(text.into()))
    }
}
