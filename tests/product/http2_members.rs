//! `backendHttpVersion: Http2`: requests to members that speak HTTP/2, against a server that does
//! what members may do with streams and connections.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::gateway::{Gateway, Plan, until};
use crate::peers::{self, Io};
use crate::pools::{Pools, health};

/// A server of HTTP/2, and what it has seen.
#[derive(Clone)]
struct Member {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// Requests so far, probes not among them.
    requests: Arc<AtomicUsize>,
    /// Connections are told to go after every request.
    goes: Arc<AtomicBool>,
}

/// Serves requests with `answer`, which also gets their number. What asks for `/probe` is well.
async fn member<F>(
    certificate: Option<&(String, String)>,
    answer: impl Fn(usize, Request<RecvStream>, SendResponse<Bytes>) -> F + Clone + Send + 'static,
) -> Member
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let acceptor = certificate.map(|certificate| {
        let mut config = (*peers::server_config(certificate)).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    });
    let member = Member {
        address: listener.local_addr().unwrap(),
        connections: Arc::default(),
        requests: Arc::default(),
        goes: Arc::default(),
    };
    let own = member.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tcp.set_nodelay(true).unwrap();
            let (own, acceptor, answer) = (own.clone(), acceptor.clone(), answer.clone());
            tokio::spawn(async move {
                let io: Box<dyn Io> = match acceptor {
                    None => Box::new(tcp),
                    Some(acceptor) => match acceptor.accept(tcp).await {
                        Ok(tls) => Box::new(tls),
                        Err(_) => return,
                    },
                };
                let Ok(mut connection) = h2::server::handshake(io).await else { return };
                let mut is_counted = false;
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    if request.uri().path() == "/probe" {
                        let _ = respond.send_response(Response::new(()), true);
                        continue;
                    }
                    if !std::mem::replace(&mut is_counted, true) {
                        own.connections.fetch_add(1, Ordering::SeqCst);
                    }
                    let number = own.requests.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(answer(number, request, respond));
                    if own.goes.load(Ordering::SeqCst) {
                        connection.graceful_shutdown();
                    }
                }
            });
        }
    });
    member
}

