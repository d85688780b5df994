//! The relay of one worker.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use stun::error_code::CODE_SERVER_ERROR;

use super::allocation::Allocation;
use super::by_client::ByClient;
use super::counters::{Counters, DropReason, Limit};
use super::deadline::Deadlines;
use super::five_tuple::{ClientAddr, FiveTuple, Flow, Transport};
use super::method::PendingAllocate;
use super::mobility::{TicketKey, Tickets, Ways};
use super::nat_discovery::Discovery;
use super::nonce::NonceKey;
use super::output::{Handover, Local, Output, RelayId, ToPeer};
use super::peer_connections::PeerConnections;
use super::realm::{Common, RealmId, RealmParts, Realms};
use super::relayed_addresses::RelayedAddresses;
use super::slots::Slots;
use super::trace::{Loss, Traces};
use super::{Now, Settings};
use crate::admission::bandwidth::{Direction, TotalLease};
use crate::admission::rate_limit::SourceLimiter;
use crate::wire::reply::SmallReply;
use crate::wire::{Class, Extensions, Kind, Malformed, Message, Method, classic, classify};

/// What a [`Server`] is made from. What is behind an `Arc` is shared by all workers.
pub struct Parts {
    /// The protocol's settings.
    pub settings: Settings,
    /// The default realm.
    pub realm: RealmParts,
    /// The other ones.
    pub more_realms: Vec<RealmParts>,
    /// This worker's part of the whole bandwidth.
    pub total_bandwidth: TotalLease,
    /// How often the unauthenticated are answered.
    pub reply_limiter: SourceLimiter,
    /// The relayed transport addresses.
    pub relayed: Arc<RelayedAddresses>,
    /// The key behind the nonces.
    pub nonce_key: NonceKey,
    /// The key of mobility tickets.
    pub ticket_key: TicketKey,
    /// Which worker this is, and of how many: no two workers give an allocation the same number.
    pub worker: (u64, u64),
    /// Where this worker's random numbers start: 32 bytes that nobody can guess.
    pub seed: [u8; 32],
}

/// The relay of one worker: every allocation of the clients that the kernel sends to it.
///
/// In each turn of its loop, the shell
/// 1. hands in what happened: [`handle_client`](Self::handle_client), [`handle_peer`](Self::handle_peer),
///    [`handle_icmp`](Self::handle_icmp), [`handle_disconnected`](Self::handle_disconnected),
///    [`handle_timeout`](Self::handle_timeout), and of connections with peers [`handle_connected`](Self::handle_connected),
///    [`handle_accepted`](Self::handle_accepted), [`handle_connection_closed`](Self::handle_connection_closed);
/// 2. sends the data that the first two return a route for, and the indication that the third one does;
/// 3. does what [`poll_output`](Self::poll_output) says, until it says nothing, before the next `handle_client`; an
///    [`Output::OpenRelay`] is answered with [`handle_relay_opened`](Self::handle_relay_opened);
///    while an allocation is watched, what was seen of it waits at [`poll_trace`](Self::poll_trace);
/// 4. waits no longer than until [`poll_timeout`](Self::poll_timeout).
pub struct Server {
    pub(super) settings: Settings,
    pub(super) realms: Realms,
    pub(super) relayed: Arc<RelayedAddresses>,
    pub(super) total_bandwidth: TotalLease,
    pub(super) deadlines: Deadlines,
    pub(super) outputs: VecDeque<Output>,
    pub(super) pending: Option<PendingAllocate>,
    pub(super) slots: Slots,
    pub(super) rng: StdRng,
    pub(super) counters: Counters,
    /// Requests refused: the next other server is chosen by it.
    pub(super) refused: u64,
    limiter: SourceLimiter,
    pub(super) discovery: Option<Discovery>,
    pub(super) by_client: ByClient,
    pub(super) peer_connections: PeerConnections,
    pub(super) tickets: Tickets,
    pub(super) ways: Ways,
    /// The worker that has received what is being handled, where that is another one.
    pub(super) via: Option<usize>,
    /// Allocations that there are.
    pub(super) live: usize,
    pub(super) traces: Traces,
    /// What is understood beside RFC 8489 and RFC 8656 where no realm is chosen.
    pub(super) extensions: Extensions,
    /// Relays that are open.
    pub(super) relays: usize,
    /// The number of the next allocation.
    serials: u64,
    pub(super) workers: u64,
    /// Which of them this is.
    pub(super) worker: usize,
}

