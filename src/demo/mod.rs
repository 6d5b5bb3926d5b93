//! `tidegate demo`: two chat back ends behind a gateway that runs an ApplicationGateway from a
//! file.
//!
//! The back ends are servers of their own, on ports of their own; they share a room, and nothing
//! but this process. Traffic reaches them through the gateway alone, as it would real ones.

mod back_end;
mod chat;
mod pages;
mod places;
mod room;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use tidegate_proxy::Handle;

pub(crate) use places::{Places, banner};

use crate::demo::back_end::BackEnd;
use crate::demo::room::Room;

/// The names of the back ends.
pub(crate) const NAMES: [&str; 2] = ["red", "blue"];

/// Both back ends.
#[derive(Clone, Debug)]
pub(crate) struct BackEnds(Arc<Shared>);

/// What the back ends share.
#[derive(Debug)]
struct Shared {
    room: Room,
    all: Vec<BackEnd>,
    /// The gateway in front, to show how it sees them.
    proxy: OnceLock<Handle>,
}

impl BackEnds {
    /// Starts both, on free ports.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for name in NAMES {
            all.push(BackEnd::bind(name).await?);
        }
        let shared = Arc::new(Shared { room: Room::new(), all, proxy: OnceLock::new() });
        for back_end in &shared.all {
            back_end.start(shared.clone())?;
        }
        Ok(Self(shared))
    }

    /// Shows the members as this gateway sees them.
    pub(crate) fn watch(&self, proxy: Handle) {
        // Called once.
        let _ = self.0.proxy.set(proxy);
    }

    /// Where each of them is.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        self.0.all.iter().map(|back_end| (back_end.name, back_end.address))
    }
}

impl Shared {
    fn find(&self, name: &str) -> Option<&BackEnd> {
        self.all.iter().find(|back_end| back_end.name == name)
    }

    /// How many run.
    fn running(&self) -> usize {
        self.all.iter().filter(|back_end| back_end.is_running()).count()
    }
}
