//! TCP and TLS connections of one worker: who is connected, and what waits to be written to each.
//!
//! A connection is a socket in the worker's set of connections, and plain data beside it: no task, no timer, and no buffer
//! while nothing waits. `worker/from_stream.rs` reads and writes them; here lies what it works on. Timeouts are found by
//! looking at each connection once a second.

mod arrival;
mod bound;
mod connection;
mod opening;
mod outbound;
mod server_name;
mod tls_config;
mod tls_session;

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use slab::Slab;

use super::connections::Connections;
use super::sys::{Members, Source};
use super::{ConnectionCounters, Listener};
use crate::admission::peer_filter::PeerRange;
use crate::admission::rate_limit::SourceLimiter;
use crate::turn::{FiveTuple, Flow};
use crate::wire::DataHeader;
pub(super) use arrival::Opened;
use bound::Bound;
pub(super) use bound::Moved;
pub(super) use connection::{Connection, Received};
pub(super) use outbound::Queued;
use outbound::{Buffers, Outbound};
pub(super) use tls_config::{TlsConfigs, certificate_ends, dtls_config, https_config, tls_configs};

/// Marks the links that are connections; the rest of the number is a place in the table.
pub(super) const STREAM_LINK: u32 = 1 << 31;

/// How often each connection is looked at for whether it has taken too long over something.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// What the connections of a worker need.
#[derive(Clone)]
pub(super) struct StreamSettings {
    /// Places for connections, shared by all workers.
    pub(super) connections: Arc<Connections>,
    /// What TLS connections are accepted with.
    pub(super) tls: Option<TlsConfigs>,
    /// How long a connection without an allocation may stay silent.
    pub(super) idle_timeout: Duration,
    /// From where connections begin with what a proxy says.
    pub(super) proxies: Arc<[PeerRange]>,
    /// How long a TLS handshake may take, the header of a proxy, and the first bytes at a shared listener.
    pub(super) handshake_timeout: Duration,
    /// Whether a client that begins with STUN where TLS is expected is served in the clear.
    pub(super) plain_on_tls: bool,
}

/// The open connections of one worker.
pub(super) struct Streams {
    settings: StreamSettings,
    listeners: Vec<StreamListener>,
    /// How often one address may connect.
    accepts: SourceLimiter,
    slots: Slab<Slot>,
    /// What tells which of them can be read or written.
    members: Members,
    /// Those with something to write that was not tried to be written.
    dirty: Vec<usize>,
    buffers: Buffers,
    /// When to look at each connection next, in that order.
    checks: VecDeque<Check>,
    /// Tells the connections apart that have the same place one after the other.
    serials: u64,
    counters: ConnectionCounters,
}

/// A listening socket, and what is listened for.
struct StreamListener {
    listener: Listener,
    socket: TcpListener,
    /// Connections that were let in.
    accepted: u64,
}

/// A connection by its place in the table.
struct Slot {
    serial: u64,
    /// `None` while the worker reads from it.
    connection: Option<Box<Connection>>,
    outbound: Outbound,
    /// The connection with a peer that this one is the other half of (RFC 6062 §5.4).
    bound: Option<Box<Bound>>,
}

struct Check {
    at: Instant,
    place: usize,
    serial: u64,
}

impl Streams {
    pub(super) fn new(
        settings: StreamSettings,
        listeners: Vec<(Listener, std::net::TcpListener)>,
        accepts: SourceLimiter,
        members: Members,
    ) -> io::Result<Self> {
        for (at, (_, socket)) in listeners.iter().enumerate() {
            members.add(socket.as_fd(), Source::Acceptor(at))?;
        }
        Ok(Self {
            settings,
            listeners: listeners
                .into_iter()
                .map(|(listener, socket)| StreamListener {
                    listener,
                    socket: TcpListener::from_std(socket),
                    accepted: 0,
                })
                .collect(),
            accepts,
            members,
            slots: Slab::new(),
            dirty: Vec::new(),
            buffers: Buffers::default(),
            checks: VecDeque::new(),
            serials: 0,
            counters: ConnectionCounters::default(),
        })
    }

