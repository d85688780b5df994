//! From a peer to the client: Data indications (RFC 8656 §11.3) and ChannelData (§12.6).

use std::net::SocketAddr;

use crate::admission::bandwidth::Direction;
use crate::turn::Now;
use crate::turn::output::{RelayId, ToClient};
use crate::turn::server::{DropReason, Server};
use crate::wire::{DataHeader, TransactionId};

impl Server {
    /// Routes a datagram of `len` bytes that arrived at a relay socket: the single place that lets data in from a peer.
    ///
    /// The shell writes the header before the data and its padding behind it, and sends the whole to the flow.
    pub fn handle_peer(
        &mut self,
        relay: RelayId,
        source: SocketAddr,
        len: usize,
        now: Now,
    ) -> Option<ToClient> {
        match self.route_to_client(relay, source, len, now) {
            Ok(route) => {
                self.counters.traffic.packets_to_client += 1;
                self.counters.traffic.bytes_to_client += len as u64;
                Some(route)
            }
            Err(reason) => {
                self.dropped(reason);
                if let Some(allocation) = self.allocation_mut(relay) {
                    allocation.traffic.dropped += 1;
                }
                None
            }
        }
    }

    /// Takes back what [`handle_peer`](Self::handle_peer) counted: the client's connection had no room for it.
    pub fn handle_no_room(&mut self, relay: RelayId, len: usize) {
        self.dropped(DropReason::SlowReader);
        self.counters.traffic.take_back_to_client(len);
        if let Some(allocation) = self.allocation_mut(relay) {
            allocation.traffic.take_back_to_client(len);
            allocation.traffic.dropped += 1;
        }
    }

    fn route_to_client(
        &mut self,
        relay: RelayId,
        source: SocketAddr,
        len: usize,
        now: Now,
    ) -> Result<ToClient, DropReason> {
        let peer = self.policy.source(source);
        let channel_keeps = self.settings.channel_keeps_permission;
        let Some(allocation) = self.slots.get_mut(relay) else {
            return Err(DropReason::NoAllocation);
        };
        if allocation.has_ended(now.instant) {
            return Err(DropReason::NoAllocation);
        }
        let peer = peer.ok_or(DropReason::PeerDenied)?;
        if !allocation.permits(peer, now.instant, channel_keeps) {
            return Err(DropReason::NoPermission);
        }
        // RFC 8656 §12.6: a channel is for one port of one address; anything else comes as an indication.
        let header = match allocation.channels.number_of(peer, now.instant) {
            Some(number) => DataHeader::Channel(number),
            None => DataHeader::Indication {
                peer,
                id: TransactionId(random_id(&mut self.rng)),
            },
        };
        if !header.fits(len) {
            return Err(DropReason::TooLarge);
        }
        allocation
            .meter
            .take(
                Direction::ToClient,
                len,
                now.instant,
                &mut self.total_bandwidth,
            )
            .map_err(|_| DropReason::Bandwidth)?;
        allocation.traffic.packets_to_client += 1;
        allocation.traffic.bytes_to_client += len as u64;
        Ok(ToClient {
            flow: allocation.flow,
            header,
        })
    }
}

fn random_id(rng: &mut impl rand::Rng) -> [u8; 12] {
    let mut id = [0; 12];
    rng.fill_bytes(&mut id);
    id
}
