//! Sockets that nothing may end that does not concern them.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::cluster::{self, PEACE, Space};
use crate::fixture::{self, HOST};
use crate::gateway::until;
use crate::peers;
use crate::replica::Installation;

const SOCKETS: usize = 500;
const UPDATES: usize = 1000;

/// Kills a part of the control plane, which the node starts again.
async fn kill(part: &str) {
    let pid_file = cluster::kubeconfig().replace("kubeconfig", &format!("pids/{part}"));
    let before = std::fs::read_to_string(&pid_file).unwrap();
    let pid = before.split_whitespace().next().unwrap().to_owned();
    let killed = Command::new(cluster::script("node")).args(["kill", "-9", &pid]).status().unwrap();
    assert!(killed.success());
    until(&format!("{part} is started again"), async || {
        std::fs::read_to_string(&pid_file).is_ok_and(|now| now != before && !now.is_empty())
    })
    .await;
}

async fn until_the_api_server_answers() {
    until("the API server answers", async || {
        let asked = tokio::task::spawn_blocking(|| {
            cluster::try_run("kubectl", &["get", "--raw", "/readyz", "--request-timeout=2s"])
        });
        asked.await.unwrap().status.success()
    })
    .await;
}

#[tokio::test]
async fn sockets_outlive_updates_and_the_whole_control_plane() {
    let war = PEACE.write().await;
    let space = Space::new("held").await;
    let installation = Installation::new("held").await;
    let class = &installation.class;
    let echo = peers::echo().await;
    space.apply(fixture::service("echo")).await;
    space.apply(fixture::slice("echo", echo.port(), &[HOST.to_owned()])).await;
    space.apply(fixture::gateway(class, "held", "echo")).await;
    space.apply(fixture::gateway(class, "other", "echo")).await;
    // The first to come leads.
    let leader = installation.replica("leader", &[]).await;
    until("the first replica leads", async || leader.log().contains("leading")).await;
    let replica = installation.replica("follower", &["--drain-timeout", "300"]).await;
    let address = replica.listener(&space.name, "held", "web").await;
    until("the member is up", async || {
        peers::get(address, "/").await.is_some_and(|answer| answer.status == 200)
    })
    .await;

    let stop = Arc::new(AtomicBool::new(false));
    let total = Arc::new(AtomicU64::new(0));
    let ending = Arc::new(AtomicBool::new(false));
    let mut sockets = Vec::new();
    for number in 0..SOCKETS {
        let mut socket = peers::open(address).await;
        let (stop, total, ending) = (stop.clone(), total.clone(), ending.clone());
        sockets.push(tokio::spawn(async move {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                let text = format!("{number}:{sent}");
                socket.send(Message::text(text.clone())).await.unwrap();
                let answer = socket.next().await.unwrap().unwrap();
                if let Message::Close(Some(close)) = &answer {
                    // Told to come back to whoever takes over. What was sent before still arrives.
                    assert_eq!(u16::from(close.code), 1012);
                    assert!(ending.load(Ordering::Relaxed), "closed too early");
                    while socket.next().await.is_some_and(|message| message.unwrap().is_close()) {}
                    return;
                }
                assert_eq!(answer, Message::text(text));
                sent += 1;
                total.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        }));
    }
    let all_answer = async |after: &str| {
        let before = total.load(Ordering::Relaxed);
        until(&format!("all sockets answer after {after}"), async || {
            assert!(
                !sockets.iter().any(tokio::task::JoinHandle::is_finished),
                "lost after {after}"
            );
            total.load(Ordering::Relaxed) >= before + 2 * SOCKETS as u64
        })
        .await;
        assert_eq!(replica.status().await["tunnels"], SOCKETS, "after {after}");
    };
    all_answer("opening").await;

    for update in 0..UPDATES {
        match update % 3 {
            0 => {
                let address = format!("10.200.0.{}", 3 + update % 50);
                space.apply(fixture::slice("busy", 1 + update as u16, &[address])).await;
            }
            1 => {
                let mut other = fixture::gateway(class, "other", "echo");
                other["spec"]["backendHttpSettingsCollection"][0]["requestTimeout"] =
                    json!(1 + update % 100);
                space.apply(other).await;
            }
            _ => {
                let mut service = fixture::service("busy");
                service["metadata"]["labels"] = json!({"update": update.to_string()});
                space.apply(service).await;
            }
        };
    }
    all_answer("1,000 unrelated updates").await;

    kill("apiserver").await;
    all_answer("the API server was killed").await;
    until_the_api_server_answers().await;
    // What changes now has to arrive: the watch came back.
    let second =
        peers::serve(|_, _| http::Response::new(http_body_util::Full::from("after"))).await;
    space.apply(fixture::service("after")).await;
    space.apply(fixture::slice("after", second.port(), &[HOST.to_owned()])).await;
    space.apply(fixture::gateway(class, "other", "after")).await;
    let other = replica.listener(&space.name, "other", "web").await;
    let body = async || peers::get(other, "/").await.map(|answer| answer.body);
    until("a change arrives again", async || body().await.as_deref() == Some(b"after")).await;
    all_answer("the watch came back").await;

    kill("etcd").await;
    kill("apiserver").await;
    until_the_api_server_answers().await;
    space.apply(fixture::gateway(class, "other", "echo")).await;
    until("a change arrives again", async || body().await.as_deref() == Some(b"ok")).await;
    all_answer("etcd was killed").await;

    drop(leader);
    space.apply(fixture::gateway(class, "third", "echo")).await;
    replica.listener(&space.name, "third", "web").await;
    all_answer("the leader was killed and another leads").await;

    // One that is told to end lets another lead while it still drains.
    let successor = installation.replica("successor", &[]).await;
    assert!(!successor.log().contains("leading"));
    ending.store(true, Ordering::Relaxed);
    replica.signal("TERM");
    until("the successor leads", async || successor.log().contains("leading")).await;
    assert!(replica.log().contains("draining"), "{}", replica.log());
    assert!(replica.status().await["tunnels"] != 0, "it led on until nothing was left");
    // Every socket is told, one after the other, and none just ends.
    for socket in sockets {
        socket.await.unwrap();
    }
    until("all have ended", async || replica.log().contains("everything ended by itself")).await;
    stop.store(true, Ordering::Relaxed);
    println!("{SOCKETS} sockets held, {} messages echoed", total.load(Ordering::Relaxed));
    drop(war);
}
