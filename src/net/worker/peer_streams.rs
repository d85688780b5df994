//! Data between a client's connection and a peer's (RFC 6062 §5.4, §5.5), and how such pairs come to be and end.
//!
//! Neither is read while the other has too much waiting, or while the allocation has used up its bandwidth. When one side says
//! that it says no more, the other is told so once it has been written everything; when both have, both are closed.

use std::io;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::from_stream::Scratch;
use super::{Link, Worker, link_of, now};
use crate::admission::bandwidth::Direction;
use crate::net::peer_streams::State;
use crate::net::streams::{Connection, Received};
use crate::net::sys::{Happened, Source};
use crate::turn::{ConnectPeer, ConnectionId, Flow, Now, RelayId};

/// Connections of peers accepted at a relay before the sockets have their turn.
const ACCEPTED: usize = 16;
/// How long a pair waits that has used up its bandwidth.
const PAUSE: Duration = Duration::from_millis(10);

/// Pairs that wait for bandwidth.
#[derive(Default)]
pub(super) struct Throttled {
    /// The peers' places.
    pairs: Vec<usize>,
    until: Option<Instant>,
}

impl Throttled {
    /// When they are to be tried again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.until
    }

    fn add(&mut self, at: usize, now: Instant) {
        if !self.pairs.contains(&at) {
            self.pairs.push(at);
        }
        self.until.get_or_insert(now + PAUSE);
    }
}

impl Worker {
    /// Accepts what peers have connected, up to a bound for each relay.
    pub(super) fn accept_peers(&mut self) {
        let now = now();
        let mut acceptors = std::mem::take(&mut self.pending.peer_acceptors);
        acceptors.retain(|relay| self.accept_peers_of(*relay, now));
        self.pending.peer_acceptors.append(&mut acceptors);
    }

