//! Clients over UDP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsFd;
use std::time::Duration;

use super::LoadError;
use super::binding;
use super::frames::Batch;
use super::stamp::Clock;
use crate::net::sys::{
    Arena, Backend, Datagram, Found, Outbox, ReadySet, Sender, Source, join_received,
    receive_buffer, report_destination, send_one,
};
use crate::wire::TransactionId;

/// How the generator uses UDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Joining {
    /// Neighbouring packets of one flow are handed to the kernel as one.
    pub on_sending: bool,
    /// The kernel may hand over what arrives joined.
    pub on_receiving: bool,
}

impl Joining {
    pub(super) fn sender(self) -> Sender {
        let sender = Sender::new(Backend::best());
        if self.on_sending {
            sender
        } else {
            sender.without_segmentation()
        }
    }
}

/// The sockets of all clients, read and written in batches.
pub(super) struct UdpClients {
    server: SocketAddr,
    sockets: Vec<UdpSocket>,
    layout: Layout,
    arena: Arena,
    sender: Sender,
    /// One for each shared socket, or one.
    outboxes: Vec<Outbox>,
}

/// Which client is where.
enum Layout {
    /// Clients share a few sockets, and each has a source address of its own on loopback: thousands of clients take no
    /// thousands of sockets, and are read and written in batches as large as a server's.
    Shared,
    /// Each has a socket. The kernel says which ones can be read; asking each would cost a call for each.
    Own(ReadySet, Found),
}

/// Sockets that clients share.
const SHARED: usize = 4;
/// The source address of the first client.
const FIRST: u32 = u32::from_be_bytes([127, 16, 0, 1]);
/// Clients that have room behind it.
pub(super) const MAX_CLIENTS: usize = 1 << 22;
/// Datagrams received at once from one socket.
pub(super) const SLOTS: usize = 64;
/// For bursts that arrive while a batch is sent.
pub(super) const RECEIVE_BUFFER: usize = 8 << 20;

impl UdpClients {
    /// Opens the sockets of `clients` clients of `server`.
    pub(super) fn open(
        server: SocketAddr,
        clients: usize,
        joining: Joining,
    ) -> Result<Self, LoadError> {
        let failed = |error: io::Error| match error.raw_os_error() {
            Some(code) if code == TOO_MANY_OPEN_FILES => LoadError::new(format!(
                "{clients} clients need as many sockets, and this process may not open them (`ulimit -n` shows the limit)"
            )),
            _ => LoadError::new(format!("cannot open a UDP socket: {error}")),
        };
        let shared = matches!(server.ip(), IpAddr::V4(ip) if ip.is_loopback());
        let (count, layout) = if shared {
            (SHARED.min(clients), Layout::Shared)
        } else {
            let set = ReadySet::new().map_err(failed)?;
            (clients, Layout::Own(set, Found::new(1024)))
        };
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0; 16], 0).into(),
        };
        let sockets: Vec<_> = (0..count)
            .map(|_| open(any, joining))
            .collect::<io::Result<_>>()
            .map_err(failed)?;
        match &layout {
            Layout::Shared => sockets
                .iter()
                .try_for_each(|socket| report_destination(socket.as_fd(), false))
                .map_err(failed)?,
            Layout::Own(set, _) => {
                let members = set.members().map_err(failed)?;
                for (client, socket) in sockets.iter().enumerate() {
                    let source = Source::Connection(client);
                    members.add(socket.as_fd(), source).map_err(failed)?;
                }
            }
        }
        let outboxes = if shared { count } else { 1 };
        Ok(Self {
            server,
            sockets,
            layout,
            arena: Arena::new(SLOTS, Backend::best()),
            sender: joining.sender(),
            outboxes: std::iter::repeat_with(Outbox::default)
                .take(outboxes)
                .collect(),
        })
    }

    /// Sends one message of a client; what the kernel does not take is lost.
    pub(super) fn send_message(&mut self, client: u32, message: &[u8]) {
        let datagram = Datagram::new(0..message.len(), self.server, self.source(client));
        send_one(self.socket(client).as_fd(), &datagram, message);
    }

    /// Sends a frame of each client listed; returns how many the kernel took.
    pub(super) fn send(&mut self, batch: Batch<'_>, clients: &[u32]) -> usize {
        match self.layout {
            Layout::Shared => self.send_shared(batch, clients),
            Layout::Own(..) => self.send_own(batch, clients),
        }
    }

    fn send_shared(&mut self, batch: Batch<'_>, clients: &[u32]) -> usize {
        for (index, client) in clients.iter().enumerate() {
            let datagram = Datagram::new(batch.range(index), self.server, self.source(*client));
            self.outboxes[*client as usize % SHARED].push(datagram);
        }
        let mut sent = 0;
        for (socket, outbox) in self.sockets.iter().zip(&mut self.outboxes) {
            if !outbox.is_empty() {
                sent += self.sender.send(socket.as_fd(), outbox, batch.bytes);
                outbox.clear();
            }
        }
        sent
    }

    fn send_own(&mut self, batch: Batch<'_>, clients: &[u32]) -> usize {
        let (mut sent, mut next) = (0, 0);
        for train in clients.chunk_by(|a, b| a == b) {
            let outbox = &mut self.outboxes[0];
            for index in next..next + train.len() {
                outbox.push(Datagram::new(batch.range(index), self.server, None));
            }
            let socket = &self.sockets[train[0] as usize];
            sent += self.sender.send(socket.as_fd(), outbox, batch.bytes);
            outbox.clear();
            next += train.len();
        }
        sent
    }

    /// Hands over what has arrived from the server, with the client that it is for and the time; returns how much it was.
    pub(super) fn receive(
        &mut self,
        clock: Clock,
        mut take: impl FnMut(u32, &[u8], u64),
    ) -> io::Result<usize> {
        let mut total = 0;
        match &mut self.layout {
            Layout::Shared => {
                for (index, socket) in self.sockets.iter().enumerate() {
                    let filled = fill(&mut self.arena, socket)?;
                    let now = clock.now();
                    for slot in 0..filled {
                        let arrived = datagrams(&self.arena, slot, self.server);
                        for (destination, range) in arrived {
                            if let Some(client) = client_at(destination, index) {
                                take(client, &self.arena.bytes()[range], now);
                                total += 1;
                            }
                        }
                    }
                }
            }
            Layout::Own(set, found) => {
                set.wait(found, Duration::ZERO)?;
                for happened in found.all() {
                    let Source::Connection(client) = happened.source else {
                        continue;
                    };
                    let socket = &self.sockets[client];
                    // Reported once for what has arrived: read until there is nothing left.
                    loop {
                        let filled = fill(&mut self.arena, socket)?;
                        let now = clock.now();
                        for slot in 0..filled {
                            for (_, range) in datagrams(&self.arena, slot, self.server) {
                                take(client as u32, &self.arena.bytes()[range], now);
                                total += 1;
                            }
                        }
                        if filled < SLOTS {
                            break;
                        }
                    }
                }
            }
        }
        Ok(total)
    }

    fn socket(&self, client: u32) -> &UdpSocket {
        match self.layout {
            Layout::Shared => &self.sockets[client as usize % SHARED],
            Layout::Own(..) => &self.sockets[client as usize],
        }
    }

    fn source(&self, client: u32) -> Option<IpAddr> {
        match self.layout {
            Layout::Shared => Some(Ipv4Addr::from(FIRST + client).into()),
            Layout::Own(..) => None,
        }
    }
}

