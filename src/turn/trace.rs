//! Watching allocations for an operator: the requests on a five-tuple, the first packets with each peer, and what is dropped.
//!
//! An allocation that nobody watches is found out by one of its flags. What is seen waits for the shell in a queue of its own, and
//! everything has a bound: allocations that are watched, peers of each, lines in a second, and lines that wait.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use stun::attributes::ATTR_CHANNEL_NUMBER;

use super::Now;
use super::allocation::{Allocation, EndReason};
use super::counters::DropReason;
use super::five_tuple::Flow;
use super::output::RelayId;
use super::reject::Reject;
use super::server::{FromClient, Server};
use crate::admission::bandwidth::Direction;
use crate::wire::{ChannelNumber, DataHeader, Icmp, Message, Method, PeerAddr, channel_data};

/// Allocations of one worker that can be watched at a time.
pub const MAX_WATCHES: usize = 4;
/// Packets that are shown of each direction with each peer, and ICMP errors, the first ones.
pub const FIRST_PACKETS: u8 = 10;
/// Peers whose packets are shown: the first ones.
const PEERS: usize = 64;
/// Lines about one allocation in a second; more are counted.
const LINES_PER_SECOND: u32 = 50;
/// Lines that wait for the shell.
const WAITING: usize = 256;
/// Peers that are named of one request.
const NAMED_PEERS: usize = 8;

/// Something that was seen of an allocation that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// The allocation's number.
    pub serial: u64,
    /// When.
    pub at: Instant,
    /// What.
    pub what: Seen,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A request of its client.
    Request {
        /// Which.
        method: Method,
        /// What came of it.
        outcome: Outcome,
        /// How much longer the allocation lasts after it, where that is what it asks for.
        lifetime: Option<Duration>,
        /// The peers that it names; no more than eight.
        peers: Vec<SocketAddr>,
        /// The channel that it names.
        channel: Option<u16>,
    },
    /// One of the first packets with a peer.
    Packet {
        /// Which way.
        direction: Direction,
        /// Whom with.
        peer: SocketAddr,
        /// Bytes of application data.
        len: usize,
        /// The channel that it came or went by at the client's side; without one, it was an indication.
        channel: Option<u16>,
    },
    /// One of the first ICMP errors about data that went to a peer, whether the client is told or not.
    Icmp {
        /// Whom that was for.
        peer: SocketAddr,
        /// What it says.
        icmp: Icmp,
    },
    /// Data that was not relayed.
    Dropped {
        /// Which way it went.
        direction: Direction,
        /// Why.
        reason: DropReason,
        /// Whom with, where that is known.
        peer: Option<SocketAddr>,
    },
    /// So many lines are missing here: there were too many in a second.
    Skipped(u64),
    /// It is gone, and nothing follows.
    Ended(EndReason),
}

/// Data that was not relayed.
#[derive(Clone, Copy)]
pub(super) struct Loss {
    pub(super) direction: Direction,
    pub(super) reason: DropReason,
    /// Whom with, where that is known here.
    pub(super) peer: Option<SocketAddr>,
    /// When; where that is not known here, with the last packet.
    pub(super) at: Option<Instant>,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was granted.
    Success,
    /// It was refused.
    Refused {
        /// ERROR-CODE.
        code: u16,
        /// The label of the [`Reject`].
        reason: &'static str,
    },
    /// It waits for a peer (RFC 6062 §5.2).
    Waiting,
    /// There was no response: the source has had its share of replies.
    NotAnswered,
}

impl Outcome {
    pub(super) fn refused(reject: &Reject) -> Self {
        Self::Refused {
            code: reject.code().0,
            reason: reject.label(),
        }
    }
}

/// Why an allocation is not watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWatched {
    /// There is no such allocation.
    NoAllocation,
    /// Somebody watches it.
    Watched,
    /// As many are watched as can be.
    TooMany,
}

