//! What is counted for a rule, for a member, and for the process.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use crate::access_log::AccessLog;
use crate::core::CoreId;
use crate::health::Health;
use crate::metrics::counters::{Counter, Histogram, Observed};
use crate::metrics::labels::{AcceptErrorClass, FailureLabel, HandshakeFailure};
use crate::padded::{Padded, per_core};
use crate::tunnel::{CloseLabel, RuleCount, Side, Traffic, TunnelEnd};

/// What names a rule's series.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RuleKey {
    pub(crate) gateway: String,
    pub(crate) listener: Box<str>,
    pub(crate) rule: Box<str>,
    pub(crate) pool: Box<str>,
    pub(crate) settings: Box<str>,
}

/// What names a member's series.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MemberKey {
    pub(crate) gateway: String,
    pub(crate) pool: Box<str>,
    pub(crate) settings: Box<str>,
    pub(crate) member: SocketAddr,
}

/// What names a certificate's series.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CertificateKey {
    pub(crate) gateway: String,
    pub(crate) certificate: Box<str>,
}

/// When a certificate expires that clients are shown.
#[derive(Debug)]
pub(crate) struct CertificateSeries {
    pub(super) key: CertificateKey,
    expires: AtomicI64,
}

impl CertificateSeries {
    pub(super) fn new(key: CertificateKey) -> Self {
        Self { key, expires: AtomicI64::new(0) }
    }

    /// Of the newest version.
    pub(crate) fn set(&self, expires: i64) {
        self.expires.store(expires, Ordering::Relaxed);
    }

