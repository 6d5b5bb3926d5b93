//! What of a tunnel depends on time: its life, its silence, and how long its end may take.
//!
//! A tunnel without limits has no watch until it ends. One that has a watch has one timer, which is
//! set when it fires and not whenever something moves. There are as many watches as tunnels: each
//! is kept small.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tidegate_model::WebSocket;
use tokio::time::Sleep;

use crate::clock::Moment;
use crate::tunnel::end::{Side, TunnelEnd};

/// What time has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The tunnel is to be closed.
    Close(TunnelEnd),
    /// A side is to be pinged.
    Ping(Side),
    /// The tunnel had its time to end.
    Over,
}

/// What has moved, by which silence is known: of the client, and of the member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Bytes that have come from it.
    pub(super) read: [u64; 2],
    /// Bytes that it has taken.
    pub(super) taken: [u64; 2],
}

/// See the module.
#[derive(Debug)]
pub(super) struct Watch {
    timer: Pin<Box<Sleep>>,
    life_ends: Option<Moment>,
    /// When something was last seen to come, and how much had come then.
    active: (Moment, [u64; 2]),
    /// Client and member.
    heartbeats: Option<[Heartbeat; 2]>,
    // Boxed: most of the time there is none.
    ending: Option<Box<Ending>>,
}

/// A side's pings.
#[derive(Clone, Copy, Debug)]
struct Heartbeat {
    next: Moment,
    /// A ping on its way: until when there has to be a sign of life.
    sent: Option<Moment>,
    /// What had come from the side before its ping, and what it had taken.
    before: (u64, u64),
    /// Pings of the other side to it, and its pongs, at the time of ours.
    others: (u32, u32),
}

/// A tunnel that is ending.
#[derive(Clone, Copy, Debug)]
struct Ending {
    limit: Duration,
    by: Moment,
    /// What begins the time anew, and how far that was when it began.
    renews: Option<(Progress, u64)>,
}

/// What a tunnel that is ending is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The client takes what comes before its Close frame.
    ClientTakes,
    /// Anything comes.
    AnyReads,
}

impl Progress {
    fn of(self, moved: Moved) -> u64 {
        match self {
            Self::ClientTakes => moved.taken[0],
            Self::AnyReads => moved.read.iter().sum(),
        }
    }
}

impl Moved {
    /// What has come from a side, and what it has taken.
    fn of(&self, side: Side) -> (u64, u64) {
        (self.read[side as usize], self.taken[side as usize])
    }
}

impl Watch {
    /// The watch of a tunnel that begins now; `chance` is within 0 and 1. `None` if nothing of it
    /// depends on time.
    pub(super) fn of(model: &WebSocket, chance: f64) -> Option<Box<Self>> {
        let depends = model.idle_timeout.is_some() || model.lifetime.is_some();
        if !depends && model.ping.is_none() {
            return None;
        }
        let now = Moment::now();
        let mut watch = Self::begin(now);
        watch.life_ends = model.lifetime.map(|life| now + life.limit + life.jitter.mul_f64(chance));
        watch.heartbeats = model.ping.map(|ping| {
            // Not all in the same moment.
            let next = now + ping.interval.mul_f64(0.5 + chance / 2.0);
            [Heartbeat { next, sent: None, before: (0, 0), others: (0, 0) }; 2]
        });
        watch.set_timer(model);
        Some(Box::new(watch))
    }

    /// The watch of a tunnel that needs one only now.
    pub(super) fn bare() -> Box<Self> {
        Box::new(Self::begin(Moment::now()))
    }

    fn begin(now: Moment) -> Self {
        Self {
            timer: Box::pin(tokio::time::sleep(Duration::from_secs(86_400))),
            life_ends: None,
            active: (now, [0; 2]),
            heartbeats: None,
            ending: None,
        }
    }

    /// The tunnel is to be over within `limit`; with `renews`, within `limit` of the last progress. The
    /// first call counts, and one without `renews` in place of one with it.
    pub(super) fn end_within(&mut self, limit: Duration, renews: Option<Progress>) {
        let goes_on = |ending: &Ending| ending.renews.is_none() || renews.is_some();
        if self.ending.as_deref().is_some_and(goes_on) {
            return;
        }
        let renews = renews.map(|progress| (progress, 0));
        let by = Moment::now() + limit;
        self.ending = Some(Box::new(Ending { limit, by, renews }));
        self.fire_at(by);
    }

