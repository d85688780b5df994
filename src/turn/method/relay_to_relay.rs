//! Data between two clients of this server, whose relayed transport addresses are each other's peers.
//!
//! It passes from allocation to allocation without a socket, by the rules that hold over the wire: what leaves has been
//! checked and counted as data to a peer, and what arrives is checked and counted as data from one.

use std::net::SocketAddr;

use crate::admission::bandwidth::Direction;
use crate::turn::Now;
use crate::turn::counters::DropReason;
use crate::turn::output::{Handover, Local, RelayId, ToClient, ToPeer};
use crate::turn::relayed_addresses::Owner;
use crate::turn::server::{FromClient, Server};
use crate::turn::trace::Loss;

/// The longest payload of a datagram: an IPv4 packet of 65,535 bytes less its headers, or what follows an IPv6 header.
const LONGEST_V4: usize = 65_535 - 20 - 8;
const LONGEST_V6: usize = 65_535 - 8;

impl Server {
    /// Passes data on to the owner of the relayed transport address that is its target.
    pub(in crate::turn) fn relay_to_relay(
        &mut self,
        route: ToPeer,
        owner: Owner,
        now: Now,
    ) -> FromClient {
        let ToPeer {
            relay,
            target,
            payload,
            ..
        } = route;
        let longest = if target.is_ipv4() {
            LONGEST_V4
        } else {
            LONGEST_V6
        };
        if payload.len() > longest {
            // No datagram could have carried it.
            self.dropped(Direction::ToPeer, DropReason::TooLarge);
            let loss = Loss {
                direction: Direction::ToPeer,
                reason: DropReason::TooLarge,
                peer: Some(target),
                at: Some(now.instant),
            };
            self.note_drop(relay, loss);
            return FromClient::Dropped;
        }
        let Some(from) = self.bound(relay) else {
            return FromClient::Dropped;
        };
        self.counters.between_clients.add(payload.len());
        if owner.worker != self.worker {
            return FromClient::ToWorker(Handover {
                worker: owner.worker,
                relay: owner.relay,
                to: target,
                from,
                payload,
            });
        }
        match self.handle_handover(owner.relay, target, from, payload.len(), now) {
            Some(route) => FromClient::ToClient(Local {
                relay: owner.relay,
                route,
                payload,
            }),
            None => FromClient::Dropped,
        }
    }

    /// Routes `len` bytes that the relay bound to `from` sends to the one bound to `to`, as if they had arrived at its socket.
    ///
    /// `relay` was its name when they were sent; meanwhile it may be another's.
    pub fn handle_handover(
        &mut self,
        relay: RelayId,
        to: SocketAddr,
        from: SocketAddr,
        len: usize,
        now: Now,
    ) -> Option<ToClient> {
        if self.bound(relay) != Some(to) {
            self.dropped(Direction::ToClient, DropReason::NoAllocation);
            return None;
        }
        self.handle_peer(relay, from, len, now)
    }

    /// What a relay is bound to.
    fn bound(&self, relay: RelayId) -> Option<SocketAddr> {
        let relay = self.allocation(relay)?.relays.named(relay)?;
        Some(relay.bound)
    }
}
