//! Which peers may be reached, and by which socket address.
//!
//! Everything that the relay lets through to a peer or in from one passes here: at CreatePermission, ChannelBind and Connect
//! with a reason, and again for each datagram and each connection.

use std::net::SocketAddr;
use std::sync::Arc;

use super::reject::Reject;
use super::relayed_addresses::{Family, Protocol, RelayedAddresses};
use super::relays::Relays;
use crate::admission::peer_filter::PeerFilter;
use crate::wire::PeerAddr;

/// The peer filter, with the one exception that ICE needs: relayed transport addresses of this very server.
///
/// When both sides of a call are relayed here, each is the other's peer at one of the host's own addresses, which are
/// denied otherwise. Such a peer is let through exactly while its port is an open relay port.
pub(super) struct PeerPolicy {
    filter: Arc<PeerFilter>,
    relayed: Arc<RelayedAddresses>,
}

impl PeerPolicy {
    pub(super) fn new(filter: Arc<PeerFilter>, relayed: Arc<RelayedAddresses>) -> Self {
        Self { filter, relayed }
    }

    /// Whether an allocation may have this peer, and why not.
    pub(super) fn admit(
        &self,
        peer: PeerAddr,
        relays: &Relays,
        protocol: Protocol,
    ) -> Result<(), Reject> {
        // RFC 8656 §10.2, §12.2: the peer's family must be that of a relayed address.
        if !relays.has(Family::of(peer.ip())) {
            return Err(Reject::FamilyMismatch);
        }
        if self.relayed.open_behind(peer.0, protocol).is_some() {
            return Ok(());
        }
        match self.filter.check(peer.ip()) {
            Ok(()) => Ok(()),
            Err(_) if self.relayed.is_ours(peer.ip()) => Err(Reject::NotRelayed),
            Err(denied) => Err(Reject::PeerDenied(denied)),
        }
    }

    /// Where to send data for `peer`, or connect to; `None` if it may not be reached.
    pub(super) fn target(&self, peer: PeerAddr, protocol: Protocol) -> Option<SocketAddr> {
        if let Some(bound) = self.relayed.open_behind(peer.0, protocol) {
            return Some(bound);
        }
        self.filter.check(peer.ip()).ok().map(|()| peer.0)
    }

    /// The peer that data or a connection from `source` comes from; `None` if it may not be heard.
    pub(super) fn source(&self, source: SocketAddr, protocol: Protocol) -> Option<PeerAddr> {
        if self.relayed.open_behind(source, protocol).is_some() {
            return Some(PeerAddr(self.relayed.public(source)));
        }
        self.filter
            .check(source.ip())
            .ok()
            .map(|()| PeerAddr(source))
    }
}
