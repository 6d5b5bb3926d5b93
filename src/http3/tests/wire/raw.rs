//! A client that sends whatever it is told to.

use quinn::{RecvStream, SendStream};

use crate::server::{Server, soon};

pub(crate) struct Client {
    pub(crate) quic: quinn::Connection,
    /// Kept open: the end of the control stream is an error.
    pub(crate) control: SendStream,
}

pub(crate) struct Stream {
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
}

pub(crate) const CONNECT: [(&str, &str); 5] = [
    (":method", "CONNECT"),
    (":scheme", "https"),
    (":authority", "localhost"),
    (":path", "/tunnel"),
    (":protocol", "websocket"),
];

pub(crate) const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/")];

pub(crate) fn varint(value: usize) -> Vec<u8> {
    match value {
        0..0x40 => vec![value as u8],
        0x40..0x4000 => (0x4000 | value as u16).to_be_bytes().to_vec(),
        _ => (0x8000_0000 | value as u32).to_be_bytes().to_vec(),
    }
}

pub(crate) fn frame(kind: usize, payload: &[u8]) -> Vec<u8> {
    [&varint(kind), &varint(payload.len()), payload].concat()
}

fn string(first: u8, bits: u32, string: &[u8], out: &mut Vec<u8>) {
    let mask = (1 << bits) - 1;
    let mut length = string.len();
    if length < mask {
        out.push(first | length as u8);
    } else {
        out.push(first | mask as u8);
        length -= mask;
        while length >= 0x80 {
            out.push(length as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
    }
    out.extend_from_slice(string);
}

/// A HEADERS frame of nothing but literals.
pub(crate) fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    for (name, value) in fields {
        string(0x20, 3, name.as_bytes(), &mut section);
        string(0, 7, value.as_bytes(), &mut section);
    }
    frame(1, &section)
}

impl Client {
    pub(crate) async fn new(server: &Server) -> Self {
        Self::over(server.connect().await).await
    }

    pub(crate) async fn over(quic: quinn::Connection) -> Self {
        let mut control = quic.open_uni().await.unwrap();
        control.write_all(&[&[0][..], &frame(4, &[])].concat()).await.unwrap();
        Self { quic, control }
    }

    /// A request stream that begins with these bytes.
    pub(crate) async fn stream(&self, bytes: &[u8]) -> Stream {
        let (mut send, recv) = self.quic.open_bi().await.unwrap();
        send.write_all(bytes).await.unwrap();
        Stream { send, recv }
    }

    /// A unidirectional stream of these bytes.
    pub(crate) async fn uni(&self, bytes: &[u8]) -> SendStream {
        let mut send = self.quic.open_uni().await.unwrap();
        // It may be stopped while this is written.
        let _ = send.write_all(bytes).await;
        send
    }

    /// A stream on which a tunnel has been opened.
    pub(crate) async fn tunnel(&self, path: &str) -> Stream {
        let mut fields = CONNECT;
        fields[3].1 = path;
        let mut stream = self.stream(&headers(&fields)).await;
        assert_eq!(stream.frame().await.unwrap(), (1, vec![0, 0, 0xd9]), "not 200");
        stream
    }

    /// The code that the server closes the connection with.
    pub(crate) async fn closed(&self) -> u64 {
        match soon(self.quic.closed()).await {
            quinn::ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
            other => panic!("{other:?}"),
        }
    }
}

impl Stream {
    /// The next frame; the code if there is a reset instead.
    pub(crate) async fn frame(&mut self) -> Result<(usize, Vec<u8>), u64> {
        let kind = self.varint().await?;
        let length = self.varint().await?;
        let mut payload = vec![0; length];
        self.fill(&mut payload).await?;
        Ok((kind, payload))
    }

    async fn varint(&mut self) -> Result<usize, u64> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes[..1]).await?;
        let size = 1 << (bytes[0] >> 6);
        bytes[0] &= 0x3f;
        self.fill(&mut bytes[1..size]).await?;
        Ok(bytes[..size].iter().fold(0, |value, byte| value << 8 | usize::from(*byte)))
    }

    async fn fill(&mut self, bytes: &mut [u8]) -> Result<(), u64> {
        match soon(self.recv.read_exact(bytes)).await {
            Ok(()) => Ok(()),
            Err(quinn::ReadExactError::ReadError(quinn::ReadError::Reset(code))) => {
                Err(code.into_inner())
            }
            Err(quinn::ReadExactError::FinishedEarly(0)) => Err(0),
            other => panic!("{other:?}"),
        }
    }

    /// The code that the server stops the client with.
    pub(crate) async fn stopped(&self) -> Option<u64> {
        soon(self.send.stopped()).await.unwrap().map(quinn::VarInt::into_inner)
    }
}
