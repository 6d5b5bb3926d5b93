//! What the gateway does for WebSockets besides passing their bytes.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::gateway::{Gateway, PATIENCE, Plan, until};
use crate::peers::{self, Scripted, exchange, header, read_to, status};
use crate::wire::{
    ANSWER, CLOSE, HANDSHAKE, PING, PONG, TEXT, close, frame, read_close, read_frame, switch,
};

/// A gateway in front of a scripted member, whose settings have this `webSocket` block.
async fn gateway_with(scripted: &Scripted, block: &str) -> Gateway {
    let settings = format!(", webSocket: {{{block}}}");
    let plan = scripted.plan().with(|plan| plan.settings = settings);
    Gateway::start_with(plan, &["--access-log", "log.json"]).await
}

/// Both ends of a new tunnel.
async fn tunnel(gateway: &Gateway, scripted: &Scripted) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(gateway.http()).await.unwrap();
    let member = switch(&mut client, scripted).await;
    (client, member)
}

/// Waits for a line of metrics that has all of these parts and this value.
async fn until_metric(gateway: &Gateway, parts: &[&str], value: u64) {
    until(&format!("{parts:?} is {value}"), async || {
        let metrics = gateway.metrics().await;
        metrics.lines().any(|line| {
            parts.iter().all(|part| line.contains(part)) && line.ends_with(&format!(" {value}"))
        })
    })
    .await;
}

/// Waits for the line of a tunnel in the access log.
async fn until_logged(gateway: &Gateway, end: &str) -> serde_json::Value {
    let mut found = None;
    until("the tunnel's line is written", async || {
        found = (gateway.access_log().into_iter())
            .map(|line| line["properties"].clone())
            .find(|line| line["tunnelEnd"] == end);
        found.is_some()
    })
    .await;
    found.unwrap()
}

/// What the status page tells of the tunnels of the plain listener.
async fn shown(gateway: &Gateway) -> serde_json::Value {
    let status = gateway.status().await;
    let mut listeners = status["frontends"].as_array().unwrap().iter().map(|f| &f["listeners"][0]);
    listeners.find(|listener| listener["name"] == "web").unwrap()["tunnels"].clone()
}

