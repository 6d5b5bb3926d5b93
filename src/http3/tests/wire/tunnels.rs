//! WebSocket over HTTP/3, as bytes both ways.

use std::io::ErrorKind;
use std::time::Duration;

use tidegate_http3::code;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::raw::{Client, frame, headers};
use crate::server::{soon, start};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn sixty_four_mebibytes_pass_both_ways() {
    let server = start();
    let client = Client::new(&server).await;
    let stream = client.tunnel("/echo").await;
    let (mut send, mut recv) = (stream.send, stream.recv);
    let writer = tokio::spawn(async move {
        let mut piece = vec![0; 100_000];
        let mut sent = 0;
        while sent < 64 * MIB {
            let length = piece.len().min(64 * MIB - sent);
            for (place, byte) in piece.iter_mut().enumerate() {
                *byte = ((sent + place) % 251) as u8;
            }
            send.write_all(&frame(0, &piece[..length])).await.unwrap();
            sent += length;
        }
        send.finish().unwrap();
        send
    });
    let mut got = 0;
    let mut payload = vec![0; 16 * 1024];
    let mut head = [0; 4];
    loop {
        // Frames are read by hand to be quick: a type of one byte, and a length of up to four.
        match recv.read_exact(&mut head[..2]).await {
            Ok(()) => {}
            Err(quinn::ReadExactError::FinishedEarly(0)) => break,
            Err(error) => panic!("{error}"),
        }
        assert_eq!(head[0], 0, "not DATA");
        let size = 1 << (head[1] >> 6);
        recv.read_exact(&mut head[2..size + 1]).await.unwrap();
        let length = (head[2..size + 1])
            .iter()
            .fold(usize::from(head[1] & 0x3f), |length, byte| length << 8 | usize::from(*byte));
        assert!(length <= 16 * 1024, "a frame of {length}");
        let piece = &mut payload[..length];
        recv.read_exact(piece).await.unwrap();
        let good = piece.iter().enumerate().all(|(n, byte)| *byte == ((got + n) % 251) as u8);
        assert!(good, "wrong bytes at {got}");
        got += length;
    }
    assert_eq!(got, 64 * MIB);
    soon(writer).await.unwrap();
}

#[tokio::test]
async fn a_reader_that_does_not_read_stops_the_writer() {
    let mut server = start();
    let client = Client::over(server.connect_with(50_000).await).await;
    let mut stream = client.tunnel("/tunnel").await;
    let mut tunnel = server.tunnel().await;

    // Ours to the client: its window, what QUIC sends ahead of it, and a frame.
    let mut written = 0;
    let pause = Duration::from_millis(300);
    while let Ok(size) = tokio::time::timeout(pause, tunnel.write(&[1; 10_000])).await {
        written += size.unwrap();
        assert!(written < 2 * MIB, "nothing stops it");
    }
    assert!(written >= 50_000);
    let read = async {
        let mut read = 0;
        while read < written {
            read += match stream.frame().await.unwrap() {
                (0, data) => data.len(),
                other => panic!("{other:?}"),
            };
        }
    };
    let (flushed, ()) = soon(async { tokio::join!(tunnel.flush(), read) }).await;
    flushed.unwrap();
    soon(tunnel.write_all(&[2; 10])).await.unwrap();
    soon(tunnel.flush()).await.unwrap();
    assert_eq!(stream.frame().await.unwrap(), (0, vec![2; 10]));

    // The client's to us: our window.
    let data = frame(0, &[3; 10_000]);
    let mut sent = 0;
    while tokio::time::timeout(pause, stream.send.write_all(&data)).await.is_ok() {
        sent += 10_000;
        assert!(sent < 2 * MIB, "nothing stops it");
    }
    let mut buffer = vec![0; sent];
    soon(tunnel.read_exact(&mut buffer)).await.unwrap();
    assert!(buffer.iter().all(|byte| *byte == 3));
}

#[tokio::test]
async fn either_half_may_end_first() {
    let mut server = start();
    let client = Client::new(&server).await;

    let mut stream = client.tunnel("/tunnel").await;
    let mut tunnel = server.tunnel().await;
    stream.send.write_all(&frame(0, b"bye")).await.unwrap();
    stream.send.finish().unwrap();
    let mut got = Vec::new();
    soon(tunnel.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, b"bye");
    tunnel.write_all(b"still here").await.unwrap();
    tunnel.shutdown().await.unwrap();
    assert_eq!(stream.frame().await.unwrap(), (0, b"still here".to_vec()));
    assert_eq!(stream.frame().await, Err(0));
    drop(tunnel);
    assert_eq!(stream.stopped().await, None, "what ended well is not stopped");

    let mut stream = client.tunnel("/tunnel").await;
    let mut tunnel = server.tunnel().await;
    tunnel.write_all(b"bye").await.unwrap();
    tunnel.shutdown().await.unwrap();
    assert_eq!(stream.frame().await.unwrap(), (0, b"bye".to_vec()));
    assert_eq!(stream.frame().await, Err(0));
    stream.send.write_all(&frame(0, b"still here")).await.unwrap();
    let mut got = [0; 10];
    soon(tunnel.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"still here");
    drop(tunnel);
    assert_eq!(stream.stopped().await, Some(code::H3_REQUEST_CANCELLED));
}

#[tokio::test]
async fn a_reset_is_an_error_whatever_its_code() {
    let mut server = start();
    let client = Client::new(&server).await;
    for code in [code::H3_NO_ERROR, code::H3_REQUEST_CANCELLED, code::H3_INTERNAL_ERROR] {
        let mut stream = client.tunnel("/tunnel").await;
        let mut tunnel = server.tunnel().await;
        stream.send.write_all(&frame(0, b"a")).await.unwrap();
        assert_eq!(soon(tunnel.read_u8()).await.unwrap(), b'a');
        stream.send.reset((code as u32).into()).unwrap();
        for _ in 0..2 {
            let error = soon(tunnel.read_u8()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    }
}

#[tokio::test]
async fn a_tunnel_that_is_dropped_is_reset_and_stopped() {
    let mut server = start();
    let client = Client::new(&server).await;
    let mut stream = client.tunnel("/tunnel").await;
    drop(server.tunnel().await);
    assert_eq!(stream.frame().await, Err(code::H3_REQUEST_CANCELLED));
    assert_eq!(stream.stopped().await, Some(code::H3_REQUEST_CANCELLED));
}

#[tokio::test]
async fn a_client_that_does_not_read_on_is_an_error_of_the_writer() {
    let mut server = start();
    let client = Client::new(&server).await;
    let mut stream = client.tunnel("/tunnel").await;
    let mut tunnel = server.tunnel().await;
    stream.recv.stop((code::H3_REQUEST_CANCELLED as u32).into()).unwrap();
    let error = soon(async {
        loop {
            if let Err(error) = tunnel.write_all(&[0; 1000]).await {
                break error;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(error.await.kind(), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_tunnel_has_no_trailers() {
    let mut server = start();
    let client = Client::new(&server).await;
    let mut stream = client.tunnel("/tunnel").await;
    let mut tunnel = server.tunnel().await;
    stream.send.write_all(&headers(&[("x", "1")])).await.unwrap();
    let error = soon(tunnel.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    assert_eq!(client.closed().await, code::H3_FRAME_UNEXPECTED);
}
