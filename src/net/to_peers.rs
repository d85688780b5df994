//! Data about to be sent to peers, from as many relay sockets as it takes.

use std::os::fd::AsFd;

use super::relay_sockets::RelaySockets;
use super::sys::{Datagram, Outbox, Sender, send_one};
use crate::turn::RelayId;

/// Data for peers in the order in which it came. It is sent socket by socket, so that what goes out of one leaves together.
#[derive(Default)]
pub(super) struct ToPeers {
    /// The relay and the place in `datagrams` of each, as one number that orders by both.
    order: Vec<u64>,
    datagrams: Vec<Datagram>,
    /// What leaves one socket.
    group: Outbox,
}

impl ToPeers {
    pub(super) fn push(&mut self, relay: RelayId, datagram: Datagram) {
        self.order
            .push(u64::from(relay.0) << 32 | self.datagrams.len() as u64);
        self.datagrams.push(datagram);
    }

    pub(super) fn len(&self) -> usize {
        self.datagrams.len()
    }

    pub(super) fn clear(&mut self) {
        self.order.clear();
        self.datagrams.clear();
    }

    /// Sends everything, which lies in `bytes`, and returns how much of it was lost: by a full socket, or for a peer that
    /// cannot be reached.
    pub(super) fn send(
        &mut self,
        relays: &RelaySockets,
        sender: &mut Sender,
        bytes: &[u8],
    ) -> usize {
        self.order.sort_unstable();
        let mut sent = 0;
        for run in self.order.chunk_by(|a, b| a >> 32 == b >> 32) {
            let Some(socket) = relays.get(RelayId((run[0] >> 32) as u32)) else {
                continue;
            };
            let datagram = |key: &u64| &self.datagrams[*key as u32 as usize];
            if let [only] = run {
                sent += usize::from(send_one(socket.as_fd(), datagram(only), bytes));
                continue;
            }
            for key in run {
                self.group.push(datagram(key).clone());
            }
            sent += sender.send(socket.as_fd(), &self.group, bytes);
            self.group.clear();
        }
        let lost = self.datagrams.len() - sent;
        self.clear();
        lost
    }
}
