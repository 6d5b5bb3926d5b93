//! Which member a request goes to: weights, fewest connections, addresses and cookies, over one pool
//! or several.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpSocket;

use crate::gateway::{Gateway, until};
use crate::peers::{self, read_response};
use crate::pools::{Pools, health};

async fn named(name: &'static str) -> SocketAddr {
    peers::named(name, Arc::new(AtomicBool::new(true))).await
}

/// What a client at 127.0.0.N is answered.
async fn ask_from(gateway: &Gateway, last: u8, cookie: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    let mut tcp = socket.connect(gateway.http()).await.unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    );
    tokio::io::AsyncWriteExt::write_all(&mut tcp, request.as_bytes()).await.unwrap();
    read_response(&mut tcp).await
}

/// Who served it.
fn body(response: &str) -> String {
    response.split("\r\n\r\n").nth(1).unwrap().to_owned()
}

/// How often each member answers.
async fn count(gateway: &Gateway, requests: usize) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for _ in 0..requests {
        *counts.entry(body(&ask_from(gateway, 1, "").await)).or_default() += 1;
    }
    counts
}

/// A policy over the pools `p` and `canary`.
fn policy(algorithm: &str, stable: u8, canary: u8) -> String {
    format!(
        "  loadDistributionPolicies:\n  - name: both\n    loadDistributionAlgorithm: {algorithm}\n    loadDistributionTargets:\n    - {{weightPerServer: {stable}, backendAddressPool: p}}\n    - {{name: new, weightPerServer: {canary}, backendAddressPool: canary}}\n"
    )
}

fn canary(members: &[SocketAddr], canary: SocketAddr, policy: String) -> Pools {
    Pools::to(members).with(|pools| {
        pools.pools.push(("canary", vec![canary]));
        pools.to = "loadDistributionPolicy: both".into();
        pools.more = policy;
    })
}

#[tokio::test]
async fn a_pools_share_is_its_weight_times_its_healthy_members() {
    let well = Arc::new(AtomicBool::new(true));
    let a = peers::named("a", well.clone()).await;
    let (b, c) = (named("b").await, named("c").await);
    let pools = canary(&[a, b], c, policy("RoundRobin", 9, 2));
    let gateway = pools.start().await;
    // Two cores take turns of their own, each within a few of its shares.
    let near = |counts: &HashMap<String, usize>, expected: &[(&str, usize)]| {
        for (name, expected) in expected {
            let got = counts.get(*name).copied().unwrap_or_default();
            assert!(got.abs_diff(*expected) <= 12, "{name}: {got}, not {expected}: {counts:?}");
        }
    };
    near(&count(&gateway, 200).await, &[("a", 90), ("b", 90), ("c", 20)]);
    // A member that is out takes its pool's share with it.
    well.store(false, Ordering::SeqCst);
    until("a is down", async || health(&gateway, a).await["state"] == "Down").await;
    near(&count(&gateway, 220).await, &[("a", 0), ("b", 180), ("c", 40)]);
    pools.with(|pools| pools.more = policy("RoundRobin", 1, 100)).apply(&gateway).await;
    near(&count(&gateway, 101).await, &[("b", 1), ("c", 100)]);
    let metrics = gateway.metrics().await;
    for pool in ["p", "canary"] {
        let line = metrics.lines().find(|line| {
            line.starts_with("tidegate_member_requests_total")
                && line.contains(&format!("pool=\"{pool}\""))
                && line.contains("status=\"2xx\"")
        });
        assert!(line.is_some_and(|line| !line.ends_with(" 0")), "{pool}: {line:?}");
    }
    assert!(metrics.contains("pool=\"both\""));
}

#[tokio::test]
async fn turns_of_a_member_that_is_down_go_to_all_others_alike() {
    let well = Arc::new(AtomicBool::new(false));
    let down = peers::named("down", well).await;
    let (b, c) = (named("b").await, named("c").await);
    let gateway = Pools::to(&[down, b, c]).start_as_it_is().await;
    for up in [b, c] {
        until("it is up", async || health(&gateway, up).await["state"] == "Up").await;
    }
    until("one is down", async || health(&gateway, down).await["state"] == "Down").await;
    let counts = count(&gateway, 300).await;
    let (b, c) = (counts["b"], counts["c"]);
    assert!(b + c == 300 && b.abs_diff(c) <= 70, "{counts:?}");
}

