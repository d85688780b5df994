//! A UDP listener of one worker.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::Range;

use super::sys::{Datagram, Outbox, Received};
use crate::turn::{ClientAddr, FiveTuple, Flow, LinkId, RealmId, Transport};

/// A listening socket and what is about to be sent from it.
pub(super) struct UdpListener {
    pub(super) socket: UdpSocket,
    /// What is about to be sent.
    pub(super) outgoing: Outbox,
    /// Datagrams that the kernel had dropped when it was last asked.
    pub(super) kernel_drops: u32,
    pub(super) local: SocketAddr,
    pub(super) speaks: Speaks,
    link: LinkId,
}

/// What clients may speak at a UDP listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// STUN in the clear.
    Plain,
    /// DTLS.
    Dtls,
    /// Either.
    Both,
}

impl UdpListener {
    pub(super) fn new((socket, speaks): (UdpSocket, Speaks), link: LinkId) -> io::Result<Self> {
        Ok(Self {
            local: socket.local_addr()?,
            outgoing: Outbox::default(),
            kernel_drops: 0,
            socket,
            speaks,
            link,
        })
    }

    /// Who sent a datagram, and by which address of ours.
    pub(super) fn flow_of(&self, received: &Received) -> Flow {
        let ip = received.destination.unwrap_or(self.local.ip());
        Flow {
            five_tuple: FiveTuple {
                transport: Transport::Udp,
                client: ClientAddr(received.source),
                server: SocketAddr::new(ip, self.local.port()),
            },
            link: self.link,
            realm: RealmId::DEFAULT,
        }
    }

    /// A datagram for a client: from the address that it sent to, where the socket is bound to all.
    pub(super) fn datagram(&self, flow: &Flow, body: Range<usize>) -> Datagram {
        let FiveTuple { client, server, .. } = flow.five_tuple;
        self.datagram_from(server.ip(), client.0, body)
    }

    /// A datagram from one of the addresses that the socket has.
    pub(super) fn datagram_from(
        &self,
        from: IpAddr,
        to: SocketAddr,
        body: Range<usize>,
    ) -> Datagram {
        let any = self.local.ip().is_unspecified();
        Datagram::new(body, to, any.then_some(from))
    }
}
