//! The least that relaying costs on this machine: receiving, one look-up, sending, and nothing else.
//!
//! It speaks just enough TURN for `uturn load` to be served (`set_up.rs`). Nobody is kept from anything, nothing is
//! counted, nothing ends by itself, and nothing that the kernel could join or cut is: what another server costs beyond
//! this, it could save without that. One thread waits in one epoll set; datagrams pass in batches (`batch.rs`), streams
//! are read into one buffer (`stream.rs`).

mod batch;
mod ready;
mod set_up;
mod stream;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use hashbrown::HashMap;
use slab::Slab;
use socket2::{Domain, Socket, Type};
use uturn::wire::{ChannelNumber, Message, channel_data};

use batch::{Batch, send_to, sockaddr};
use ready::{Ready, Source};
use set_up::{Asked, Challenger};
use stream::Connections;

/// Datagrams received at once from all clients, and from the peers of one; so many wait for being sent together, too.
const FROM_CLIENTS: usize = 64;
const FROM_PEERS: usize = 16;
/// Batches of one socket before the others have their turn.
const BATCHES: usize = 4;
/// For bursts that arrive while a batch is sent.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A client's allocation and its only channel.
struct Client {
    relay: UdpSocket,
    back: Back,
    /// The channel, and the peer behind it.
    channel: Option<(ChannelNumber, libc::sockaddr_in)>,
}

/// The way to a client.
#[derive(Clone, Copy)]
enum Back {
    Datagrams(SocketAddrV4),
    Stream(usize),
}

/// All of it.
struct Floor {
    ready: Ready,
    listener: UdpSocket,
    streams: TcpListener,
    clients: Slab<Client>,
    by_address: HashMap<SocketAddrV4, usize, foldhash::fast::FixedState>,
    connections: Connections,
    challenger: Challenger,
    from_clients: Batch,
    from_peers: Batch,
}

/// Serves at `port` of 127.0.0.1, until it is ended.
pub fn run(port: u16) -> io::Result<Infallible> {
    raise_descriptor_limit();
    let address = SocketAddrV4::new([127, 0, 0, 1].into(), port);
    let listener = socket(address)?;
    let streams = TcpListener::bind(address)?;
    streams.set_nonblocking(true)?;
    let ready = Ready::new()?;
    ready.add(listener.as_raw_fd(), Source::Clients)?;
    ready.add(streams.as_raw_fd(), Source::NewStreams)?;
    let mut floor = Floor {
        ready,
        listener,
        streams,
        clients: Slab::new(),
        by_address: HashMap::default(),
        connections: Connections::default(),
        challenger: Challenger::default(),
        from_clients: Batch::new(FROM_CLIENTS),
        from_peers: Batch::new(FROM_CLIENTS),
    };
    let mut found = Vec::new();
    loop {
        floor.ready.wait(&mut found)?;
        for source in &found {
            match *source {
                Source::Clients => floor.serve_clients(),
                Source::NewStreams => floor.accept()?,
                Source::Stream(key) => floor.serve_stream(key),
                Source::Peers(key) => floor.serve_peers(key),
            }
        }
        floor.send_to_clients();
    }
}

