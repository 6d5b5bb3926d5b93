//! What a request chooses a member from: those of one pool, or of several with weights.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;
use tidegate_model::{HostOverride, LoadDistribution, MemberState, ObjectName, Settings, Weight};

use crate::conn::client::Client;
use crate::core::CoreId;
use crate::health::{Health, WHOLE};
use crate::keys::AffinityKeys;
use crate::member::Member;
use crate::padded::{Padded, per_core};
use crate::table::affinity::{Affinity, Kept};
use crate::table::choice;

/// Members to choose from, all spoken to in the same way.
#[derive(Debug)]
pub(crate) struct Distribution {
    pub(crate) settings: Arc<Settings>,
    /// The `Host` of every request, if the settings fix it.
    pub(crate) host: Option<HeaderValue>,
    pub(crate) affinity: Option<Affinity>,
    pub(crate) candidates: Box<[Candidate]>,
    algorithm: LoadDistribution,
    /// Whether some members are to get more than others, or may be for a while.
    is_weighted: bool,
    /// Whether some are for good.
    is_uneven: bool,
    /// Where each core's round stands.
    rounds: Box<[Padded<AtomicUsize>]>,
}

/// A member as one pool sees it.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) member: Arc<Member>,
    pub(crate) health: Arc<Health>,
    pub(crate) state: MemberState,
    weight: Weight,
    /// A hash of its address, the same in every process.
    hash: u64,
}

/// Who asks for a member, and what for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) core: CoreId,
    /// The client's address.
    pub(crate) client: IpAddr,
    /// The member that the client is to stay with.
    pub(crate) kept: Option<Kept>,
    /// How many tunnels a member may have, if one is to be opened.
    pub(crate) most_tunnels: Option<NonZeroU32>,
    /// Members that did not take the connection.
    pub(crate) tried: &'a [Arc<Member>],
}

impl Distribution {
    pub(super) fn new(
        settings: Arc<Settings>,
        algorithm: LoadDistribution,
        candidates: Box<[Candidate]>,
        affinity: Option<Affinity>,
        cores: usize,
    ) -> Self {
        let host = match &settings.host {
            HostOverride::Fixed(name) => HeaderValue::try_from(name.as_str()).ok(),
            HostOverride::Keep | HostOverride::FromMember => None,
        };
        let first = candidates.first().map(|candidate| candidate.weight);
        let is_uneven = candidates.iter().any(|candidate| Some(candidate.weight) != first);
        let is_weighted = is_uneven || settings.slow_start.is_some();
        // Cores begin in different places, so that together they are even, too.
        let mut start = 0usize;
        let rounds = per_core(cores, || {
            start = start.wrapping_add(1);
            AtomicUsize::new(choice::mix(start as u64) as usize >> 1)
        });
        Self { settings, host, affinity, candidates, algorithm, is_weighted, is_uneven, rounds }
    }

    /// The cookies of these members, if the settings ask for cookies.
    pub(super) fn affinity_of(
        settings: &Settings,
        gateway: &Arc<ObjectName>,
        keys: &Arc<AffinityKeys>,
        candidates: &[Candidate],
        before: Option<&Self>,
    ) -> Option<Affinity> {
        let cookie = settings.affinity.clone()?;
        let members = candidates.iter().map(|candidate| candidate.member.address).collect();
        let before = before.and_then(|before| before.affinity.as_ref());
        Some(Affinity::new(keys, gateway, cookie, members, before))
    }

    /// The member that the client is to stay with, even if it is terminating; else the one that the
    /// algorithm says; one that is terminating only if no other is left. It is up, and not among
    /// those tried, and has room for one more tunnel where their number is limited.
    pub(crate) fn pick(&self, asking: &Asking<'_>) -> Option<&Candidate> {
        let is_left = |candidate: &Candidate| {
            candidate.health.is_up()
                && asking.most_tunnels.is_none_or(|most| candidate.member.has_room(most))
                && !asking.tried.iter().any(|member| Arc::ptr_eq(member, &candidate.member))
        };
        let own = self.kept(asking.kept).filter(|own| own.state.takes_requests());
        if let Some(own) = own.filter(|own| is_left(own)) {
            return Some(own);
        }
        let turn = self.rounds.get(asking.core.index())?.fetch_add(1, Ordering::Relaxed);
        let all = &self.candidates;
        let find = |state| {
            let able = |place: usize| all[place].state == state && is_left(&all[place]);
            let place = self.choose(turn, asking.client, able)?;
            all.get(place)
        };
        find(MemberState::Ready).or_else(|| find(MemberState::Terminating))
    }

