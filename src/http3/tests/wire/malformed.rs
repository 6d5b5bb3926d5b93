//! What a client may not do, and what becomes of it.

use tidegate_http3::{Error, code};

use crate::raw::{CONNECT, Client, GET, frame, headers};
use crate::server::{Seen, start};

#[tokio::test]
async fn a_malformed_request_ends_its_stream_alone() {
    let mut server = start();
    let client = Client::new(&server).await;
    let mut upper = GET.to_vec();
    upper.push(("X-Upper", "1"));
    let mut connection = GET.to_vec();
    connection.push(("connection", "close"));
    for fields in [upper, connection, GET[1..].to_vec(), [&GET[..], &GET[..1]].concat()] {
        let mut stream = client.stream(&headers(&fields)).await;
        assert_eq!(stream.frame().await, Err(code::H3_MESSAGE_ERROR));
        assert_eq!(stream.stopped().await, Some(code::H3_MESSAGE_ERROR));
        assert!(matches!(server.next().await, Seen::Refused(code::H3_MESSAGE_ERROR)));
    }
    let mut stream = client.stream(&headers(&GET)).await;
    stream.send.finish().unwrap();
    assert_eq!(stream.frame().await.unwrap().0, 1, "the connection lives");
}

#[tokio::test]
async fn a_body_must_have_the_length_that_was_said() {
    let mut server = start();
    let client = Client::new(&server).await;
    let head = headers(&[&GET[..], &[("content-length", "5")]].concat());
    for (body, good) in [(&b"1234"[..], false), (b"123456", false), (b"12345", true), (b"", false)]
    {
        let mut stream = client.stream(&[&head[..], &frame(0, body)].concat()).await;
        stream.send.finish().unwrap();
        if good {
            assert_eq!(stream.frame().await.unwrap().0, 1);
            assert_eq!(stream.frame().await.unwrap(), (0, body.to_vec()));
            continue;
        }
        match server.next().await {
            Seen::Failed(error) => assert_eq!(error.code(), code::H3_MESSAGE_ERROR),
            other => panic!("{other:?}"),
        }
        // The head of the answer may have gone before.
        while stream.frame().await.is_ok() {}
    }
}

#[tokio::test]
async fn a_request_that_is_cut_off_is_not_answered() {
    let mut server = start();
    let client = Client::new(&server).await;
    // A frame that nobody knows, and nothing else.
    let mut stream = client.stream(&frame(0x21, b"abc")).await;
    stream.send.finish().unwrap();
    assert!(matches!(server.next().await, Seen::Refused(code::H3_REQUEST_INCOMPLETE)));
    assert_eq!(stream.frame().await, Err(code::H3_REQUEST_INCOMPLETE));

    let mut stream = client.stream(&headers(&GET)[..5]).await;
    stream.send.reset(0x10c_u32.into()).unwrap();
    assert!(matches!(server.next().await, Seen::Refused(code::H3_REQUEST_CANCELLED)));
}

#[tokio::test]
async fn what_no_request_stream_may_have_ends_the_connection() {
    let head = headers(&GET);
    let trailers = headers(&[("x", "1")]);
    for (bytes, expected) in [
        (frame(0, b"a"), code::H3_FRAME_UNEXPECTED),
        (frame(4, b""), code::H3_FRAME_UNEXPECTED),
        (frame(5, b""), code::H3_FRAME_UNEXPECTED),
        (frame(7, &[0]), code::H3_FRAME_UNEXPECTED),
        (frame(6, b""), code::H3_FRAME_UNEXPECTED),
        ([&head[..], &frame(13, &[0])].concat(), code::H3_FRAME_UNEXPECTED),
        ([&head[..], &trailers, &frame(0, b"a")].concat(), code::H3_FRAME_UNEXPECTED),
        ([&head[..], &trailers, &trailers].concat(), code::H3_FRAME_UNEXPECTED),
        (frame(1, &[1, 0]), code::QPACK_DECOMPRESSION_FAILED),
        (frame(1, &[0, 0, 0x80]), code::QPACK_DECOMPRESSION_FAILED),
        (frame(1, &[]), code::QPACK_DECOMPRESSION_FAILED),
        ([&head[..], &frame(1, &[0, 0, 0x81])].concat(), code::QPACK_DECOMPRESSION_FAILED),
        (head[..5].to_vec(), code::H3_FRAME_ERROR),
        ([&head[..], &[0, 9, 1]].concat(), code::H3_FRAME_ERROR),
    ] {
        let mut server = start();
        let client = Client::new(&server).await;
        let mut stream = client.stream(&bytes).await;
        let _ = stream.send.finish();
        assert_eq!(client.closed().await, expected, "{bytes:?}");
        over(&mut server, expected).await;
    }
}

