//! TCP and TLS connections of one worker: who is connected, and what waits to be written to each.
//!
//! A connection is a socket in the worker's set of connections, and plain data beside it: no task, no timer, and no buffer
//! while nothing waits. `worker/from_stream.rs` reads and writes them; here lies what it works on. Timeouts are found by
//! looking at each connection once a second.

mod connection;
mod opening;
mod outbound;
mod server_name;
mod tls_config;
mod tls_session;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use slab::Slab;

use super::connections::{Connections, Place};
use super::sys::{Members, Source};
use super::{ConnectionCounters, Listener, ListenerTransport};
use crate::admission::peer_filter::PeerRange;
use crate::admission::rate_limit::SourceLimiter;
use crate::turn::{ClientAddr, FiveTuple, Flow, LinkId, RealmId, Transport};
use crate::wire::DataHeader;
use crate::wire::first_bytes::FirstBytes;
use crate::wire::proxy_header::Proxied;
pub(super) use connection::{Connection, Received};
use opening::{Awaited, Header, Opening};
pub(super) use outbound::Queued;
use outbound::{Buffers, Outbound};
pub(super) use tls_config::{TlsConfigs, certificate_ends, dtls_config, https_config, tls_configs};
use tls_session::TlsSession;

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

/// What there is to know of a connection that is bound to a peer's.
struct Bound {
    /// The peer's place among `PeerStreams`.
    peer: usize,
    /// Whether there may be something to read that was left there.
    held: bool,
    /// Whether the peer says no more, and whether the client has been told.
    peer_ended: bool,
    told: bool,
    /// Whether it is no peer's, but that of who answers HTTP: it ends both sides of it when it has said everything.
    is_http: bool,
}

/// What the first bytes of a connection say.
pub(super) enum Opened {
    /// Too little.
    Waiting,
    /// That it is for the relay, of which this was said.
    Turn(Vec<u8>),
    /// That it is for the HTTP interface.
    Http(Vec<u8>),
}

/// A connection on its way to another worker.
pub(super) struct Moved {
    connection: Box<Connection>,
    outbound: Outbound,
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

    /// Accepts one connection at a listener, or turns it away; whether there was one.
    ///
    /// An error means that the system refuses, say for want of descriptors.
    pub(super) fn accept(&mut self, at: usize, now: Instant) -> io::Result<bool> {
        let (socket, client) = match self.listeners[at].socket.accept() {
            Ok(accepted) => accepted,
            Err(error) => {
                return match error.kind() {
                    io::ErrorKind::WouldBlock => Ok(false),
                    // It was gone before it was accepted.
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => Ok(true),
                    _ => Err(error),
                };
            }
        };
        let listener = self.listeners[at].listener;
        // Whose it is, a proxy has to say first.
        let is_proxied = self.is_proxy(client);
        if !is_proxied && !self.accepts.allow(client.ip(), now) {
            self.counters.refused_for_rate += 1;
            tracing::debug!("connection refused: too many from this address in a short time");
            return Ok(true);
        }
        let admitted = match is_proxied {
            true => self.settings.connections.admit_proxied(),
            false => self.settings.connections.admit(client.ip()),
        };
        // Without a place it is closed at once.
        let Some(admitted) = admitted else {
            self.counters.refused_for_limit += 1;
            tracing::debug!(transport = ?listener.transport, "connection refused: limit reached");
            return Ok(true);
        };
        match self.enter(listener, socket, client, admitted, now) {
            Ok(()) => self.listeners[at].accepted += 1,
            Err(error) => {
                self.counters.failed += 1;
                tracing::debug!(%error, transport = ?listener.transport, "connection refused");
            }
        }
        Ok(true)
    }

