//! `dedicatedBackendConnection`: what a member knows of a connection is true of one client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::gateway::until;
use crate::peers::{self, read_response};
use crate::pools::Pools;

/// A member that answers every request with a number of its own for the connection that it came by,
/// and counts those that are open. Its probes go elsewhere.
async fn numbering(first: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let open = Arc::new(AtomicUsize::new(0));
    let count = open.clone();
    tokio::spawn(async move {
        let mut number = first;
        while let Ok((mut tcp, _)) = listener.accept().await {
            number += 1;
            let (own, count) = (number, count.clone());
            tokio::spawn(async move {
                count.fetch_add(1, Ordering::SeqCst);
                let mut head = Vec::new();
                while let Ok(byte) = tcp.read_u8().await {
                    head.push(byte);
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        let body = own.to_string();
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                            body.len()
                        );
                        if tcp.write_all(answer.as_bytes()).await.is_err() {
                            break;
                        }
                    }
                }
                count.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    (address, open)
}

/// Asks on a connection; the number of the member's.
async fn ask(client: &mut TcpStream) -> usize {
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let response = read_response(client).await;
    response.rsplit("\r\n").next().unwrap().parse().unwrap()
}

async fn pools(settings: &str) -> (Pools, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let ((a, open_a), (b, open_b)) = (numbering(0).await, numbering(1000).await);
    let health = peers::health().await;
    let pools = Pools::to(&[a, b]).with(|pools| {
        pools.settings = settings.into();
        pools.probe = format!(", port: {health}");
    });
    (pools, open_a, open_b)
}

#[tokio::test]
async fn a_clients_connection_has_one_to_a_member_for_itself_that_ends_with_it() {
    let (pools, open_a, open_b) = pools(", dedicatedBackendConnection: true").await;
    let gateway = pools.start().await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(TcpStream::connect(gateway.http()).await.unwrap());
    }
    let mut numbers = Vec::new();
    for client in &mut clients {
        numbers.push(ask(client).await);
    }
    // However often and in whatever order they ask.
    for round in 0..5 {
        for (place, client) in clients.iter_mut().enumerate().rev() {
            assert_eq!(ask(client).await, numbers[place], "client {place} in round {round}");
        }
    }
    let mut apart = numbers.clone();
    apart.sort_unstable();
    apart.dedup();
    assert_eq!(apart.len(), 4, "{numbers:?}");
    let open = || open_a.load(Ordering::SeqCst) + open_b.load(Ordering::SeqCst);
    assert_eq!(open(), 4);
    clients.truncate(1);
    until("three are closed", async || open() == 1).await;
    assert_eq!(ask(&mut clients[0]).await, numbers[0]);
    drop(clients);
    until("all are closed", async || open() == 0).await;
}

#[tokio::test]
async fn without_it_clients_share_connections() {
    let (pools, open_a, open_b) = pools("").await;
    let gateway = pools.start().await;
    for _ in 0..20 {
        ask(&mut TcpStream::connect(gateway.http()).await.unwrap()).await;
    }
    // One for each member and core.
    assert!(open_a.load(Ordering::SeqCst) + open_b.load(Ordering::SeqCst) <= 4);
}