    /// One from before 1970 has expired long enough to be told as the beginning of time.
    pub(super) fn expires(&self) -> u64 {
        u64::try_from(self.expires.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

/// Labels of the classes of status codes, `1xx` to `5xx`.
pub(super) const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

fn class(status: u16) -> usize {
    usize::from((status / 100).clamp(1, 5) - 1)
}

/// Requests and tunnels of one rule.
#[derive(Debug)]
pub(crate) struct RuleSeries {
    key: RuleKey,
    /// Tunnels, where their number is limited.
    pub(crate) tunnels: RuleCount,
    pub(super) cores: Box<[Padded<RuleShard>]>,
}

#[derive(Debug)]
pub(super) struct RuleShard {
    pub(super) statuses: [Counter; 5],
    pub(super) duration: Histogram,
    pub(super) received: Counter,
    pub(super) sent: Counter,
    pub(super) failures: [Counter; FailureLabel::LABELS.len()],
    pub(super) handshake_failures: [Counter; HandshakeFailure::LABELS.len()],
    pub(super) tunnels: Counter,
    pub(super) tunnel_ends: [Counter; TunnelEnd::LABELS.len()],
    /// By side and code.
    pub(super) closes: [[Counter; CloseLabel::LABELS.len()]; Side::LABELS.len()],
    pub(super) tunnel_duration: Histogram,
    pub(super) tunnel_received: Counter,
    pub(super) tunnel_sent: Counter,
    pub(super) messages_received: Counter,
    pub(super) messages_sent: Counter,
    /// Client and member.
    pub(super) pings: [Histogram; 2],
    /// Unanswered, and answered.
    pub(super) drained: [Counter; 2],
}

impl RuleSeries {
    pub(super) fn new(key: RuleKey, cores: usize) -> Self {
        let shard = || RuleShard {
            statuses: Default::default(),
            duration: Histogram::short(),
            received: Counter::default(),
            sent: Counter::default(),
            failures: Default::default(),
            handshake_failures: Default::default(),
            tunnels: Counter::default(),
            tunnel_ends: Default::default(),
            tunnel_duration: Histogram::long(),
            tunnel_received: Counter::default(),
            tunnel_sent: Counter::default(),
            closes: Default::default(),
            messages_received: Counter::default(),
            messages_sent: Counter::default(),
            pings: [Histogram::short(), Histogram::short()],
            drained: Default::default(),
        };
        Self { key, tunnels: RuleCount::default(), cores: per_core(cores, shard) }
    }

    pub(crate) fn key(&self) -> &RuleKey {
        &self.key
    }

    /// A number for the pool with its settings: the same for all rules that lead there.
    pub(crate) fn target(&self) -> u64 {
        let RuleKey { gateway, pool, settings, .. } = &self.key;
        let mut hasher = DefaultHasher::new();
        (gateway, pool, settings).hash(&mut hasher);
        hasher.finish()
    }

    /// A request was answered; body bytes from and to the client.
    pub(crate) fn request(
        &self,
        core: CoreId,
        status: u16,
        took: Duration,
        received: u64,
        sent: u64,
    ) {
        let shard = &self.cores[core.index()];
        shard.statuses[class(status)].add(1);
        shard.duration.observe(took);
        if received > 0 {
            shard.received.add(received);
        }
        shard.sent.add(sent);
    }

    /// The gateway answered by itself.
    pub(crate) fn failure(&self, core: CoreId, why: FailureLabel) {
        self.cores[core.index()].failures[why as usize].add(1);
    }

    /// A WebSocket handshake made no tunnel.
    pub(crate) fn handshake_failure(&self, core: CoreId, why: HandshakeFailure) {
        self.cores[core.index()].handshake_failures[why as usize].add(1);
    }

    pub(crate) fn tunnel_opened(&self, core: CoreId) {
        self.cores[core.index()].tunnels.add(1);
    }

    /// So much more has moved through a tunnel.
    pub(crate) fn tunnel_moved(&self, core: CoreId, more: Traffic) {
        let shard = &self.cores[core.index()];
        shard.tunnel_received.add(more.received);
        shard.tunnel_sent.add(more.sent);
        shard.messages_received.add(more.messages_received);
        shard.messages_sent.add(more.messages_sent);
    }

    /// A side answered a ping of ours.
    pub(crate) fn tunnel_ping(&self, core: CoreId, side: Side, took: Duration) {
        if let Some(pings) = self.cores[core.index()].pings.get(side as usize) {
            pings.observe(took);
        }
    }

    /// A client was told Close by us; whether it answered.
    pub(crate) fn tunnel_drained(&self, core: CoreId, answered: bool) {
        self.cores[core.index()].drained[usize::from(answered)].add(1);
    }

    pub(crate) fn tunnel_closed(
        &self,
        core: CoreId,
        lasted: Duration,
        end: TunnelEnd,
        side: Side,
        code: CloseLabel,
    ) {
        let shard = &self.cores[core.index()];
        shard.tunnel_ends[end as usize].add(1);
        shard.closes[side as usize][code as usize].add(1);
        shard.tunnel_duration.observe(lasted);
    }

    pub(super) fn sum(&self, counter: impl Fn(&RuleShard) -> &Counter) -> u64 {
        self.cores.iter().map(|shard| counter(shard).get()).sum()
    }

    pub(super) fn observed(&self, histogram: impl Fn(&RuleShard) -> &Histogram) -> Observed {
        let mut total = Observed::none();
        self.cores.iter().for_each(|shard| histogram(shard).add_to(&mut total));
        total
    }

    /// Tunnels that have opened and not closed.
    pub(crate) fn open_tunnels(&self) -> u64 {
        // Ends first: a tunnel that opens and closes in between must not make it negative.
        let ended: u64 =
            (0..TunnelEnd::LABELS.len()).map(|end| self.sum(|s| &s.tunnel_ends[end])).sum();
        self.sum(|shard| &shard.tunnels).saturating_sub(ended)
    }

    /// Requests answered so far.
    pub(crate) fn requests(&self) -> u64 {
        (0..5).map(|class| self.sum(|shard| &shard.statuses[class])).sum()
    }
}

/// Requests, connections and tunnels of one member.
#[derive(Debug)]
pub(crate) struct MemberSeries {
    pub(super) key: MemberKey,
    pub(super) cores: Box<[Padded<MemberShard>]>,
    health: Mutex<Weak<Health>>,
}

#[derive(Debug)]
pub(super) struct MemberShard {
    pub(super) statuses: [Counter; 5],
    pub(super) latency: Histogram,
    pub(super) connect: Histogram,
    pub(super) connect_failures: Counter,
    pub(super) retries: Counter,
    started: Counter,
    ended: Counter,
    tunnels_opened: Counter,
    tunnels_closed: Counter,
}

impl MemberSeries {
    pub(super) fn new(key: MemberKey, cores: usize) -> Self {
        let shard = || MemberShard {
            statuses: Default::default(),
            latency: Histogram::short(),
            connect: Histogram::short(),
            connect_failures: Counter::default(),
            retries: Counter::default(),
            started: Counter::default(),
            ended: Counter::default(),
            tunnels_opened: Counter::default(),
            tunnels_closed: Counter::default(),
        };
        Self { key, cores: per_core(cores, shard), health: Mutex::new(Weak::new()) }
    }

    /// The name of its pool.
    pub(crate) fn pool(&self) -> &str {
        &self.key.pool
    }

    /// The member's response has begun, so long after the request's first byte.
    pub(crate) fn request(&self, core: CoreId, status: u16, latency: Duration) {
        let shard = &self.cores[core.index()];
        shard.statuses[class(status)].add(1);
        shard.latency.observe(latency);
    }

    pub(crate) fn connected(&self, core: CoreId, took: Duration) {
        self.cores[core.index()].connect.observe(took);
    }

    pub(crate) fn connect_failed(&self, core: CoreId) {
        self.cores[core.index()].connect_failures.add(1);
    }

    /// A request was sent again because its connection was closed.
    pub(crate) fn retried(&self, core: CoreId) {
        self.cores[core.index()].retries.add(1);
    }

    pub(crate) fn request_started(&self, core: CoreId) {
        self.cores[core.index()].started.add(1);
    }

    pub(crate) fn request_ended(&self, core: CoreId) {
        self.cores[core.index()].ended.add(1);
    }

    pub(crate) fn tunnel_opened(&self, core: CoreId) {
        self.cores[core.index()].tunnels_opened.add(1);
    }

    pub(crate) fn tunnel_closed(&self, core: CoreId) {
        self.cores[core.index()].tunnels_closed.add(1);
    }

    /// What its probe finds, from now on.
    pub(crate) fn set_health(&self, health: &Arc<Health>) {
        *self.health.lock() = Arc::downgrade(health);
    }

    pub(super) fn health(&self) -> Option<Arc<Health>> {
        self.health.lock().upgrade()
    }

    pub(super) fn sum(&self, counter: impl Fn(&MemberShard) -> &Counter) -> u64 {
        self.cores.iter().map(|shard| counter(shard).get()).sum()
    }

    pub(super) fn observed(&self, histogram: impl Fn(&MemberShard) -> &Histogram) -> Observed {
        let mut total = Observed::none();
        self.cores.iter().for_each(|shard| histogram(shard).add_to(&mut total));
        total
    }

    /// Tunnels that have opened and not closed.
    pub(crate) fn open_tunnels(&self) -> u64 {
        let closed = self.sum(|shard| &shard.tunnels_closed);
        self.sum(|shard| &shard.tunnels_opened).saturating_sub(closed)
    }

    /// Those of one core.
    pub(crate) fn open_on(&self, core: CoreId) -> u64 {
        let shard = &self.cores[core.index()];
        let closed = shard.tunnels_closed.get();
        shard.tunnels_opened.get().saturating_sub(closed)
    }

    /// Requests that have begun and not ended.
    pub(crate) fn in_flight(&self) -> u64 {
        let ended = self.sum(|shard| &shard.ended);
        self.sum(|shard| &shard.started).saturating_sub(ended)
    }
}

/// What belongs to no rule and no member.
#[derive(Debug)]
pub(crate) struct ProcessSeries {
    pub(super) cores: Box<[Padded<ProcessShard>]>,
    pub(super) swaps: Counter,
    pub(super) unchanged: Counter,
    pub(super) swap_duration: Histogram,
    revision: AtomicU64,
    log: OnceLock<AccessLog>,
}

#[derive(Debug)]
pub(super) struct ProcessShard {
    /// Plain, and with TLS.
    pub(super) connections: [Counter; 2],
    closed: Counter,
    /// Succeeded, and failed.
    pub(super) handshakes: [Counter; 2],
    pub(super) handshake_duration: Histogram,
    pub(super) accept_errors: [Counter; AcceptErrorClass::LABELS.len()],
}

impl ProcessSeries {
    pub(super) fn new(cores: usize) -> Self {
        let shard = || ProcessShard {
            connections: Default::default(),
            closed: Counter::default(),
            handshakes: Default::default(),
            handshake_duration: Histogram::short(),
            accept_errors: Default::default(),
        };
        Self {
            cores: per_core(cores, shard),
            swaps: Counter::default(),
            unchanged: Counter::default(),
            swap_duration: Histogram::short(),
            revision: AtomicU64::new(0),
            log: OnceLock::new(),
        }
    }

    pub(crate) fn connection_opened(&self, core: CoreId, tls: bool) {
        self.cores[core.index()].connections[usize::from(tls)].add(1);
    }

    pub(crate) fn connection_closed(&self, core: CoreId) {
        self.cores[core.index()].closed.add(1);
    }

    pub(crate) fn tls_handshake(&self, core: CoreId, succeeded: bool, took: Duration) {
        let shard = &self.cores[core.index()];
        shard.handshakes[usize::from(!succeeded)].add(1);
        shard.handshake_duration.observe(took);
    }

    pub(crate) fn accept_error(&self, core: CoreId, class: AcceptErrorClass) {
        self.cores[core.index()].accept_errors[class as usize].add(1);
    }

    /// A snapshot was applied, compiling included; `changed` unless it was equal to the last.
    pub(crate) fn swap(&self, took: Duration, changed: bool) {
        if changed {
            self.swaps.add(1);
            self.swap_duration.observe(took);
        } else {
            self.unchanged.add(1);
        }
    }

    pub(crate) fn set_revision(&self, revision: u64) {
        self.revision.store(revision, Ordering::Relaxed);
    }

    /// Counts what this log drops.
    pub(crate) fn watch_log(&self, log: AccessLog) {
        // Called once, at the start.
        let _ = self.log.set(log);
    }

    pub(super) fn log_dropped(&self) -> u64 {
        self.log.get().map_or(0, AccessLog::dropped)
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }

    pub(super) fn sum(&self, counter: impl Fn(&ProcessShard) -> &Counter) -> u64 {
        self.cores.iter().map(|shard| counter(shard).get()).sum()
    }

    pub(super) fn connections_open(&self) -> u64 {
        let closed = self.sum(|shard| &shard.closed);
        (0..2).map(|tls| self.sum(|s| &s.connections[tls])).sum::<u64>().saturating_sub(closed)
    }
}
