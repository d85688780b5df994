//! Allocate (RFC 8656 §7).

use std::time::Duration;

use stun::attributes::{
    ATTR_EVEN_PORT, ATTR_LIFETIME, ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_RESERVATION_TOKEN,
};
use stun::message::{Getter, Message as StunMessage};
use turn::proto::PROTO_UDP;
use turn::proto::lifetime::Lifetime;
use turn::proto::relayaddr::RelayedAddress;
use turn::proto::reqtrans::RequestedTransport;
use turn::proto::rsrvtoken::ReservationToken as TokenAttribute;

use crate::turn::allocation::{Allocation, Opening, Owner, Traffic, within};
use crate::turn::channel::Channels;
use crate::turn::deadline::Ending;
use crate::turn::five_tuple::Flow;
use crate::turn::output::{
    AllocationOpened, Event, OpenError, OpenRelay, OpenedRelay, Output, RelayId, ReservationToken,
    Want,
};
use crate::turn::permission::Permissions;
use crate::turn::reject::Reject;
use crate::turn::relayed_addresses::Family;
use crate::turn::request::Authenticated;
use crate::turn::server::Server;
use crate::turn::{Now, RESERVATION_LIFETIME};
use crate::wire::Message;
use crate::wire::message::{ATTR_ADDITIONAL_ADDRESS_FAMILY, ATTR_ADDRESS_ERROR_CODE};
use crate::wire::reply::Reply;

/// An Allocate that waits for its relay socket.
pub(in crate::turn) struct PendingAllocate {
    relay: RelayId,
    flow: Flow,
    owner: Owner,
    opening: Opening,
    /// The whole request, for the response.
    request: Vec<u8>,
}

/// ADDRESS-ERROR-CODE (RFC 8656 §18.12): IPv6, 440.
const NO_IPV6_BESIDE: &[u8] = b"\x02\0\x04\x28One relayed address an allocation";

/// What an Allocate asks for, once its attributes have been understood.
struct Wish {
    family: Family,
    want: Want,
    lifetime: Duration,
    reserved: Option<ReservationToken>,
}

impl Server {
    /// Asks the shell for a relay socket; the response follows in [`Server::handle_relay_opened`].
    pub(in crate::turn) fn allocate(
        &mut self,
        flow: Flow,
        request: &Message<'_>,
        authenticated: Authenticated,
        now: Now,
    ) -> Result<(), Reject> {
        // RFC 8656 §7.2 (2), and the note that a retransmission gets the same response.
        if let Some(relay) = self.relay_of(&flow.five_tuple) {
            return self.allocate_again(relay, request, &authenticated.username);
        }
        let wish = self.read_wish(request)?;
        // RFC 8489 §10: only who is authenticated, and with a server that it can reach.
        let client_family = Family::of(flow.five_tuple.server.ip());
        if self.settings.alternates.has(client_family) {
            return Err(Reject::TryAlternate);
        }
        let address = self
            .relayed
            .choose(wish.family, flow.five_tuple.server.ip());
        let ip = address.ok_or(Reject::UnsupportedFamily)?;
        // RFC 8656 §7.2 (10): the quota comes after everything that could be wrong with the request.
        let admitted = self
            .quotas
            .admit(&authenticated.user_id, flow.five_tuple.client.ip())
            .map_err(Reject::Quota)?;
        let owner = Owner {
            end: authenticated.end(self.auth.after_expiry(), now),
            username: authenticated.username,
            user_id: authenticated.user_id,
            key: authenticated.key,
            admitted,
        };
        let opening = Opening {
            transaction_id: request.transaction_id(),
            lifetime: within(wish.lifetime, owner.end, now.instant),
            reserved: wish.reserved,
        };
        let relay = self.next_relay();
        self.pending = Some(PendingAllocate {
            relay,
            flow,
            owner,
            opening,
            request: request.bytes().to_vec(),
        });
        self.outputs.push_back(Output::OpenRelay(OpenRelay {
            relay,
            ip,
            want: wish.want,
        }));
        Ok(())
    }