    /// Connections let in, by listener.
    pub(super) fn accepted(&self) -> Vec<(Listener, u64)> {
        let listeners = self.listeners.iter();
        listeners.map(|at| (at.listener, at.accepted)).collect()
    }

    /// What has become of those who connected.
    pub(super) fn counters(&self) -> ConnectionCounters {
        ConnectionCounters {
            open: self.slots.len(),
            ..self.counters
        }
    }

    /// Counts a TLS handshake that is finished.
    pub(super) fn note_handshake(&mut self) {
        self.counters.handshakes += 1;
    }

    /// Whether a peer is to wait until the client has read.
    pub(super) fn is_full(&self, place: usize) -> bool {
        let slot = self.slots.get(place);
        slot.is_some_and(|slot| slot.outbound.is_full())
    }

    /// Queues what a peer has sent, as it is.
    pub(super) fn queue_bytes(&mut self, place: usize, data: &[u8]) {
        if let Some(slot) = self.slots.get_mut(place) {
            slot.outbound.queue_bytes(data, &mut self.buffers);
            mark(&mut slot.outbound, place, &mut self.dirty);
        }
    }

    /// Takes a connection out to be read; [`put_back`](Self::put_back) follows. Meanwhile it is not written.
    pub(super) fn take(&mut self, place: usize) -> Option<Box<Connection>> {
        self.slots.get_mut(place)?.connection.take()
    }

    pub(super) fn put_back(&mut self, place: usize, connection: Box<Connection>) {
        if let Some(slot) = self.slots.get_mut(place) {
            slot.connection = Some(connection);
        }
    }

    /// Forgets a connection, which closes it, and returns whose it was.
    pub(super) fn remove(&mut self, place: usize) -> Option<Flow> {
        let mut slot = self.slots.try_remove(place)?;
        let mut connection = slot.connection?;
        if connection.is_handshaking() {
            self.counters.failed_handshakes += 1;
        }
        if slot.outbound.is_empty() {
            connection.say_goodbye();
        }
        slot.outbound.release(&mut self.buffers);
        self.buffers.take_back(&mut connection.partial);
        Some(connection.flow)
    }

    /// Queues a message of the protocol.
    pub(super) fn queue_reply(&mut self, place: usize, bytes: &[u8]) {
        if let Some(slot) = self.slots.get_mut(place) {
            slot.outbound.queue_reply(bytes, &mut self.buffers);
            mark(&mut slot.outbound, place, &mut self.dirty);
        }
    }

    /// Queues a peer's data with its header and padding.
    pub(super) fn queue_data(&mut self, place: usize, header: &DataHeader, data: &[u8]) -> Queued {
        let Some(slot) = self.slots.get_mut(place) else {
            return Queued::Dropped;
        };
        let queued = slot.outbound.queue_data(header, data, &mut self.buffers);
        if queued == Queued::Taken {
            mark(&mut slot.outbound, place, &mut self.dirty);
        }
        queued
    }

    /// Queues bytes of TLS itself: a part of a handshake, or an alert.
    pub(super) fn queue_records(&mut self, place: usize, records: &[u8]) {
        if let Some(slot) = self.slots.get_mut(place) {
            slot.outbound.queue_records(records, &mut self.buffers);
            mark(&mut slot.outbound, place, &mut self.dirty);
        }
    }

    /// Whether so much waits that it should not wait for the end of the batch.
    pub(super) fn is_urgent(&self, place: usize) -> bool {
        self.slots
            .get(place)
            .is_some_and(|slot| slot.outbound.is_urgent())
    }

    pub(super) fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// One that has something to write and is not waiting for its client to read.
    pub(super) fn next_dirty(&mut self) -> Option<usize> {
        let place = self.dirty.pop()?;
        if let Some(slot) = self.slots.get_mut(place) {
            slot.outbound.dirty = false;
        }
        Some(place)
    }