    /// What is due, if anything. To be called until nothing is.
    ///
    /// `waiting` tells of each side whether what it is sent is waiting for it to take more.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        model: &WebSocket,
        moved: Moved,
        waiting: [bool; 2],
    ) -> Option<Due> {
        if model.idle_timeout.is_some() && self.active.1 != moved.read {
            self.active = (Moment::now(), moved.read);
        }
        while self.timer.as_mut().poll(cx) == Poll::Ready(()) {
            let due = self.look(Moment::now(), model, moved, waiting);
            self.set_timer(model);
            if due.is_some() {
                // The timer has to be asked again, or it would wake nobody.
                cx.waker().wake_by_ref();
                return due;
            }
        }
        None
    }

    /// Whether a side has to be spared a ping for now, because it has not answered one of the other
    /// side's: it may answer the latest alone (RFC 6455 5.5.3), which must not be ours then.
    pub(super) fn spares(&mut self, side: Side, model: &WebSocket, others: (u32, u32)) -> bool {
        let Some(heartbeats) = &mut self.heartbeats else { return true };
        let heartbeat = &mut heartbeats[side as usize];
        let before = std::mem::replace(&mut heartbeat.others, others);
        let spared = others.0 != before.0 && others.1 == before.1;
        if spared {
            self.ping_later(side, model);
        }
        spared
    }

    /// A ping could not be sent now.
    pub(super) fn ping_later(&mut self, side: Side, model: &WebSocket) {
        if let Some(heartbeats) = &mut self.heartbeats {
            let heartbeat = &mut heartbeats[side as usize];
            heartbeat.sent = None;
            heartbeat.next = Moment::now() + Duration::from_secs(1);
            self.set_timer(model);
        }
    }

    fn look(
        &mut self,
        now: Moment,
        model: &WebSocket,
        moved: Moved,
        waiting: [bool; 2],
    ) -> Option<Due> {
        if let Some(ending) = &mut self.ending {
            if let Some((progress, before)) = &mut ending.renews
                && *before != progress.of(moved)
            {
                *before = progress.of(moved);
                ending.by = now + ending.limit;
            }
            return (ending.by <= now).then_some(Due::Over);
        }
        if self.life_ends.is_some_and(|end| end <= now) {
            return Some(Due::Close(TunnelEnd::Lifetime));
        }
        if model.idle_timeout.is_some_and(|idle| self.active.0 + idle <= now) {
            return Some(Due::Close(TunnelEnd::Idle));
        }
        let (ping, heartbeats) = (model.ping?, self.heartbeats.as_mut()?);
        for side in [Side::Client, Side::Member] {
            let heartbeat = &mut heartbeats[side as usize];
            let moved = moved.of(side);
            if let Some(by) = &mut heartbeat.sent {
                let says = heartbeat.before.0 != moved.0;
                // What it takes is a sign of life, too, as long as the ping waits behind it.
                let takes = waiting[side as usize] && heartbeat.before.1 != moved.1;
                if says {
                    heartbeat.sent = None;
                } else if *by <= now && takes {
                    *by = now + ping.timeout;
                    heartbeat.before = moved;
                } else if *by <= now {
                    return Some(Due::Close(match side {
                        Side::Client => TunnelEnd::ClientSilent,
                        _ => TunnelEnd::MemberSilent,
                    }));
                }
            }
            if heartbeat.sent.is_none() && heartbeat.next <= now {
                heartbeat.next = now + ping.interval;
                heartbeat.sent = Some(now + ping.timeout);
                heartbeat.before = moved;
                return Some(Due::Ping(side));
            }
        }
        None
    }

    fn set_timer(&mut self, model: &WebSocket) {
        let mut next = self.ending.as_ref().map(|ending| ending.by);
        if next.is_none() {
            let idle = model.idle_timeout.map(|idle| self.active.0 + idle);
            let beats = self.heartbeats.iter().flatten();
            let now = Moment::now();
            let beats = beats.map(|beat| match beat.sent {
                // The side may have said something by the time of its next ping.
                Some(by) if beat.next > now => by.min(beat.next),
                Some(by) => by,
                None => beat.next,
            });
            next = [self.life_ends, idle].into_iter().flatten().chain(beats).min();
        }
        if let Some(next) = next {
            self.fire_at(next);
        }
    }

    fn fire_at(&mut self, at: Moment) {
        self.timer.as_mut().reset(at.instant().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_two_cache_lines_at_most() {
        assert!(size_of::<Watch>() <= 128, "{}", size_of::<Watch>());
    }
}