/// All that are watched, and what was seen of them.
#[derive(Default)]
pub(super) struct Traces {
    watches: Vec<Watch>,
    lines: VecDeque<Traced>,
    /// What came of the request that is being handled, unless it was granted.
    outcome: Option<Outcome>,
    /// The peer of the data that is being dropped.
    about: Option<SocketAddr>,
}

struct Watch {
    serial: u64,
    /// When something was last looked at.
    last: Instant,
    /// Since when lines are counted, and how many there have been.
    since: Instant,
    lines: u32,
    skipped: u64,
    /// Packets that were shown of each peer, by direction, and ICMP errors.
    peers: Vec<(SocketAddr, [u8; 3])>,
}

impl Server {
    /// Watches the allocation of this number until it ends, or [`handle_unwatch`](Self::handle_unwatch).
    pub fn handle_watch(&mut self, serial: u64, now: Now) -> Result<(), NotWatched> {
        let relay = self.relay_of_serial(serial);
        let relay = relay.ok_or(NotWatched::NoAllocation)?;
        let watches = &mut self.traces.watches;
        if watches.iter().any(|watch| watch.serial == serial) {
            return Err(NotWatched::Watched);
        }
        if watches.len() >= MAX_WATCHES {
            return Err(NotWatched::TooMany);
        }
        let allocation = self.slots.get_mut(relay).ok_or(NotWatched::NoAllocation)?;
        allocation.is_watched = true;
        watches.push(Watch {
            serial,
            last: now.instant,
            since: now.instant,
            lines: 0,
            skipped: 0,
            peers: Vec::new(),
        });
        Ok(())
    }

    /// Watches an allocation no longer.
    pub fn handle_unwatch(&mut self, serial: u64) {
        self.traces.watches.retain(|watch| watch.serial != serial);
        self.traces.lines.retain(|line| line.serial != serial);
        if let Some(relay) = self.relay_of_serial(serial)
            && let Some(allocation) = self.slots.get_mut(relay)
        {
            allocation.is_watched = false;
        }
    }

    /// The next thing that was seen of an allocation that is watched.
    pub fn poll_trace(&mut self) -> Option<Traced> {
        self.traces.lines.pop_front()
    }

    /// Handles a request, and tells of it if it is about an allocation that is watched.
    #[cold]
    pub(super) fn handle_watched_request(&mut self, flow: Flow, request: &Message<'_>, now: Now) {
        let Some(serial) = self.watched(&flow, Some(request)) else {
            return self.handle_request(flow, request, now);
        };
        self.traces.outcome = None;
        // It is told of before what it leads to, such as the allocation's end.
        let at = self.traces.reserve(serial, now.instant);
        self.handle_request(flow, request, now);
        let outcome = match (self.traces.outcome.take(), request.method()) {
            (Some(outcome), _) => outcome,
            (None, Method::Connect) => Outcome::Waiting,
            (None, _) => Outcome::Success,
        };
        let Some(at) = at else { return };
        let asks_for_time = matches!(request.method(), Method::Allocate | Method::Refresh);
        let lifetime = (asks_for_time && outcome == Outcome::Success).then(|| {
            let relay = self.relay_of_serial(serial);
            let allocation = relay.and_then(|relay| self.allocation(relay));
            allocation.map_or(Duration::ZERO, |allocation| {
                allocation.expires.saturating_duration_since(now.instant)
            })
        });
        let peers = request.peer_addresses().filter_map(Result::ok);
        let channel = request.get(ATTR_CHANNEL_NUMBER);
        let channel = channel.and_then(|value| Some(u16::from_be_bytes(*value.first_chunk()?)));
        let seen = Seen::Request {
            method: request.method(),
            outcome,
            lifetime,
            peers: peers.map(|peer| peer.0).take(NAMED_PEERS).collect(),
            channel,
        };
        self.traces.insert(at, serial, now.instant, seen);
    }