    fn enter(
        &mut self,
        listener: Listener,
        socket: TcpStream,
        client: SocketAddr,
        admitted: Place,
        now: Instant,
    ) -> io::Result<()> {
        let is_proxied = self.is_proxy(client);
        let server = if listener.address.ip().is_unspecified() {
            socket.local_addr()?
        } else {
            listener.address
        };
        let (transport, tls) = match (listener.transport, &self.settings.tls) {
            (ListenerTransport::Tls, Some(configs)) => {
                let config = Arc::clone(&configs.turn);
                let session = TlsSession::new(config).map_err(io::Error::other)?;
                (Transport::Tls, Some(Box::new(session)))
            }
            // Never in the clear: a listener for TLS does not open without a certificate.
            (ListenerTransport::Tls, None) => return Err(io::Error::other("no certificate")),
            // What it is, its first bytes say.
            (
                ListenerTransport::Tcp
                | ListenerTransport::Udp
                | ListenerTransport::Dtls
                | ListenerTransport::Shared,
                _,
            ) => (Transport::Tcp, None),
        };
        let is_shared = listener.transport == ListenerTransport::Shared;
        if cfg!(not(target_os = "linux")) {
            // On Linux the listener's setting is inherited.
            socket.set_nodelay(true)?;
        }
        let entry = self.slots.vacant_entry();
        let place = entry.key();
        self.members
            .add_connection(&socket, Source::Connection(place))?;
        let flow = Flow {
            five_tuple: FiveTuple {
                transport,
                client: ClientAddr(client),
                server,
            },
            link: LinkId(STREAM_LINK | place as u32),
            realm: RealmId::DEFAULT,
        };
        let serial = self.serials;
        self.serials += 1;
        let mut connection = Box::new(Connection::new(socket, tls, flow, admitted, now));
        connection.opening = Opening::new(is_proxied, is_shared);
        entry.insert(Slot {
            serial,
            connection: Some(connection),
            outbound: Outbound::new(now),
            bound: None,
        });
        self.check_later(place, serial, now);
        Ok(())
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

    fn is_proxy(&self, client: SocketAddr) -> bool {
        let mut proxies = self.settings.proxies.iter();
        proxies.any(|range| range.contains(client.ip()))
    }

    /// Finds out by what was received what a connection is, while it [is opening](Connection::is_opening). An error means that
    /// it is to be closed.
    pub(super) fn open(
        &mut self,
        connection: &mut Connection,
        received: &[u8],
        now: Instant,
    ) -> io::Result<Opened> {
        let Some(mut opening) = connection.opening.take() else {
            return Ok(Opened::Turn(received.to_vec()));
        };
        opening.add(received);
        if opening.awaited() == Awaited::ProxyHeader {
            match opening.take_header().map_err(io::Error::other)? {
                Header::Awaited => {
                    connection.opening = Some(opening);
                    return Ok(Opened::Waiting);
                }
                Header::Read(proxied) => {
                    connection.begin_waiting(now);
                    if let Some(proxied) = proxied {
                        self.belongs_to(connection, &proxied, now)?;
                    }
                }
            }
        }
        if !opening.is_shared() {
            return Ok(Opened::Turn(opening.into_bytes()));
        }
        match opening.first_bytes() {
            FirstBytes::Undecided => {
                connection.opening = Some(opening);
                Ok(Opened::Waiting)
            }
            FirstBytes::Tls => {
                let configs = self.settings.tls.as_ref();
                let configs = configs.ok_or_else(|| io::Error::other("no certificate"))?;
                let session = TlsSession::new(Arc::clone(&configs.shared));
                connection.tls = Some(Box::new(session.map_err(io::Error::other)?));
                connection.flow.five_tuple.transport = Transport::Tls;
                let received = opening.go_inside();
                connection.opening = Some(opening);
                Ok(Opened::Turn(received))
            }
            FirstBytes::Stun => Ok(Opened::Turn(opening.into_bytes())),
            FirstBytes::Http => Ok(Opened::Http(opening.into_bytes())),
            FirstBytes::Unknown => Err(unknown_protocol()),
        }
    }

    /// Finds out by what was decrypted what a connection speaks, while it [is](Connection::is_opening_inside) to be found out:
    /// what its client and this server have agreed upon (RFC 7301), or by its first bytes where the client has named nothing.
    pub(super) fn open_inside(
        &mut self,
        connection: &mut Connection,
        said: &[u8],
    ) -> io::Result<Opened> {
        let (Some(opening), Some(tls)) = (&mut connection.opening, &connection.tls) else {
            return Ok(Opened::Turn(said.to_vec()));
        };
        if tls.is_handshaking() {
            return Ok(Opened::Waiting);
        }
        opening.add(said);
        let speaks = match tls.agreed_protocol() {
            Some(tls_config::HTTP) => FirstBytes::Http,
            Some(_) => FirstBytes::Stun,
            None => opening.first_bytes(),
        };
        if speaks == FirstBytes::Undecided {
            return Ok(Opened::Waiting);
        }
        let said = opening.go_inside();
        connection.opening = None;
        match speaks {
            FirstBytes::Stun => Ok(Opened::Turn(said)),
            FirstBytes::Http => Ok(Opened::Http(said)),
            FirstBytes::Tls | FirstBytes::Undecided | FirstBytes::Unknown => {
                Err(unknown_protocol())
            }
        }
    }

    /// Has a connection count as the client's whom a proxy names: what is limited for each address is limited for that one.
    fn belongs_to(
        &mut self,
        connection: &mut Connection,
        proxied: &Proxied,
        now: Instant,
    ) -> io::Result<()> {
        let client = proxied.client.ip();
        if !self.accepts.allow(client, now) {
            self.counters.refused_for_rate += 1;
            let reason = "too many from this address in a short time";
            return Err(io::Error::other(reason));
        }
        if !connection.place.move_to(client) {
            self.counters.refused_for_limit += 1;
            return Err(io::Error::other("limit reached"));
        }
        let five_tuple = &mut connection.flow.five_tuple;
        five_tuple.client = ClientAddr(proxied.client);
        five_tuple.server = proxied.server;
        Ok(())
    }

    /// Takes a connection out that goes to another worker.
    pub(super) fn send_away(&mut self, place: usize) -> io::Result<Box<Moved>> {
        let slot = self.slots.try_remove(place);
        let slot = slot.ok_or(io::ErrorKind::NotFound)?;
        let connection = slot.connection.ok_or(io::ErrorKind::NotFound)?;
        self.members.remove(&connection.socket)?;
        Ok(Box::new(Moved {
            connection,
            outbound: slot.outbound,
        }))
    }

    /// Takes in a connection that comes from another worker, and returns its place.
    pub(super) fn take_in(&mut self, moved: Moved, now: Instant) -> io::Result<usize> {
        let Moved {
            mut connection,
            mut outbound,
        } = moved;
        let entry = self.slots.vacant_entry();
        let place = entry.key();
        self.members
            .add_connection(&connection.socket, Source::Connection(place))?;
        connection.flow.link = LinkId(STREAM_LINK | place as u32);
        connection.goes_to = None;
        outbound.dirty = false;
        outbound.unblock();
        let serial = self.serials;
        self.serials += 1;
        let slot = entry.insert(Slot {
            serial,
            connection: Some(connection),
            outbound,
            bound: None,
        });
        mark(&mut slot.outbound, place, &mut self.dirty);
        self.check_later(place, serial, now);
        Ok(place)
    }

    /// Makes a connection the other half of a peer's, or of one with who answers HTTP.
    pub(super) fn bind(&mut self, place: usize, peer: usize, is_http: bool) -> bool {
        let Some(slot) = self.slots.get_mut(place) else {
            return false;
        };
        slot.bound = Some(Box::new(Bound {
            peer,
            held: false,
            peer_ended: false,
            told: false,
            is_http,
        }));
        true
    }

    /// The peer's place that a connection is the other half of.
    pub(super) fn peer_of(&self, place: usize) -> Option<usize> {
        let bound = self.slots.get(place)?.bound.as_ref()?;
        Some(bound.peer)
    }

    /// Remembers that there may be something to read that was left there.
    pub(super) fn hold(&mut self, place: usize) {
        if let Some(bound) = self.bound_mut(place) {
            bound.held = true;
        }
    }

    /// Whether there may be something to read that was left there, which is read now.
    pub(super) fn resume(&mut self, place: usize) -> bool {
        let bound = self.bound_mut(place);
        bound.is_some_and(|bound| std::mem::take(&mut bound.held))
    }

    /// Remembers that the peer says no more: the client is told once it has been written everything.
    pub(super) fn end_peer(&mut self, place: usize) {
        if let Some(slot) = self.slots.get_mut(place)
            && let Some(bound) = &mut slot.bound
        {
            bound.peer_ended = true;
            mark(&mut slot.outbound, place, &mut self.dirty);
        }
    }

    /// Whether the client has heard everything that the peer had to say.
    pub(super) fn has_told(&self, place: usize) -> bool {
        let slot = self.slots.get(place);
        slot.and_then(|slot| slot.bound.as_ref())
            .is_some_and(|bound| bound.told)
    }

    fn bound_mut(&mut self, place: usize) -> Option<&mut Bound> {
        self.slots.get_mut(place)?.bound.as_deref_mut()
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

fn unknown_protocol() -> io::Error {
    io::Error::other("none of the protocols that are spoken here")
}

fn mark(outbound: &mut Outbound, place: usize, dirty: &mut Vec<usize>) {
    if !outbound.dirty && !outbound.is_blocked() {
        outbound.dirty = true;
        dirty.push(place);
    }
}
