//! One worker: a thread with its own sockets, its own relay and its own event loop.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio_rustls::TlsAcceptor;
use tracing::warn;

use super::connections::Connections;
use super::event_log::EventLog;
use super::relay_sockets::RelaySockets;
use super::stream_table::{Queued, StreamTable};
use super::sys::{Arena, Datagram, Epoll, Events, SendBatch, set_dont_fragment};
use super::udp::UdpListener;
use crate::admission::rate_limit::SourceLimiter;
use crate::auth::UnixTime;
use crate::turn::{Flow, FromClient, LinkId, Now, Output, RelayId, Server, ToPeer};
use crate::wire::data_header::MAX_HEADER;
use crate::wire::stream::{Frame, next_frame};

/// Datagrams received at a time.
const SLOTS: usize = 64;
/// Datagrams received from one relay socket before the next one has its turn.
const SLOTS_PER_RELAY: usize = 16;
/// Relay sockets found ready at a time.
const READY: usize = 64;
/// Batches handled for one direction before the other one has its turn.
const ROUNDS: usize = 4;
/// Bytes read from a connection at a time: what is handled before the others have their turn.
const READ: usize = 16 * 1024;

/// Marks the links that are connections; the rest of the number is a place in the table.
const STREAM_LINK: u32 = 1 << 31;

/// What the connections of a worker need.
#[derive(Clone)]
pub(super) struct StreamSettings {
    pub(super) connections: Arc<Connections>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) idle_timeout: Duration,
    pub(super) handshake_timeout: Duration,
}

/// A worker's sockets and relay. Its tasks share it; none holds it while it waits.
pub(super) struct Worker {
    pub(super) server: Server,
    pub(super) streams: StreamTable,
    /// How often one address may connect.
    pub(super) accepts: SourceLimiter,
    /// Where connections are read to: one for all of them, as each is handled before the next is read.
    pub(super) scratch: Box<[u8]>,
    listeners: Vec<UdpListener>,
    relays: RelaySockets,
    epoll: Arc<Epoll>,
    events: Events,
    /// Relay sockets that may hold more than was received: they are not reported again for it.
    unfinished: Vec<RelayId>,
    arena: Arena,
    /// Data about to be sent to peers: whose, and as ranges of the buffer at hand.
    to_peers: (Vec<RelayId>, Vec<Datagram>),
    batch: SendBatch,
    log: EventLog,
}