    /// Handles a Binding request, and tells of it if its five-tuple has an allocation that is watched.
    #[cold]
    pub(super) fn watched_binding(
        &mut self,
        flow: Flow,
        request: &Message<'_>,
        now: Now,
    ) -> FromClient {
        self.traces.outcome = None;
        let answered = self.binding(flow, request, now);
        let outcome = match self.traces.outcome.take() {
            Some(outcome) => outcome,
            None if answered == FromClient::Dropped => Outcome::NotAnswered,
            None => Outcome::Success,
        };
        let Some(serial) = self.watched(&flow, None) else {
            return answered;
        };
        let seen = Seen::Request {
            method: Method::Binding,
            outcome,
            lifetime: None,
            peers: Vec::new(),
            channel: None,
        };
        self.traces.line(serial, now.instant, seen);
        answered
    }

    /// Tells of an ICMP error about data of an allocation that is watched.
    #[cold]
    pub(super) fn trace_icmp(&mut self, relay: RelayId, peer: SocketAddr, icmp: Icmp, now: Now) {
        if let Some(allocation) = self.slots.get(relay) {
            (self.traces).icmp(allocation.serial, now.instant, peer, icmp);
        }
    }

    /// The number of the allocation that a request is about, if that is watched.
    fn watched(&self, flow: &Flow, request: Option<&Message<'_>>) -> Option<u64> {
        let relay = self.relay_of(&flow.five_tuple);
        let relay = relay.or_else(|| self.relay_named_by(request?))?;
        let allocation = self.allocation(relay)?;
        allocation.is_watched.then_some(allocation.serial)
    }

    /// Counts a Send indication that is not relayed, and tells whom it was for if its allocation is watched.
    #[cold]
    pub(super) fn drop_watched_indication(
        &mut self,
        flow: &Flow,
        indication: &Message<'_>,
        reason: DropReason,
        now: Now,
    ) -> FromClient {
        let peer = indication.peer_addresses().next();
        self.traces.about = peer.and_then(Result::ok).map(|peer| peer.0);
        let dropped = self.pass_on(flow, Err(reason), now);
        self.traces.about = None;
        dropped
    }

    /// Tells of data of an allocation that is watched, and was dropped.
    #[cold]
    pub(super) fn trace_drop(&mut self, relay: RelayId, loss: Loss) {
        let about = self.traces.about.take();
        if let Some(allocation) = self.slots.get(relay) {
            self.traces.dropped(allocation.serial, loss, about);
        }
    }
}

impl Traces {
    /// Whether nothing is watched.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// Notes what came of the request that is being handled.
    pub(super) fn note_outcome(&mut self, outcome: Outcome) {
        if !self.watches.is_empty() {
            self.outcome = Some(outcome);
        }
    }

    /// Tells of data that leaves for a peer, if it is among the first.
    #[cold]
    #[inline(never)]
    pub(super) fn sent(
        &mut self,
        allocation: &Allocation,
        peer: PeerAddr,
        payload: &Range<usize>,
        now: Instant,
    ) {
        // The data of an indication lies further behind than that of ChannelData.
        let by_channel = payload.start == channel_data::HEADER_LEN;
        let number = allocation.channels.number_of(peer, now);
        let channel = number.filter(|_| by_channel).map(ChannelNumber::get);
        let way = (Direction::ToPeer, peer.0);
        self.packet(allocation.serial, now, way, (payload.len(), channel));
    }

    /// Tells of data that leaves for the client behind this header, if it is among the first.
    #[cold]
    #[inline(never)]
    pub(super) fn received(
        &mut self,
        allocation: &Allocation,
        peer: PeerAddr,
        header: &DataHeader,
        len: usize,
        now: Instant,
    ) {
        let channel = match header {
            DataHeader::Channel(number) => Some(number.get()),
            DataHeader::Indication { .. } => None,
            // It is told of by itself.
            DataHeader::Icmp { .. } => return,
        };
        let way = (Direction::ToClient, peer.0);
        self.packet(allocation.serial, now, way, (len, channel));
    }

    fn packet(
        &mut self,
        serial: u64,
        now: Instant,
        (direction, peer): (Direction, SocketAddr),
        (len, channel): (usize, Option<u16>),
    ) {
        if self.is_among_first(serial, now, peer, direction as usize) {
            let seen = Seen::Packet {
                direction,
                peer,
                len,
                channel,
            };
            self.line(serial, now, seen);
        }
    }

