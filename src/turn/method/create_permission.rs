//! CreatePermission (RFC 8656 §10).

use std::net::IpAddr;

use crate::turn::Now;
use crate::turn::output::RelayId;
use crate::turn::reject::Reject;
use crate::turn::server::Server;
use crate::wire::reply::Reply;
use crate::wire::{Message, PeerAddr};

const BAD_PEER: Reject = Reject::Malformed("XOR-PEER-ADDRESS malformed");

impl Server {
    /// Installs or renews a permission for every peer, or for none if one of them is refused.
    pub(in crate::turn) fn create_permission(
        &mut self,
        relay: RelayId,
        request: &Message<'_>,
        now: Now,
    ) -> Result<Reply, (Reject, Option<PeerAddr>)> {
        let Some(allocation) = self.allocation(relay) else {
            return Err((Reject::NoAllocation, None));
        };
        let policy = &self.realms.get(allocation.owner.realm).policy;
        let mut peers: Vec<IpAddr> = Vec::new();
        for peer in request.peer_addresses() {
            let peer = peer.map_err(|_| (BAD_PEER, None))?;
            policy
                .admit(peer, &allocation.relays, allocation.protocol())
                .map_err(|reject| (reject, Some(peer)))?;
            peers.push(peer.ip());
        }
        if peers.is_empty() {
            return Err((Reject::NoPeer, None));
        }
        let max = self.settings.max_permissions;
        let Some(allocation) = self.allocation_mut(relay) else {
            return Err((Reject::NoAllocation, None));
        };
        let permissions = &mut allocation.permissions;
        // RFC 8656 §10.2: all of them or none.
        if !permissions.has_room_for(&peers, now.instant, max) {
            return Err((Reject::AllocationFull, None));
        }
        for ip in peers {
            permissions.install(ip, now.instant, max);
        }
        Ok(Reply::success(request).software(self.settings.software.as_deref()))
    }

    /// The first XOR-PEER-ADDRESS.
    pub(super) fn only_peer(request: &Message<'_>) -> Result<PeerAddr, Reject> {
        match request.peer_addresses().next() {
            None => Err(Reject::NoPeer),
            Some(peer) => peer.map_err(|_| BAD_PEER),
        }
    }
}
