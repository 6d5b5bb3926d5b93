//! The accept loop of one socket on one core.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::conn::serve;
use crate::core::{Core, Message};
use crate::metrics::AcceptErrorClass;

/// How long to wait after accepting failed for want of something; doubled up to the second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How many connections more than the idlest core one may have before it gives new ones away.
///
/// The kernel spreads many short connections evenly and few long ones badly, and WebSockets are
/// long.
const UNEVEN: usize = 8;

/// Accepts until `stop` is dropped, and then what has been waiting: a client that was connected
/// before the end is not reset.
pub(crate) async fn run(
    core: Arc<Core>,
    slot: usize,
    listener: TcpListener,
    mut stop: oneshot::Receiver<()>,
) {
    let mut pause = SHORTEST_PAUSE;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            _ = &mut stop => break,
        };
        match accepted {
            Ok((tcp, peer)) => {
                pause = SHORTEST_PAUSE;
                place(&core, slot, tcp, peer);
            }
            Err(error) => {
                let class = class_of(&error);
                core.shared.metrics.process().accept_error(core.id, class);
                match class {
                    AcceptErrorClass::Connection => {}
                    AcceptErrorClass::Resources | AcceptErrorClass::Listener => {
                        tracing::warn!(%error, "cannot accept connections; trying again");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
        }
    }
    while let Some(Ok((tcp, peer))) = listener.accept().now_or_never() {
        place(&core, slot, tcp, peer);
    }
}

/// Serves a connection here, or hands it to a core that has much less to do.
fn place(core: &Arc<Core>, slot: usize, tcp: TcpStream, peer: std::net::SocketAddr) {
    let cores = core.shared.cores();
    if cores.len() > 1
        && let Some(idlest) = cores.iter().min_by_key(|core| core.load())
        && idlest.id != core.id
        && core.load() > idlest.load() + UNEVEN
    {
        match tcp.into_std() {
            Ok(tcp) => idlest.tell(Message::Serve { slot, tcp, peer }),
            Err(error) => tracing::warn!(%error, "a connection could not change its core"),
        }
        return;
    }
    serve::spawn(core, slot, tcp, peer);
}

/// Accepting fails for one connection, for want of something, or because the socket is bad.
fn class_of(error: &io::Error) -> AcceptErrorClass {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
            AcceptErrorClass::Resources
        }
        Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK) => AcceptErrorClass::Listener,
        _ => AcceptErrorClass::Connection,
    }
}