    /// Writes what waits as far as the socket takes it. An error means that the connection is to be closed.
    pub(super) fn write(&mut self, place: usize, now: Instant) -> io::Result<()> {
        let Some(slot) = self.slots.get_mut(place) else {
            return Ok(());
        };
        let Some(connection) = &mut slot.connection else {
            // It is being read, and written once it has been.
            mark(&mut slot.outbound, place, &mut self.dirty);
            return Ok(());
        };
        slot.outbound.write(connection, &mut self.buffers, now)?;
        if let Some(bound) = &mut slot.bound {
            if bound.peer_ended && !bound.told && slot.outbound.is_empty() {
                bound.told = true;
                if bound.is_http {
                    connection.begin_closing(now);
                }
                connection.end_writing()?;
            }
            return Ok(());
        }
        if connection.is_closing() && slot.outbound.is_empty() {
            return Err(io::Error::other("closed by the client"));
        }
        Ok(())
    }

    /// The socket takes more than it did.
    pub(super) fn handle_writable(&mut self, place: usize, now: Instant) -> io::Result<()> {
        match self.slots.get_mut(place) {
            Some(slot) if slot.outbound.is_blocked() => {
                slot.outbound.unblock();
                self.write(place, now)
            }
            _ => Ok(()),
        }
    }

    /// Whether anything waits to be written to a connection.
    pub(super) fn has_waiting(&self, place: usize) -> bool {
        self.slots
            .get(place)
            .is_some_and(|slot| !slot.outbound.is_empty())
    }

    /// Whether a client that begins with STUN where TLS is expected is served in the clear.
    pub(super) fn allows_plain_on_tls(&self) -> bool {
        self.settings.plain_on_tls
    }

    /// Lends memory for the beginning of a message.
    pub(super) fn lend(&mut self, partial: &mut Vec<u8>) {
        self.buffers.lend(partial);
    }

    /// Takes it back.
    pub(super) fn take_back(&mut self, partial: &mut Vec<u8>) {
        self.buffers.take_back(partial);
    }

    /// When there is a connection to look at.
    pub(super) fn next_check(&self) -> Option<Instant> {
        self.checks.front().map(|check| check.at)
    }

    /// A connection that has taken too long over something, and over what.
    ///
    /// Whether one that is silent has an allocation is asked of `has_allocation`.
    pub(super) fn next_overdue(
        &mut self,
        now: Instant,
        has_allocation: impl Fn(&FiveTuple) -> bool,
    ) -> Option<(usize, &'static str)> {
        while let Some(check) = self.checks.pop_front_if(|check| check.at <= now) {
            let Some(slot) = self.slots.get_mut(check.place) else {
                continue;
            };
            if slot.serial != check.serial {
                continue;
            }
            let Some(connection) = &mut slot.connection else {
                continue;
            };
            let late = match &slot.bound {
                // It lasts as long as its allocation, and both sides may pause.
                Some(bound) if !bound.is_http => None,
                // Who answers HTTP has timeouts of its own, but does not see whether the client reads.
                Some(_) => slot
                    .outbound
                    .overdue(now)
                    .or_else(|| connection.lingers(now)),
                None => slot
                    .outbound
                    .overdue(now)
                    .or_else(|| connection.overdue(&self.settings, now, &has_allocation)),
            };
            if let Some(reason) = late {
                return Some((check.place, reason));
            }
            self.check_later(check.place, check.serial, now);
        }
        None
    }

    fn check_later(&mut self, place: usize, serial: u64, now: Instant) {
        self.checks.push_back(Check {
            at: now + CHECK_EVERY,
            place,
            serial,
        });
    }
}

fn mark(outbound: &mut Outbound, place: usize, dirty: &mut Vec<usize>) {
    if !outbound.dirty && !outbound.is_blocked() {
        outbound.dirty = true;
        dirty.push(place);
    }
}
