//! Changes while connections are open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use crate::gateway::{Gateway, Plan, free_port, until};
use crate::peers::{self, Socket};

const SOCKETS: usize = 2000;
const CHANGES: usize = 500;

/// Echoes numbered messages until told to stop; how many came back.
async fn keep_echoing(
    mut socket: Socket,
    number: usize,
    stop: Arc<AtomicBool>,
    total: Arc<AtomicU64>,
) {
    let mut count = 0u64;
    while !stop.load(Ordering::Relaxed) || count == 0 {
        let sent = format!("{number} {count} {}", "x".repeat((count as usize * 37 + number) % 300));
        socket
            .send(Message::text(sent.clone()))
            .await
            .unwrap_or_else(|e| panic!("socket {number}, message {count}: {e}"));
        match socket.next().await {
            Some(Ok(Message::Text(back))) => assert_eq!(*back, *sent, "socket {number}"),
            other => panic!("socket {number}, message {count}: {other:?}"),
        }
        count += 1;
        total.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    socket.close(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_sockets_outlive_five_hundred_changes() {
    let member = peers::echo().await;
    let gateway = Gateway::start(Plan::to(member)).await;
    let (stop, total) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut echoing = Vec::with_capacity(SOCKETS);
    for number in 0..SOCKETS {
        let socket = peers::open(gateway.http()).await;
        echoing.push(tokio::spawn(keep_echoing(socket, number, stop.clone(), total.clone())));
    }
    assert_eq!(gateway.status().await["tunnels"], SOCKETS);

    let before = gateway.status().await["revision"].as_u64().unwrap();
    let other = peers::echo().await;
    let certificates = [peers::certificate(&["one.example"]), peers::certificate(&["two.example"])];
    let started = Instant::now();
    for change in 1..=CHANGES {
        // Other rules, another member beside the one in use, another certificate, another probe.
        let plan = gateway.plan.clone().with(|plan| {
            let rules = change % 7;
            plan.hosts =
                (0..rules).map(|n| (format!("l{n}"), format!("h{n}-{change}.example"))).collect();
            if change % 3 == 0 {
                plan.members.push(other);
            }
            plan.certificate = certificates[change % 2].clone();
            plan.probe = format!(", path: /{}", change % 5);
        });
        gateway.write(&plan.yaml());
        let wanted = before + change as u64;
        until("the table is swapped", async || {
            gateway.status().await["revision"].as_u64().unwrap() >= wanted
        })
        .await;
    }
    let took = started.elapsed();
    assert_eq!(gateway.status().await["tunnels"], SOCKETS, "a change ended sockets");
    stop.store(true, Ordering::Relaxed);
    for socket in echoing {
        socket.await.unwrap();
    }
    let total = total.load(Ordering::Relaxed);
    println!(
        "{SOCKETS} sockets held over {CHANGES} changes in {took:.1?}, {total} messages echoed"
    );
    assert!(total >= 2 * SOCKETS as u64);
}

#[tokio::test]
async fn what_is_removed_drains_and_then_ends_and_what_comes_back_in_time_stays() {
    let (one, two) = (peers::echo().await, peers::echo().await);
    let draining = ", connectionDraining: {enabled: true, drainTimeoutInSec: 2}";
    let plan = Plan::to(one).with(|plan| {
        plan.settings = draining.into();
        plan.hosts = vec![("extra".into(), "localhost".into())];
    });
    let mut gateway = Gateway::start(plan.clone()).await;
    let mut socket = peers::open(gateway.http()).await;
    let mut echo = async |text: &str| {
        socket.send(Message::text(text)).await?;
        socket.next().await.map_or(Ok(None), |message| message.map(Some))
    };
    assert!(echo("1").await.unwrap().is_some());

    // The member leaves and comes back before its time is up.
    let left = Instant::now();
    gateway.apply(plan.clone().with(|plan| plan.members = vec![two])).await;
    assert!(echo("2").await.unwrap().is_some(), "a draining tunnel goes on");
    gateway.apply(plan.clone()).await;
    assert!(left.elapsed() < Duration::from_secs(2), "this machine is too slow to tell");
    tokio::time::sleep_until((left + Duration::from_secs(4)).into()).await;
    assert!(echo("3").await.unwrap().is_some(), "it had come back");

    // Its listener leaves for good, and takes the tunnel with it after its time.
    let left = Instant::now();
    gateway.apply(plan.with(|plan| plan.hosts.clear())).await;
    while let Ok(Some(Message::Text(_))) = echo("4").await {
        assert!(left.elapsed() < Duration::from_secs(10), "the tunnel does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(left.elapsed() >= Duration::from_millis(1400), "after {:?}", left.elapsed());
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("tidegate_tunnels_open"), "{metrics}");
}

/// Whether a message comes back.
async fn echoes(socket: &mut Socket) -> bool {
    socket.send(Message::text("still there?")).await.is_ok()
        && matches!(socket.next().await, Some(Ok(Message::Text(_))))
}

#[tokio::test]
async fn a_tunnel_outlives_its_rule_and_settings_and_ends_with_its_pool_member() {
    let draining = ", connectionDraining: {enabled: true, drainTimeoutInSec: 1}";
    let plan = Plan::to(peers::echo().await).with(|plan| plan.settings = draining.into());
    let mut gateway = Gateway::start(plan.clone()).await;
    let mut socket = peers::open(gateway.http()).await;
    assert!(echoes(&mut socket).await);

    // The rule leads to another pool, by settings with another name: nothing was removed.
    let elsewhere = plan.with(|plan| {
        plan.pool = "q".into();
        plan.settings_name = "renamed".into();
    });
    gateway.apply(elsewhere.clone()).await;
    let changed = Instant::now();
    while changed.elapsed() < Duration::from_secs(3) {
        assert!(echoes(&mut socket).await, "ended after {:?}", changed.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(gateway.status().await["tunnels"], 1);

    // Now its member leaves the pool, which no rule uses.
    gateway.apply(elsewhere.with(|plan| plan.members.clear())).await;
    let left = Instant::now();
    while echoes(&mut socket).await {
        assert!(left.elapsed() < Duration::from_secs(10), "the tunnel does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(left.elapsed() >= Duration::from_millis(600), "after {:?}", left.elapsed());
}

#[tokio::test]
async fn a_tunnel_outlives_the_certificate_of_its_listener() {
    let draining = ", connectionDraining: {enabled: true, drainTimeoutInSec: 1}";
    let plan = Plan::to(peers::echo().await).with(|plan| plan.settings = draining.into());
    let gateway = Gateway::start(plan).await;
    let tls = peers::tls(gateway.https(), &gateway.plan.certificate.0, "localhost").await;
    let (mut socket, _) = tokio_tungstenite::client_async("ws://localhost/", tls).await.unwrap();
    let mut echoes = async || {
        socket.send(Message::text("still there?")).await.is_ok()
            && matches!(socket.next().await, Some(Ok(Message::Text(_))))
    };
    assert!(echoes().await);
    // No such Secret any more: nobody can connect to the listener, but it was not removed.
    let plan = gateway.plan.clone();
    let before = gateway.status().await["revision"].as_u64().unwrap();
    gateway.write(&plan.yaml().replace("secretName: app}", "secretName: gone}"));
    until("the table is swapped", async || {
        gateway.status().await["revision"].as_u64().unwrap() > before
    })
    .await;
    until("it says why", async || gateway.log().contains("there is no Secret default/gone")).await;
    let changed = Instant::now();
    while changed.elapsed() < Duration::from_secs(2) {
        assert!(echoes().await, "ended after {:?}", changed.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // With the listener itself the tunnel goes, too.
    let before = gateway.status().await["revision"].as_u64().unwrap();
    let without = plan.yaml();
    let without: Vec<&str> = without.lines().filter(|line| !line.contains("web-tls")).collect();
    gateway.write(&(without.join("\n") + "\n"));
    until("the table is swapped", async || {
        gateway.status().await["revision"].as_u64().unwrap() > before
    })
    .await;
    let left = Instant::now();
    while echoes().await {
        assert!(left.elapsed() < Duration::from_secs(10), "the tunnel does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_file_that_is_wrong_leaves_the_last_good_tables_serving_and_says_where() {
    let mut gateway = Gateway::start(Plan::to(peers::echo().await)).await;
    let right = gateway.plan.yaml();
    for (wrong, told) in [
        ("kind: [\n".to_owned(), "gateway.yaml:"),
        (
            right.replace("frontendPorts:", "frontendPortz:"),
            "gateway.yaml:5: spec.frontendPortz: unknown field",
        ),
    ] {
        gateway.write(&wrong);
        until("it says what is wrong", async || gateway.log().contains(told)).await;
        assert_eq!(peers::get(gateway.http(), "/").await.unwrap().status, 200, "{wrong}");
        gateway.write(&gateway.plan.yaml());
        until("it says that it is right again", async || {
            gateway.status().await["problems"].as_array().unwrap().is_empty()
        })
        .await;
    }
    // A port more, and one less.
    let (old, new) = (gateway.plan.http, free_port());
    let plan = gateway.plan.clone().with(|plan| plan.http = new);
    gateway.apply(plan).await;
    until("the new port serves", async || {
        peers::get(gateway.http(), "/").await.is_some_and(|a| a.status == 200)
    })
    .await;
    until("the old port is closed", async || {
        tokio::net::TcpStream::connect(("127.0.0.1", old)).await.is_err()
    })
    .await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_opened_when_it_is_free() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let plan =
        Plan::to(peers::echo().await).with(|plan| plan.http = taken.local_addr().unwrap().port());
    let gateway = Gateway::start_with(plan, &[]).await;
    assert!(
        gateway.log().contains(&format!("cannot listen on {}", gateway.http())),
        "{}",
        gateway.log()
    );
    let tls = peers::tls(gateway.https(), &gateway.plan.certificate.0, "localhost").await;
    drop(tls);
    drop(taken);
    until("the port is opened", async || {
        peers::get(gateway.http(), "/").await.is_some_and(|a| a.status == 200)
    })
    .await;
}
