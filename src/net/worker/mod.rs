//! One worker: a thread with its own sockets, its own relay and its own event loop.
//!
//! `from_client.rs` and `from_peer.rs` are the two ways in; what they find is queued, for one socket after the other, and
//! leaves in as few system calls as can be.

mod from_client;
mod from_peer;
mod kernel_drops;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::UdpSocket;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio_rustls::TlsAcceptor;
use tracing::warn;

use super::connections::Connections;
use super::event_log::EventLog;
use super::mailbox::{Handovers, Mailbox};
use super::relay_sockets::RelaySockets;
use super::stream_table::{Queued, StreamTable};
use super::sys::{Arena, Backend, Datagram, Found, Outbox, ReadySet, Sender};
use super::to_peers::ToPeers;
use super::udp::UdpListener;
use crate::admission::rate_limit::SourceLimiter;
use crate::auth::UnixTime;
use crate::turn::{Flow, LinkId, Now, Output, RelayId, Server, ToClient};
use crate::wire::data_header::MAX_HEADER;
use kernel_drops::KernelDrops;

/// Datagrams received at a time, or runs of them that the kernel has joined.
const SLOTS: usize = 64;
/// The same, where each is a long run.
const FEWEST_SLOTS: usize = 8;
/// Datagrams received from one relay socket before the next one has its turn.
const SLOTS_PER_RELAY: usize = 16;
/// Relay sockets found ready at a time.
const READY: usize = 64;
/// Batches handled for one direction before the other one has its turn.
const ROUNDS: usize = 4;
/// Datagrams to handle in one batch: so many slots are offered that there are hardly more.
const BATCH: usize = 256;
/// Datagrams that may wait to be sent: more are sent at once.
const QUEUED: usize = 256;
/// Parcels of other workers opened before the sockets have their turn.
const PARCELS: usize = 8;
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

/// What a worker is made from.
pub(super) struct WorkerParts<'a> {
    pub(super) server: Server,
    pub(super) udp: &'a [UdpSocket],
    pub(super) relays: RelaySockets,
    pub(super) ready_set: ReadySet,
    /// Those of all workers, and which is this one's.
    pub(super) mailboxes: (Arc<[Mailbox]>, usize),
    pub(super) accepts: SourceLimiter,
    pub(super) log: EventLog,
    pub(super) backend: Backend,
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
    ready_set: ReadySet,
    found: Found,
    /// Relay sockets that may hold more than was received: they are not reported again for it.
    unfinished: Vec<RelayId>,
    /// The same list, while it is worked through.
    at_hand: Vec<RelayId>,
    arena: Arena,
    /// Slots offered at a time.
    slots: usize,
    to_peers: ToPeers,
    handovers: Handovers,
    mailboxes: Arc<[Mailbox]>,
    mailbox: usize,
    /// Whether there may be more in the mailbox than was opened.
    mail: bool,
    sender: Sender,
    /// Datagrams that the kernel did not take.
    not_sent: u64,
    kernel_drops: KernelDrops,
    log: EventLog,
}

impl Worker {
    pub(super) fn new(parts: WorkerParts<'_>) -> io::Result<Self> {
        let listeners = parts
            .udp
            .iter()
            .enumerate()
            .map(|(n, socket)| UdpListener::new(socket.try_clone()?, LinkId(n as u32)))
            .collect::<io::Result<_>>()?;
        let (mailboxes, mailbox) = parts.mailboxes;
        Ok(Self {
            server: parts.server,
            streams: StreamTable::default(),
            accepts: parts.accepts,
            scratch: Box::default(),
            listeners,
            relays: parts.relays,
            ready_set: parts.ready_set,
            found: Found::new(READY),
            unfinished: Vec::new(),
            at_hand: Vec::new(),
            arena: Arena::new(SLOTS, parts.backend),
            slots: SLOTS,
            to_peers: ToPeers::default(),
            handovers: Handovers::new(Arc::clone(&mailboxes)),
            mailboxes,
            mailbox,
            mail: false,
            sender: Sender::new(parts.backend),
            not_sent: 0,
            kernel_drops: KernelDrops::new(now().instant),
            log: parts.log,
        })
    }

    /// A descriptor that can be read while any relay socket can, or another worker has posted something.
    pub(super) fn relay_set(&self) -> io::Result<OwnedFd> {
        self.ready_set.descriptor()
    }

    /// Offers fewer slots where each brings many datagrams, so that a batch stays a bounded piece of work.
    fn adapt_slots(&mut self, filled: usize, datagrams: usize) {
        self.slots = (BATCH * filled)
            .checked_div(datagrams)
            .unwrap_or(SLOTS)
            .clamp(FEWEST_SLOTS, SLOTS);
    }

