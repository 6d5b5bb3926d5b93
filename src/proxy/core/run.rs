//! The thread of a core: takes messages, sweeps tickets, and lets its runtime do the rest.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tracing::error;

use crate::clock;
use crate::conn::ticket::Order;
use crate::conn::{http3, serve};
use crate::core::closing::{self, Closing, When};
use crate::core::{Core, Message, Owner, Scope};
use crate::listen::{accept, quic};

/// Starts the thread of a core.
///
/// # Errors
/// If the system gives no thread or no event queue.
pub(crate) fn spawn(core: Arc<Core>, messages: mpsc::UnboundedReceiver<Message>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Only done here, and once.
    let _ = core.runtime.set(runtime.handle().clone());
    std::thread::Builder::new().name(format!("core-{}", core.id.index())).spawn(move || {
        let guard = EndProcess;
        runtime.block_on(Loop::new(core).run(messages));
        std::mem::forget(guard);
    })?;
    Ok(())
}

/// Ends the process if a core's loop ends by a panic: a data plane that lost a core silently would
/// go on accepting connections that nobody serves.
struct EndProcess;

impl Drop for EndProcess {
    fn drop(&mut self) {
        error!("a core ended by itself; ending the process");
        std::process::abort();
    }
}

/// Something that left the table and drains.
struct Leaving {
    scope: Arc<Scope>,
    epoch: u64,
    due: u64,
}

struct Loop {
    core: Arc<Core>,
    /// Dropping one ends its accept loop.
    listening: HashMap<usize, oneshot::Sender<()>>,
    listening_quic: HashMap<usize, oneshot::Sender<()>>,
    leaving: Vec<Leaving>,
    closing: Closing,
}

impl Loop {
    fn new(core: Arc<Core>) -> Self {
        let closing = Closing::new(core.clone());
        let (listening, listening_quic) = (HashMap::new(), HashMap::new());
        Self { core, listening, listening_quic, leaving: Vec::new(), closing }
    }

    /// Runs until the proxy's last handle is gone.
    async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
        let mut step = tokio::time::interval(clock::STEP);
        step.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut closing = tokio::time::interval(closing::STEP);
        closing.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => self.take(message).await,
                    None => return,
                },
                _ = step.tick() => self.sweep().await,
                _ = closing.tick(), if !self.closing.is_empty() => self.closing.sweep(),
            }
        }
    }

    async fn take(&mut self, message: Message) {
        match message {
            Message::Listen { slot, socket } => self.listen(slot, socket),
            Message::Unlisten { slot, after } => {
                self.listening.remove(&slot);
                self.finish_clients(Some(slot), Order::Graceful).await;
                let core = self.core.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    // The address may be served again by then, by new connections: those are
                    // ended too late to matter only if the slot came back, so look.
                    if core.shared.table.load().frontend(slot).is_none() {
                        end_clients(&core, Some(slot), Order::Abort).await;
                    }
                });
            }
            Message::ListenQuic { slot, socket } => {
                let (end, ended) = oneshot::channel();
                tokio::spawn(quic::run(self.core.clone(), slot, socket, ended));
                self.listening_quic.insert(slot, end);
            }
            Message::UnlistenQuic { slot } => drop(self.listening_quic.remove(&slot)),
            Message::ServeQuic { slot, handshake } => http3::spawn(&self.core, slot, handshake),
            Message::Serve { slot, tcp, peer } => match tokio::net::TcpStream::from_std(tcp) {
                Ok(tcp) => serve::spawn(&self.core, slot, tcp, peer),
                Err(error) => tracing::warn!(%error, "a connection could not change its core"),
            },
            Message::Leaving { scope, epoch } => {
                self.closing.of_scope(&scope, epoch, When::Early).await;
            }
            Message::Move { member, tunnels, within } => {
                self.closing.some_of(member, tunnels, within).await;
            }
            Message::Leave { scope, epoch, after } => {
                self.closing.of_scope(&scope, epoch, When::Late).await;
                self.leaving.push(Leaving { scope, epoch, due: clock::renew() + millis(after) });
            }
            Message::Drain { within } => {
                self.listening.clear();
                self.listening_quic.clear();
                self.finish_clients(None, Order::Graceful).await;
                self.closing.all(within).await;
            }
            Message::Abort => {
                self.core.connections.walk(|ticket, _| ticket.give(Order::Abort)).await;
                self.core.tunnels.walk(|ticket, _| ticket.give(Order::Abort)).await;
            }
        }
    }

    fn listen(&mut self, slot: usize, socket: std::net::TcpListener) {
        match tokio::net::TcpListener::from_std(socket) {
            Ok(socket) => {
                let (end, ended) = oneshot::channel();
                tokio::spawn(accept::run(self.core.clone(), slot, socket, ended));
                self.listening.insert(slot, end);
            }
            Err(error) => error!(%error, "a listening socket could not be watched"),
        }
    }

    async fn finish_clients(&self, slot: Option<usize>, order: Order) {
        end_clients(&self.core, slot, order).await;
    }

    async fn sweep(&mut self) {
        let now = clock::renew();
        self.core.connections.walk(|ticket, _| ticket.sweep(now)).await;
        self.end_leaving(now).await;
    }

    /// Ends what belongs to scopes whose time is up.
    async fn end_leaving(&mut self, now: u64) {
        self.leaving.retain(|leaving| leaving.scope.left_in(leaving.epoch));
        let mut due: Vec<u64> = Vec::new();
        self.leaving.retain(|leaving| {
            let up = leaving.due <= now;
            if up {
                due.push(leaving.scope.id());
            }
            !up
        });
        if due.is_empty() {
            return;
        }
        due.sort_unstable();
        let left = |id: &u64| due.binary_search(id).is_ok();
        let end = |ticket: &crate::conn::ticket::Ticket, gone| {
            if gone {
                ticket.give(Order::Abort);
            }
        };
        self.core
            .tunnels
            .walk(|ticket, owner| end(ticket, left(&owner.listener) || left(&owner.member)))
            .await;
        self.core
            .connections
            .walk(|ticket, owner| end(ticket, matches!(owner, Owner::Member { id } if left(id))))
            .await;
    }
}

async fn end_clients(core: &Core, slot: Option<usize>, order: Order) {
    core.connections
        .walk(|ticket, owner| match owner {
            Owner::Client { slot: its } if slot.is_none_or(|slot| slot == *its) => {
                ticket.give(order)
            }
            _ => {}
        })
        .await;
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}
