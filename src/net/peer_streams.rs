//! Connections with peers (RFC 6062): what each has, and what waits to be written to it. What leads to who answers HTTP is one of
//! them: it takes from the client and gives to it in the same way.
//!
//! The other half of each is a client's connection in `streams/`. `worker/peer_streams.rs` passes data between the two, and
//! reads from neither while the other has too much waiting: so a slow side slows the other one down, and nothing is lost.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;

use mio::net::{TcpListener, TcpStream, UnixStream};
use rand::Rng;
use rand::rngs::StdRng;
use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};
use tracing::debug;

use super::connections::{Connections, Place};
use super::relay_port::{ATTEMPTS, ClaimedPort, Complaints};
use super::streams::Received;
use super::sys::{self, Members, Source};
use crate::turn::{
    ConnectPeer, ConnectionId, OpenError, OpenRelay, OpenedRelay, Parity, RelayId, RelayedAddresses,
};

/// What may wait to be written to a peer before its client is read again.
const MAX_WAITING: usize = 64 * 1024;
/// Connections that may wait to be accepted at one relay.
const BACKLOG: i32 = 64;

/// The relays of one worker that peers connect to, and its connections with peers.
pub(super) struct PeerStreams {
    listeners: HashMap<RelayId, RelayListener>,
    slots: Slab<PeerStream>,
    by_id: HashMap<ConnectionId, usize>,
    members: Members,
    /// Places for connections, shared by all workers.
    connections: Arc<Connections>,
    relayed: Arc<RelayedAddresses>,
    rng: StdRng,
    complaints: Complaints,
}

/// What [`PeerStreams`] are made from.
pub(super) struct PeerStreamsParts {
    pub(super) members: Members,
    pub(super) connections: Arc<Connections>,
    pub(super) relayed: Arc<RelayedAddresses>,
    /// Where random ports come from.
    pub(super) rng: StdRng,
}

/// A relayed transport address for connections. Its fields are dropped in order: the port is free for others once the
/// socket is closed.
struct RelayListener {
    socket: TcpListener,
    port: ClaimedPort,
}

/// One connection with a peer.
pub(super) struct PeerStream {
    /// What the core calls it, which knows nothing of one that leads to who answers HTTP.
    pub(super) id: Option<ConnectionId>,
    socket: PeerSocket,
    pub(super) state: State,
    /// Whether there may be something to read that was left there.
    pub(super) held: bool,
    /// Whether the peer says no more.
    pub(super) ended: bool,
    /// Whether the client says no more, and whether the peer has been told.
    client_ended: bool,
    told: bool,
    /// What the client has sent; the first `taken` bytes have been written.
    waiting: Vec<u8>,
    taken: usize,
    /// Bytes read that the bandwidth was not asked for yet: from the client, and from the peer.
    pub(super) owed_to_peer: usize,
    pub(super) owed_to_client: usize,
    /// Whether who answers HTTP takes no more: the client may say it all the same.
    refuses: bool,
    /// Its share of the limits, given back when it closes; one that leads to who answers HTTP needs none, as its client has one.
    _place: Option<Place>,
}

/// What leads to the other side.
enum PeerSocket {
    Peer(TcpStream),
    Http(UnixStream),
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The peer has not accepted it.
    Connecting,
    /// No client's connection is bound to it: what the peer sends waits in the kernel.
    Unbound,
    /// The client's connection at this place is bound to it.
    Bound(usize),
}

impl PeerStreams {
    pub(super) fn new(parts: PeerStreamsParts) -> Self {
        Self {
            listeners: HashMap::new(),
            slots: Slab::new(),
            by_id: HashMap::new(),
            members: parts.members,
            connections: parts.connections,
            relayed: parts.relayed,
            rng: parts.rng,
            complaints: Complaints::default(),
        }
    }

