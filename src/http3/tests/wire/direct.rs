//! The interface itself: what its callers may do, and in which order.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use tidegate_http3::{Connection, Receiver, Sender, StreamError, code};

use crate::raw::{Client, GET, Stream, frame, headers};
use crate::server::{bare, soon};

/// A request that has come, and the client's end of it.
async fn request(connection: &mut Connection, client: &Client) -> (Stream, Receiver, Sender) {
    let stream = client.stream(&headers(&GET)).await;
    let incoming = soon(connection.accept()).await.unwrap().unwrap();
    let (_, receiver, sender) = soon(incoming.head()).await.unwrap();
    (stream, receiver, sender)
}

fn status(status: u16) -> Response<()> {
    Response::builder().status(status).body(()).unwrap()
}

#[tokio::test]
async fn a_sender_takes_nothing_out_of_order() {
    let server = bare();
    let (mut connection, quic) = server.pair().await;
    let client = Client::over(quic).await;
    let (mut stream, _receiver, mut sender) = request(&mut connection, &client).await;
    let out_of_order = |result| assert!(matches!(result, Err(StreamError::OutOfOrder(_))));
    let data = Bytes::from_static(b"a");

    out_of_order(sender.send_data(data.clone()));
    out_of_order(sender.send_trailers(HeaderMap::new()));
    out_of_order(poll_fn(|cx| sender.poll_finish(cx)).await);
    out_of_order(sender.start_response(status(101)));
    for _ in 0..8 {
        sender.start_response(status(103)).unwrap();
    }
    out_of_order(sender.start_response(status(103)));
    poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
    sender.start_response(status(200)).unwrap();
    out_of_order(sender.start_response(status(200)));
    sender.send_data(data.clone()).unwrap();
    out_of_order(sender.send_data(data.clone()));
    poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
    sender.send_data(Bytes::new()).unwrap();
    sender.send_data(data.clone()).unwrap();
    sender.send_trailers(HeaderMap::new()).unwrap();
    out_of_order(sender.send_data(data.clone()));
    for _ in 0..2 {
        poll_fn(|cx| sender.poll_finish(cx)).await.unwrap();
    }
    assert!(matches!(sender.send_data(data), Err(StreamError::Closed)));
    sender.reset(code::H3_INTERNAL_ERROR);

    for _ in 0..8 {
        assert_eq!(stream.frame().await.unwrap().0, 1);
    }
    for kind in [1, 0, 0, 1] {
        assert_eq!(stream.frame().await.unwrap().0, kind);
    }
    assert_eq!(stream.frame().await, Err(0), "an end that cannot be taken back");
}

#[tokio::test]
async fn what_is_dropped_is_ended_with_a_code_that_says_what_was_done() {
    let server = bare();
    let (mut connection, quic) = server.pair().await;
    let client = Client::over(quic).await;

    let mut stream = client.stream(&headers(&GET)).await;
    drop(soon(connection.accept()).await.unwrap().unwrap());
    assert_eq!(stream.frame().await, Err(code::H3_REQUEST_REJECTED));
    assert_eq!(stream.stopped().await, Some(code::H3_REQUEST_REJECTED));

    let (mut stream, receiver, mut sender) = request(&mut connection, &client).await;
    sender.start_response(status(200)).unwrap();
    drop((receiver, sender));
    assert_eq!(stream.frame().await, Err(code::H3_REQUEST_CANCELLED));
    assert_eq!(stream.stopped().await, Some(code::H3_NO_ERROR));

    let (mut stream, mut receiver, mut sender) = request(&mut connection, &client).await;
    sender.reset(code::H3_CONNECT_ERROR);
    receiver.stop(code::H3_CONNECT_ERROR);
    let closed = poll_fn(|cx| receiver.poll_data(cx)).await;
    assert!(matches!(closed, Some(Err(StreamError::Closed))));
    assert!(matches!(poll_fn(|cx| sender.poll_ready(cx)).await, Err(StreamError::Closed)));
    assert_eq!(stream.frame().await, Err(code::H3_CONNECT_ERROR));
    assert_eq!(stream.stopped().await, Some(code::H3_CONNECT_ERROR));
}

#[tokio::test]
async fn a_request_without_a_body_is_known_to_have_ended() {
    let server = bare();
    let (mut connection, quic) = server.pair().await;
    let client = Client::over(quic).await;
    let mut stream = client.stream(&headers(&GET)).await;
    stream.send.finish().unwrap();
    let incoming = soon(connection.accept()).await.unwrap().unwrap();
    // The end may come in a packet of its own.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (_, mut receiver, sender) = soon(incoming.head()).await.unwrap();
    assert!(receiver.is_ended());
    assert!(poll_fn(|cx| receiver.poll_data(cx)).await.is_none());
    assert!(poll_fn(|cx| receiver.poll_trailers(cx)).await.unwrap().is_none());
    drop((receiver, sender));
    assert_eq!(stream.stopped().await, None);
}

#[tokio::test]
async fn a_head_that_the_client_does_not_take_is_not_sent() {
    let server = bare();
    let (mut connection, quic) = server.pair().await;
    let mut control = quic.open_uni().await.unwrap();
    // MAX_FIELD_SECTION_SIZE of 100.
    control.write_all(&[&[0][..], &frame(4, &[6, 0x40, 100])].concat()).await.unwrap();
    let client = Client { quic, control };
    let (mut stream, _receiver, mut sender) = request(&mut connection, &client).await;
    // The control stream is read while requests are waited for.
    let _ = tokio::time::timeout(Duration::from_millis(50), connection.accept()).await;
    let large = Response::builder().header("x", "y".repeat(100)).body(()).unwrap();
    assert!(matches!(sender.start_response(large), Err(StreamError::TooLarge)));
    sender.start_response(status(502)).unwrap();
    poll_fn(|cx| sender.poll_finish(cx)).await.unwrap();
    assert_eq!(stream.frame().await.unwrap(), (1, b"\0\0\x5f\x09\x03502".to_vec()));
}

#[tokio::test]
async fn a_wait_for_requests_may_be_given_up_at_any_time() {
    let server = bare();
    let (mut connection, quic) = server.pair().await;
    let client = Client::over(quic).await;
    let asking = tokio::spawn(async move {
        let mut streams = Vec::new();
        for _ in 0..50 {
            let mut stream = client.stream(&headers(&GET)).await;
            stream.send.finish().unwrap();
            streams.push(stream);
        }
        for stream in &mut streams {
            assert_eq!(stream.frame().await.unwrap().0, 1);
        }
    });
    let mut answered = 0;
    let answering = async {
        while answered < 50 {
            let incoming = tokio::select! {
                biased;
                incoming = connection.accept() => incoming.unwrap().unwrap(),
                () = tokio::task::yield_now() => continue,
            };
            let (_, _, mut sender) = incoming.head().await.unwrap();
            sender.start_response(status(204)).unwrap();
            poll_fn(|cx| sender.poll_finish(cx)).await.unwrap();
            answered += 1;
        }
    };
    soon(answering).await;
    soon(asking).await.unwrap();
}