/// Answers with the request as it came, its body, and a trailer.
async fn echo(_: usize, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let (head, mut body) = request.into_parts();
    let mut text = format!("{} {}\n", head.method, head.uri);
    let mut names: Vec<_> = head.headers.iter().collect();
    names.sort_by_key(|(name, _)| name.as_str().to_owned());
    for (name, value) in names {
        text += &format!("{name}: {}\n", value.to_str().unwrap());
    }
    text += "\n";
    let mut text = text.into_bytes();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        text.extend_from_slice(&data);
    }
    if let Ok(Some(trailers)) = body.trailers().await {
        for (name, value) in &trailers {
            text.extend_from_slice(
                format!("\ntrailer {name}: {}", value.to_str().unwrap()).as_bytes(),
            );
        }
    }
    let Ok(mut stream) = respond.send_response(Response::new(()), false) else { return };
    let mut rest = Bytes::from(text);
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        let Some(Ok(room)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else {
            return;
        };
        let part = rest.split_to(room.min(rest.len()));
        if stream.send_data(part, false).is_err() {
            return;
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-trailer", "yes".parse().unwrap());
    let _ = stream.send_trailers(trailers);
}

const PLAIN: &str = ", backendHttpVersion: Http2";

fn pools(members: &[&Member], more: &str) -> Pools {
    let members: Vec<SocketAddr> = members.iter().map(|member| member.address).collect();
    Pools::to(&members).with(|pools| {
        pools.settings = format!("{PLAIN}{more}");
        pools.probe = ", path: /probe".into();
    })
}

/// A client over HTTP/2, and what is needed to ask.
async fn client(gateway: &Gateway) -> h2::client::SendRequest<Bytes> {
    let io = peers::tls_h2(gateway.https(), &gateway.plan.certificate.0, "localhost").await;
    let (sender, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap()
}

fn plan(member: &Member, tls: Option<&(String, String)>) -> Plan {
    let plan = Plan::to(member.address).with(|plan| {
        plan.settings = PLAIN.into();
        plan.probe = ", path: /probe".into();
    });
    match tls {
        Some((certificate, _)) => plan.with_tls_members(certificate),
        None => plan,
    }
}

#[tokio::test]
async fn requests_of_every_version_reach_the_member_over_few_connections_with_trailers() {
    let certificate = peers::certificate(&["member.example"]);
    for tls in [None, Some(&certificate)] {
        let member = member(tls, echo).await;
        let gateway = Gateway::start(plan(&member, tls)).await;
        let authority = if tls.is_some() { "https://member.example" } else { "http://localhost" };
        for _ in 0..10 {
            let answer = peers::get(gateway.http(), "/a?b=c").await.unwrap();
            let text = String::from_utf8(answer.body).unwrap();
            assert_eq!(answer.status, 200);
            assert!(text.starts_with(&format!("GET {authority}/a?b=c\n")), "{text}");
            for field in [
                "x-forwarded-for: 127.0.0.1:",
                "x-original-host: localhost\n",
                "x-appgw-trace-id: ",
            ] {
                assert!(text.contains(field), "no {field} in {text}");
            }
            for field in ["connection:", "transfer-encoding:", "\nhost:"] {
                assert!(!text.contains(field), "{field} in {text}");
            }
        }
        // In chunks, with Expect: what is not known before is sent as it comes.
        let chunked = "POST /c HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let mut tcp = tokio::net::TcpStream::connect(gateway.http()).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut tcp, chunked.as_bytes()).await.unwrap();
        let mut text = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut tcp, &mut text).await.unwrap();
        assert!(text.contains("abcde") && text.contains(" 200 OK"), "{text}");

        // Both ways at once, more than any window, with trailers both ways.
        let mut sender = client(&gateway).await;
        let request = Request::post("https://localhost/big").header("te", "trailers").body(());
        let (response, mut stream) = sender.send_request(request.unwrap(), false).unwrap();
        let upload = tokio::spawn(async move {
            let mut rest = Bytes::from(vec![b'x'; 2_000_000]);
            while !rest.is_empty() {
                stream.reserve_capacity(rest.len());
                let room =
                    std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
                stream.send_data(rest.split_to(room.min(rest.len())), false).unwrap();
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sent", "all".parse().unwrap());
            stream.send_trailers(trailers).unwrap();
        });
        let mut body = response.await.unwrap().into_body();
        let mut text = Vec::new();
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            let _ = body.flow_control().release_capacity(data.len());
            text.extend_from_slice(&data);
        }
        upload.await.unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.bytes().filter(|byte| *byte == b'x').count() > 2_000_000);
        assert!(text.contains("\nte: trailers\n") && text.ends_with("\ntrailer x-sent: all"));
        assert_eq!(body.trailers().await.unwrap().unwrap()["x-trailer"], "yes");
        // At most one for each core.
        assert!(member.connections.load(Ordering::SeqCst) <= 2);
    }
}

async fn post(gateway: &Gateway, body: &'static str) -> peers::Answer {
    let request = Request::post("/").header("host", "localhost").body(Full::<Bytes>::from(body));
    peers::send(gateway.http(), request.unwrap()).await.unwrap()
}

#[tokio::test]
async fn what_a_member_refuses_to_look_at_is_sent_again_with_its_body() {
    let member = member(None, async |number, request, mut respond: SendResponse<Bytes>| {
        // On a connection that was used before, every second one.
        match number % 2 {
            1 => respond.send_reset(Reason::REFUSED_STREAM),
            _ => echo(number, request, respond).await,
        }
    })
    .await;
    let gateway = pools(&[&member], "").start().await;
    for _ in 0..10 {
        let answer = post(&gateway, "once").await;
        assert!(answer.status == 200 && answer.body.ends_with(b"\n\nonce"), "{}", answer.status);
    }
    assert!(member.requests.load(Ordering::SeqCst) > 10);
}

#[tokio::test]
async fn no_request_is_lost_when_connections_are_told_to_go() {
    let member = member(None, echo).await;
    member.goes.store(true, Ordering::SeqCst);
    let gateway = pools(&[&member], "").start().await;
    for _ in 0..50 {
        let answer = post(&gateway, "hello").await;
        assert!(answer.status == 200 && answer.body.ends_with(b"\n\nhello"), "{}", answer.status);
    }
    assert!(member.connections.load(Ordering::SeqCst) > 2);
}