    /// Opens a relay for connections.
    pub(super) fn open(&mut self, wish: &OpenRelay) -> Result<OpenedRelay, OpenError> {
        let mut from = self.rng.next_u32() as u16;
        for _ in 0..ATTEMPTS {
            let port = (self.relayed).claim(wish.ip, Parity::Any, from);
            let port = port.ok_or(OpenError::NoPort)?;
            from = self.relayed.behind(port);
            let port = ClaimedPort {
                bound: SocketAddr::new(wish.ip, port),
                relayed: Arc::clone(&self.relayed),
            };
            match self.listen(wish.relay, port.bound) {
                Ok(socket) => {
                    let bound = port.bound;
                    let listener = RelayListener { socket, port };
                    self.listeners.insert(wish.relay, listener);
                    return Ok(OpenedRelay { bound });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    debug!(bound = %port.bound, "relay port held by another process");
                }
                Err(error) => return Err(self.complaints.system("open", wish.ip, &error)),
            }
        }
        Err(OpenError::NoPort)
    }

    fn listen(&self, relay: RelayId, bound: SocketAddr) -> io::Result<TcpListener> {
        let socket = new_socket(bound.ip())?;
        // Exclusively, as another process could share the port else; then shared with the connections that leave from it.
        socket.bind(&bound.into())?;
        share(&socket)?;
        socket.listen(BACKLOG)?;
        let source = Source::PeerAcceptor(relay.0);
        self.members.add(socket.as_fd(), source)?;
        Ok(TcpListener::from_std(socket.into()))
    }

    /// Closes a relay for connections, if it is one; those that it has are closed one by one.
    pub(super) fn close_relay(&mut self, relay: RelayId) -> bool {
        self.listeners.remove(&relay).is_some()
    }

    /// Begins a connection with a peer. An error means that it has failed at once.
    pub(super) fn connect(&mut self, wish: &ConnectPeer) -> io::Result<()> {
        let listener = self.listeners.get(&wish.relay);
        let listener = listener.ok_or(io::ErrorKind::NotFound)?;
        let socket = new_socket(listener.port.bound.ip())?;
        share(&socket)?;
        socket.bind(&listener.port.bound.into())?;
        match socket.connect(&wish.target.into()) {
            Ok(()) => {}
            Err(error) if sys::is_underway(&error) => {}
            Err(error) => return Err(error),
        }
        let socket = TcpStream::from_std(socket.into());
        self.enter_peer(wish.connection, socket, State::Connecting, wish.target)
    }

    /// Takes the next connection that a peer has made to a relay.
    pub(super) fn accept(&mut self, relay: RelayId) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        let Some(listener) = self.listeners.get(&relay) else {
            return Ok(None);
        };
        loop {
            return match listener.socket.accept() {
                Ok(accepted) => Ok(Some(accepted)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => Ok(None),
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => continue,
                    _ => Err(error),
                },
            };
        }
    }

    /// Enters a connection that a peer has made.
    pub(super) fn enter_accepted(
        &mut self,
        id: ConnectionId,
        socket: TcpStream,
        peer: SocketAddr,
    ) -> io::Result<()> {
        self.enter_peer(id, socket, State::Unbound, peer)
    }

    /// Enters one that leads to who answers HTTP, for the client's connection at `place`, and returns where it is.
    pub(super) fn enter_http(&mut self, socket: UnixStream, place: usize) -> io::Result<usize> {
        let state = State::Bound(place);
        self.enter(None, PeerSocket::Http(socket), state, None)
    }

    fn enter_peer(
        &mut self,
        id: ConnectionId,
        socket: TcpStream,
        state: State,
        peer: SocketAddr,
    ) -> io::Result<()> {
        let place = self.connections.admit(peer.ip());
        let place = place.ok_or_else(|| io::Error::other("limit reached"))?;
        socket.set_nodelay(true)?;
        let socket = PeerSocket::Peer(socket);
        let at = self.enter(Some(id), socket, state, Some(place))?;
        self.by_id.insert(id, at);
        Ok(())
    }

    fn enter(
        &mut self,
        id: Option<ConnectionId>,
        socket: PeerSocket,
        state: State,
        place: Option<Place>,
    ) -> io::Result<usize> {
        let entry = self.slots.vacant_entry();
        let at = entry.key();
        let source = Source::PeerStream(at);
        match &socket {
            PeerSocket::Peer(socket) => self.members.add_connection(socket, source)?,
            PeerSocket::Http(socket) => self.members.add_connection(socket, source)?,
        }
        entry.insert(PeerStream {
            id,
            socket,
            state,
            held: false,
            ended: false,
            client_ended: false,
            told: false,
            waiting: Vec::new(),
            taken: 0,
            owed_to_peer: 0,
            owed_to_client: 0,
            refuses: false,
            _place: place,
        });
        Ok(at)
    }

    pub(super) fn find(&self, id: ConnectionId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut PeerStream> {
        self.slots.get_mut(at)
    }

    /// Forgets a connection, which closes it.
    pub(super) fn remove(&mut self, at: usize) -> Option<PeerStream> {
        let removed = self.slots.try_remove(at)?;
        if let Some(id) = removed.id {
            self.by_id.remove(&id);
        }
        Some(removed)
    }
}

