//! Pools and their members.

use std::net::IpAddr;

/// A back-end pool: the addresses that a rule's requests go to.
///
/// An empty pool is legal; its requests are answered with 502.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name, unique in the gateway.
    pub name: Box<str>,
    /// Its members, without repeats.
    pub members: Vec<Member>,
}

/// One address of a pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Where it is.
    pub address: IpAddr,
    /// Its own port, when the source says one per endpoint; else the settings' port holds.
    pub port: Option<u16>,
    /// The name that the address was resolved from, when the pool names a host.
    pub fqdn: Option<Box<str>>,
    /// What the source says of it, apart from what probes find.
    pub state: MemberState,
}

/// What the source of a pool says of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub enum MemberState {
    /// It takes requests, if its probe agrees.
    Ready,
    /// It is about to leave but still serves: it takes requests only if no member is ready.
    Terminating,
    /// It takes no request, and keeps what it has open.
    NotReady,
    /// It is about to leave and takes no request any more.
    Leaving,
}

impl MemberState {
    /// Whether it takes requests: of anyone, or of clients that are to stay with it.
    pub fn takes_requests(self) -> bool {
        matches!(self, Self::Ready | Self::Terminating)
    }

    /// Whether it is on its way out, so that what it has open has to end.
    pub fn is_leaving(self) -> bool {
        matches!(self, Self::Terminating | Self::Leaving)
    }
}
