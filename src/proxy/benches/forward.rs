//! A request through a running proxy and back, one at a time, over loopback: what one exchange
//! takes from end to end, back end and client included. `bench/` compares with other proxies.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use tidegate_model::{
    Action, Bodies, Frontend, Gateway, HostOverride, Leaf, Listener, LoadDistribution, Member,
    MemberHttp, MemberState, ObjectName, Pool, Probe, Protocol, Rule, Settings, Snapshot, Target,
};
use tidegate_proxy::Proxy;

fn main() {
    divan::main();
}

/// Answers every request with two bytes; knows that requests end with an empty line.
fn back_end() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            std::thread::spawn(move || serve(tcp));
        }
    });
    address
}

fn serve(mut tcp: TcpStream) {
    let _ = tcp.set_nodelay(true);
    let mut buffer = [0; 4096];
    while matches!(tcp.read(&mut buffer), Ok(read) if read > 0) {
        if tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}

fn snapshot(listen: SocketAddr, member: SocketAddr) -> Snapshot {
    let settings = Settings {
        name: "s".into(),
        port: member.port(),
        tls: None,
        request_timeout: Duration::from_secs(30),
        drain_timeout: Duration::from_secs(30),
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
    let member = Member { address: member.ip(), port: None, fqdn: None, state: MemberState::Ready };
    let pool = Pool { name: "p".into(), members: vec![member] };
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
    let frontend =
        Frontend::new(listen, listen.port(), vec![Arc::new(listener)]).expect("a frontend");
    let name = ObjectName::new("default", "bench");
    let frontends = vec![frontend];
    let gateway = Gateway {
        name,
        frontends,
        pools: Vec::new(),
        listeners: Vec::new(),
        bodies: Bodies::default(),
    };
    Snapshot { gateways: vec![Arc::new(gateway)] }
}

#[divan::bench(sample_count = 50, sample_size = 200)]
fn one_request(bencher: Bencher<'_, '_>) {
    let listen = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let listen = listen.expect("a free port");
    let proxy = Proxy::start(tidegate_proxy::Settings::new(NonZeroUsize::MIN)).expect("a proxy");
    proxy.apply(Arc::new(snapshot(listen, back_end()))).expect("a table");
    let mut client = TcpStream::connect(listen).expect("a connection");
    client.set_nodelay(true).expect("no delay");
    let mut buffer = [0; 4096];
    bencher.bench_local(|| {
        client.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").expect("sent");
        let read = client.read(&mut buffer).expect("answered");
        assert!(buffer[..read].ends_with(b"ok"));
    });
}