    /// Tells of an ICMP error about data of an allocation that is watched, if it is one of the first.
    fn icmp(&mut self, serial: u64, now: Instant, peer: SocketAddr, icmp: Icmp) {
        if self.is_among_first(serial, now, peer, ICMP) {
            self.line(serial, now, Seen::Icmp { peer, icmp });
        }
    }

    /// Counts what is seen of a peer, up to what is shown of it.
    fn is_among_first(&mut self, serial: u64, now: Instant, peer: SocketAddr, what: usize) -> bool {
        let Some(watch) = self.watch(serial) else {
            return false;
        };
        watch.last = now;
        let at = watch.peers.iter().position(|(known, _)| *known == peer);
        let at = match at {
            Some(at) => at,
            None if watch.peers.len() < PEERS => {
                watch.peers.push((peer, [0; 3]));
                watch.peers.len() - 1
            }
            None => return false,
        };
        let shown = &mut watch.peers[at].1[what];
        let is_first = *shown < FIRST_PACKETS;
        *shown += u8::from(is_first);
        is_first
    }

    fn dropped(&mut self, serial: u64, loss: Loss, about: Option<SocketAddr>) {
        let Some(last) = self.watch(serial).map(|watch| watch.last) else {
            return;
        };
        let seen = Seen::Dropped {
            direction: loss.direction,
            reason: loss.reason,
            peer: loss.peer.or(about),
        };
        self.line(serial, loss.at.unwrap_or(last), seen);
    }

    /// Tells that an allocation has ended, and watches it no longer.
    #[cold]
    pub(super) fn ended(&mut self, serial: u64, now: Instant, reason: EndReason) {
        self.flush(now, true);
        self.watches.retain(|watch| watch.serial != serial);
        self.push(serial, now, Seen::Ended(reason));
    }

    /// Tells how many lines are missing, where none has followed that could tell.
    pub(super) fn flush(&mut self, now: Instant, at_once: bool) {
        for at in 0..self.watches.len() {
            let watch = &mut self.watches[at];
            let is_due = at_once || now.saturating_duration_since(watch.since) >= SECOND;
            if watch.skipped > 0 && is_due {
                let (serial, skipped) = (watch.serial, std::mem::take(&mut watch.skipped));
                self.push(serial, now, Seen::Skipped(skipped));
            }
        }
    }

    fn watch(&mut self, serial: u64) -> Option<&mut Watch> {
        (self.watches.iter_mut()).find(|watch| watch.serial == serial)
    }

    /// A line, if there may be one.
    fn line(&mut self, serial: u64, now: Instant, seen: Seen) {
        if let Some(at) = self.reserve(serial, now) {
            self.insert(at, serial, now, seen);
        }
    }

    /// The place of a line, if there may be one; else it is counted.
    fn reserve(&mut self, serial: u64, now: Instant) -> Option<usize> {
        let has_room = self.lines.len() < WAITING;
        let watch = self.watch(serial)?;
        watch.last = now;
        if now.saturating_duration_since(watch.since) >= SECOND {
            watch.since = now;
            watch.lines = 0;
        }
        if watch.lines >= LINES_PER_SECOND || !has_room {
            watch.skipped += 1;
            return None;
        }
        watch.lines += 1;
        let skipped = std::mem::take(&mut watch.skipped);
        if skipped > 0 {
            self.push(serial, now, Seen::Skipped(skipped));
        }
        Some(self.lines.len())
    }

    fn insert(&mut self, at: usize, serial: u64, now: Instant, what: Seen) {
        let line = Traced {
            serial,
            at: now,
            what,
        };
        self.lines.insert(at.min(self.lines.len()), line);
    }

    fn push(&mut self, serial: u64, now: Instant, what: Seen) {
        self.insert(usize::MAX, serial, now, what);
    }
}

/// The place of ICMP errors, behind those of both directions.
const ICMP: usize = 2;
const SECOND: Duration = Duration::from_secs(1);
