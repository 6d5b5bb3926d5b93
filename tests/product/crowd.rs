//! Thousands of tunnels at once: members replaced under them, and clients that vanish.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::gateway::{Gateway, Plan, free_port, until};
use crate::peers::{self, read_to};
use crate::wire::{ANSWER, CLOSE, HANDSHAKE, PING, PONG, close, frame, read_frame};

/// As many as one process may have descriptors for, with both ends of both connections.
const CROWD: usize = 5_000;
/// How many clients connect at a time.
const AT_ONCE: usize = 100;

/// Two crowds are more than one process may have descriptors for.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A member that takes every WebSocket, and answers pings and Close frames.
struct Member {
    address: SocketAddr,
    /// WebSockets that were closed with a Close frame from the gateway's side.
    told: Arc<AtomicUsize>,
}

impl Member {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let told = Arc::new(AtomicUsize::new(0));
        let telling = told.clone();
        tokio::spawn(async move {
            loop {
                let (mut tcp, _) = listener.accept().await.unwrap();
                let told = telling.clone();
                tokio::spawn(async move {
                    read_to(&mut tcp, "\r\n\r\n").await;
                    tcp.write_all(ANSWER.as_bytes()).await.unwrap();
                    while let Some((opcode, payload)) = read_frame(&mut tcp, true).await {
                        match opcode {
                            PING => tcp.write_all(&frame(PONG, &payload, false)).await.unwrap(),
                            CLOSE => {
                                told.fetch_add(1, Ordering::Relaxed);
                                let _ = tcp.write_all(&frame(CLOSE, &payload, false)).await;
                                return;
                            }
                            _ => {}
                        }
                    }
                });
            }
        });
        Self { address, told }
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let head = read_to(&mut client, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client
}

/// Answers pings until anything else comes.
async fn answer_pings(mut client: TcpStream) {
    while let Some((PING, payload)) = read_frame(&mut client, false).await {
        client.write_all(&frame(PONG, &payload, true)).await.unwrap();
    }
}

/// Waits for the Close frame, answers it, and sees the stream end without a reset; its code.
async fn wait_for_close(client: &mut TcpStream) -> u16 {
    let (opcode, payload) = read_frame(client, false).await.expect("a Close frame, not an end");
    assert_eq!(opcode, CLOSE);
    let code = u16::from_be_bytes(payload[..2].try_into().unwrap());
    client.write_all(&close(code, true)).await.unwrap();
    let mut rest = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(client, &mut rest).await.expect("no reset");
    assert!(rest.is_empty());
    code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_members_are_replaced_under_thousands_of_tunnels() {
    const RATE: usize = 500;
    let _alone = ALONE.lock().await;
    let old = [Member::new().await, Member::new().await];
    let new = [Member::new().await, Member::new().await];
    let other = Member::new().await;
    let health = peers::health().await;
    let (other_port, other_address) = (free_port(), other.address);
    let settings = format!(
        ", connectionDraining: {{enabled: true, drainTimeoutInSec: 60}}, webSocket: {{closesPerSecond: {RATE}}}"
    );
    let plan = Plan::to(old[0].address).with(|plan| {
        plan.members.push(old[1].address);
        plan.health = Some(health);
        plan.settings = settings;
        plan.documents = format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: ApplicationGateway\nmetadata: {{name: other}}\nspec:\n  \
             frontendPorts: [{{name: http, port: {other_port}}}]\n  \
             httpListeners: [{{name: web, frontendPort: http, protocol: Http}}]\n  \
             backendAddressPools: [{{name: p, backendAddresses: [{{ipAddress: 127.0.0.1}}]}}]\n  \
             backendHttpSettingsCollection: [{{name: s, port: {}, protocol: Http, probe: h}}]\n  \
             probes: [{{name: h, protocol: Http, interval: 1, timeout: 1, unhealthyThreshold: 1, port: {health}}}]\n  \
             requestRoutingRules: [{{name: r, ruleType: Basic, priority: 1, httpListener: web, backendAddressPool: p, backendHttpSettings: s}}]\n",
            other_address.port()
        );
    });
    let mut gateway = Gateway::start(plan.clone()).await;
    let address = gateway.http();
    let mut unrelated = Vec::new();
    for _ in 0..50 {
        unrelated.push(connect(SocketAddr::new(address.ip(), other_port)).await);
    }
    let mut clients = Vec::new();
    while clients.len() < CROWD {
        let connecting: Vec<_> = (0..AT_ONCE).map(|_| tokio::spawn(connect(address))).collect();
        for client in connecting {
            clients.push(client.await.unwrap());
        }
    }
    assert_eq!(gateway.status().await["tunnels"], CROWD + 50);

    let replaced = plan.with(|plan| {
        plan.members.extend(new.iter().map(|member| member.address));
        plan.terminating = old.iter().map(|member| member.address).collect();
    });
    let begun = Instant::now();
    gateway.apply(replaced.clone()).await;
    // Each comes back as soon as it has been told.
    let coming_back: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            tokio::spawn(async move {
                assert_eq!(wait_for_close(&mut client).await, 1001);
                drop(client);
                let back = Instant::now();
                (back, connect(address).await)
            })
        })
        .collect();
    let (mut times, mut back) = (Vec::new(), Vec::new());
    for client in coming_back {
        let (time, client) = client.await.unwrap();
        times.push(time);
        back.push(client);
    }
    times.sort();
    let took = times[times.len() - 1] - times[0];
    let mut most = 0;
    for (place, time) in times.iter().enumerate() {
        let after = times[place..].partition_point(|t| *t - *time < Duration::from_secs(1));
        most = most.max(after);
    }
    println!("{CROWD} tunnels moved in {took:?}, at most {most} reconnects in a second");
    // Seen late on a busy machine, some may come together; none is told before its time.
    for (place, time) in times.iter().enumerate() {
        let earliest = place.saturating_sub(RATE / 20) as f64 / RATE as f64;
        let after = time.duration_since(begun).as_secs_f64();
        assert!(after >= earliest, "reconnect {place} came after {after} s already");
    }
    let told: usize = old.iter().map(|member| member.told.load(Ordering::Relaxed)).sum();
    assert_eq!(told, CROWD, "every old member heard of every end");

    // The old members are gone for good: nobody is left to notice.
    gateway
        .apply(replaced.with(|plan| {
            plan.members = new.iter().map(|member| member.address).collect();
            plan.terminating.clear();
        }))
        .await;
    for client in back.iter_mut().chain(&mut unrelated).step_by(100) {
        client.write_all(&frame(PING, b"still here?", true)).await.unwrap();
        assert_eq!(read_frame(client, false).await, Some((PONG, b"still here?".to_vec())));
    }
    assert_eq!(gateway.status().await["tunnels"], CROWD + 50);
}

