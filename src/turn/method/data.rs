//! From a peer to the client: Data indications (RFC 8656 §11.3) and ChannelData (§12.6); and what ICMP says of data that
//! went to one (§11.5).

use std::net::SocketAddr;

use crate::admission::bandwidth::Direction;
use crate::turn::counters::DropReason;
use crate::turn::output::{RelayId, ToClient};
use crate::turn::relayed_addresses::{Family, Protocol};
use crate::turn::relays::Relay;
use crate::turn::server::Server;
use crate::turn::trace::Loss;
use crate::turn::{IcmpErrors, Now};
use crate::wire::{DataHeader, Icmp, TransactionId};

/// What has arrived at a relay socket.
#[derive(Clone, Copy)]
enum Arrived {
    /// A datagram of so many bytes.
    Data(usize),
    /// An ICMP error about one that was sent.
    Icmp(Icmp),
}

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
        self.let_in(relay, source, Arrived::Data(len), now)
    }

    /// Routes what ICMP said of a datagram that the relay socket had sent to `peer`. The route is for no data.
    ///
    /// RFC 8656 §11.5: what counts is the permission of the peer that the datagram was for; which router told of it does not.
    pub fn handle_icmp(
        &mut self,
        relay: RelayId,
        peer: SocketAddr,
        icmp: Icmp,
        now: Now,
    ) -> Option<ToClient> {
        if self.allocation(relay).is_some_and(|a| a.is_watched) {
            self.trace_icmp(relay, peer, icmp, now);
        }
        let is_told = match self.settings.icmp_errors {
            IcmpErrors::All => true,
            IcmpErrors::Rfc8489 => {
                (self.allocation(relay)).is_some_and(|a| a.opening.knows_rfc8489)
            }
            IcmpErrors::None => false,
        };
        if !is_told || !icmp.is_passed_on(peer.is_ipv6()) {
            return None;
        }
        self.let_in(relay, peer, Arrived::Icmp(icmp), now)
    }

    /// Counts what comes in.
    fn let_in(
        &mut self,
        relay: RelayId,
        source: SocketAddr,
        arrived: Arrived,
        now: Now,
    ) -> Option<ToClient> {
        match self.route_to_client(relay, source, arrived, now) {
            Ok(route) => Some(route),
            Err(reason) => {
                self.dropped(Direction::ToClient, reason);
                let loss = Loss {
                    direction: Direction::ToClient,
                    reason,
                    peer: Some(source),
                    at: Some(now.instant),
                };
                self.note_drop(relay, loss);
                None
            }
        }
    }

    /// Takes back what [`handle_peer`](Self::handle_peer) counted: the client's connection had no room for it.
    pub fn handle_no_room(&mut self, relay: RelayId, len: usize) {
        self.take_back(relay, len, DropReason::SlowReader);
    }

    /// Takes back data that [`handle_peer`](Self::handle_peer) returned a route for, as it is longer than what the client can
    /// be sent.
    pub fn handle_too_large(&mut self, relay: RelayId, len: usize) {
        self.take_back(relay, len, DropReason::TooLarge);
    }

    fn take_back(&mut self, relay: RelayId, len: usize, reason: DropReason) {
        self.dropped(Direction::ToClient, reason);
        let Some(allocation) = self.slots.get_mut(relay) else {
            return;
        };
        allocation.traffic.take_back_to_client(len);
        allocation.traffic.drops.add(reason);
        let is_watched = allocation.is_watched;
        if let Some(family) = allocation.relays.named(relay).map(Relay::family) {
            let transport = allocation.flow.five_tuple.transport;
            let counters = &mut self.realms.get_mut(allocation.owner.realm).counters;
            let amount = counters.relayed_mut(Direction::ToClient, transport, family);
            amount.take_back(len);
        }
        if is_watched {
            let loss = Loss {
                direction: Direction::ToClient,
                reason,
                peer: None,
                at: None,
            };
            self.trace_drop(relay, loss);
        }
    }

    fn route_to_client(
        &mut self,
        relay: RelayId,
        source: SocketAddr,
        arrived: Arrived,
        now: Now,
    ) -> Result<ToClient, DropReason> {
        let channel_keeps = self.settings.channel_keeps_permission;
        let Some(allocation) = self.slots.get_mut(relay) else {
            return Err(DropReason::NoAllocation);
        };
        if allocation.has_ended(now.instant) {
            return Err(DropReason::NoAllocation);
        }
        let realm = self.realms.get_mut(allocation.owner.realm);
        let peer = realm.policy.source(source, Protocol::Udp);
        let peer = peer.ok_or(DropReason::PeerDenied)?;
        if !allocation.permits(peer, now.instant, channel_keeps) {
            return Err(DropReason::NoPermission);
        }
        let mut id = || TransactionId(random_id(&mut self.rng));
        let (header, len, metered) = match arrived {
            // RFC 8656 §12.6: a channel is for one port of one address; anything else comes as an indication.
            Arrived::Data(len) => match allocation.channels.number_of(peer, now.instant) {
                Some(number) => (DataHeader::Channel(number), len, len),
                None => (DataHeader::Indication { peer, id: id() }, len, len),
            },
            // It has no data, yet whoever can make ICMP errors must not get round the bandwidth.
            Arrived::Icmp(icmp) => {
                let id = id();
                let header = DataHeader::Icmp { peer, id, icmp };
                (header, 0, header.size())
            }
        };
        if !header.fits(len) {
            return Err(DropReason::TooLarge);
        }
        allocation
            .meter
            .take(
                Direction::ToClient,
                metered,
                now.instant,
                (realm.total_bandwidth.as_mut(), &mut self.total_bandwidth),
            )
            .map_err(|exceeded| {
                self.counters.note_limit(exceeded);
                DropReason::Bandwidth
            })?;
        allocation.traffic.packets_to_client += 1;
        allocation.traffic.bytes_to_client += len as u64;
        if allocation.is_watched {
            self.traces
                .received(allocation, peer, &header, len, now.instant);
        }
        let (transport, family) = (
            allocation.flow.five_tuple.transport,
            Family::of(source.ip()),
        );
        realm
            .counters
            .relayed_mut(Direction::ToClient, transport, family)
            .add(len);
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
