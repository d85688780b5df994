//! ChannelBind (RFC 8656 §12.1 to §12.3).

use turn::proto::channum::ChannelNumber as NumberAttribute;

use super::allocate::required;
use crate::turn::Now;
use crate::turn::channel::BindError;
use crate::turn::output::RelayId;
use crate::turn::reject::Reject;
use crate::turn::relayed_addresses::Protocol;
use crate::turn::server::Server;
use crate::wire::reply::Reply;
use crate::wire::{ChannelNumber, Message, PeerAddr};

impl Server {
    /// Ties a channel number to a peer, and installs the permission of the peer's IP address.
    pub(in crate::turn) fn channel_bind(
        &mut self,
        relay: RelayId,
        request: &Message<'_>,
        now: Now,
    ) -> Result<Reply, (Reject, Option<PeerAddr>)> {
        let number = self.channel_number(request).map_err(|r| (r, None))?;
        let peer = Self::only_peer(request).map_err(|r| (r, None))?;
        self.bind(relay, number, peer, now)
            .map_err(|reject| (reject, Some(peer)))?;
        Ok(Reply::success(request).software(self.settings.software.as_deref()))
    }

    /// CHANNEL-NUMBER, within the range that may be bound; the bytes behind it are ignored (RFC 8656 §18.1).
    fn channel_number(&self, request: &Message<'_>) -> Result<ChannelNumber, Reject> {
        let attribute: NumberAttribute =
            required(&request.to_stun()).map_err(|_| Reject::BadChannelNumber)?;
        ChannelNumber::new(attribute.0)
            .filter(|number| number.get() <= self.settings.channel_numbers.last())
            .ok_or(Reject::BadChannelNumber)
    }

    fn bind(
        &mut self,
        relay: RelayId,
        number: ChannelNumber,
        peer: PeerAddr,
        now: Now,
    ) -> Result<(), Reject> {
        let (max_permissions, max_channels) =
            (self.settings.max_permissions, self.settings.max_channels);
        let allocation = self.allocation(relay).ok_or(Reject::NoAllocation)?;
        if allocation.protocol() == Protocol::Tcp {
            // RFC 6062 §3: there are no channels.
            return Err(Reject::Conflict("This allocation relays connections"));
        }
        // RFC 8656 §12.2: number and peer must fit what is bound, then the peer must be one that may be reached.
        allocation
            .channels
            .can_bind(number, peer, now.instant, max_channels)
            .map_err(Reject::from)?;
        let policy = &self.realms.get(allocation.owner.realm).policy;
        policy.admit(peer, &allocation.relays, Protocol::Udp)?;
        let allocation = self.allocation_mut(relay).ok_or(Reject::NoAllocation)?;
        if !allocation
            .permissions
            .install(peer.ip(), now.instant, max_permissions)
        {
            return Err(Reject::AllocationFull);
        }
        allocation
            .channels
            .bind(number, peer, now.instant, max_channels)
            .map_err(Reject::from)
    }
}

impl From<BindError> for Reject {
    fn from(error: BindError) -> Self {
        match error {
            BindError::NumberInUse => Self::ChannelInUse,
            BindError::PeerInUse => Self::PeerHasChannel,
            BindError::Full => Self::AllocationFull,
        }
    }
}
