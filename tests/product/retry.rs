//! Clients of HTTP/3 whose addresses are doubtful have to show that they are where they say.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::net::UdpSocket;

use crate::gateway::{Gateway, until};
use crate::peers::Scripted;
use crate::quic;

/// The gateway reached through another address, which hears the answers only if `both_ways`; and
/// the first byte of the first answer, 0 until there is one.
async fn relay(gateway: SocketAddr, both_ways: bool) -> (SocketAddr, Arc<AtomicU8>) {
    let near = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    far.connect(gateway).await.unwrap();
    let (address, first) = (near.local_addr().unwrap(), Arc::new(AtomicU8::new(0)));
    let seen = first.clone();
    tokio::spawn(async move {
        let (mut out, mut back, mut client) = (vec![0; 2048], vec![0; 2048], None);
        loop {
            tokio::select! {
                received = near.recv_from(&mut out) => {
                    let Ok((length, from)) = received else { return };
                    client = Some(from);
                    let _ = far.send(&out[..length]).await;
                }
                received = far.recv(&mut back) => {
                    let Ok(length) = received else { return };
                    let _ = seen.compare_exchange(0, back[0], Ordering::Relaxed, Ordering::Relaxed);
                    if let Some(client) = client.filter(|_| both_ways) {
                        let _ = near.send_to(&back[..length], client).await;
                    }
                }
            }
        }
    });
    (address, first)
}

#[tokio::test]
async fn beyond_256_unfinished_handshakes_a_client_is_asked_to_come_back_and_is_served() {
    let scripted = Scripted::new().await;
    let gateway = Gateway::start(scripted.plan()).await;
    let endpoint = quic::endpoint(&gateway.plan.certificate.0);
    let connect = async || {
        let (address, first) = relay(gateway.https(), true).await;
        let connection = endpoint.connect(address, "localhost").unwrap().await;
        (connection.expect("a client that hears the gateway is served"), first)
    };
    let is_retry = |first: &AtomicU8| first.load(Ordering::Relaxed) & 0xf0 == 0xf0;
    let (_served, first) = connect().await;
    assert!(!is_retry(&first), "the first client was asked to come back");

    // These never hear an answer, so their handshakes stay where they are.
    let (deaf, _) = relay(gateway.https(), false).await;
    let unfinished: Vec<_> =
        (0..300).map(|_| endpoint.connect(deaf, "localhost").unwrap()).collect();
    until("a client is asked to come back", async || is_retry(&connect().await.1)).await;
    drop(unfinished);
}