/// A network of its own, with one address, that can be cut off without a packet.
struct Island {
    name: String,
    ours: IpAddr,
    theirs: IpAddr,
}

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().expect("iproute2 is there");
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Island {
    fn new() -> Self {
        let number = std::process::id() % 250;
        let name = format!("tide{number}");
        let net = |host: u8| IpAddr::from([10, 213, number as u8, host]);
        let island = Self { name: name.clone(), ours: net(1), theirs: net(2) };
        let (ours, theirs) = (island.ours, island.theirs);
        ip(&format!("netns add {name}"));
        ip(&format!("link add {name} type veth peer name there netns {name}"));
        ip(&format!("addr add {ours}/24 dev {name}"));
        ip(&format!("link set {name} up"));
        ip(&format!("-n {name} addr add {theirs}/24 dev there"));
        ip(&format!("-n {name} link set there up"));
        island
    }

    /// Starts a thread whose sockets are on the island.
    fn thread(&self, what: impl FnOnce() + Send + 'static) -> std::thread::JoinHandle<()> {
        let namespace = std::fs::File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::spawn(move || {
            rustix::thread::move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&namespace),
                Some(rustix::thread::LinkNameSpaceType::Network),
            )
            .expect("a network namespace can be entered; this needs root");
            what();
        })
    }

    /// From now on nothing comes from there, no refusal either, and nobody here is told.
    fn cut_off(&self) {
        let (name, theirs) = (&self.name, self.theirs);
        // The neighbour stays known, or the kernel would say that the host cannot be reached.
        let link =
            Command::new("ip").args(["-n", name, "-o", "link", "show", "there"]).output().unwrap();
        let link = String::from_utf8(link.stdout).unwrap();
        let mac = link.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap();
        ip(&format!("neigh replace {theirs} lladdr {mac} nud permanent dev {name}"));
        ip(&format!("-n {name} addr del {theirs}/24 dev there"));
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
        let _ = Command::new("ip").args(["link", "del", &self.name]).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_clients_that_vanished_are_found_in_time() {
    let _alone = ALONE.lock().await;
    const INTERVAL: u64 = 3;
    const TIMEOUT: u64 = 3;
    let island = Island::new();
    let member = Member::new().await;
    let health = peers::health().await;
    let plan = Plan::to(member.address).with(|plan| {
        plan.health = Some(health);
        plan.settings = format!(
            ", webSocket: {{ping: {{intervalInSec: {INTERVAL}, timeoutInSec: {TIMEOUT}}}}}"
        );
    });
    let gateway = Gateway::start_with(plan, &["--bind", &island.ours.to_string()]).await;
    let address = SocketAddr::new(island.ours, gateway.plan.http);
    let staying = tokio::spawn(answer_pings(connect(address).await));
    // They answer pings until they vanish: a thread of theirs drives them.
    let (connected, all_connected) = tokio::sync::oneshot::channel();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let there = island.thread(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            for _ in 0..CROWD / AT_ONCE {
                let some = (0..AT_ONCE).map(|_| tokio::spawn(connect(address)));
                for client in some.collect::<Vec<_>>() {
                    tokio::spawn(answer_pings(client.await.unwrap()));
                }
            }
            connected.send(()).unwrap();
            let _ = ended.await;
        });
    });
    all_connected.await.unwrap();
    assert_eq!(gateway.status().await["tunnels"], CROWD + 1);
    island.cut_off();
    let vanished = Instant::now();
    until("all but one are found", async || gateway.status().await["tunnels"] == 1).await;
    let took = vanished.elapsed();
    println!("{CROWD} clients that vanished were found within {took:?}");
    // A ping may have been answered just before. The rest is a machine that is busy.
    assert!(took < Duration::from_secs(INTERVAL + TIMEOUT + 10), "found after {took:?}");
    until("every member is told", async || member.told.load(Ordering::Relaxed) == CROWD).await;
    let metrics = gateway.metrics().await;
    let silent = metrics
        .lines()
        .any(|line| line.contains("client_silent") && line.ends_with(&format!(" {CROWD}")));
    assert!(silent, "{metrics}");
    assert!(!staying.is_finished(), "a client that was there was ended");
    let _ = end.send(());
    there.join().unwrap();
}