/// The connection was given up for this, and whoever accepts is told.
async fn over(server: &mut crate::server::Server, expected: u64) {
    loop {
        if let Seen::Over(over) = server.next().await {
            match over {
                Err(Error::Protocol(violation)) => assert_eq!(violation.code, expected),
                other => panic!("{other:?}"),
            }
            return;
        }
    }
}

#[tokio::test]
async fn what_no_unidirectional_stream_may_have_ends_the_connection() {
    let second = [&[0][..], &frame(4, b"")].concat();
    for (bytes, expected) in [
        (second, code::H3_STREAM_CREATION_ERROR),
        (vec![1, 0], code::H3_STREAM_CREATION_ERROR),
        (vec![2, 0x3f, 0xbd, 0x01], code::QPACK_ENCODER_STREAM_ERROR),
        (vec![3, 0x84], code::QPACK_DECODER_STREAM_ERROR),
    ] {
        let mut server = start();
        let client = Client::new(&server).await;
        let _stream = client.uni(&bytes).await;
        assert_eq!(client.closed().await, expected, "{bytes:?}");
        over(&mut server, expected).await;
    }
}

#[tokio::test]
async fn streams_that_have_to_stay_may_not_end() {
    for kind in [0_u8, 2, 3] {
        let server = start();
        let mut client = Client::new(&server).await;
        if kind == 0 {
            client.control.finish().unwrap();
        } else {
            client.uni(&[kind]).await.finish().unwrap();
        }
        assert_eq!(client.closed().await, code::H3_CLOSED_CRITICAL_STREAM);
    }
}

#[tokio::test]
async fn the_control_stream_begins_with_settings() {
    let server = start();
    let quic = server.connect().await;
    let mut control = quic.open_uni().await.unwrap();
    control.write_all(&[0, 7, 1, 0]).await.unwrap();
    let client = Client { quic, control };
    assert_eq!(client.closed().await, code::H3_MISSING_SETTINGS);
}

#[tokio::test]
async fn streams_that_nobody_knows_are_stopped_and_do_no_harm() {
    let server = start();
    let client = Client::new(&server).await;
    let mut kept = Vec::new();
    for _ in 0..40 {
        // One that says nothing, one that ends before it said anything, one of no known type.
        kept.push(client.uni(b"\xc0").await);
        client.uni(b"").await.finish().unwrap();
        let mut unknown = client.uni(&[0x21, 1, 2, 3]).await;
        if kept.len() < 10 {
            let code = crate::server::soon(unknown.stopped()).await.unwrap().unwrap();
            assert_eq!(code.into_inner(), code::H3_STREAM_CREATION_ERROR);
        }
        let _ = unknown.finish();
        if kept.len() > 12 {
            kept.remove(0);
        }
    }
    let mut stream = client.stream(&headers(&GET)).await;
    stream.send.finish().unwrap();
    assert_eq!(stream.frame().await.unwrap().0, 1);
}

#[tokio::test]
async fn bytes_of_any_kind_on_any_stream_do_no_more_than_end_the_connection() {
    let mut server = start();
    let mut random = 1_u64;
    let mut next = move |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % below
    };
    for _ in 0..150 {
        let client = Client::new(&server).await;
        for _ in 0..4 {
            let mut bytes = match next(4) {
                0 => headers(&GET),
                1 => headers(&CONNECT),
                2 => frame(0x21, b"abc"),
                _ => vec![],
            };
            let length = next(40);
            bytes.extend((0..length).map(|_| next(if length % 2 == 0 { 256 } else { 5 }) as u8));
            // Any of these fails once the connection is closed.
            if next(3) == 0 {
                if let Ok(mut send) = client.quic.open_uni().await {
                    let _ = send.write_all(&bytes).await;
                    let _ = if next(2) == 0 { send.finish() } else { send.reset(7_u32.into()) };
                }
            } else if let Ok((mut send, _)) = client.quic.open_bi().await {
                let _ = send.write_all(&bytes).await;
                let _ = if next(2) == 0 { send.finish() } else { send.reset(7_u32.into()) };
            }
        }
        tokio::task::yield_now().await;
        client.quic.close((code::H3_NO_ERROR as u32).into(), b"");
        while !matches!(server.next().await, Seen::Over(_)) {}
    }
}