/// The stream ends, and without an error.
async fn ends(io: &mut TcpStream) {
    let read = tokio::time::timeout(PATIENCE, io.read_u8()).await.expect("the stream ends");
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn messages_and_the_code_of_the_close_are_counted_and_logged() {
    let scripted = Scripted::new().await;
    let gateway = gateway_with(&scripted, "").await;
    let (mut client, mut member) = tunnel(&gateway, &scripted).await;
    let mut sent = Vec::new();
    for part in [&b"one"[..], &[7; 200], &[8; 70_000]] {
        sent.extend(frame(TEXT, part, true));
    }
    sent.extend(frame(PING, b"", true));
    // A packet for each byte of the first frames: heads come in parts.
    for byte in &sent[..220] {
        client.write_all(&[*byte]).await.unwrap();
        client.flush().await.unwrap();
    }
    client.write_all(&sent[220..]).await.unwrap();
    let mut seen = vec![0; sent.len()];
    member.read_exact(&mut seen).await.unwrap();
    assert!(seen == sent, "bytes were changed on their way");
    member.write_all(&frame(TEXT, b"answer", false)).await.unwrap();
    member.write_all(&close(4321, false)).await.unwrap();
    assert_eq!(read_frame(&mut client, false).await, Some((TEXT, b"answer".to_vec())));
    assert_eq!(read_close(&mut client, false).await, 4321);
    client.write_all(&close(4321, true)).await.unwrap();
    assert_eq!(read_close(&mut member, true).await, 4321);
    drop((client, member));
    let line = until_logged(&gateway, "memberClosed").await;
    assert_eq!((&line["closeCode"], &line["closedBy"]), (&4321.into(), &"member".into()));
    let messages = (&line["messagesReceived"], &line["messagesSent"]);
    assert_eq!(messages, (&3.into(), &1.into()));
    until_metric(&gateway, &["tidegate_tunnel_messages_received_total", "rule=\"r1\""], 3).await;
    until_metric(&gateway, &["tidegate_tunnel_messages_sent_total", "rule=\"r1\""], 1).await;
    until_metric(&gateway, &["tidegate_tunnel_closes_total", "4xxx", "side=\"member\""], 1).await;
    let shown = shown(&gateway).await;
    assert_eq!((&shown["opened"], &shown["open"]), (&1.into(), &0.into()));
    assert_eq!(shown["closes"], serde_json::json!({"4xxx member": 1}));
    assert_eq!(
        (&shown["duration"]["count"], &shown["client_ping"]["count"]),
        (&1.into(), &0.into())
    );
    assert!(shown["duration"]["seconds"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn a_close_waits_for_the_end_of_the_frame_and_the_clients_last_message_arrives() {
    let scripted = Scripted::new().await;
    let mut gateway = gateway_with(&scripted, "").await;
    let (mut client, mut member) = tunnel(&gateway, &scripted).await;
    let message = frame(TEXT, &[9; 1000], false);
    member.write_all(&message[..500]).await.unwrap();
    let mut half = [0; 500];
    client.read_exact(&mut half).await.unwrap();
    gateway.signal("TERM");
    until("it drains", async || gateway.log().contains("draining: ")).await;
    // Longer than the order takes: the frame is not whole, so nothing may come.
    let early = tokio::time::timeout(Duration::from_millis(1500), client.read_u8()).await;
    assert!(early.is_err(), "{early:?} came inside a frame");
    member.write_all(&message[500..]).await.unwrap();
    let mut rest = [0; 500 + 4];
    client.read_exact(&mut rest).await.unwrap();
    assert!([&half[..], &rest[..504]].concat() == message);
    assert_eq!(read_close(&mut client, false).await, 1001);
    // What the member sends from now on goes nowhere; what the client sends arrives.
    member.write_all(&frame(TEXT, b"too late", false)).await.unwrap();
    client.write_all(&frame(TEXT, b"last words", true)).await.unwrap();
    client.write_all(&close(1001, true)).await.unwrap();
    assert_eq!(read_frame(&mut member, true).await, Some((TEXT, b"last words".to_vec())));
    assert_eq!(read_close(&mut member, true).await, 1001);
    member.write_all(&close(1001, false)).await.unwrap();
    ends(&mut client).await;
    drop((client, member));
    assert_eq!(gateway.ended().await, Some(0));
    let line = until_logged(&gateway, "shutdown").await;
    assert_eq!((&line["closeCode"], &line["closedBy"]), (&1001.into(), &"gateway".into()));
}

#[tokio::test]
async fn tunnels_of_a_terminating_member_are_closed_and_others_are_not() {
    let (leaving, staying) = (Scripted::new().await, Scripted::new().await);
    let plan = leaving.plan().with(|plan| plan.members.push(staying.address));
    let mut gateway = Gateway::start_with(plan, &["--access-log", "log.json"]).await;
    until("both are up", async || gateway.members().await == ["Up", "Up"]).await;
    let mut tunnels: Vec<(bool, TcpStream, TcpStream)> = Vec::new();
    // Each core of the gateway has a round of its own.
    while [true, false].iter().any(|wanted| !tunnels.iter().any(|(leaves, ..)| leaves == wanted)) {
        let mut client = TcpStream::connect(gateway.http()).await.unwrap();
        client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
        let (mut member, leaves) = tokio::select! {
            member = leaving.accept() => (member, true),
            member = staying.accept() => (member, false),
        };
        read_to(&mut member, "\r\n\r\n").await;
        member.write_all(ANSWER.as_bytes()).await.unwrap();
        read_to(&mut client, "\r\n\r\n").await;
        tunnels.push((leaves, client, member));
    }
    let place = |wanted| tunnels.iter().position(|(leaves, ..)| *leaves == wanted).unwrap();
    let places = (place(true), place(false));
    let (_, mut other, mut other_member) = tunnels.swap_remove(places.0.max(places.1));
    let (_, mut client, mut member) = tunnels.swap_remove(places.0.min(places.1));
    if places.0 > places.1 {
        std::mem::swap(&mut client, &mut other);
        std::mem::swap(&mut member, &mut other_member);
    }
    drop(tunnels);
    let plan = gateway.plan.clone().with(|plan| plan.terminating.push(leaving.address));
    gateway.apply(plan).await;
    assert_eq!(read_close(&mut client, false).await, 1001);
    client.write_all(&close(1001, true)).await.unwrap();
    assert_eq!(read_close(&mut member, true).await, 1001);
    drop(member);
    ends(&mut client).await;
    other.write_all(&frame(TEXT, b"still here", true)).await.unwrap();
    assert_eq!(read_frame(&mut other_member, true).await, Some((TEXT, b"still here".to_vec())));
    until_logged(&gateway, "memberTerminating").await;
}

#[tokio::test]
async fn clients_of_a_member_that_leaves_without_a_word_hear_1001_and_see_no_reset() {
    let scripted = Scripted::new().await;
    let settings = ", connectionDraining: {enabled: true, drainTimeoutInSec: 3600}, webSocket: {closesPerSecond: 1}";
    let plan = scripted.plan().with(|plan| plan.settings = settings.into());
    let mut gateway = Gateway::start(plan).await;
    // So many that not all of them have their turn before the member is gone.
    let mut tunnels = Vec::new();
    for _ in 0..8 {
        tunnels.push(tunnel(&gateway, &scripted).await);
    }
    let plan = gateway.plan.clone().with(|plan| plan.terminating.push(scripted.address));
    gateway.apply(plan).await;
    for (_, member) in &tunnels {
        // With data that nobody read a closed socket answers with a reset.
        socket2::SockRef::from(member).set_linger(Some(Duration::ZERO)).unwrap();
    }
    let clients: Vec<TcpStream> = tunnels.into_iter().map(|(client, _)| client).collect();
    for mut client in clients {
        assert_eq!(read_close(&mut client, false).await, 1001);
        client.write_all(&close(1001, true)).await.unwrap();
        ends(&mut client).await;
    }
}

#[tokio::test]
async fn no_more_tunnels_are_closed_per_second_than_are_to_be() {
    let scripted = Scripted::new().await;
    let settings = ", connectionDraining: {enabled: true, drainTimeoutInSec: 60}, webSocket: {closesPerSecond: 10}";
    let plan = scripted.plan().with(|plan| plan.settings = settings.into());
    let mut gateway = Gateway::start(plan).await;
    let mut tunnels = Vec::new();
    for _ in 0..30 {
        tunnels.push(tunnel(&gateway, &scripted).await);
    }
    let plan = gateway.plan.clone().with(|plan| plan.terminating.push(scripted.address));
    let begun = Instant::now();
    gateway.apply(plan).await;
    let closes = tunnels.into_iter().map(|(mut client, member)| {
        tokio::spawn(async move {
            assert_eq!(read_close(&mut client, false).await, 1001);
            drop(member);
            Instant::now()
        })
    });
    let mut times = Vec::new();
    for close in closes.collect::<Vec<_>>() {
        times.push(close.await.unwrap());
    }
    times.sort();
    for (place, time) in times.iter().enumerate() {
        // Each of the two cores begins at once.
        let earliest = place.saturating_sub(2) as f64 / 10.0;
        let after = time.duration_since(begun).as_secs_f64();
        assert!(after >= earliest, "close {place} came after {after} s already");
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_closes_with_1009() {
    let scripted = Scripted::new().await;
    for block in ["maxMessageSizeInBytes: 100", "maxFrameSizeInBytes: 60"] {
        let gateway = gateway_with(&scripted, block).await;
        let (mut client, mut member) = tunnel(&gateway, &scripted).await;
        let mut first = frame(TEXT, &[1; 60], true);
        first[0] &= 0x7f;
        let small = frame(0, &[2; 40], true);
        let large = frame(0, &[3; 61], true);
        client.write_all(&[&first[..], &small, &first].concat()).await.unwrap();
        for payload in [vec![1; 60], vec![2; 40], vec![1; 60]] {
            assert_eq!(read_frame(&mut member, true).await.unwrap().1, payload);
        }
        client.write_all(&large).await.unwrap();
        assert_eq!(read_close(&mut client, false).await, 1009);
        assert_eq!(read_close(&mut member, true).await, 1001);
        client.write_all(&close(1009, true)).await.unwrap();
        ends(&mut client).await;
        ends(&mut member).await;
        until_logged(&gateway, "tooBig").await;
    }
}

#[tokio::test]
async fn large_messages_below_their_limit_arrive_whole_and_the_first_above_closes_with_1009() {
    let scripted = Scripted::new().await;
    let block = "maxMessageSizeInBytes: 300000, ping: {intervalInSec: 60, timeoutInSec: 60}";
    let gateway = gateway_with(&scripted, block).await;
    let (mut client, mut member) = tunnel(&gateway, &scripted).await;
    let payload: Vec<u8> = (0..200_000_u32).map(|place| (place % 251) as u8).collect();
    let mut part = frame(TEXT, &payload, true);
    part[0] &= 0x7f;
    let mut seen = Vec::new();
    let sending = tokio::spawn(async move {
        for _ in 0..8 {
            client.write_all(&frame(TEXT, &payload, true)).await.unwrap();
        }
        // Two parts of one message are more than it may have.
        client.write_all(&[part, frame(0, &payload, true), vec![0x81]].concat()).await.unwrap();
        client
    });
    for _ in 0..9 {
        seen.push(read_frame(&mut member, true).await.unwrap().1);
    }
    assert!(seen.iter().all(|message| *message == seen[0]) && seen[0].len() == 200_000);
    assert!(seen[0].iter().enumerate().all(|(place, byte)| place % 251 == usize::from(*byte)));
    assert_eq!(read_close(&mut member, true).await, 1001);
    let mut client = sending.await.unwrap();
    assert_eq!(read_close(&mut client, false).await, 1009);
    // The frame that it is in the middle of, and its answer.
    client.write_all(&[&[0x80, 1, 2, 3, 4][..], &close(1009, true)].concat()).await.unwrap();
    ends(&mut client).await;
    ends(&mut member).await;
    until_logged(&gateway, "tooBig").await;
}

#[tokio::test]
async fn messages_that_come_too_fast_close_with_1008() {
    let scripted = Scripted::new().await;
    let gateway = gateway_with(&scripted, "maxMessagesPerSecond: 5").await;
    let (mut client, mut member) = tunnel(&gateway, &scripted).await;
    let text = frame(TEXT, b"x", true);
    client.write_all(&text.repeat(5)).await.unwrap();
    for _ in 0..5 {
        assert_eq!(read_frame(&mut member, true).await.unwrap().0, TEXT);
    }
    client.write_all(&text.repeat(40)).await.unwrap();
    assert_eq!(read_close(&mut client, false).await, 1008);
    loop {
        match read_frame(&mut member, true).await.unwrap() {
            (TEXT, _) => {}
            (opcode, payload) => {
                assert_eq!((opcode, &payload[..]), (CLOSE, &1001_u16.to_be_bytes()[..]));
                break;
            }
        }
    }
}

#[tokio::test]
async fn silence_and_age_close_with_1001_and_traffic_keeps_a_tunnel_open() {
    let scripted = Scripted::new().await;
    let blocks = [
        ("idleTimeoutInSec: 1", "idle", false),
        ("maxLifetimeInSec: 2, maxLifetimeJitterInSec: 0", "lifetime", true),
    ];
    for (block, end, talks_to_the_end) in blocks {
        let gateway = gateway_with(&scripted, block).await;
        // A tunnel may be some moments old when its client hears of it.
        let started = Instant::now();
        let (mut client, mut member) = tunnel(&gateway, &scripted).await;
        // As long as something moves, silence does not begin.
        while started.elapsed() < Duration::from_millis(1500) {
            member.write_all(&frame(TEXT, b"tick", false)).await.unwrap();
            assert_eq!(read_frame(&mut client, false).await, Some((TEXT, b"tick".to_vec())));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let talking = talks_to_the_end.then(|| frame(TEXT, b"more", true));
        if let Some(talking) = talking {
            client.write_all(&talking).await.unwrap();
            assert_eq!(read_frame(&mut member, true).await.unwrap().0, TEXT);
        }
        assert_eq!(read_close(&mut client, false).await, 1001);
        assert!(started.elapsed() >= Duration::from_secs(2), "after {:?}", started.elapsed());
        client.write_all(&close(1001, true)).await.unwrap();
        assert_eq!(read_close(&mut member, true).await, 1001);
        drop(member);
        until_logged(&gateway, end).await;
    }
}

#[tokio::test]
async fn pings_of_the_gateway_are_between_it_and_the_side_it_asks() {
    let scripted = Scripted::new().await;
    let gateway = gateway_with(&scripted, "ping: {intervalInSec: 1, timeoutInSec: 20}").await;
    let (mut client, mut member) = tunnel(&gateway, &scripted).await;
    // An unsolicited pong is nobody's answer, and passes.
    client.write_all(&frame(PONG, b"hello", true)).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (opcode, token) = read_frame(&mut client, false).await.unwrap();
        assert_eq!(opcode, PING);
        let (opcode, other) = read_frame(&mut member, true).await.unwrap();
        match opcode {
            PING => member.write_all(&frame(PONG, &other, false)).await.unwrap(),
            opcode => seen.push((opcode, other)),
        }
        client.write_all(&frame(PONG, &token, true)).await.unwrap();
    }
    client.write_all(&frame(TEXT, b"end", true)).await.unwrap();
    loop {
        match read_frame(&mut member, true).await.unwrap() {
            (PING, token) => member.write_all(&frame(PONG, &token, false)).await.unwrap(),
            (TEXT, _) => break,
            other => seen.push(other),
        }
    }
    assert_eq!(seen, [(PONG, b"hello".to_vec())]);
    let metrics = gateway.metrics().await;
    for side in ["client", "member"] {
        let answered = metrics.lines().find(|line| {
            line.starts_with("tidegate_tunnel_ping_seconds_count")
                && line.contains(&format!("side=\"{side}\""))
        });
        assert!(answered.is_some_and(|line| !line.ends_with(" 0")), "{answered:?}");
    }
    client.write_all(&close(1000, true)).await.unwrap();
    drop((client, member));
    let line = until_logged(&gateway, "clientClosed").await;
    let shown = shown(&gateway).await;
    for (logged, listed) in [("clientPing", "client_ping"), ("memberPing", "member_ping")] {
        assert!(line[logged].as_f64().unwrap() > 0.0, "{line}");
        assert!(shown[listed]["count"].as_u64().unwrap() > 0, "{shown}");
    }
}

#[tokio::test]
async fn a_side_that_answers_no_ping_is_found_and_the_other_is_told() {
    let scripted = Scripted::new().await;
    let gateway = gateway_with(&scripted, "ping: {intervalInSec: 1, timeoutInSec: 1}").await;
    let (mut client, mut member) = tunnel(&gateway, &scripted).await;
    // The member answers, the client does not.
    let answering = tokio::spawn(async move {
        loop {
            match read_frame(&mut member, true).await.unwrap() {
                (PING, token) => member.write_all(&frame(PONG, &token, false)).await.unwrap(),
                (opcode, payload) => return (opcode, payload),
            }
        }
    });
    assert_eq!(answering.await.unwrap(), (CLOSE, 1001_u16.to_be_bytes().to_vec()));
    assert_eq!(read_frame(&mut client, false).await.unwrap().0, PING);
    until_logged(&gateway, "clientSilent").await;
    // And the other way round.
    let (mut client, _member) = tunnel(&gateway, &scripted).await;
    loop {
        match read_frame(&mut client, false).await.unwrap() {
            (PING, token) => client.write_all(&frame(PONG, &token, true)).await.unwrap(),
            (opcode, payload) => {
                assert_eq!((opcode, &payload[..]), (CLOSE, &1001_u16.to_be_bytes()[..]));
                break;
            }
        }
    }
    drop(client);
    until_logged(&gateway, "memberSilent").await;
}

#[tokio::test]
async fn origins_and_subprotocols_that_are_not_allowed_are_refused() {
    let scripted = Scripted::new().await;
    let block = "allowedOrigins: ['https://*.example.com'], allowedSubprotocols: [chat, v2.chat]";
    let gateway = gateway_with(&scripted, block).await;
    let ask = |fields: &str| HANDSHAKE.replace("\r\n\r\n", &format!("\r\n{fields}\r\n"));
    let protocol = "Sec-WebSocket-Protocol: chat\r\n";
    for (fields, expected) in [
        ("", 403),
        ("Origin: https://evil.example\r\nSec-WebSocket-Protocol: chat\r\n", 403),
        ("Origin: https://a.example.com\r\n", 400),
        ("Origin: https://a.example.com\r\nSec-WebSocket-Protocol: v1\r\n", 400),
        (&format!("Origin: https://a.example.com\r\nOrigin: https://evil\r\n{protocol}"), 403),
    ] {
        assert_eq!(status(&exchange(gateway.http(), &ask(fields)).await), expected, "{fields}");
    }
    let offer = "Origin: https://a.example.com\r\nSec-WebSocket-Protocol: v1, v2.chat\r\n\
                 Sec-WebSocket-Protocol: chat\r\n";
    let (_client, _member, head) = scripted.asked(gateway.http(), &ask(offer)).await;
    assert_eq!(header(&head, "sec-websocket-protocol"), Some("v2.chat, chat"));
    let failures = "tidegate_websocket_handshake_failures_total";
    until_metric(&gateway, &[failures, "rule=\"r1\"", "reason=\"origin\""], 3).await;
    until_metric(&gateway, &[failures, "rule=\"r1\"", "reason=\"subprotocol\""], 2).await;
}

#[tokio::test]
async fn there_are_no_more_tunnels_than_there_may_be() {
    let scripted = Scripted::new().await;
    for (block, expected) in [
        ("maxTunnelsPerRule: 2", 503),
        ("maxTunnelsPerMember: 2", 503),
        ("maxTunnelsPerClient: 2", 429),
    ] {
        let gateway = gateway_with(&scripted, block).await;
        let first = tunnel(&gateway, &scripted).await;
        let second = tunnel(&gateway, &scripted).await;
        assert_eq!(status(&exchange(gateway.http(), HANDSHAKE).await), expected, "{block}");
        // Requests are not limited by it.
        let (mut client, mut member, _) =
            scripted.asked(gateway.http(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        member.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        assert_eq!(status(&peers::read_response(&mut client).await), 204);
        drop(first);
        until_metric(&gateway, &["tidegate_tunnels_open{", "rule=\"r1\""], 1).await;
        let third = tunnel(&gateway, &scripted).await;
        let reason = "reason=\"limit\"";
        let failures = "tidegate_websocket_handshake_failures_total";
        until_metric(&gateway, &[failures, "rule=\"r1\"", reason], 1).await;
        drop((second, third));
    }
}

#[tokio::test]
async fn least_connections_counts_tunnels() {
    let members = [peers::echo().await, peers::echo().await, peers::echo().await];
    let plan = Plan::to(members[0]).with(|plan| {
        plan.settings = ", loadDistributionAlgorithm: LeastConnections".into();
    });
    let mut gateway = Gateway::start(plan).await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(peers::open(gateway.http()).await);
    }
    let plan = gateway.plan.clone().with(|plan| plan.members = members.to_vec());
    gateway.apply(plan).await;
    until("all members are up", async || gateway.members().await == ["Up"; 3]).await;
    for _ in 0..20 {
        sockets.push(peers::open(gateway.http()).await);
    }
    let status = gateway.status().await;
    let open = |member: &serde_json::Value| member["open_tunnels"].as_u64().unwrap();
    let mut counts: Vec<u64> =
        status["targets"][0]["members"].as_array().unwrap().iter().map(open).collect();
    counts.sort_unstable();
    assert_eq!(counts, [10, 10, 10]);
}

#[tokio::test]
async fn tunnels_are_moved_to_members_that_join_and_no_more_than_may_be() {
    let members = [peers::echo().await, peers::echo().await];
    let plan = Plan::to(members[0]).with(|plan| {
        plan.settings = ", loadDistributionAlgorithm: LeastConnections, \
                         webSocket: {rebalance: {maxPercent: 30, perSecond: 4}}"
            .into();
    });
    let mut gateway = Gateway::start(plan).await;
    let (http, mut clients) = (gateway.http(), Vec::new());
    for _ in 0..20 {
        let mut socket = peers::open(http).await;
        // A client that comes back when it is told to.
        clients.push(tokio::spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Close(close) = message {
                    assert_eq!(u16::from(close.unwrap().code), 1012);
                    while socket.next().await.is_some_and(|message| message.is_ok()) {}
                    socket = peers::open(http).await;
                }
            }
        }));
    }
    let open = async |gateway: &Gateway| {
        let status = gateway.status().await;
        let members = status["targets"][0]["members"].as_array().unwrap().clone();
        members.iter().map(|m| m["open_tunnels"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    until("all are open", async || open(&gateway).await == [20]).await;
    // The background looks once a second: it has to have seen who was there.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let plan = gateway.plan.clone().with(|plan| plan.members = members.to_vec());
    gateway.apply(plan).await;
    until("a share is moved", async || open(&gateway).await == [14, 6]).await;
    // Three tenths may be moved, and no more are until others join.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(open(&gateway).await, [14, 6]);
    clients.iter().for_each(|client| assert!(!client.is_finished()));
}

#[tokio::test]
async fn a_handshake_has_a_time_limit_of_its_own() {
    let scripted = Scripted::new().await;
    let gateway = gateway_with(&scripted, "handshakeTimeoutInSec: 1").await;
    let (mut client, _member, _) = scripted.asked(gateway.http(), HANDSHAKE).await;
    let started = Instant::now();
    assert_eq!(status(&peers::read_response(&mut client).await), 504);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn what_is_not_websocket_is_carried_as_bytes_to_the_end() {
    let scripted = Scripted::new().await;
    let mut gateway = gateway_with(&scripted, "").await;
    let (mut client, mut member) = tunnel(&gateway, &scripted).await;
    // A reserved opcode: from here on nobody knows where a frame ends.
    let odd = [&frame(TEXT, b"frame", false)[..], &[0x83; 300]].concat();
    member.write_all(&odd).await.unwrap();
    let mut seen = vec![0; odd.len()];
    client.read_exact(&mut seen).await.unwrap();
    assert!(seen == odd);
    gateway.signal("TERM");
    until("it drains", async || gateway.log().contains("draining: ")).await;
    // No Close frame is put anywhere; the stream just ends.
    ends(&mut client).await;
    assert_eq!(gateway.ended().await, Some(0));
}

#[tokio::test]
async fn a_block_that_is_wrong_is_told_with_its_field() {
    let scripted = Scripted::new().await;
    let plan = scripted.plan().with(|plan| {
        plan.settings = ", webSocket: {idleTimeoutInSec: 0, allowedOrigins: [example.com], \
                         rebalance: {floor: 1}}"
            .into();
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    std::fs::write(&file, plan.yaml()).unwrap();
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["check", file.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(checked.status.code(), Some(1));
    let said =
        String::from_utf8(checked.stdout).unwrap() + &String::from_utf8_lossy(&checked.stderr);
    for part in [
        "webSocket.idleTimeoutInSec: 0 is not within 1 to 604800",
        "webSocket.allowedOrigins[0]: \"example.com\": not an origin",
        "webSocket.rebalance: it needs loadDistributionAlgorithm: LeastConnections",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
}