/// What a packet from a client led to.
#[derive(Debug, PartialEq, Eq)]
pub enum FromClient {
    /// Data to send to a peer.
    ToPeer(ToPeer),
    /// Data to send to another client of this worker, as its peer would have sent it.
    ToClient(Local),
    /// Data for a client of another worker.
    ToWorker(Handover),
    /// A response to send, small enough to be made without an output.
    Reply(SmallReply),
    /// A message of the protocol: there may be outputs.
    Control,
    /// Nothing was done: it is for another worker, and over a stream the connection with it, whatever follows.
    Elsewhere {
        /// Which worker, counted from 0.
        worker: usize,
    },
    /// Nothing.
    Dropped,
}

impl Server {
    /// Makes a relay without allocations.
    pub fn new(parts: Parts) -> Self {
        let common = Common {
            relayed: &parts.relayed,
            nonce_key: parts.nonce_key,
            nonce_lifetime: parts.settings.nonce_lifetime,
        };
        let realms = Realms::new(parts.realm, parts.more_realms, &common);
        let mut rng = StdRng::from_seed(parts.seed);
        let discovery = parts.settings.nat_discovery.as_ref();
        let discovery = discovery.map(|offered| Discovery::new(offered, rng.next_u64()));
        Self {
            extensions: realms.extensions(),
            realms,
            settings: parts.settings,
            relayed: parts.relayed,
            total_bandwidth: parts.total_bandwidth,
            limiter: parts.reply_limiter,
            rng,
            discovery,
            deadlines: Deadlines::default(),
            outputs: VecDeque::new(),
            pending: None,
            slots: Slots::default(),
            by_client: ByClient::default(),
            tickets: Tickets::new(parts.ticket_key),
            ways: Ways::default(),
            via: None,
            live: 0,
            traces: Traces::default(),
            peer_connections: PeerConnections::new(parts.worker.0 as u32, parts.worker.1 as u32),
            relays: 0,
            counters: Counters::default(),
            refused: 0,
            serials: parts.worker.0 + 1,
            workers: parts.worker.1,
            worker: parts.worker.0 as usize,
        }
    }

    /// Handles one datagram, or one message of a stream.
    pub fn handle_client(&mut self, flow: Flow, packet: &[u8], now: Now) -> FromClient {
        if self.via.is_none() {
            self.counters.received[flow.five_tuple.transport as usize].add(packet.len());
        }
        match classify(packet) {
            Some(Kind::ChannelData) => {
                let route = self.channel_data(&flow, packet, now);
                self.pass_on(&flow, route, now)
            }
            Some(Kind::Stun) => match Message::parse(packet) {
                Ok(message) => self.handle_message(flow, &message, now),
                Err(Malformed::NoCookie) => self.classic(flow, packet),
                Err(_) => self.drop_packet(DropReason::Malformed),
            },
            None => self.drop_packet(DropReason::Malformed),
        }
    }

    /// Handles one STUN message; a Send indication yields a route.
    fn handle_message(&mut self, flow: Flow, message: &Message<'_>, now: Now) -> FromClient {
        match (message.class(), message.method()) {
            (Class::Indication, Method::Send) => {
                let route = self.send_indication(&flow, message, now);
                match route {
                    Err(reason) if !self.traces.is_empty() => {
                        self.drop_watched_indication(&flow, message, reason, now)
                    }
                    route => self.pass_on(&flow, route, now),
                }
            }
            (Class::Request, Method::Binding) => {
                self.counters.requests[Method::Binding as usize] += 1;
                match self.traces.is_empty() {
                    true => self.binding(flow, message, now),
                    false => self.watched_binding(flow, message, now),
                }
            }
            (
                Class::Request,
                Method::Allocate
                | Method::Refresh
                | Method::CreatePermission
                | Method::ChannelBind
                | Method::Connect
                | Method::ConnectionBind,
            ) => {
                if let Some(worker) = self.worker_for(&flow, message) {
                    return FromClient::Elsewhere { worker };
                }
                self.counters.requests[message.method() as usize] += 1;
                match self.traces.is_empty() {
                    true => self.handle_request(flow, message, now),
                    false => self.handle_watched_request(flow, message, now),
                }
                FromClient::Control
            }
            // RFC 8489 §6.3: a class that the method does not have, or a response to nothing that was asked.
            (
                Class::Request | Class::Indication | Class::SuccessResponse | Class::ErrorResponse,
                _,
            ) => self.drop_packet(DropReason::Malformed),
        }
    }

    /// Refuses a request without the magic cookie where RFC 8489 §11 says so; elsewhere it is no STUN.
    fn classic(&mut self, flow: Flow, packet: &[u8]) -> FromClient {
        match classic::server_error(packet) {
            Some(reply) if flow.five_tuple.transport == Transport::Dtls => {
                self.counters.requests[Method::Binding as usize] += 1;
                self.counters
                    .note_error(Method::Binding, CODE_SERVER_ERROR.0);
                self.outputs.push_back(Output::Reply { flow, bytes: reply });
                FromClient::Control
            }
            Some(_) | None => self.drop_packet(DropReason::Malformed),
        }
    }

