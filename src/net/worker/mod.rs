//! One worker: a thread with its own sockets, its own relay and its own event loop.
//!
//! `turn.rs` says what it does, turn by turn.
//! `from_client.rs`, `from_stream.rs`, `from_dtls.rs`, `from_peer.rs`, `peer_streams.rs` and `errors.rs` are the ways in; what
//! they find is queued, for one socket after the other, and leaves in as few system calls as can be.

mod answers;
mod errors;
mod from_client;
mod from_dtls;
mod from_peer;
mod from_stream;
mod http;
mod kernel_drops;
mod peer_streams;
mod turn;
mod watched;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tracing::warn;

use super::HttpService;
use super::dtls::{DTLS_LINK, Dtls, Said};
use super::event_log::{self, EventLog};
use super::mailbox::{Handovers, Letter, Mailbox};
use super::peer_streams::PeerStreams;
use super::relay_sockets::RelaySockets;
use super::streams::{Queued, STREAM_LINK, Streams};
use super::sys::{Arena, Backend, Datagram, Found, Happened, Outbox, ReadySet, Sender, Source};
use super::to_peers::ToPeers;
use super::udp::{Speaks, UdpListener};
use crate::admission::bandwidth::Direction;
use crate::auth::UnixTime;
use crate::turn::{
    Flow, Forward, LinkId, Now, Output, Protocol, RealmCounters, RelayId, Server, ToClient,
};
use crate::wire::data_header::MAX_HEADER;
use from_stream::Scratch;
use kernel_drops::KernelDrops;
use peer_streams::Throttled;
use turn::Pending;
use watched::Watched;

/// Datagrams received at a time, or runs of them that the kernel has joined.
const SLOTS: usize = 64;
/// The same, where each is a long run.
const FEWEST_SLOTS: usize = 8;
/// Datagrams received from one relay socket before the next one has its turn.
const SLOTS_PER_RELAY: usize = 16;
/// Sockets found ready at a time.
const READY: usize = 128;
/// Batches handled for one direction before the other one has its turn.
const ROUNDS: usize = 4;
/// Datagrams to handle in one batch: so many slots are offered that there are hardly more.
const BATCH: usize = 256;
/// Datagrams that may wait to be sent: more are sent at once.
const QUEUED: usize = 256;
/// Parcels of other workers opened before the sockets have their turn.
const PARCELS: usize = 8;
/// What a worker is made from.
pub(super) struct WorkerParts {
    pub(super) server: Server,
    pub(super) udp: Vec<(UdpSocket, Speaks)>,
    pub(super) relays: RelaySockets,
    pub(super) peers: PeerStreams,
    pub(super) ready_set: ReadySet,
    /// Who answers HTTP.
    pub(super) http: Option<HttpService>,
    /// Those of all workers, and which is this one's.
    pub(super) mailboxes: (Arc<[Mailbox]>, usize),
    pub(super) streams: Streams,
    /// If any listener speaks it.
    pub(super) dtls: Option<Dtls>,
    pub(super) log: EventLog,
    pub(super) backend: Backend,
}

/// A worker's sockets and relay.
pub(super) struct Worker {
    pub(super) server: Server,
    streams: Streams,
    scratch: Scratch,
    dtls: Option<Dtls>,
    /// What a DTLS session has to say itself.
    said: Said,
    /// A response, encrypted.
    sealed: Vec<u8>,
    listeners: Vec<UdpListener>,
    relays: RelaySockets,
    peers: PeerStreams,
    throttled: Throttled,
    http: Option<HttpService>,
    ready_set: ReadySet,
    found: Found,
    pending: Pending,
    /// Relay sockets that are being worked through.
    relays_at_hand: Vec<RelayId>,
    /// Connections that are being worked through.
    happened: Vec<Happened>,
    /// When deadlines were last looked at.
    last_timeout: Instant,
    arena: Arena,
    /// Slots offered at a time.
    slots: usize,
    to_peers: ToPeers,
    handovers: Handovers,
    mailboxes: Arc<[Mailbox]>,
    mailbox: usize,
    sender: Sender,
    /// Datagrams that the kernel did not take.
    not_sent: u64,
    /// Turns taken.
    turns: u64,
    kernel_drops: KernelDrops,
    log: EventLog,
    watched: Watched,
}