impl Worker {
    pub(super) fn new(
        server: Server,
        udp: &[UdpSocket],
        relays: RelaySockets,
        epoll: Arc<Epoll>,
        accepts: SourceLimiter,
        log: EventLog,
    ) -> io::Result<Self> {
        let listeners = udp
            .iter()
            .enumerate()
            .map(|(n, socket)| UdpListener::new(socket.try_clone()?, LinkId(n as u32)))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            server,
            streams: StreamTable::default(),
            accepts,
            scratch: Box::default(),
            listeners,
            relays,
            epoll,
            events: Events::new(READY),
            unfinished: Vec::new(),
            arena: Arena::new(SLOTS),
            to_peers: (Vec::new(), Vec::new()),
            batch: SendBatch::new(),
            log,
        })
    }

    /// A descriptor that can be read while any relay socket can.
    pub(super) fn relay_set(&self) -> io::Result<OwnedFd> {
        self.epoll.as_fd().try_clone_to_owned()
    }

    /// Handles what has arrived at a listener, up to a bound; whether there may be more.
    pub(super) fn drain_listener(&mut self, at: usize) -> bool {
        for _ in 0..ROUNDS {
            let socket = self.listeners[at].socket.as_fd();
            let received = match self.arena.receive(socket, 0..SLOTS) {
                Ok(received) => received,
                Err(error) => return retry(&error, "receive from a client"),
            };
            let now = now();
            for slot in 0..received {
                self.handle_datagram(at, slot, now);
            }
            self.send_to_peers(Buffer::Arena);
            if received < SLOTS {
                return false;
            }
        }
        true
    }

    fn handle_datagram(&mut self, at: usize, slot: usize, now: Now) {
        let Some(received) = self.arena.received(slot) else {
            return;
        };
        let flow = self.listeners[at].flow_of(&received);
        let packet = &self.arena.bytes()[received.range.clone()];
        match self.server.handle_client(flow, packet, now) {
            FromClient::ToPeer(route) => {
                self.queue_to_peer(route, received.range.start, Buffer::Arena);
            }
            FromClient::Control => {
                // What was routed goes out before anything is closed or opened.
                self.send_to_peers(Buffer::Arena);
                self.do_outputs(now);
            }
            FromClient::Dropped => {}
        }
    }

    /// Handles whole messages at the start of what a connection sent, and returns how much of it they were.
    ///
    /// `None` means that what follows cannot be understood. The bytes lie in `buffer`.
    pub(super) fn handle_stream(&mut self, flow: Flow, buffer: &[u8]) -> Option<usize> {
        let now = now();
        let mut consumed = 0;
        let understood = loop {
            let rest = &buffer[consumed..];
            let length = match next_frame(rest) {
                Frame::Whole(length) => length,
                Frame::Partial => break true,
                Frame::Garbage => break false,
            };
            match self.server.handle_client(flow, &rest[..length], now) {
                FromClient::ToPeer(route) => {
                    self.queue_to_peer(route, consumed, Buffer::Other(buffer));
                }
                FromClient::Control => {
                    self.send_to_peers(Buffer::Other(buffer));
                    self.do_outputs(now);
                }
                FromClient::Dropped => {}
            }
            consumed += length;
        };
        self.send_to_peers(Buffer::Other(buffer));
        understood.then_some(consumed)
    }

    /// Handles what has arrived at relay sockets, up to a bound; whether there may be more.
    pub(super) fn drain_relays(&mut self) -> bool {
        for _ in 0..ROUNDS {
            // Those that were not emptied in the last round, then those that have something new.
            let mut ready = std::mem::take(&mut self.unfinished);
            if let Err(error) = self.epoll.ready(&mut self.events) {
                self.unfinished = ready;
                return retry(&error, "find readable relay sockets");
            }
            ready.extend((0..self.events.len()).map(|at| RelayId(self.events.key(at) as u32)));
            self.drain_ready(&ready);
            ready.clear();
            if self.unfinished.is_empty() {
                self.unfinished = ready;
                if self.events.len() < READY {
                    return false;
                }
            }
        }
        true
    }

    fn drain_ready(&mut self, ready: &[RelayId]) {
        let now = now();
        let mut filled = 0;
        for &relay in ready {
            if filled + SLOTS_PER_RELAY > SLOTS {
                self.send_to_clients();
                filled = 0;
            }
            let received = self.drain_relay(relay, filled, now);
            if received == SLOTS_PER_RELAY {
                self.unfinished.push(relay);
            }
            filled += received;
        }
        self.send_to_clients();
    }

    /// Receives from one relay socket into the slots from `first` on, and returns how many were filled.
    fn drain_relay(&mut self, relay: RelayId, first: usize, now: Now) -> usize {
        let Some(socket) = self.relays.get(relay) else {
            return 0;
        };
        let slots = first..first + SLOTS_PER_RELAY;
        let received = match self.arena.receive(socket.as_fd(), slots) {
            Ok(received) => received,
            Err(error) => {
                retry(&error, "receive from a peer");
                return 0;
            }
        };
        for slot in first..first + received {
            self.route_from_peer(relay, slot, now);
        }
        received
    }

    fn route_from_peer(&mut self, relay: RelayId, slot: usize, now: Now) {
        let Some(received) = self.arena.received(slot) else {
            return;
        };
        let (start, end) = (received.range.start, received.range.end);
        let Some(route) = self
            .server
            .handle_peer(relay, received.source, end - start, now)
        else {
            return;
        };
        let bytes = self.arena.bytes_mut();
        match link_of(route.flow.link) {
            Link::Stream(place) => {
                let data = &bytes[start..end];
                // A slow reader loses data, as it would over UDP, and delays nobody.
                if self.streams.queue_data(place, &route.header, data) == Queued::Dropped {
                    self.server.handle_no_room(relay, end - start);
                }
            }
            Link::Udp(at) => {
                let padding = route.header.padding(end - start, false);
                bytes[end..end + padding].fill(0);
                let room = &mut bytes[start - MAX_HEADER..start];
                let begin = start - MAX_HEADER + route.header.write_before(room, end - start);
                let listener = &mut self.listeners[at];
                let datagram = listener.datagram(&route.flow, begin..end + padding);
                listener.outgoing.push(datagram);
            }
        }
    }

    fn send_to_clients(&mut self) {
        for listener in &mut self.listeners {
            if !listener.outgoing.is_empty() {
                let bytes = self.arena.bytes();
                self.batch
                    .send(listener.socket.as_fd(), bytes, &listener.outgoing);
                listener.outgoing.clear();
            }
        }
    }

    /// Queues data of the packet that begins at `offset` of the buffer at hand.
    fn queue_to_peer(&mut self, route: ToPeer, offset: usize, buffer: Buffer<'_>) {
        let datagram = Datagram {
            range: offset + route.payload.start..offset + route.payload.end,
            to: route.target,
            from: None,
        };
        if route.dont_fragment {
            self.send_to_peers(buffer);
        }
        self.to_peers.0.push(route.relay);
        self.to_peers.1.push(datagram);
        if route.dont_fragment {
            self.send_unfragmented(route.relay, buffer);
        }
    }

    /// Sends what is queued with the DF bit set. Rare, so it may cost two calls more.
    fn send_unfragmented(&mut self, relay: RelayId, buffer: Buffer<'_>) {
        let v6 = self.relays.is_v6(relay);
        let set = |relays: &RelaySockets, on| match relays.get(relay) {
            Some(socket) => set_dont_fragment(socket.as_fd(), v6, on).is_ok(),
            None => false,
        };
        if set(&self.relays, true) {
            self.send_to_peers(buffer);
            set(&self.relays, false);
        } else {
            // RFC 8656 §14: what cannot be sent unfragmented is not sent.
            self.to_peers.0.clear();
            self.to_peers.1.clear();
        }
    }

    /// Sends what is queued for peers: a run from one relay socket in one call.
    fn send_to_peers(&mut self, buffer: Buffer<'_>) {
        let bytes = match buffer {
            Buffer::Arena => self.arena.bytes(),
            Buffer::Other(bytes) => bytes,
        };
        let (relays, datagrams) = (&self.to_peers.0, &self.to_peers.1);
        let mut at = 0;
        while at < relays.len() {
            let run = relays[at..]
                .iter()
                .take_while(|relay| **relay == relays[at])
                .count();
            if let Some(socket) = self.relays.get(relays[at]) {
                // A full socket or a peer that cannot be reached loses the datagram, as UDP may.
                self.batch
                    .send(socket.as_fd(), bytes, &datagrams[at..at + run]);
            }
            at += run;
        }
        self.to_peers.0.clear();
        self.to_peers.1.clear();
    }

    /// Does what the relay says.
    fn do_outputs(&mut self, now: Now) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Reply { flow, bytes } => self.reply(&flow, &bytes),
                Output::OpenRelay(wish) => {
                    let opened = self.relays.open(&wish);
                    self.server.handle_relay_opened(wish.relay, opened, now);
                }
                Output::CloseRelay(relay) => self.relays.close(relay),
                Output::DropReservation(token) => self.relays.drop_reservation(token),
                Output::Event(event) => self.log.write(&event, now.instant),
            }
        }
    }

    fn reply(&mut self, flow: &Flow, bytes: &[u8]) {
        match link_of(flow.link) {
            Link::Stream(place) => self.streams.queue_reply(place, bytes),
            Link::Udp(at) => {
                let listener = &self.listeners[at];
                let datagram = listener.datagram(flow, 0..bytes.len());
                self.batch.send(listener.socket.as_fd(), bytes, &[datagram]);
            }
        }
    }

    /// Ends the allocation of a connection that closed.
    pub(super) fn handle_disconnected(&mut self, flow: Flow) {
        let now = now();
        self.server.handle_disconnected(flow, now);
        self.do_outputs(now);
    }

    pub(super) fn handle_timeout(&mut self) {
        let now = now();
        self.server.handle_timeout(now);
        self.do_outputs(now);
    }

    pub(super) fn handle_stop(&mut self) {
        let now = now();
        self.server.handle_stop(now);
        self.do_outputs(now);
    }
}