    fn choose(&self, turn: usize, client: IpAddr, able: impl Fn(usize) -> bool) -> Option<usize> {
        let (all, count) = (&self.candidates, self.candidates.len());
        let load = |place: usize| all[place].member.load();
        let full = |place: usize| u64::from(all[place].weight.get());
        let weight = |place: usize| {
            let warmth = self.settings.slow_start.map(|time| all[place].health.warmth(time));
            full(place) * warmth.unwrap_or(WHOLE)
        };
        match (self.algorithm, self.is_weighted) {
            (LoadDistribution::RoundRobin, false) => choice::in_turn(count, turn, able),
            (LoadDistribution::RoundRobin, true) => choice::by_weight(count, turn, able, weight),
            (LoadDistribution::LeastConnections, false) => choice::least(count, turn, able, load),
            (LoadDistribution::LeastConnections, true) => {
                choice::least_by_weight(count, turn, able, weight, load)
            }
            (LoadDistribution::IpHash, _) => {
                let client = hash_of(client);
                let score = |place: usize| choice::mix(client ^ all[place].hash);
                // A client that moves while a member warms up would move twice.
                match self.is_uneven {
                    false => choice::by_hash(count, able, score),
                    true => choice::by_hash_and_weight(count, able, full, score),
                }
            }
        }
    }

    /// Whether this is the member that the client is to stay with.
    pub(crate) fn is_at(&self, kept: Kept, member: &Arc<Member>) -> bool {
        self.kept(Some(kept)).is_some_and(|candidate| Arc::ptr_eq(&candidate.member, member))
    }

    /// The member that a client's connection has a connection to for itself.
    pub(crate) fn own_of(&self, client: &Client) -> Option<Kept> {
        if !self.settings.dedicated_connections {
            return None;
        }
        let last = client.own.last()?;
        let is_it = |candidate: &Candidate| Arc::ptr_eq(&candidate.member, &last);
        let candidate = self.candidates.iter().position(is_it)?;
        Some(Kept { candidate, current: true })
    }

    fn kept(&self, kept: Option<Kept>) -> Option<&Candidate> {
        self.candidates.get(kept?.candidate)
    }

    /// Whether any member is up.
    pub(crate) fn is_up(&self) -> bool {
        self.candidates.iter().any(|candidate| candidate.health.is_up())
    }

    /// Whether a member that may take requests has not been probed yet.
    pub(crate) fn awaits_probe(&self) -> bool {
        self.candidates.iter().any(Candidate::awaits_probe)
    }

    /// Whether that is so of the member that the client is to stay with.
    pub(crate) fn awaits_probe_of(&self, kept: Option<Kept>) -> bool {
        self.kept(kept).is_some_and(Candidate::awaits_probe)
    }
}

impl Candidate {
    pub(super) fn new(member: Arc<Member>, health: Arc<Health>, state: MemberState) -> Self {
        let address = member.address;
        let hash = choice::mix(hash_of(address.ip()) ^ u64::from(address.port()));
        Self { member, health, state, weight: Weight::ONE, hash }
    }

    /// The same one in a distribution where its pool's members weigh so much.
    pub(super) fn weighing(&self, weight: Weight) -> Self {
        Self { weight, ..self.clone() }
    }

    fn awaits_probe(&self) -> bool {
        self.state.takes_requests() && self.health.is_unknown()
    }
}

/// A hash of an address that is the same in every process: replicas send a client to the same
/// member. Nobody gains by addresses that meet.
fn hash_of(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(ip) => choice::mix(u64::from(u32::from(ip))),
        IpAddr::V6(ip) => {
            let bits = u128::from(ip);
            choice::mix(choice::mix((bits >> 64) as u64) ^ bits as u64)
        }
    }
}