impl Floor {
    fn serve_clients(&mut self) {
        for _ in 0..BATCHES {
            self.from_clients.clear();
            let slots = self
                .from_clients
                .receive(self.listener.as_raw_fd(), FROM_CLIENTS);
            let filled = slots.len();
            for slot in slots {
                let source = self.from_clients.source(slot);
                let packet = self.from_clients.payload(slot);
                let client = self.by_address.get(&source);
                match channel_data::parse(packet) {
                    Some((number, data)) => {
                        let client = client.and_then(|key| self.clients.get(*key));
                        relay_to_peer(client, number, &packet[data]);
                    }
                    None => {
                        let packet = packet.to_vec();
                        if let Some(answer) = self.answer(Back::Datagrams(source), &packet) {
                            send_to(self.listener.as_raw_fd(), &sockaddr(source), &answer);
                        }
                    }
                }
            }
            if filled < FROM_CLIENTS {
                break;
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Ok((stream, _)) = self.streams.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let fd = stream.as_raw_fd();
            let key = self.connections.add(stream);
            self.ready.add(fd, Source::Stream(key))?;
        }
        Ok(())
    }

    fn serve_stream(&mut self, key: usize) {
        let Some((mut received, client)) = self.connections.read(key) else {
            if let Some(client) = self.connections.remove(key) {
                self.clients.try_remove(client);
            }
            return;
        };
        while let Some(frame) = received.next_frame() {
            match channel_data::parse(frame) {
                Some((number, data)) => {
                    let client = client.and_then(|key| self.clients.get(key));
                    relay_to_peer(client, number, &frame[data]);
                }
                None => {
                    let frame = frame.to_vec();
                    if let Some(answer) = self.answer(Back::Stream(key), &frame) {
                        self.connections.send(key, &answer);
                    }
                    // There may be a client at this connection, or none any more.
                    self.connections.put_back(key, received);
                    return self.serve_stream(key);
                }
            }
        }
        self.connections.put_back(key, received);
    }

    fn serve_peers(&mut self, key: usize) {
        let Some(client) = self.clients.get(key) else {
            return;
        };
        let (relay, back) = (client.relay.as_raw_fd(), client.back);
        let Some((number, _)) = client.channel else {
            return;
        };
        for _ in 0..BATCHES {
            if matches!(back, Back::Stream(_)) || !self.from_peers.has_room(FROM_PEERS) {
                self.send_to_clients();
            }
            let slots = self.from_peers.receive(relay, FROM_PEERS);
            let filled = slots.len();
            match back {
                Back::Datagrams(to) => self.from_peers.address(slots, number, to),
                Back::Stream(connection) => match self.connections.descriptor(connection) {
                    Some(fd) => self.from_peers.send_stream(fd, slots, number),
                    None => self.from_peers.clear(),
                },
            }
            if filled < FROM_PEERS {
                break;
            }
        }
    }

    /// Sends what waits for clients over UDP: of many sockets, in one call.
    fn send_to_clients(&mut self) {
        self.from_peers.send_datagrams(self.listener.as_raw_fd());
    }

    /// Does what a client asks for, and returns the answer.
    fn answer(&mut self, back: Back, packet: &[u8]) -> Option<Vec<u8>> {
        let request = Message::parse(packet).ok()?;
        let known = self.key_of(back);
        let asked = match self.challenger.examine(&request) {
            Ok(asked) => asked,
            Err(refusal) => return Some(refusal),
        };
        let relayed = match asked {
            Asked::Allocate => Some(self.allocate(back, known).ok()?),
            Asked::Bind(number, peer) => {
                self.clients[known?].channel = Some((number, sockaddr(peer)));
                None
            }
            Asked::Refresh => None,
            Asked::Release => {
                self.release(back, known?);
                None
            }
        };
        Some(self.challenger.success(&request, relayed))
    }

    fn key_of(&self, back: Back) -> Option<usize> {
        match back {
            Back::Datagrams(address) => self.by_address.get(&address).copied(),
            Back::Stream(connection) => self.connections.client(connection),
        }
    }

    fn allocate(&mut self, back: Back, known: Option<usize>) -> io::Result<SocketAddrV4> {
        let relay = socket(SocketAddrV4::new([127, 0, 0, 1].into(), 0))?;
        let std::net::SocketAddr::V4(relayed) = relay.local_addr()? else {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        };
        if let Some(known) = known {
            self.release(back, known);
        }
        let fd = relay.as_raw_fd();
        let key = self.clients.insert(Client {
            relay,
            back,
            channel: None,
        });
        match back {
            Back::Datagrams(address) => {
                self.by_address.insert(address, key);
            }
            Back::Stream(connection) => self.connections.set_client(connection, Some(key)),
        }
        self.ready.add(fd, Source::Peers(key))?;
        Ok(relayed)
    }

    fn release(&mut self, back: Back, key: usize) {
        self.clients.try_remove(key);
        match back {
            Back::Datagrams(address) => {
                self.by_address.remove(&address);
            }
            Back::Stream(connection) => self.connections.set_client(connection, None),
        }
    }
}

fn relay_to_peer(client: Option<&Client>, number: ChannelNumber, data: &[u8]) {
    if let Some(client) = client
        && let Some((bound, peer)) = &client.channel
        && *bound == number
    {
        send_to(client.relay.as_raw_fd(), peer, data);
    }
}

/// A socket that is never waited for.
fn socket(address: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    // Where the kernel gives less, less is lost without it than with none.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// As many sockets as the system allows: where it allows few, allocations fail.
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls read or write the one structure that they are given.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// What a system call is given for a socket.
type Descriptor = RawFd;