    /// Counts data that may leave, and finds out whether it leaves this process.
    pub(super) fn pass_on(
        &mut self,
        flow: &Flow,
        route: Result<ToPeer, DropReason>,
        now: Now,
    ) -> FromClient {
        match route {
            Ok(route) => {
                self.notice_data(&flow.five_tuple);
                match self.relayed.owner_of(route.target) {
                    None => FromClient::ToPeer(route),
                    Some(owner) => self.relay_to_relay(route, owner, now),
                }
            }
            Err(DropReason::NoAllocation)
                if let Some(worker) = self.ways.elsewhere(&flow.five_tuple) =>
            {
                FromClient::Elsewhere { worker }
            }
            Err(reason) => {
                if let Some(relay) = self.relay_of(&flow.five_tuple) {
                    let loss = Loss {
                        direction: Direction::ToPeer,
                        reason,
                        peer: None,
                        at: Some(now.instant),
                    };
                    self.note_drop(relay, loss);
                }
                self.drop_packet(reason)
            }
        }
    }

    fn drop_packet(&mut self, reason: DropReason) -> FromClient {
        self.dropped(Direction::ToPeer, reason);
        FromClient::Dropped
    }

    /// The next thing that the shell must do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// What this worker has done since it started, as far as it is no realm's.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Allocations that exist.
    pub fn allocations(&self) -> usize {
        self.live
    }

    /// Relayed transport addresses that exist: one for each allocation, or two.
    pub fn relays(&self) -> usize {
        self.relays
    }

    /// Connections with peers that exist (RFC 6062).
    pub fn peer_connections(&self) -> usize {
        self.peer_connections.len()
    }

    /// Deadlines that wait, some of them out of date: no more than a few for each allocation and reservation.
    pub fn deadlines(&self) -> usize {
        self.deadlines.len()
    }

    /// Whether a five-tuple has an allocation: a connection that has one may stay silent.
    pub fn has_allocation(&self, five_tuple: &FiveTuple) -> bool {
        self.relay_of(five_tuple).is_some()
    }

    pub(super) fn relay_of(&self, five_tuple: &FiveTuple) -> Option<RelayId> {
        let found = self.by_client.find(five_tuple, &self.slots);
        found.or_else(|| self.ways.next(five_tuple))
    }

    /// The allocation that has this relay.
    pub(super) fn allocation(&self, relay: RelayId) -> Option<&Allocation> {
        self.slots.get(relay)
    }

    pub(super) fn allocation_mut(&mut self, relay: RelayId) -> Option<&mut Allocation> {
        self.slots.get_mut(relay)
    }

    /// What the next relay will be called.
    pub(super) fn next_relay(&self) -> RelayId {
        self.slots.next()
    }

    /// The worker whose allocation has this number.
    pub(super) fn worker_of_serial(&self, serial: u64) -> usize {
        (serial.saturating_sub(1) % self.workers) as usize
    }

    pub(super) fn next_serial(&mut self) -> u64 {
        let serial = self.serials;
        self.serials += self.workers;
        serial
    }

    /// The realm of a name in a TLS ClientHello, for [`Flow::realm`].
    pub fn realm_of_server_name(&self, name: &str) -> RealmId {
        self.realms.by_server_name(name).unwrap_or_default()
    }

    pub(super) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    pub(super) fn reply(&mut self, flow: Flow, bytes: Vec<u8>) {
        self.counters.note_response(&bytes);
        self.outputs.push_back(Output::Reply { flow, bytes });
    }

    /// Counts what is not relayed or obeyed.
    pub(super) fn dropped(&mut self, direction: Direction, reason: DropReason) {
        self.counters.drops[direction as usize][reason as usize] += 1;
    }

    /// Has an allocation remember that data of it was dropped.
    pub(super) fn note_drop(&mut self, relay: RelayId, loss: Loss) {
        if let Some(allocation) = self.slots.get_mut(relay) {
            allocation.traffic.drops.add(loss.reason);
            if allocation.is_watched {
                self.trace_drop(relay, loss);
            }
        }
    }

    /// Whether a client that has shown neither credentials nor that it receives at its address gets an answer that the shell
    /// makes.
    pub fn allows_reply(&mut self, client: ClientAddr, now: Now) -> bool {
        let allowed = self.limiter.allow(client.ip(), now.instant);
        if !allowed {
            self.counters.note_limit(Limit::UnauthenticatedReplies);
            self.dropped(Direction::ToPeer, DropReason::ReplyLimit);
        }
        allowed
    }

    /// Whether an unauthenticated source gets an answer. One that has proved its address does.
    pub(super) fn may_answer(&mut self, flow: &Flow, now: Now) -> bool {
        flow.five_tuple.transport.proves_address() || self.allows_reply(flow.five_tuple.client, now)
    }
}
