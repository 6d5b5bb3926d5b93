//! The end of a connection that goes well.

use tidegate_http3::code;

use crate::raw::{Client, GET, headers};
use crate::server::{Seen, soon, start};

#[tokio::test]
async fn settings_come_first_and_offer_extended_connect() {
    let server = start();
    let client = Client::new(&server).await;
    let mut control = soon(client.quic.accept_uni()).await.unwrap();
    let mut bytes = [0; 14];
    soon(control.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(bytes, [0, 4, 11, 1, 0, 6, 0x80, 0, 0x80, 0, 7, 0, 8, 1]);
}

#[tokio::test]
async fn after_goaway_what_runs_is_finished_and_what_comes_is_refused() {
    let mut server = start();
    let client = Client::new(&server).await;
    let mut control = soon(client.quic.accept_uni()).await.unwrap();
    let mut runs = client.tunnel("/tunnel").await;
    let tunnel = server.tunnel().await;
    let mut posted = client.stream(&headers(&GET)).await;
    // Its head shows that it was accepted.
    posted.send.write_all(&[0, 1, b'a']).await.unwrap();
    assert_eq!(posted.frame().await.unwrap().0, 1);

    server.drain.notify_one();
    let mut bytes = [0; 17];
    soon(control.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(bytes[14..], [7, 1, 8], "the third stream is not handled");

    let mut late = client.stream(&headers(&GET)).await;
    assert_eq!(late.frame().await, Err(code::H3_REQUEST_REJECTED));

    posted.send.finish().unwrap();
    assert_eq!(posted.frame().await.unwrap(), (0, b"a".to_vec()));
    assert_eq!(posted.frame().await, Err(0));
    assert!(client.quic.close_reason().is_none(), "something runs");

    drop(tunnel);
    assert_eq!(runs.frame().await, Err(code::H3_REQUEST_CANCELLED));
    assert_eq!(client.closed().await, code::H3_NO_ERROR);
    assert!(matches!(server.next().await, Seen::Over(Ok(()))));
}

#[tokio::test]
async fn a_client_that_does_nothing_hears_of_the_end_before_it() {
    let mut server = start();
    let client = Client::new(&server).await;
    let mut control = soon(client.quic.accept_uni()).await.unwrap();
    let mut bytes = [0; 14];
    soon(control.read_exact(&mut bytes)).await.unwrap();
    server.drain.notify_one();
    let mut bytes = [0; 3];
    soon(control.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(bytes, [7, 1, 0]);
    assert_eq!(client.closed().await, code::H3_NO_ERROR);
    assert!(matches!(server.next().await, Seen::Over(Ok(()))));
}

#[tokio::test]
async fn the_connection_is_not_closed_before_the_client_has_the_responses() {
    let mut server = start();
    // The client's windows are small, so that most of the response waits for it.
    let client = Client::over(server.connect_with(10_000).await).await;
    let mut fields = GET;
    fields[3].1 = "/bytes/200000";
    let mut stream = client.stream(&headers(&fields)).await;
    stream.send.finish().unwrap();
    assert_eq!(stream.frame().await.unwrap().0, 1);
    server.drain.notify_one();
    assert_eq!(stream.frame().await.unwrap().1.len(), 200_000);
    assert_eq!(stream.frame().await, Err(0));
    assert_eq!(client.closed().await, code::H3_NO_ERROR);
    assert!(matches!(server.next().await, Seen::Over(Ok(()))));
}

#[tokio::test]
async fn a_client_that_leaves_is_no_error() {
    let mut server = start();
    let client = Client::new(&server).await;
    let _stream = client.tunnel("/echo").await;
    client.quic.close((code::H3_NO_ERROR as u32).into(), b"");
    assert!(matches!(server.next().await, Seen::Over(Ok(()))));
    let client = Client::new(&server).await;
    let _stream = client.tunnel("/echo").await;
    client.quic.close((code::H3_INTERNAL_ERROR as u32).into(), b"");
    match server.next().await {
        Seen::Over(Err(error)) => assert_eq!(error.code(), code::H3_INTERNAL_ERROR),
        other => panic!("{other:?}"),
    }
}