    /// Says whether the relay socket of an [`OpenRelay`] was opened; the client is answered.
    pub fn handle_relay_opened(
        &mut self,
        relay: RelayId,
        opened: Result<OpenedRelay, OpenError>,
        now: Now,
    ) {
        let Some(pending) = self.pending.take_if(|pending| pending.relay == relay) else {
            return;
        };
        let bytes = pending.request.clone();
        let Ok(request) = Message::parse(&bytes) else {
            return;
        };
        match opened {
            Ok(opened) => {
                let flow = pending.flow;
                self.open(pending, opened, now);
                if let Some(reply) = self.allocate_success(relay, &request) {
                    self.reply(flow, reply);
                }
            }
            Err(error) => {
                let reject = match error {
                    OpenError::NoPort => Reject::NoPort,
                    OpenError::NoReservation => Reject::NoReservation,
                    OpenError::Exhausted => Reject::Exhausted,
                    OpenError::System => Reject::System,
                };
                let owner = &pending.owner;
                self.refuse_signed(pending.flow, &request, &owner.key, &owner.username, reject);
            }
        }
    }

    /// Makes the allocation and its deadlines.
    fn open(&mut self, pending: PendingAllocate, opened: OpenedRelay, now: Now) {
        let PendingAllocate {
            relay,
            flow,
            owner,
            opening,
            ..
        } = pending;
        let serial = self.next_serial();
        let expires = now.instant + opening.lifetime;
        let relayed = self.relayed.public(opened.bound);
        self.outputs
            .push_back(Output::Event(Event::Opened(AllocationOpened {
                serial,
                flow,
                user: owner.user_id.clone(),
                relayed,
                lifetime: opening.lifetime,
            })));
        self.deadlines
            .add(expires, Ending::Allocation { relay, serial });
        if let Some(token) = opening.reserved {
            let end = now.instant + RESERVATION_LIFETIME;
            self.deadlines.add(end, Ending::Reservation(token));
        }
        let meter = self.meter(&owner.admitted);
        self.insert(Allocation {
            serial,
            flow,
            owner,
            opening,
            bound: opened.bound,
            relayed,
            opened_at: now.instant,
            expires,
            deadline: expires,
            permissions: Permissions::default(),
            channels: Channels::default(),
            meter,
            traffic: Traffic::default(),
        });
        self.sweep_deadlines();
    }

    /// The success response, the same one for a retransmission.
    fn allocate_success(&self, relay: RelayId, request: &Message<'_>) -> Option<Vec<u8>> {
        let allocation = self.allocation(relay)?;
        let opening = &allocation.opening;
        let mut reply = Reply::success(request)
            .with(&RelayedAddress {
                ip: allocation.relayed.ip(),
                port: allocation.relayed.port(),
            })
            .with(&Lifetime(opening.lifetime))
            .mapped(allocation.flow.five_tuple.client.0);
        if let Some(token) = opening.reserved {
            reply = reply.with(&TokenAttribute(token.0.to_vec()));
        }
        if request.contains(ATTR_ADDITIONAL_ADDRESS_FAMILY) {
            reply = reply.with_raw(ATTR_ADDRESS_ERROR_CODE, NO_IPV6_BESIDE);
        }
        let signed = reply
            .software(self.settings.software.as_deref())
            .sign(allocation.owner.key.as_bytes());
        Some(signed)
    }

    /// Answers a retransmission as the first time, and anything else with 437.
    fn allocate_again(
        &mut self,
        relay: RelayId,
        request: &Message<'_>,
        username: &str,
    ) -> Result<(), Reject> {
        let allocation = self.allocation(relay).ok_or(Reject::NoAllocation)?;
        let flow = allocation.flow;
        let same = allocation.opening.transaction_id == request.transaction_id();
        if !same || allocation.owner.username != username {
            return Err(Reject::AllocationExists);
        }
        if let Some(reply) = self.allocate_success(relay, request) {
            self.reply(flow, reply);
        }
        Ok(())
    }