    /// Whether there may be more.
    fn accept_peers_of(&mut self, relay: RelayId, now: Now) -> bool {
        for _ in 0..ACCEPTED {
            match self.peers.accept(relay) {
                Ok(Some((socket, source))) => {
                    // What is not admitted is closed, without a word (RFC 6062 §5.3).
                    if let Some(connection) = self.server.handle_accepted(relay, source, now) {
                        self.enter_accepted(connection, socket, source);
                        self.do_outputs(now);
                    }
                }
                Ok(None) => return false,
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a peer's connection");
                    return false;
                }
            }
        }
        true
    }

    fn enter_accepted(
        &mut self,
        connection: ConnectionId,
        socket: TcpStream,
        source: std::net::SocketAddr,
    ) {
        if let Err(error) = self.peers.enter_accepted(connection, socket, source) {
            tracing::debug!(%error, "peer's connection refused");
            self.server.handle_connection_closed(connection);
        }
    }

    /// Begins a connection with a peer.
    pub(super) fn connect_peer(&mut self, wish: &ConnectPeer, now: Now) {
        if let Err(error) = self.peers.connect(wish) {
            tracing::debug!(%error, "cannot connect to a peer");
            self.server.handle_connected(wish.connection, false, now);
        }
    }

    /// Ties a client's connection to a peer's.
    pub(super) fn bind_connection(&mut self, connection: ConnectionId, flow: &Flow) {
        let (Link::Stream(place), Some(at)) = (link_of(flow.link), self.peers.find(connection))
        else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(at)
            && self.streams.bind(place, at, false)
        {
            peer.state = State::Bound(place);
            self.pending
                .peer_streams
                .push(readable(Source::PeerStream(at)));
        }
    }

    /// Closes a pair, or a peer's connection that has no other half, as the core wants it.
    pub(super) fn close_connection(&mut self, connection: ConnectionId, now: Now) {
        if let Some(at) = self.peers.find(connection) {
            self.close_pair(at, now);
        }
    }

    fn close_pair(&mut self, at: usize, now: Now) {
        let Some(peer) = self.peers.remove(at) else {
            return;
        };
        if let Some(connection) = peer.id {
            self.server.handle_connection_closed(connection);
        }
        if let State::Bound(place) = peer.state {
            let _ = self.streams.write(place, now.instant);
            self.streams.remove(place);
        }
    }

    /// Handles what has happened to peers' connections.
    pub(super) fn drain_peer_streams(&mut self) {
        let now = now();
        for happened in std::mem::take(&mut self.pending.peer_streams) {
            if let Source::PeerStream(at) = happened.source
                && let Err(error) = self.handle_peer_stream(at, happened, now)
            {
                tracing::debug!(%error, "connection with a peer ended");
                self.close_pair(at, now);
            }
        }
        self.do_outputs(now);
    }

    /// An error means that the connection is to be closed.
    fn handle_peer_stream(&mut self, at: usize, happened: Happened, now: Now) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(at) else {
            return Ok(());
        };
        match peer.state {
            State::Connecting => {
                if peer.is_accepted()? {
                    peer.state = State::Unbound;
                    if let Some(connection) = peer.id {
                        self.server.handle_connected(connection, true, now);
                    }
                }
                Ok(())
            }
            // What there is to read is read once it is bound.
            State::Unbound => Ok(()),
            State::Bound(place) => {
                if happened.writable {
                    peer.write()?;
                    self.wake_client(at, place);
                }
                if happened.readable || happened.ended {
                    self.read_peer(at, place, happened, now)?;
                }
                self.check_whether_over(at, place)
            }
        }
    }

    fn read_peer(
        &mut self,
        at: usize,
        place: usize,
        happened: Happened,
        now: Now,
    ) -> io::Result<()> {
        let is_full = self.streams.is_full(place);
        let Some(peer) = self.peers.get_mut(at).filter(|peer| !peer.ended) else {
            return Ok(());
        };
        peer.held = is_full;
        if is_full {
            return Ok(());
        }
        let (id, owed) = (peer.id, peer.owed_to_client);
        if !self.may_pass(id, Direction::ToClient, owed, now) {
            self.hold_peer(at);
            self.throttled.add(at, now.instant);
            return Ok(());
        }
        let Some(peer) = self.peers.get_mut(at) else {
            return Ok(());
        };
        peer.owed_to_client = 0;
        let buffer = self.scratch.received.get_mut();
        match peer.receive(buffer)? {
            Received::Nothing => {}
            Received::End => {
                peer.ended = true;
                self.streams.end_peer(place);
            }
            Received::Bytes(len) => {
                peer.owed_to_client = len;
                self.streams.queue_bytes(place, &buffer[..len]);
                if len == buffer.len() || happened.ended {
                    self.pending.peer_streams.push(happened.only_readable());
                }
            }
        }
        Ok(())
    }

    /// Asks the bandwidth of an allocation for what has been passed on; what HTTP passes has none.
    fn may_pass(
        &mut self,
        id: Option<ConnectionId>,
        direction: Direction,
        owed: usize,
        now: Now,
    ) -> bool {
        match id {
            Some(id) if owed > 0 => self.server.handle_stream_data(id, direction, owed, now),
            _ => true,
        }
    }

    fn hold_peer(&mut self, at: usize) {
        if let Some(peer) = self.peers.get_mut(at) {
            peer.held = true;
        }
    }

    /// Handles what has happened to a client's connection that is bound to a peer's. An error means that it is to be closed.
    pub(super) fn handle_bound(
        &mut self,
        place: usize,
        at: usize,
        happened: Happened,
        now: Now,
    ) -> io::Result<()> {
        if happened.writable {
            self.streams.handle_writable(place, now.instant)?;
            self.wake_peer(at, place);
        }
        if happened.readable || happened.ended {
            self.read_bound(place, at, happened, now)?;
        }
        self.check_whether_over(at, place)
    }

    fn read_bound(
        &mut self,
        place: usize,
        at: usize,
        happened: Happened,
        now: Now,
    ) -> io::Result<()> {
        let Some(peer) = self
            .peers
            .get_mut(at)
            .filter(|peer| !peer.client_has_ended())
        else {
            return Ok(());
        };
        if peer.is_full() {
            self.streams.hold(place);
            return Ok(());
        }
        let (id, owed) = (peer.id, peer.owed_to_peer);
        if !self.may_pass(id, Direction::ToPeer, owed, now) {
            self.streams.hold(place);
            self.throttled.add(at, now.instant);
            return Ok(());
        }
        if let Some(peer) = self.peers.get_mut(at) {
            peer.owed_to_peer = 0;
        }
        let Some(mut connection) = self.streams.take(place) else {
            return Ok(());
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        let read = self.pass_to_peer(place, at, &mut connection, &mut scratch, now);
        self.scratch = scratch;
        self.streams.put_back(place, connection);
        if let Some(is_filled) = read?
            && (is_filled || happened.ended)
        {
            self.pending.connections.push(happened.only_readable());
        }
        Ok(())
    }

    /// Reads a client's connection once, and passes on what it says; whether that was as much as there was room for. `None` if
    /// there was nothing.
    fn pass_to_peer(
        &mut self,
        place: usize,
        at: usize,
        connection: &mut Connection,
        scratch: &mut Scratch,
        now: Now,
    ) -> io::Result<Option<bool>> {
        let Some(peer) = self.peers.get_mut(at) else {
            return Ok(None);
        };
        let buffer = scratch.received.get_mut();
        let len = match connection.receive(buffer)? {
            Received::Nothing => return Ok(None),
            Received::End => {
                peer.end_client();
                peer.write()?;
                return Ok(None);
            }
            Received::Bytes(len) => len,
        };
        let is_filled = len == buffer.len();
        let (bytes, records) = (&mut scratch.messages, &mut scratch.records);
        bytes.clear();
        records.clear();
        let received = &mut buffer[..len];
        match connection.decrypt(received, bytes, records, now.instant) {
            None => peer.queue(received),
            Some(decrypted) => {
                peer.queue(bytes);
                if !records.is_empty() {
                    self.streams.queue_records(place, records);
                }
                if decrypted.map_err(io::Error::other)? {
                    peer.end_client();
                }
            }
        }
        peer.write()?;
        Ok(Some(is_filled))
    }

    /// Passes on what a client has sent behind its ConnectionBind.
    pub(super) fn pass_rest_to_peer(&mut self, at: usize, rest: &[u8]) {
        if let Some(peer) = self.peers.get_mut(at) {
            peer.queue(rest);
            if peer.write().is_err() {
                // Reading it will say so, too.
                self.pending
                    .peer_streams
                    .push(readable(Source::PeerStream(at)));
            }
        }
    }

    /// Passes on that a client says no more.
    pub(super) fn end_client(&mut self, at: usize) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(at) else {
            return Ok(());
        };
        peer.end_client();
        peer.write()
    }

    /// Reads a client again that had to wait for its peer.
    fn wake_client(&mut self, at: usize, place: usize) {
        let may_send = self.peers.get_mut(at).is_some_and(|peer| !peer.is_full());
        if may_send && self.streams.resume(place) {
            self.pending
                .connections
                .push(readable(Source::Connection(place)));
        }
    }

    /// Reads a peer again that had to wait for its client.
    pub(super) fn wake_peer(&mut self, at: usize, place: usize) {
        if !self.streams.is_full(place)
            && let Some(peer) = self.peers.get_mut(at)
            && std::mem::take(&mut peer.held)
        {
            self.pending
                .peer_streams
                .push(readable(Source::PeerStream(at)));
        }
    }

    /// Reads pairs again that had to wait for bandwidth.
    pub(super) fn resume_throttled(&mut self) {
        self.throttled.until = None;
        for at in std::mem::take(&mut self.throttled.pairs) {
            if let Some(State::Bound(place)) = self.peers.get_mut(at).map(|peer| peer.state) {
                self.wake_client(at, place);
                self.wake_peer(at, place);
            }
        }
    }

    /// An error means that both sides have said all that they had to say.
    pub(super) fn check_whether_over(&mut self, at: usize, place: usize) -> io::Result<()> {
        let peer_is_over = self.peers.get_mut(at).is_some_and(|peer| peer.is_over());
        if peer_is_over && self.streams.has_told(place) {
            return Err(io::Error::other("closed by both sides"));
        }
        Ok(())
    }

    /// Closes the peer's connection that a client's was bound to.
    pub(super) fn close_other_half(&mut self, place: usize) {
        if let Some(at) = self.streams.peer_of(place)
            && let Some(mut peer) = self.peers.remove(at)
        {
            // What the socket takes at once, it still gets.
            let _ = peer.write();
            if let Some(connection) = peer.id {
                self.server.handle_connection_closed(connection);
            }
        }
    }
}

/// What is to be read again: until it says that there is nothing, as its end may have been told of meanwhile.
pub(super) fn readable(source: Source) -> Happened {
    Happened {
        source,
        readable: true,
        writable: false,
        ended: true,
        failed: false,
    }
}
