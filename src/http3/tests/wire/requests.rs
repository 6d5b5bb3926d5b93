//! Plain requests by a client of others.

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Request, Response};
use tidegate_http3::Limits;

use crate::raw::{self, Client};
use crate::server::{Seen, Server, soon, start, start_with};

type SendRequest = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;

async fn client(server: &Server) -> SendRequest {
    let quic = h3_quinn::Connection::new(server.connect().await);
    let (mut driver, send) = h3::client::new(quic).await.unwrap();
    tokio::spawn(async move { driver.wait_idle().await });
    send
}

async fn exchange(
    mut client: SendRequest,
    request: Request<()>,
    body: Vec<Bytes>,
    trailers: Option<HeaderMap>,
) -> (Response<()>, Vec<u8>, Option<HeaderMap>) {
    let stream = soon(client.send_request(request)).await.unwrap();
    let (mut send, mut recv) = stream.split();
    let sending = async move {
        for piece in body {
            send.send_data(piece).await.unwrap();
        }
        if let Some(trailers) = trailers {
            send.send_trailers(trailers).await.unwrap();
        }
        send.finish().await.unwrap();
    };
    let receiving = async move {
        let head = recv.recv_response().await.unwrap();
        let mut body = Vec::new();
        while let Some(mut piece) = recv.recv_data().await.unwrap() {
            body.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
        }
        (head, body, recv.recv_trailers().await.unwrap())
    };
    soon(async { tokio::join!(sending, receiving).1 }).await
}

fn request(path: &str) -> http::request::Builder {
    Request::builder().uri(format!("https://localhost{path}"))
}

#[tokio::test]
async fn a_get_is_answered() {
    let server = start();
    let request = request("/a?b").header("x-copy", "1").header("x-copy", "2").body(()).unwrap();
    let (head, body, trailers) = exchange(client(&server).await, request, vec![], None).await;
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["x-path"], "/a");
    assert_eq!(head.headers().get_all("x-copy").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert!(!head.headers().contains_key("connection"));
    assert_eq!((body.len(), trailers), (0, None));
}

#[tokio::test]
async fn a_post_has_its_body_and_its_trailers() {
    let server = start();
    let body: Vec<Bytes> = (0..100_u8).map(|n| Bytes::from(vec![n; 20_000])).collect();
    let trailers: HeaderMap = [("x-sum", "7")]
        .into_iter()
        .map(|(n, v)| (n.parse::<http::HeaderName>().unwrap(), HeaderValue::from_static(v)))
        .collect();
    let request = request("/").method("POST").header("content-length", 2_000_000).body(()).unwrap();
    let client = client(&server).await;
    let (head, echo, theirs) =
        exchange(client, request, body.clone(), Some(trailers.clone())).await;
    assert_eq!(head.status(), 200);
    assert!(echo == body.concat());
    assert_eq!(theirs, Some(trailers));
}

#[tokio::test]
async fn hundreds_of_requests_run_at_once() {
    let server = start();
    let client = client(&server).await;
    let requests: Vec<_> = (0..500_usize)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                let body = Bytes::from(number.to_string().repeat(500));
                let request = request(&format!("/{number}")).method("POST").body(()).unwrap();
                let (head, echo, _) = exchange(client, request, vec![body.clone()], None).await;
                assert_eq!(head.headers()["x-path"], format!("/{number}"));
                assert_eq!(echo, body);
            })
        })
        .collect();
    for request in requests {
        request.await.unwrap();
    }
}

#[tokio::test]
async fn a_large_response_is_whole() {
    let server = start();
    let request = request("/bytes/5000000").body(()).unwrap();
    let (_, body, _) = exchange(client(&server).await, request, vec![], None).await;
    assert_eq!(body.len(), 5_000_000);
}

#[tokio::test]
async fn an_answer_may_come_before_the_body_is_read() {
    let server = start();
    let mut client = client(&server).await;
    let request = request("/early").method("POST").body(()).unwrap();
    let mut stream = client.send_request(request).await.unwrap();
    assert_eq!(soon(stream.recv_response()).await.unwrap().status(), 200);
    assert!(soon(stream.recv_data()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_unread_body_is_stopped_without_an_error() {
    let server = start();
    let client = Client::new(&server).await;
    let mut fields = raw::GET;
    fields[3].1 = "/early";
    let mut stream = client.stream(&raw::headers(&fields)).await;
    assert_eq!(stream.stopped().await, Some(0x100));
    assert_eq!(stream.frame().await.unwrap().0, 1);
    assert_eq!(stream.frame().await, Err(0), "the response is whole");
}

#[tokio::test]
async fn an_informational_head_comes_first() {
    let server = start();
    let client = Client::new(&server).await;
    let fields = [&raw::GET[..], &[("expect", "100-continue")]].concat();
    let mut stream = client.stream(&raw::headers(&fields)).await;
    // Index 63 of the static table.
    assert_eq!(stream.frame().await.unwrap(), (1, vec![0, 0, 0xff, 0]));
    stream.send.finish().unwrap();
    assert_eq!(stream.frame().await.unwrap().1[..3], [0, 0, 0xd9]);
    assert_eq!(stream.frame().await, Err(0));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered() {
    let server = start_with(Limits { max_field_section: 1000 });
    let quic = client(&server).await;
    // Within the frame's limit, but not when its fields are counted.
    let mut small = request("/");
    for _ in 0..25 {
        small = small.header("a", "b");
    }
    for request in [small, request("/").header("a", "b".repeat(2000))] {
        let mut client = quic.clone();
        // That client does not keep to our limit before it has our settings.
        match soon(client.send_request(request.body(()).unwrap())).await {
            Ok(mut stream) => {
                assert_eq!(soon(stream.recv_response()).await.unwrap().status(), 431);
            }
            Err(h3::error::StreamError::HeaderTooBig { max_size, .. }) => {
                assert_eq!(max_size, 1000);
            }
            Err(error) => panic!("{error}"),
        }
    }
    let client = Client::new(&server).await;
    let large = "b".repeat(2000);
    let many = vec![("a", "b"); 25];
    for more in [vec![("a", large.as_str())], many] {
        let mut stream = client.stream(&raw::headers(&[&raw::GET[..], &more].concat())).await;
        let (kind, section) = stream.frame().await.unwrap();
        assert_eq!((kind, &section[3..]), (1, &b"\x09\x03431"[..]));
        assert_eq!(stream.frame().await, Err(0));
    }
}

#[tokio::test]
async fn a_client_that_waits_no_longer_is_noticed() {
    let mut server = start();
    let client = Client::new(&server).await;
    let mut fields = raw::GET;
    fields[3].1 = "/wait";
    let mut stream = client.stream(&raw::headers(&fields)).await;
    stream.recv.stop(0x10c_u32.into()).unwrap();
    match server.next().await {
        Seen::Failed(error) => assert_eq!(error.code(), 0x10c),
        other => panic!("{other:?}"),
    }
}