#[tokio::test]
async fn a_reset_is_a_502_before_the_answer_and_passed_on_within_it() {
    let member =
        member(None, async |_, request: Request<RecvStream>, mut respond: SendResponse<Bytes>| {
            if request.uri().path() == "/at-once" {
                return respond.send_reset(Reason::INTERNAL_ERROR);
            }
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            stream.send_data("part".into(), false).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            stream.send_reset(Reason::ENHANCE_YOUR_CALM);
        })
        .await;
    let gateway = Gateway::start(plan(&member, None)).await;
    let before = member.requests.load(Ordering::SeqCst);
    assert_eq!(peers::get(gateway.http(), "/at-once").await.unwrap().status, 502);
    assert_eq!(member.requests.load(Ordering::SeqCst) - before, 1);
    let mut sender = client(&gateway).await;
    let request = Request::get("https://localhost/later").body(()).unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    let mut body = response.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "part");
    let error = body.data().await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn who_is_too_late_or_not_waited_for_any_more_is_told_and_the_others_go_on() {
    let cancelled = Arc::new(AtomicUsize::new(0));
    let count = cancelled.clone();
    let member = member(
        None,
        move |number, request: Request<RecvStream>, mut respond: SendResponse<Bytes>| {
            let count = count.clone();
            async move {
                if request.uri().path() != "/never" {
                    return echo(number, request, respond).await;
                }
                let reason = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
                if matches!(reason, Ok(Reason::CANCEL)) {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        },
    )
    .await;
    let gateway =
        Gateway::start(plan(&member, None).with(|plan| plan.settings += ", requestTimeout: 1"))
            .await;
    let mut sender = client(&gateway).await;
    let never = || Request::get("https://localhost/never").body(()).unwrap();
    let (late, _) = sender.send_request(never(), true).unwrap();
    let (dropped, mut stream) = sender.send_request(never(), true).unwrap();
    let other = Request::get("https://localhost/").body(()).unwrap();
    let (other, _) = sender.send_request(other, true).unwrap();
    assert_eq!(other.await.unwrap().status(), 200);
    stream.send_reset(Reason::CANCEL);
    drop(dropped);
    until("the member hears of the client that left", async || {
        cancelled.load(Ordering::SeqCst) >= 1
    })
    .await;
    assert_eq!(late.await.unwrap().status(), 504);
    until("the member hears of the deadline", async || cancelled.load(Ordering::SeqCst) == 2).await;
    assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 200);
    assert!(member.connections.load(Ordering::SeqCst) <= 2);
    let metrics = gateway.metrics().await;
    let in_flight = |line: &&str| line.starts_with("tidegate_member_requests_in_flight");
    assert!(metrics.lines().filter(in_flight).all(|line| line.ends_with(" 0")), "{metrics}");
}

#[tokio::test]
async fn a_member_that_leaves_has_its_time_to_end_what_it_began() {
    let member =
        member(None, async |_, _request: Request<RecvStream>, mut respond: SendResponse<Bytes>| {
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            // For ever, unless it is ended.
            while stream.send_data("more ".into(), false).is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        })
        .await;
    let more = ", connectionDraining: {enabled: true, drainTimeoutInSec: 2}";
    let pools = pools(&[&member], more);
    let gateway = pools.start().await;
    let mut tcp = tokio::net::TcpStream::connect(gateway.http()).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut tcp, request).await.unwrap();
    peers::read_to(&mut tcp, "more ").await;
    pools.with(|pools| pools.pools[0].1.clear()).apply(&gateway).await;
    let left = std::time::Instant::now();
    assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 502);
    // It goes on, and is then broken off.
    let mut buffer = [0; 1024];
    let mut bytes = 0;
    while let Ok(read @ 1..) = tokio::io::AsyncReadExt::read(&mut tcp, &mut buffer).await {
        bytes += read;
        assert!(left.elapsed() < crate::gateway::PATIENCE, "it never ends");
    }
    assert!(left.elapsed().as_millis() > 1500 && bytes > 50, "{:?} {bytes}", left.elapsed());
}

#[tokio::test]
async fn a_member_that_does_not_speak_http2_is_down_and_requests_are_answered_502() {
    let page = peers::health_page().await;
    let gateway =
        Pools::to(&[page]).with(|pools| pools.settings = PLAIN.into()).start_as_it_is().await;
    until("it is down", async || health(&gateway, page).await["state"] == "Down").await;
    let detail = health(&gateway, page).await["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("HTTP/2: "), "{detail}");
    assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 502);
}
