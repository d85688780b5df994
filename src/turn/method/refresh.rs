//! Refresh (RFC 8656 §8).

use std::time::Duration;

use turn::proto::lifetime::Lifetime;

use super::allocate::{requested_family, required};
use crate::turn::Now;
use crate::turn::allocation::EndReason;
use crate::turn::five_tuple::Flow;
use crate::turn::output::RelayId;
use crate::turn::reject::Reject;
use crate::turn::relayed_addresses::Family;
use crate::turn::relays::Removed;
use crate::turn::request::{Authenticated, By};
use crate::turn::server::Server;
use crate::wire::Message;
use crate::wire::reply::Reply;

impl Server {
    /// Renews an allocation, or deletes it when LIFETIME is 0, once that has been answered.
    pub(in crate::turn) fn refresh(
        &mut self,
        relay: RelayId,
        flow: Flow,
        request: &Message<'_>,
        authenticated: Authenticated,
        now: Now,
    ) -> Result<(), Reject> {
        let decoded = request.to_stun();
        let delete = required::<Lifetime>(&decoded).is_ok_and(|l| l.0 == Duration::ZERO);
        let lifetime = self.granted_lifetime(&decoded)?;
        let auth = &self.realms.get(authenticated.realm).auth;
        let end = authenticated.end(auth.after_expiry(), now);
        let allocation = self.allocation_mut(relay).ok_or(Reject::NoAllocation)?;
        // RFC 8656 §8.2: the family must be one that the allocation has.
        let family = match requested_family(request) {
            None => None,
            Some(Ok(family)) if allocation.relays.has(family) => Some(family),
            Some(_) => return Err(Reject::FamilyMismatch),
        };
        let key = authenticated.key.clone();
        if matches!(authenticated.by, By::Token { .. }) {
            allocation.owner.renew_token(authenticated, end);
        }
        let granted = if delete {
            Duration::ZERO
        } else {
            allocation.renew(lifetime, now.instant)
        };
        // A later end is noticed when the deadline comes; an earlier one needs a deadline of its own.
        if allocation.expires < allocation.deadline {
            self.set_deadline(relay);
        }
        let mut reply = Reply::success(request).with(&Lifetime(granted));
        // RFC 8016 §3.2.2: the next ticket, for the one that was shown.
        if self.mobility_ticket(request).is_some()
            && let Some((typ, ticket)) = self.ticket_for(relay)
        {
            reply = reply.with_raw(typ, ticket.as_bytes());
        }
        let reply = reply
            .software(self.settings.software.as_deref())
            .sign(key.as_bytes());
        // Whoever hears that it is deleted may have its port, its place and its share of the quota at once.
        match (delete, family) {
            (true, Some(family)) => self.delete_relay(relay, family, now),
            (true, None) => self.end(relay, EndReason::Deleted, now.instant),
            (false, _) => {}
        }
        self.reply(flow, reply);
        Ok(())
    }

    /// Deletes one of two relayed transport addresses with what belongs to it (RFC 8656 §8.1), or the allocation with its last.
    fn delete_relay(&mut self, relay: RelayId, family: Family, now: Now) {
        let Some(allocation) = self.allocation_mut(relay) else {
            return;
        };
        let before = allocation.kind();
        match allocation.relays.remove(family) {
            Removed::One(removed) => {
                let (realm, after) = (allocation.owner.realm, allocation.kind());
                allocation.permissions.remove_family(family);
                allocation.channels.remove_family(family);
                let counters = &mut self.realms.get_mut(realm).counters;
                *counters.live_mut(before) -= 1;
                *counters.live_mut(after) += 1;
                self.close_relay(&removed);
            }
            Removed::Last => self.end(relay, EndReason::Deleted, now.instant),
            Removed::None => {}
        }
    }
}
