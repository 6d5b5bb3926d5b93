//! Limits in time, on a proxy that is started by hand with short ones.

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tidegate_model::{
    Action, Bodies, Frontend, Gateway, HostOverride, Leaf, Listener, LoadDistribution, Member,
    MemberHttp, MemberState, ObjectName, Pool, Probe, Protocol, Rule, Settings, Snapshot, Target,
};
use tidegate_proxy::{Handle, HealthState, Proxy, Timeouts};

/// Long enough to be told from nothing, and from the sweep's own step.
const SHORT: Duration = Duration::from_millis(600);
/// As good as never.
const LONG: Duration = Duration::from_secs(600);

/// A server that answers with what `answer` makes of the head of a request; `None` for silence.
fn back_end(answer: fn(&str) -> Option<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut tcp in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(read) = tcp.read(&mut buffer) {
                    let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
                    if read == 0 {
                        return;
                    }
                    if let Some(answer) = answer(&head) {
                        tcp.write_all(answer.as_bytes()).unwrap();
                    }
                }
            });
        }
    });
    address
}

fn well(_: &str) -> Option<&'static str> {
    Some("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
}

/// An address that nobody uses, below those that the kernel gives to outgoing connections, and
/// that no other test gets.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id() as u16);
        let address = SocketAddr::from(([127, 0, 0, 1], 30_000 + offset % 2_000));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A proxy in front of one member, which is up; and where it listens.
fn start(member: SocketAddr, timeouts: Timeouts) -> (Handle, SocketAddr) {
    let listen = free_address();
    let settings = Settings {
        name: "s".into(),
        port: member.port(),
        tls: None,
        request_timeout: LONG,
        drain_timeout: LONG,
        host: HostOverride::Keep,
        path: None,
        affinity: None,
        distribution: LoadDistribution::default(),
        http_version: MemberHttp::default(),
        dedicated_connections: false,
        outlier_ejection: None,
        slow_start: None,
        web_socket: Arc::default(),
        probe: Probe::default(),
    };
    let pool = Pool {
        name: "p".into(),
        members: vec![Member {
            address: member.ip(),
            port: None,
            fqdn: None,
            state: MemberState::Ready,
        }],
    };
    let target = Target { pool: Arc::new(pool), settings: Arc::new(settings) };
    let action = Action::Always(Leaf::Forward(Arc::new(target)).into());
    let listener = Listener {
        name: "l".into(),
        protocol: Protocol::Http,
        hosts: Vec::new(),
        tls: None,
        error_pages: None,
        rule: Rule { name: "r".into(), priority: None, guards: Vec::new(), action },
    };
    let frontend = Frontend::new(listen, listen.port(), vec![Arc::new(listener)]).unwrap();
    let name = ObjectName::new("default", "test");
    let frontends = vec![frontend];
    let bodies = Bodies::default();
    let gateway = Gateway { name, frontends, pools: Vec::new(), listeners: Vec::new(), bodies };
    let mut settings = tidegate_proxy::Settings::new(NonZeroUsize::MIN);
    settings.timeouts = timeouts;
    let proxy = Proxy::start(settings).unwrap();
    let applied = proxy.apply(Arc::new(Snapshot { gateways: vec![Arc::new(gateway)] })).unwrap();
    assert!(applied.changed && applied.bind_failures.is_empty());
    let up = || proxy.status().targets[0].members[0].health.state == HealthState::Up;
    let started = Instant::now();
    while !up() {
        assert!(started.elapsed() < Duration::from_secs(20), "the member is not up");
        std::thread::yield_now();
    }
    (proxy, listen)
}

/// All limits long but those that `change` sets.
fn timeouts(change: impl FnOnce(&mut Timeouts)) -> Timeouts {
    let mut timeouts = Timeouts {
        handshake: LONG,
        header_read: LONG,
        body_read: LONG,
        keep_alive: LONG,
        http2_idle: LONG,
        connect: LONG,
        member_keep_alive: LONG,
        close: LONG,
        half_closed: LONG,
        frontend_drain: LONG,
    };
    change(&mut timeouts);
    timeouts
}

/// What comes until the connection is closed, and how long that took.
fn read_all(tcp: &mut TcpStream) -> (String, Duration) {
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let started = Instant::now();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    // A reset is an end as well.
    while let Ok(read @ 1..) = tcp.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..read]);
    }
    assert!(started.elapsed() < Duration::from_secs(20), "it is not closed");
    (String::from_utf8_lossy(&bytes).into_owned(), started.elapsed())
}

