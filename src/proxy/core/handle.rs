//! What a core is to the rest of the data plane.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use parking_lot::RwLock;
use tokio::sync::{mpsc, watch};

use crate::access_log::AccessLog;
use crate::conn::http3::Handshake;
use crate::conn::registry::Registry;
use crate::core::{CoreId, Scope};
use crate::metrics::Metrics;
use crate::settings::Timeouts;
use crate::table::Table;

/// What all cores share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The one pointer that a swap replaces.
    pub(crate) table: ArcSwap<Table>,
    pub(crate) timeouts: Timeouts,
    pub(crate) access_log: Option<AccessLog>,
    /// Frontends on which HTTP/3 is spoken, by their places in the table.
    pub(crate) quic: RwLock<HashSet<usize>>,
    /// See [`Settings::restarts`](crate::Settings::restarts).
    pub(crate) restarts: bool,
    pub(crate) metrics: Arc<Metrics>,
    /// Bumped at every swap and change of health.
    pub(crate) changes: Arc<watch::Sender<u64>>,
    /// The process is about to end: answers tell clients to connect anew.
    pub(crate) closing: AtomicBool,
    pub(crate) cores: OnceLock<Box<[Arc<Core>]>>,
}

impl Shared {
    /// All cores; empty only before the first was started.
    pub(crate) fn cores(&self) -> &[Arc<Core>] {
        self.cores.get().map_or(&[], |cores| cores)
    }

    /// What tells clients of a frontend that HTTP/3 is spoken there, if it is (RFC 7838 3).
    pub(crate) fn alt_svc(&self, slot: usize) -> Option<HeaderValue> {
        if !self.quic.read().contains(&slot) {
            return None;
        }
        let table = self.table.load();
        let port = table.frontend(slot)?.port.to_str().ok()?;
        HeaderValue::try_from(format!("h3=\":{port}\"; ma=86400")).ok()
    }

    /// Sends a message made for each core.
    pub(crate) fn tell(&self, make: impl Fn() -> Message) {
        for core in self.cores() {
            core.tell(make());
        }
    }
}

/// One core, as others see it.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) id: CoreId,
    pub(crate) shared: Arc<Shared>,
    /// Client and member connections: what has deadlines.
    pub(crate) connections: Arc<Registry<Owner>>,
    /// Client connections alone, counted for placement.
    pub(crate) clients: Arc<Registry<()>>,
    pub(crate) tunnels: Arc<Registry<TunnelOwner>>,
    /// Where its tasks run; set before it gets its first message.
    pub(crate) runtime: OnceLock<tokio::runtime::Handle>,
    inbox: mpsc::UnboundedSender<Message>,
}

/// Whose connection a ticket is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owner {
    /// A client's, on the frontend with this place in the table.
    Client { slot: usize },
    /// Ours to the member with this identity.
    Member { id: u64 },
}

/// What a tunnel belongs to, by identity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TunnelOwner {
    pub(crate) listener: u64,
    pub(crate) member: u64,
    pub(crate) pace: Option<Pace>,
}

/// How many tunnels of a group are closed per second, at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) group: u64,
    pub(crate) per_second: NonZeroU32,
}

/// What a core is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Accept on this socket.
    Listen { slot: usize, socket: std::net::TcpListener },
    /// Stop accepting for this frontend, finish its requests, and end what is left of them.
    Unlisten { slot: usize, after: Duration },
    /// Read QUIC's packets from this socket, and accept its connections for all cores.
    ListenQuic { slot: usize, socket: std::net::UdpSocket },
    /// Accept no more of them.
    UnlistenQuic { slot: usize },
    /// Serve a QUIC connection.
    ServeQuic { slot: usize, handshake: Handshake },
    /// Serve a connection that another core accepted.
    Serve { slot: usize, tcp: std::net::TcpStream, peer: SocketAddr },
    /// Close the tunnels that belong to this, one after the other, unless it comes back.
    Leaving { scope: Arc<Scope>, epoch: u64 },
    /// The same, and end what belongs to it after a time, unless it has come back by then.
    Leave { scope: Arc<Scope>, epoch: u64, after: Duration },
    /// Close so many tunnels to this member.
    Move { member: u64, tunnels: usize, within: Duration },
    /// Stop accepting, finish requests, begin no new ones, and close tunnels one after the other.
    Drain { within: Duration },
    /// End everything.
    Abort,
}

impl Core {
    pub(crate) fn new(
        id: CoreId,
        shared: Arc<Shared>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Message>) {
        let (inbox, messages) = mpsc::unbounded_channel();
        let core = Self {
            id,
            shared,
            connections: Registry::new(),
            clients: Registry::new(),
            tunnels: Registry::new(),
            runtime: OnceLock::new(),
            inbox,
        };
        (Arc::new(core), messages)
    }

    /// Sends a message. A core that is gone has nothing left to be told.
    pub(crate) fn tell(&self, message: Message) {
        let _ = self.inbox.send(message);
    }

    /// Open client connections and tunnels: what a new connection is placed by.
    pub(crate) fn load(&self) -> usize {
        self.clients.open() + self.tunnels.open()
    }

    /// Whether answers are to tell clients to connect anew.
    pub(crate) fn closing(&self) -> bool {
        self.shared.closing.load(Ordering::Relaxed)
    }
}