/// Where queued datagrams lie.
#[derive(Clone, Copy)]
enum Buffer<'a> {
    Arena,
    Other(&'a [u8]),
}

enum Link {
    Udp(usize),
    Stream(usize),
}

fn link_of(link: LinkId) -> Link {
    if link.0 & STREAM_LINK == 0 {
        Link::Udp(link.0 as usize)
    } else {
        Link::Stream((link.0 & !STREAM_LINK) as usize)
    }
}

/// The link of a connection.
pub(super) fn stream_link(place: usize) -> LinkId {
    LinkId(STREAM_LINK | place as u32)
}

/// Reads both clocks, once for a batch.
pub(super) fn now() -> Now {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Now {
        instant: Instant::now(),
        unix: UnixTime(since_1970.as_secs()),
    }
}

/// Whether to try again after an error: not before the socket is reported ready again, unless the call was interrupted.
fn retry(error: &io::Error, what: &str) -> bool {
    match error.kind() {
        io::ErrorKind::WouldBlock => false,
        io::ErrorKind::Interrupted => true,
        _ => {
            warn!(%error, "cannot {what}");
            false
        }
    }
}

/// Polls with the worker's scratch buffer lent to `read`, which is given back before anything else runs.
pub(super) async fn read_with_scratch<T>(
    worker: &RefCell<Worker>,
    mut read: impl FnMut(&mut std::task::Context<'_>, &mut Worker, &mut [u8]) -> std::task::Poll<T>,
) -> T {
    poll_fn(|context| {
        let mut worker = worker.borrow_mut();
        // Nothing is lost if `read` fails: without a buffer the next one makes another.
        let mut scratch = std::mem::take(&mut worker.scratch);
        if scratch.is_empty() {
            scratch = vec![0; READ].into_boxed_slice();
        }
        let polled = read(context, &mut worker, &mut scratch);
        worker.scratch = scratch;
        polled
    })
    .await
}