    fn read_wish(&mut self, request: &Message<'_>) -> Result<Wish, Reject> {
        let decoded = request.to_stun();
        // (3) REQUESTED-TRANSPORT.
        let transport: RequestedTransport = required(&decoded).map_err(|_| Reject::BadTransport)?;
        if transport.protocol != PROTO_UDP {
            return Err(Reject::UnsupportedTransport);
        }
        // (4) DONT-FRAGMENT is understood, so there is nothing to check.
        // (5) RESERVATION-TOKEN excludes whatever else would choose an address or port.
        let even_port = match request.get(ATTR_EVEN_PORT) {
            None => None,
            Some([bits]) => Some(bits & 0x80 != 0),
            Some(_) => return Err(Reject::Malformed("EVEN-PORT is one byte")),
        };
        let family = requested_family(request);
        let additional = request.get(ATTR_ADDITIONAL_ADDRESS_FAMILY);
        let token = if request.contains(ATTR_RESERVATION_TOKEN) {
            if even_port.is_some() || family.is_some() || additional.is_some() {
                return Err(Reject::Conflict(
                    "RESERVATION-TOKEN excludes EVEN-PORT and address families",
                ));
            }
            Some(read_token(&decoded)?)
        } else {
            None
        };
        // (6) One family or an additional one, not both.
        if family.is_some() && additional.is_some() {
            return Err(Reject::Conflict(
                "REQUESTED- and ADDITIONAL-ADDRESS-FAMILY exclude each other",
            ));
        }
        // (7) The family, IPv4 unless asked otherwise. A reserved port has its own, whatever is said here.
        let family = match (family, &token) {
            (Some(family), _) => family?,
            (None, Some(_)) if !self.relayed.has(Family::V4) => Family::V6,
            (None, _) => Family::V4,
        };
        // (8) A pair of ports is of one family.
        if even_port == Some(true) && additional.is_some() {
            return Err(Reject::Conflict(
                "EVEN-PORT with R excludes ADDITIONAL-ADDRESS-FAMILY",
            ));
        }
        // (9) Only IPv6 can be additional. One allocation has one relayed address here, which the response says.
        if additional.is_some_and(|value| !matches!(value, [2, _, _, _])) {
            return Err(Reject::Malformed("Only IPv6 can be an additional family"));
        }
        let lifetime = self.granted_lifetime(&decoded)?;
        let (want, reserved) = match (token, even_port) {
            (Some(token), _) => (Want::Reserved(token), None),
            (None, Some(true)) => {
                let token = ReservationToken(self.random());
                (Want::EvenAndReserve(token), Some(token))
            }
            (None, Some(false)) => (Want::Even, None),
            (None, None) => (Want::Any, None),
        };
        Ok(Wish {
            family,
            want,
            lifetime,
            reserved,
        })
    }

    /// LIFETIME as asked, but no less than the default and no more than the maximum (RFC 8656 §7.2).
    pub(in crate::turn) fn granted_lifetime(
        &self,
        decoded: &StunMessage,
    ) -> Result<Duration, Reject> {
        let asked = if decoded.contains(ATTR_LIFETIME) {
            let lifetime: Lifetime =
                required(decoded).map_err(|_| Reject::Malformed("LIFETIME is four bytes"))?;
            lifetime.0
        } else {
            Duration::ZERO
        };
        let (least, most) = (self.settings.default_lifetime, self.settings.max_lifetime);
        Ok(asked.max(least).min(most))
    }
}

/// REQUESTED-ADDRESS-FAMILY; `None` if absent, an error for a family that nobody knows.
pub(super) fn requested_family(request: &Message<'_>) -> Option<Result<Family, Reject>> {
    match request.get(ATTR_REQUESTED_ADDRESS_FAMILY)? {
        [1, _, _, _] => Some(Ok(Family::V4)),
        [2, _, _, _] => Some(Ok(Family::V6)),
        [_, _, _, _] => Some(Err(Reject::UnsupportedFamily)),
        _ => Some(Err(Reject::Malformed(
            "REQUESTED-ADDRESS-FAMILY is four bytes",
        ))),
    }
}

fn read_token(decoded: &StunMessage) -> Result<ReservationToken, Reject> {
    const MALFORMED: Reject = Reject::Malformed("RESERVATION-TOKEN is eight bytes");
    let token: TokenAttribute = required(decoded).map_err(|_| MALFORMED)?;
    let bytes = token.0.try_into().map_err(|_| MALFORMED)?;
    Ok(ReservationToken(bytes))
}

/// Reads an attribute with its getter.
pub(super) fn required<T: Getter + Default>(decoded: &StunMessage) -> Result<T, stun::Error> {
    let mut attribute = T::default();
    attribute.get_from(decoded)?;
    Ok(attribute)
}