#[tokio::test]
async fn a_clients_address_stays_with_its_member_and_few_move_when_one_leaves() {
    let members = [named("a").await, named("b").await, named("c").await];
    let who = async |gateway: &Gateway| {
        let mut who = HashMap::new();
        for client in 1..=60 {
            who.insert(client, body(&ask_from(gateway, client, "").await));
        }
        who
    };
    // By the settings, and by a policy.
    let by_settings = Pools::to(&members)
        .with(|pools| pools.settings = ", loadDistributionAlgorithm: IpHash".into());
    let by_policy = canary(&members, named("d").await, policy("IpHash", 10, 10));
    for pools in [by_settings, by_policy] {
        let gateway = pools.start().await;
        let first = who(&gateway).await;
        let names: HashSet<&String> = first.values().collect();
        assert!(names.len() >= 3, "{first:?}");
        assert_eq!(who(&gateway).await, first);
        let fewer = pools.clone().with(|pools| pools.pools[0].1.truncate(2));
        fewer.apply(&gateway).await;
        let left = who(&gateway).await;
        for (client, before) in &first {
            let after = &left[client];
            assert!(if before == "c" { after != "c" } else { after == before }, "{client}");
        }
        // They come back to it, and a process that starts anew thinks the same.
        pools.apply(&gateway).await;
        until("c is back", async || health(&gateway, members[2]).await["state"] == "Up").await;
        assert_eq!(who(&gateway).await, first);
        drop(gateway);
        assert_eq!(who(&pools.start().await).await, first);
    }
}

/// The number of open tunnels of a member.
async fn tunnels(gateway: &Gateway, member: SocketAddr) -> u64 {
    let status = gateway.status().await;
    let targets = status["targets"].as_array().unwrap().iter();
    let mut members = targets.flat_map(|target| target["members"].as_array().unwrap());
    let its = members.find(|its| its["address"] == member.to_string());
    its.map_or(0, |its| its["open_tunnels"].as_u64().unwrap())
}

#[tokio::test]
async fn open_websockets_follow_the_weights_where_the_fewest_connections_count() {
    let (a, b) = (peers::echo().await, peers::echo().await);
    let gateway = canary(&[a], b, policy("LeastConnections", 3, 1)).start().await;
    let mut sockets = Vec::new();
    for _ in 0..16 {
        sockets.push(peers::open(gateway.http()).await);
    }
    until("all are counted", async || {
        tunnels(&gateway, a).await + tunnels(&gateway, b).await == 16
    })
    .await;
    let (a, b) = (tunnels(&gateway, a).await, tunnels(&gateway, b).await);
    assert!(a.abs_diff(12) <= 1, "{a} and {b}");
}

#[tokio::test]
async fn a_cookie_names_a_member_of_any_pool_of_a_policy() {
    let (a, c) = (named("a").await, named("c").await);
    let pools = canary(&[a], c, policy("RoundRobin", 1, 1)).with(|pools| {
        pools.settings = ", cookieBasedAffinity: Enabled, affinityCookieName: stick".into();
    });
    let gateway = pools.start().await;
    let mut cookies = HashMap::new();
    while cookies.len() < 2 {
        let response = ask_from(&gateway, 1, "").await;
        let cookie = response.lines().find_map(|line| line.strip_prefix("set-cookie: stick="));
        let cookie = cookie.unwrap().split(';').next().unwrap().to_owned();
        cookies.insert(body(&response), cookie);
    }
    for (name, cookie) in &cookies {
        for _ in 0..10 {
            let response = ask_from(&gateway, 1, &format!("stick={cookie}")).await;
            assert_eq!(body(&response), *name);
            assert!(!response.contains("set-cookie"), "{response}");
        }
    }
    // The cookie of a pool alone is the same as that of the pool in a policy.
    let alone = pools.with(|pools| pools.to = "backendAddressPool: p".into());
    alone.apply(&gateway).await;
    let kept = ask_from(&gateway, 1, &format!("stick={}", cookies["a"])).await;
    assert!(!kept.contains("set-cookie"), "{kept}");
    assert!(ask_from(&gateway, 1, &format!("stick={}", cookies["c"])).await.contains("set-cookie"));
}

#[tokio::test]
async fn a_tunnel_stays_with_its_member_when_weights_change() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    let (a, b) = (peers::echo().await, peers::echo().await);
    let pools = canary(&[a], b, policy("RoundRobin", 1, 1));
    let gateway = pools.start().await;
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(peers::open(gateway.http()).await);
    }
    pools.clone().with(|pools| pools.more = policy("IpHash", 99, 1)).apply(&gateway).await;
    pools.with(|pools| pools.to = "backendAddressPool: canary".into()).apply(&gateway).await;
    for socket in &mut sockets {
        socket.send(Message::text("still here")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("still here"));
    }
}