impl PeerStream {
    /// Whether the peer has accepted the connection; an error says that it has not, and will not.
    pub(super) fn is_accepted(&self) -> io::Result<bool> {
        let PeerSocket::Peer(socket) = &self.socket else {
            return Ok(true);
        };
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        match socket.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads once.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let received = Received::read_from(&mut &self.socket, buffer);
        match received {
            // Who answers HTTP has not read all that the client said, and has ended: what it answered has been read by now.
            Err(_) if self.is_http() => Ok(Received::End),
            received => received,
        }
    }

    /// Queues what the client has sent.
    pub(super) fn queue(&mut self, data: &[u8]) {
        if self.refuses {
            return;
        }
        self.owed_to_peer += data.len();
        self.waiting.extend_from_slice(data);
    }

    /// Whether the client is to wait.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() - self.taken >= MAX_WAITING
    }

    /// Remembers that the client says no more.
    pub(super) fn end_client(&mut self) {
        self.client_ended = true;
    }

    /// Whether the client says no more.
    pub(super) fn client_has_ended(&self) -> bool {
        self.client_ended
    }

    /// Whether neither side says any more, and the peer has heard everything.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.client_ended && self.told
    }

    pub(super) fn is_http(&self) -> bool {
        matches!(self.socket, PeerSocket::Http(_))
    }

    /// Writes what waits as far as the socket takes it, and then that there is no more.
    ///
    /// Who answers HTTP may end while a client still speaks: what was answered is to reach the client all the same.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let written = self.write_or_fail();
        if written.is_err() && self.is_http() {
            (self.refuses, self.told) = (true, true);
            (self.waiting, self.taken) = (Vec::new(), 0);
            return Ok(());
        }
        written
    }

    fn write_or_fail(&mut self) -> io::Result<()> {
        while self.taken < self.waiting.len() {
            match (&self.socket).write(&self.waiting[self.taken..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.taken += n,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(()),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        (self.waiting, self.taken) = (Vec::new(), 0);
        if self.client_ended && !self.told {
            self.told = true;
            self.socket.end_writing()?;
        }
        Ok(())
    }
}

impl PeerSocket {
    fn end_writing(&self) -> io::Result<()> {
        match self {
            Self::Peer(socket) => socket.shutdown(Shutdown::Write),
            Self::Http(socket) => socket.shutdown(Shutdown::Write),
        }
    }
}

impl Read for &PeerSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            PeerSocket::Peer(socket) => (&mut &*socket).read(buffer),
            PeerSocket::Http(socket) => (&mut &*socket).read(buffer),
        }
    }
}

impl Write for &PeerSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            PeerSocket::Peer(socket) => (&mut &*socket).write(bytes),
            PeerSocket::Http(socket) => (&mut &*socket).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn new_socket(ip: IpAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(SocketAddr::new(ip, 0)),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    if ip.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Has several sockets of this process have one address: the listening one, and a connection to each peer.
fn share(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)
}