impl Worker {
    pub(super) fn new(parts: WorkerParts) -> io::Result<Self> {
        let listeners = parts
            .udp
            .into_iter()
            .enumerate()
            .map(|(n, socket)| UdpListener::new(socket, LinkId(n as u32)))
            .collect::<io::Result<Vec<_>>>()?;
        let members = parts.ready_set.members()?;
        for (at, listener) in listeners.iter().enumerate() {
            members.add(listener.socket.as_fd(), Source::Listener(at))?;
        }
        let (mailboxes, mailbox) = parts.mailboxes;
        Ok(Self {
            server: parts.server,
            streams: parts.streams,
            scratch: Scratch::default(),
            dtls: parts.dtls,
            said: Said::default(),
            sealed: Vec::new(),
            listeners,
            relays: parts.relays,
            peers: parts.peers,
            throttled: Throttled::default(),
            http: parts.http,
            ready_set: parts.ready_set,
            found: Found::new(READY),
            pending: Pending::default(),
            relays_at_hand: Vec::new(),
            happened: Vec::new(),
            last_timeout: now().instant,
            arena: Arena::new(SLOTS, parts.backend),
            slots: SLOTS,
            to_peers: ToPeers::default(),
            handovers: Handovers::new(Arc::clone(&mailboxes)),
            mailboxes,
            mailbox,
            sender: Sender::new(parts.backend),
            not_sent: 0,
            turns: 0,
            kernel_drops: KernelDrops::new(now().instant),
            log: parts.log,
            watched: Watched::default(),
        })
    }

    /// Offers fewer slots where each brings many datagrams, so that a batch stays a bounded piece of work.
    fn adapt_slots(&mut self, filled: usize, datagrams: usize) {
        self.slots = (BATCH * filled)
            .checked_div(datagrams)
            .unwrap_or(SLOTS)
            .clamp(FEWEST_SLOTS, SLOTS);
    }

