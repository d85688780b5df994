//! The peers behind the relay: a few UDP sockets that all clients share.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use super::LoadError;
use super::frames::Batch;
use super::stamp::Clock;
use super::udp::{Joining, SLOTS, fill, open};
use crate::net::sys::{Arena, Backend, Datagram, Outbox, Sender};

/// What becomes of a packet that reached its peer.
pub(super) enum Fate {
    /// It stays.
    Kept,
    /// It goes back to where it came from.
    Returned,
}

/// The sockets of the peers, read and written in batches.
pub(super) struct Peers {
    sockets: Vec<UdpSocket>,
    addresses: Vec<SocketAddr>,
    arena: Arena,
    sender: Sender,
    outboxes: Vec<Outbox>,
}

/// Sockets: each is the peer of every fourth client.
const SOCKETS: usize = 4;

impl Peers {
    /// Opens the peers on `address`.
    pub(super) fn open(address: IpAddr, joining: Joining) -> Result<Self, LoadError> {
        let failed = |error: io::Error| {
            LoadError::new(format!("the peers cannot listen on {address}: {error}"))
        };
        let sockets: Vec<_> = (0..SOCKETS)
            .map(|_| open(SocketAddr::new(address, 0), joining))
            .collect::<io::Result<_>>()
            .map_err(failed)?;
        let addresses = sockets.iter().map(UdpSocket::local_addr);
        Ok(Self {
            addresses: addresses.collect::<io::Result<_>>().map_err(failed)?,
            sockets,
            arena: Arena::new(SLOTS, Backend::best()),
            sender: joining.sender(),
            outboxes: std::iter::repeat_with(Outbox::default)
                .take(SOCKETS)
                .collect(),
        })
    }

    /// The address of a client's peer.
    pub(super) fn address(&self, client: u32) -> SocketAddr {
        self.addresses[client as usize % SOCKETS]
    }

    /// Sends a frame from the peer of each client listed to its relayed address; returns how many the kernel took.
    pub(super) fn send(
        &mut self,
        batch: Batch<'_>,
        clients: &[u32],
        relayed: impl Fn(u32) -> SocketAddr,
    ) -> usize {
        for (index, client) in clients.iter().enumerate() {
            let datagram = Datagram::new(batch.range(index), relayed(*client), None);
            self.outboxes[*client as usize % SOCKETS].push(datagram);
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

    /// Hands over what has arrived, with the time; returns how much it was.
    pub(super) fn receive(
        &mut self,
        clock: Clock,
        mut take: impl FnMut(&[u8], u64) -> Fate,
    ) -> io::Result<usize> {
        let mut total = 0;
        for (socket, outbox) in self.sockets.iter().zip(&mut self.outboxes) {
            let filled = fill(&mut self.arena, socket)?;
            let now = clock.now();
            let arrived = (0..filled).filter_map(|slot| self.arena.received(slot));
            for received in arrived {
                for range in received.datagrams() {
                    total += 1;
                    match take(&self.arena.bytes()[range.clone()], now) {
                        Fate::Kept => {}
                        Fate::Returned => outbox.push(Datagram::new(range, received.source, None)),
                    }
                }
            }
            if !outbox.is_empty() {
                self.sender.send(socket.as_fd(), outbox, self.arena.bytes());
                outbox.clear();
            }
        }
        Ok(total)
    }
}