    /// Queues data for a client; `room` bytes before it may be overwritten.
    fn queue_to_client(
        &mut self,
        relay: RelayId,
        route: &ToClient,
        body: Range<usize>,
        room: usize,
        buffer: Buffer<'_>,
    ) {
        let (header, len) = (&route.header, body.len());
        match link_of(route.flow.link) {
            Link::Stream(place) => {
                let data = &bytes(&self.arena, buffer)[body];
                // A slow reader loses data, as it would over UDP, and delays nobody.
                if self.streams.queue_data(place, header, data) == Queued::Dropped {
                    self.server.handle_no_room(relay, len);
                }
            }
            Link::Udp(at) => {
                let listener = &mut self.listeners[at];
                let padding = header.padding(len, false);
                if room >= header.size() && matches!(buffer, Buffer::Arena) {
                    let before = body.start - header.size()..body.start;
                    header.write_before(&mut self.arena.bytes_mut()[before.clone()], len);
                    let datagram = listener.datagram(&route.flow, before.start..body.end);
                    listener.outgoing.push_around(&[], datagram, padding);
                } else {
                    let mut head = [0; MAX_HEADER];
                    let start = header.write_before(&mut head, len);
                    let datagram = listener.datagram(&route.flow, body);
                    listener
                        .outgoing
                        .push_around(&head[start..], datagram, padding);
                }
                if self.listeners[at].outgoing.len() >= QUEUED {
                    self.flush(buffer);
                }
            }
        }
    }

    fn queue_to_peer(&mut self, relay: RelayId, datagram: Datagram, buffer: Buffer<'_>) {
        self.to_peers.push(relay, datagram);
        if self.to_peers.len() >= QUEUED {
            self.flush(buffer);
        }
    }

    /// Sends what is queued, whose data lies in the buffer at hand.
    fn flush(&mut self, buffer: Buffer<'_>) {
        let bytes = bytes(&self.arena, buffer);
        if self.to_peers.len() > 0 {
            let lost = self.to_peers.send(&self.relays, &mut self.sender, bytes);
            self.not_sent += lost as u64;
        }
        for listener in &mut self.listeners {
            if !listener.outgoing.is_empty() {
                let (socket, outgoing) = (listener.socket.as_fd(), &listener.outgoing);
                let sent = self.sender.send(socket, outgoing, bytes);
                self.not_sent += (outgoing.len() - sent) as u64;
                listener.outgoing.clear();
            }
        }
        self.handovers.post();
    }

    /// Does what the relay says.
    fn do_outputs(&mut self, now: Now) {
        let mut kernel_drops = 0;
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Reply { flow, bytes } => self.reply(&flow, &bytes),
                Output::OpenRelay(wish) => {
                    let opened = self.relays.open(&wish);
                    self.server.handle_relay_opened(wish.relay, opened, now);
                }
                Output::CloseRelay(relay) => kernel_drops = self.relays.close(relay),
                Output::DropReservation(token) => self.relays.drop_reservation(token),
                Output::Event(event) => self.log.write(&event, kernel_drops, now.instant),
            }
        }
    }

    fn reply(&mut self, flow: &Flow, bytes: &[u8]) {
        match link_of(flow.link) {
            Link::Stream(place) => self.streams.queue_reply(place, bytes),
            Link::Udp(at) => {
                let listener = &self.listeners[at];
                let mut only = Outbox::default();
                only.push(listener.datagram(flow, 0..bytes.len()));
                self.sender.send(listener.socket.as_fd(), &only, bytes);
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
        self.look_for_kernel_drops(now.instant);
    }

    pub(super) fn handle_stop(&mut self) {
        let now = now();
        self.server.handle_stop(now);
        self.do_outputs(now);
        self.look_for_kernel_drops(now.instant + kernel_drops::PERIOD);
        let counters = self.server.counters();
        tracing::info!(
            allocations = counters.allocations,
            packets_to_peer = counters.traffic.packets_to_peer,
            packets_to_client = counters.traffic.packets_to_client,
            dropped = counters.drops.iter().sum::<u64>(),
            not_sent = self.not_sent + self.handovers.lost,
            kernel_drops = self.kernel_drops.total(),
            "worker stopped"
        );
    }
}

/// Where queued data lies.
#[derive(Clone, Copy)]
enum Buffer<'a> {
    Arena,
    Other(&'a [u8]),
}

fn bytes<'a>(arena: &'a Arena, buffer: Buffer<'a>) -> &'a [u8] {
    match buffer {
        Buffer::Arena => arena.bytes(),
        Buffer::Other(bytes) => bytes,
    }
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