/// A response with a body of two bytes.
fn read_answer(tcp: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\nok") {
        tcp.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn a_head_that_does_not_end_is_answered_with_408() {
    let (proxy, listen) = start(back_end(well), timeouts(|t| t.header_read = SHORT));
    for begun in ["", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        let mut client = TcpStream::connect(listen).unwrap();
        client.write_all(begun.as_bytes()).unwrap();
        let (answer, took) = read_all(&mut client);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{begun:?}: {answer:?}");
        assert!(took >= SHORT, "after {took:?}");
    }
    // The second head of a connection has no more time than the first.
    let mut client = TcpStream::connect(listen).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    read_answer(&mut client);
    client.write_all(b"GET /").unwrap();
    assert!(read_all(&mut client).0.starts_with("HTTP/1.1 408 "));
    // Both that began are counted; one that never said anything is none.
    let registry = prometheus::Registry::new();
    proxy.register_metrics(&registry).unwrap();
    let families = registry.gather();
    let failures = families.iter().find(|family| family.name() == "tidegate_failures_total");
    let is_stalled = |metric: &&prometheus::proto::Metric| {
        metric.get_label().iter().any(|label| label.value() == "client_stalled")
    };
    let stalled = failures.unwrap().get_metric().iter().filter(is_stalled);
    let counts: Vec<f64> = stalled.map(|metric| metric.get_counter().get_value()).collect();
    assert_eq!(counts.iter().sum::<f64>(), 2.0);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let (_proxy, listen) = start(back_end(well), timeouts(|t| t.keep_alive = SHORT));
    let mut client = TcpStream::connect(listen).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(read_answer(&mut client).starts_with("HTTP/1.1 200 "));
    let (answer, took) = read_all(&mut client);
    assert!(answer.is_empty() && took >= SHORT / 2, "{answer:?} after {took:?}");
}

#[test]
fn a_body_that_stops_is_answered_with_408() {
    let silent = |head: &str| head.contains("tidegate-probe").then(|| well("").unwrap());
    let (_proxy, listen) = start(back_end(silent), timeouts(|t| t.body_read = SHORT));
    let mut client = TcpStream::connect(listen).unwrap();
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf").unwrap();
    let (answer, took) = read_all(&mut client);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    assert!(took >= SHORT, "after {took:?}");
}

#[test]
fn a_kept_connection_to_a_member_is_closed_after_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let member = listener.local_addr().unwrap();
    let (tell, closed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut tcp in listener.incoming().flatten() {
            let tell = tell.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                let read = tcp.read(&mut buffer).unwrap();
                tcp.write_all(well("").unwrap().as_bytes()).unwrap();
                let answered = Instant::now();
                if !String::from_utf8_lossy(&buffer[..read]).contains("tidegate-probe") {
                    while tcp.read(&mut buffer).is_ok_and(|read| read > 0) {}
                    tell.send(answered.elapsed()).unwrap();
                }
            });
        }
    });
    let (_proxy, listen) = start(member, timeouts(|t| t.member_keep_alive = SHORT));
    let mut client = TcpStream::connect(listen).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    read_answer(&mut client);
    let took = closed.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(took >= SHORT / 2, "after {took:?}");
    // The next request finds it closed and goes on another.
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(read_answer(&mut client).starts_with("HTTP/1.1 200 "));
}

const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
Sec-WebSocket-Version: 13\r\n\r\n";

/// Takes every WebSocket and says nothing on it.
fn takes(head: &str) -> Option<&'static str> {
    match head.contains("websocket") {
        true => Some(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        ),
        false => head.contains("tidegate-probe").then(|| well("").unwrap()),
    }
}

/// A tunnel, after the head of the answer.
fn tunnel(listen: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(listen).unwrap();
    client.write_all(HANDSHAKE).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    client
}

/// Close with 1001.
const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];

#[test]
fn a_tunnel_that_one_side_has_left_ends_when_the_other_says_nothing_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let member = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut tcp in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            let read = tcp.read(&mut buffer).unwrap();
            let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
            tcp.write_all(takes(&head).unwrap().as_bytes()).unwrap();
            // It is there, and does not end its side.
            kept.push(tcp);
        }
    });
    let (_proxy, listen) = start(member, timeouts(|t| t.half_closed = SHORT));
    let mut client = tunnel(listen);
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let started = Instant::now();
    let mut told = Vec::new();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.read_to_end(&mut told).unwrap();
    assert_eq!(told, GOING_AWAY);
    assert!(started.elapsed() >= SHORT, "after {:?}", started.elapsed());
}

#[test]
fn a_client_that_does_not_answer_a_close_is_left_though_it_goes_on_talking() {
    let (proxy, listen) = start(back_end(takes), timeouts(|t| t.close = SHORT));
    let mut client = tunnel(listen);
    let draining = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(proxy.drain(LONG))
    });
    let mut told = [0; 4];
    client.read_exact(&mut told).unwrap();
    assert_eq!(told, GOING_AWAY);
    let started = Instant::now();
    // Half of a large frame, byte by byte.
    let head = [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4];
    let mut sent = client.write_all(&head);
    while sent.is_ok() && started.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
        sent = client.write_all(&[0]);
    }
    assert!(started.elapsed() < Duration::from_secs(15), "it is still there");
    assert!(draining.join().unwrap().finished);
}

#[test]
fn an_equal_snapshot_is_not_swapped_in() {
    let (proxy, _) = start(back_end(well), timeouts(|_| {}));
    let before = proxy.status().revision;
    assert!(proxy.apply(Arc::new(Snapshot::default())).unwrap().changed);
    assert!(!proxy.apply(Arc::new(Snapshot::default())).unwrap().changed);
    assert_eq!(proxy.status().revision, before + 1);
}
