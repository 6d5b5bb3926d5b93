//! QUIC on one address: one socket, whose packets one core reads, and connections on all cores.
//!
//! A client keeps its connection when its address changes, so packets are told apart by connection
//! and not by where they come from: several sockets on the port would each get some of them. What
//! costs (encryption, requests) is done on the core that a connection is given to when it begins.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use quinn::{AsyncTimer, AsyncUdpSocket, Endpoint, EndpointConfig, Runtime, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{Semaphore, oneshot};

use crate::conn::http3::Handshake;
use crate::core::{Core, Message, Shared};

/// Handshakes at once on a socket that are begun for whoever says so. Beyond them a client has to
/// show first that it gets what is sent to its address (RFC 9000 8.1.2), as with SYN cookies.
const HANDSHAKES: usize = 256;

/// Bytes of packets that the system is asked to hold on either way.
const BUFFER: usize = 4 * 1024 * 1024;

/// Opens a socket.
///
/// # Errors
/// If another has the address, or the system refuses it.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    // As much as the system allows: one socket takes the packets of all its clients.
    let _ = socket.set_recv_buffer_size(BUFFER).and_then(|()| socket.set_send_buffer_size(BUFFER));
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Has what a connection does run on the core that it is given to.
#[derive(Debug)]
struct Spread {
    shared: Arc<Shared>,
    /// The endpoint's own, for what is not a connection's.
    next: AtomicUsize,
}

impl Runtime for Spread {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let core = self.shared.cores().get(self.next.load(Ordering::Relaxed));
        match core.and_then(|core| core.runtime.get()) {
            Some(runtime) => drop(runtime.spawn(task)),
            None => drop(tokio::spawn(task)),
        }
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }
}

/// Accepts connections until `stop` is dropped, and reads packets for as long as there are some.
pub(crate) async fn run(
    core: Arc<Core>,
    slot: usize,
    socket: UdpSocket,
    mut stop: oneshot::Receiver<()>,
) {
    let own = core.id.index();
    let spread = Arc::new(Spread { shared: core.shared.clone(), next: AtomicUsize::new(own) });
    let Some(config) = config(&core, slot) else { return };
    let endpoint = match Endpoint::new(
        EndpointConfig::default(),
        Some((*config).clone()),
        socket,
        spread.clone(),
    ) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            tracing::warn!(%error, "a UDP socket could not be watched");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            _ = &mut stop => None,
        };
        let Some(incoming) = incoming else { break };
        // As of now: certificates may have changed.
        let Some(config) = self::config(&core, slot) else { continue };
        let place = places.clone().try_acquire_owned().ok();
        if place.is_none() && !incoming.remote_address_validated() {
            // Costs us a packet and no memory; a client that is where it says comes back.
            let _ = incoming.retry();
            continue;
        }
        let Some(to) = core.shared.cores().iter().min_by_key(|core| core.load()) else { break };
        spread.next.store(to.id.index(), Ordering::Relaxed);
        match incoming.accept_with(config) {
            Ok(connecting) => {
                let handshake = Handshake { connecting, place };
                to.tell(Message::ServeQuic { slot, handshake });
            }
            Err(error) => tracing::debug!(%error, "a QUIC connection failed"),
        }
    }
    endpoint.set_server_config(None);
    endpoint.wait_idle().await;
}

fn config(core: &Core, slot: usize) -> Option<Arc<quinn::ServerConfig>> {
    let table = core.shared.table.load();
    Some(table.frontend(slot)?.tls.as_ref()?.quic())
}