/// The client that a datagram is for, by the address and the shared socket that it arrived at.
fn client_at(destination: Option<IpAddr>, socket: usize) -> Option<u32> {
    let Some(IpAddr::V4(ip)) = destination else {
        return None;
    };
    let client = u32::from(ip).checked_sub(FIRST)?;
    (client as usize % SHARED == socket).then_some(client)
}

/// What lies in a slot, if `server` sent it.
fn datagrams(
    arena: &Arena,
    slot: usize,
    server: SocketAddr,
) -> impl Iterator<Item = (Option<IpAddr>, Range<usize>)> + use<> {
    let received = arena
        .received(slot)
        .filter(|received| received.source == server);
    let destination = received.and_then(|received| received.destination);
    received
        .map(|received| received.datagrams())
        .into_iter()
        .flatten()
        .map(move |range| (destination, range))
}

/// Whether the machine of the server says that nobody listens there, which only a connected socket is told.
pub(super) fn is_closed(server: SocketAddr) -> bool {
    let ask = || {
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0; 16], 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(PROBE))?;
        socket.send(&binding::request(TransactionId(rand::random())))?;
        socket.recv(&mut [0; 64])
    };
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    ask().is_err_and(refused)
}

/// How long that takes to be told, or to be answered.
const PROBE: Duration = Duration::from_millis(300);

/// Opens a socket that is never waited for.
pub(super) fn open(address: SocketAddr, joining: Joining) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    receive_buffer(socket.as_fd(), RECEIVE_BUFFER)?;
    if joining.on_receiving {
        join_received(socket.as_fd());
    }
    Ok(socket)
}

/// Fills an arena with what has arrived; returns how many slots were filled.
pub(super) fn fill(arena: &mut Arena, socket: &UdpSocket) -> io::Result<usize> {
    match arena.receive(socket.as_fd(), 0..SLOTS) {
        Err(error) if is_nothing(&error) => Ok(0),
        filled => filled,
    }
}

/// Whether an error only says that there is nothing to be read.
fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

/// EMFILE, which the standard library gives no name.
pub(super) const TOO_MANY_OPEN_FILES: i32 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_known_by_address_and_socket() {
        let at = |text: &str, socket| client_at(Some(text.parse().unwrap()), socket);
        assert_eq!(at("127.16.0.1", 0), Some(0));
        assert_eq!(at("127.16.1.2", 1), Some(257));
        assert_eq!(at("127.16.1.2", 0), None);
        assert_eq!(at("127.0.0.1", 0), None);
        assert_eq!(client_at(None, 0), None);
        assert!(Ipv4Addr::from(FIRST + MAX_CLIENTS as u32).is_loopback());
    }
}
