//! From the client to a peer: Send indications (RFC 8656 §11.1) and ChannelData (§12.5).

use std::ops::Range;

use stun::attributes::{ATTR_DATA, ATTR_DONT_FRAGMENT};

use crate::admission::bandwidth::Direction;
use crate::turn::Now;
use crate::turn::counters::DropReason;
use crate::turn::five_tuple::{Flow, Transport};
use crate::turn::output::{RelayId, ToPeer};
use crate::turn::relayed_addresses::{Family, Protocol};
use crate::turn::server::Server;
use crate::wire::{ChannelNumber, Message, PeerAddr, channel_data};

/// One datagram that a client wants sent.
struct Outgoing {
    /// That it came by.
    transport: Transport,
    peer: PeerAddr,
    payload: Range<usize>,
    dont_fragment: bool,
}

impl Server {
    /// Routes a Send indication. Whatever is wrong with it, there is no answer.
    pub(in crate::turn) fn send_indication(
        &mut self,
        flow: &Flow,
        message: &Message<'_>,
        now: Now,
    ) -> Result<ToPeer, DropReason> {
        let relay = self
            .relay_of(&flow.five_tuple)
            .ok_or(DropReason::NoAllocation)?;
        if message.has_unknown(self.extensions) {
            return Err(DropReason::Malformed);
        }
        let peer = Self::only_peer(message).map_err(|_| DropReason::Malformed)?;
        let data = message.get(ATTR_DATA).ok_or(DropReason::Malformed)?;
        let start = data.as_ptr() as usize - message.bytes().as_ptr() as usize;
        // RFC 8656 §13: between families there is no DF bit to keep, and DONT-FRAGMENT is ignored.
        let translates = flow.five_tuple.client.0.is_ipv4() != peer.0.is_ipv4();
        let outgoing = Outgoing {
            transport: flow.five_tuple.transport,
            peer,
            payload: start..start + data.len(),
            dont_fragment: message.contains(ATTR_DONT_FRAGMENT) && !translates,
        };
        self.route_to_peer(relay, outgoing, now)
    }

    /// Routes ChannelData.
    pub(in crate::turn) fn channel_data(
        &mut self,
        flow: &Flow,
        packet: &[u8],
        now: Now,
    ) -> Result<ToPeer, DropReason> {
        let (number, payload) = channel_data::parse(packet).ok_or(DropReason::Malformed)?;
        let relay = self
            .relay_of(&flow.five_tuple)
            .ok_or(DropReason::NoAllocation)?;
        let peer = self
            .bound_peer(relay, number, now)
            .ok_or(DropReason::NoChannel)?;
        let outgoing = Outgoing {
            transport: flow.five_tuple.transport,
            peer,
            payload,
            dont_fragment: false,
        };
        self.route_to_peer(relay, outgoing, now)
    }

    fn bound_peer(&self, relay: RelayId, number: ChannelNumber, now: Now) -> Option<PeerAddr> {
        self.allocation(relay)?
            .channels
            .peer_of(number, now.instant)
    }

    /// The single place that lets data out to a peer.
    fn route_to_peer(
        &mut self,
        relay: RelayId,
        outgoing: Outgoing,
        now: Now,
    ) -> Result<ToPeer, DropReason> {
        let channel_keeps = self.settings.channel_keeps_permission;
        let Some(allocation) = self.slots.get_mut(relay) else {
            return Err(DropReason::NoAllocation);
        };
        if allocation.has_ended(now.instant) {
            return Err(DropReason::NoAllocation);
        }
        let Outgoing {
            transport,
            peer,
            payload,
            dont_fragment,
        } = outgoing;
        let realm = self.realms.get_mut(allocation.owner.realm);
        let checked = if !allocation.permits(peer, now.instant, channel_keeps) {
            Err(DropReason::NoPermission)
        } else {
            match allocation.relays.toward(peer.ip()) {
                Some(relay) if peer.0.port() != 0 => {
                    let target = realm
                        .policy
                        .target(peer, Protocol::Udp)
                        .ok_or(DropReason::PeerDenied);
                    target.map(|target| (relay.id, target))
                }
                Some(_) | None => Err(DropReason::Malformed),
            }
        };
        let metered = checked.and_then(|route| {
            allocation
                .meter
                .take(
                    Direction::ToPeer,
                    payload.len(),
                    now.instant,
                    (realm.total_bandwidth.as_mut(), &mut self.total_bandwidth),
                )
                .map(|()| route)
                .map_err(|exceeded| {
                    self.counters.note_limit(exceeded);
                    DropReason::Bandwidth
                })
        });
        let (relay, target) = metered?;
        if allocation.is_watched {
            self.traces.sent(allocation, peer, &payload, now.instant);
        }
        allocation.traffic.packets_to_peer += 1;
        allocation.traffic.bytes_to_peer += payload.len() as u64;
        realm
            .counters
            .relayed_mut(Direction::ToPeer, transport, Family::of(peer.ip()))
            .add(payload.len());
        Ok(ToPeer {
            relay,
            target,
            payload,
            dont_fragment,
        })
    }
}