    /// Queues data for a client.
    fn queue_to_client(
        &mut self,
        relay: RelayId,
        route: &ToClient,
        body: Body,
        buffer: Buffer<'_>,
    ) {
        let (header, len) = (&route.header, body.range.len());
        match link_of(route.flow.link) {
            Link::Dtls(place) => self.queue_data_over_dtls(place, (relay, route), body, buffer),
            Link::Stream(place) => {
                let data = &bytes(&self.arena, buffer)[body.range];
                // A slow reader loses data, as it would over UDP, and delays nobody.
                if self.streams.queue_data(place, header, data) == Queued::Dropped {
                    self.server.handle_no_room(relay, len);
                } else if self.streams.is_urgent(place) {
                    self.write_stream(place, now());
                }
            }
            Link::Udp(at) => {
                let Body { range, room, tos } = body;
                let listener = &mut self.listeners[at];
                let padding = header.padding(len, false);
                if room >= header.size() && matches!(buffer, Buffer::Arena) {
                    let before = range.start - header.size()..range.start;
                    header.write_before(&mut self.arena.bytes_mut()[before.clone()], len);
                    let datagram = listener.datagram(&route.flow, before.start..range.end);
                    let datagram = datagram.with_tos(tos);
                    listener.outgoing.push_around(&[], datagram, padding);
                } else {
                    let mut head = [0; MAX_HEADER];
                    let start = header.write_before(&mut head, len);
                    let datagram = listener.datagram(&route.flow, range).with_tos(tos);
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
            let is_closing = matches!(output, Output::CloseRelay(_));
            match output {
                Output::Reply { flow, bytes } => self.reply(&flow, &bytes),
                Output::ReplyFrom { from, to, bytes } => self.reply_from(from, to, &bytes),
                Output::OpenRelay(wish) => {
                    let opened = match wish.protocol {
                        Protocol::Udp => self.relays.open(&wish),
                        Protocol::Tcp => self.peers.open(&wish),
                    };
                    self.server.handle_relay_opened(wish.relay, opened, now);
                }
                Output::CloseRelay(relay) => {
                    if !self.peers.close_relay(relay) {
                        kernel_drops += self.relays.close(relay);
                    }
                }
                Output::Forward(Forward { at, five_tuple, to }) => {
                    self.mailboxes[at].send(Letter::Forward { five_tuple, to });
                }
                Output::Connect(wish) => self.connect_peer(&wish, now),
                Output::BindConnection { connection, flow } => {
                    self.bind_connection(connection, &flow)
                }
                Output::CloseConnection(connection) => self.close_connection(connection, now),
                Output::DropReservation(token) => self.relays.drop_reservation(token),
                Output::Event(event) => self.log.write(event, kernel_drops, now.instant),
            }
            // They belong to what is said next, if anything.
            if !is_closing {
                kernel_drops = 0;
            }
        }
    }

    fn reply(&mut self, flow: &Flow, bytes: &[u8]) {
        match link_of(flow.link) {
            Link::Stream(place) => self.streams.queue_reply(place, bytes),
            Link::Dtls(place) => self.reply_over_dtls(place, flow, bytes),
            Link::Udp(at) => {
                let listener = &self.listeners[at];
                let mut only = Outbox::default();
                only.push(listener.datagram(flow, 0..bytes.len()));
                self.sender.send(listener.socket.as_fd(), &only, bytes);
            }
        }
    }

    /// Sends from the listener that has an address: one of its own, or every address of that family.
    fn reply_from(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let mut listeners = self.listeners.iter();
        let bound_to = |at: SocketAddr| move |listener: &&UdpListener| listener.local == at;
        let any = match from.ip() {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let of_all = bound_to(SocketAddr::new(any, from.port()));
        let found = listeners.clone().find(bound_to(from));
        let Some(listener) = found.or_else(|| listeners.find(of_all)) else {
            self.not_sent += 1;
            return;
        };
        let mut only = Outbox::default();
        only.push(listener.datagram_from(from.ip(), to, 0..bytes.len()));
        let sent = self.sender.send(listener.socket.as_fd(), &only, bytes);
        self.not_sent += (only.len() - sent) as u64;
    }

    /// Does what is due.
    fn handle_timeout(&mut self) {
        let now = now();
        self.last_timeout = now.instant;
        self.server.handle_timeout(now);
        self.do_outputs(now);
        self.close_overdue_streams(now);
        if self
            .throttled
            .next()
            .is_some_and(|until| until <= now.instant)
        {
            self.resume_throttled();
        }
        self.look_at_dtls(now);
        self.look_for_kernel_drops(now.instant);
        self.log.handle_timeout(now.instant);
    }

    pub(super) fn handle_stop(&mut self) {
        let now = now();
        self.server.handle_stop(now);
        self.do_outputs(now);
        self.tell_watchers();
        self.end_all_dtls(now);
        self.look_for_kernel_drops(now.instant + kernel_drops::PERIOD);
        self.log.handle_timeout(now.instant + event_log::PERIOD);
        let realms = || self.server.realm_counters().map(|(_, counters)| counters);
        let relayed = |direction| -> u64 {
            let amounts = realms().map(|realm| realm.relayed_in_all(direction).packets);
            amounts.sum()
        };
        tracing::info!(
            allocations = realms().map(RealmCounters::opened_in_all).sum::<u64>(),
            packets_to_peer = relayed(Direction::ToPeer),
            packets_to_client = relayed(Direction::ToClient),
            dropped = self.server.counters().dropped_in_all(),
            not_sent = self.not_sent + self.handovers.lost,
            kernel_drops = self.kernel_drops.total(),
            "worker stopped"
        );
    }
}

/// Data for a client, in the buffer at hand.
#[derive(Default)]
struct Body {
    /// Where it lies.
    range: Range<usize>,
    /// Bytes before it that may be overwritten.
    room: usize,
    /// The DSCP and ECN fields that it came with (RFC 8656 §14): a connection has its own.
    tos: u8,
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
    Dtls(usize),
}

fn link_of(link: LinkId) -> Link {
    if link.0 & (STREAM_LINK | DTLS_LINK) == 0 {
        Link::Udp(link.0 as usize)
    } else if link.0 & STREAM_LINK == 0 {
        Link::Dtls((link.0 & !DTLS_LINK) as usize)
    } else {
        Link::Stream((link.0 & !STREAM_LINK) as usize)
    }
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
