//! WebSocket frame by frame, on both ends of a tunnel that tests play themselves.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::peers::{Scripted, read_to};

pub const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
pub const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Both ends of a tunnel over a client's connection.
pub async fn switch(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    scripted: &Scripted,
) -> TcpStream {
    client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let mut member = scripted.accept().await;
    read_to(&mut member, "\r\n\r\n").await;
    member.write_all(ANSWER.as_bytes()).await.unwrap();
    read_to(client, "\r\n\r\n").await;
    member
}

pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// A frame as a client sends it, masked, or as a server does.
pub fn frame(opcode: u8, payload: &[u8], from_client: bool) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    let mask = if from_client { 0x80 } else { 0 };
    match payload.len() {
        length @ ..=125 => bytes.push(length as u8 | mask),
        length @ ..=0xffff => {
            bytes.push(126 | mask);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127 | mask);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    let key = [0x37, 0xfa, 0x21, 0x3d];
    if from_client {
        bytes.extend(key);
        bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    } else {
        bytes.extend(payload);
    }
    bytes
}

/// A Close frame with a code.
pub fn close(code: u16, from_client: bool) -> Vec<u8> {
    frame(CLOSE, &code.to_be_bytes(), from_client)
}

/// The next frame: its opcode and payload, unmasked; `None` at the end of the stream. A server must
/// get masked frames, and a client others.
pub async fn read_frame(
    io: &mut (impl AsyncRead + Unpin),
    from_client: bool,
) -> Option<(u8, Vec<u8>)> {
    let first = io.read_u8().await.ok()?;
    let second = io.read_u8().await.unwrap();
    assert_eq!(second & 0x80 != 0, from_client, "the mask is not where it has to be");
    let length = match second & 0x7f {
        126 => io.read_u16().await.unwrap().into(),
        127 => io.read_u64().await.unwrap(),
        short => short.into(),
    };
    let mut key = [0; 4];
    if from_client {
        io.read_exact(&mut key).await.unwrap();
    }
    let mut payload = vec![0; length as usize];
    io.read_exact(&mut payload).await.unwrap();
    payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    Some((first & 0x0f, payload))
}

/// The code of the Close frame that comes next.
pub async fn read_close(io: &mut (impl AsyncRead + Unpin), from_client: bool) -> u16 {
    let (opcode, payload) = read_frame(io, from_client).await.expect("a Close frame");
    assert_eq!(opcode, CLOSE, "{payload:?}");
    u16::from_be_bytes(payload[..2].try_into().unwrap())
}
