//! Allocate (RFC 8656 §7).

use std::net::IpAddr;
use std::sync::Arc;

use turn::proto::lifetime::Lifetime;
use turn::proto::relayaddr::RelayedAddress;
use turn::proto::rsrvtoken::ReservationToken as TokenAttribute;

mod missing;
mod wish;

use crate::admission::bandwidth::Meter;
use crate::turn::allocation::{Allocation, Opening, Owner, Traffic, within};
use crate::turn::channel::Channels;
use crate::turn::deadline::Ending;
use crate::turn::five_tuple::Flow;
use crate::turn::output::{
    AllocationOpened, Event, OpenError, OpenRelay, OpenedRelay, Output, RelayId, Want,
};
use crate::turn::permission::Permissions;
use crate::turn::reject::Reject;
use crate::turn::relayed_addresses::{Family, Protocol};
use crate::turn::relays::{Relay, Relays};
use crate::turn::request::{Authenticated, By, Signer};
use crate::turn::server::Server;
use crate::turn::{Now, RESERVATION_LIFETIME};
use crate::wire::Message;
use crate::wire::message::{
    ATTR_ADDRESS_ERROR_CODE, ATTR_DRAFT_ADDITIONAL_ADDRESS_FAMILY, ATTR_DRAFT_ADDRESS_ERROR_CODE,
    ATTR_PASSWORD_ALGORITHM,
};
use crate::wire::reply::Reply;
pub(in crate::turn) use missing::Missing;
use missing::Why;
use wish::Families;
pub(super) use wish::{requested_family, required};

/// An Allocate that waits for a relay socket.
pub(in crate::turn) struct PendingAllocate {
    /// The relay that is being opened.
    relay: RelayId,
    /// For this.
    protocol: Protocol,
    /// At this address.
    ip: IpAddr,
    flow: Flow,
    /// The whole request, for the response.
    request: Vec<u8>,
    stage: Stage,
}

#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
enum Stage {
    /// There is no allocation yet.
    First {
        owner: Owner,
        opening: Opening,
        want: Want,
        /// Where to open a relay of the other family.
        then: Option<IpAddr>,
    },
    /// The allocation lies at `first`, and gets a second relayed transport address.
    Second { first: RelayId },
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
            return self.allocate_again(relay, request, &authenticated);
        }
        if self.via.is_some() {
            // The allocation that its datagrams were handed over for is gone, and the worker that receives them is about to learn
            // that. The client may try again.
            return Err(Reject::AllocationExists);
        }
        let wish = self.read_wish(request, &flow)?;
        let mobile = self.wants_ticket(request, wish.protocol)?;
        // RFC 8489 §10: only who is authenticated, and with a server that it can reach.
        let client_family = Family::of(flow.five_tuple.server.ip());
        if self.settings.alternates.has(client_family) {
            return Err(Reject::TryAlternate);
        }
        let (ip, then, missing) = self.choose_addresses(wish.families, &flow)?;
        // RFC 8656 §7.2 (10): the quota comes after everything that could be wrong with the request.
        let realm = self.realms.get(authenticated.realm);
        let admitted = realm
            .quotas
            .admit(&authenticated.user_id, flow.five_tuple.client.ip())
            .map_err(Reject::Quota)?;
        let owner = Owner {
            realm: authenticated.realm,
            end: authenticated.end(realm.auth.after_expiry(), now),
            by_token: matches!(authenticated.by, By::Token { .. }),
            username: authenticated.username,
            user_id: authenticated.user_id,
            key: authenticated.key,
            admitted,
        };
        let opening = Opening {
            transaction_id: request.transaction_id(),
            lifetime: within(wish.lifetime, owner.end, now.instant),
            reserved: wish.reserved,
            knows_rfc8489: request.contains(ATTR_PASSWORD_ALGORITHM),
            mobile,
            missing,
        };
        self.ask_for_relay(PendingAllocate {
            relay: self.next_relay(),
            protocol: wish.protocol,
            ip,
            flow,
            request: request.bytes().to_vec(),
            stage: Stage::First {
                owner,
                opening,
                want: wish.want,
                then,
            },
        });
        Ok(())
    }

    /// The addresses to open relays at, and the family that cannot be had although it was asked for beside another.
    fn choose_addresses(
        &self,
        families: Families,
        flow: &Flow,
    ) -> Result<(IpAddr, Option<IpAddr>, Option<Missing>), Reject> {
        let near = flow.five_tuple.server.ip();
        let choose = |family| self.relayed.choose(family, near);
        let missing = |family| {
            Some(Missing {
                family,
                why: Why::Unsupported,
            })
        };
        match families {
            Families::One(family) => {
                let ip = choose(family).ok_or(Reject::UnsupportedFamily)?;
                Ok((ip, None, None))
            }
            Families::Both => match (choose(Family::V4), choose(Family::V6)) {
                (Some(v4), Some(v6)) => Ok((v4, Some(v6), None)),
                (Some(v4), None) => Ok((v4, None, missing(Family::V6))),
                (None, Some(v6)) => Ok((v6, None, missing(Family::V4))),
                (None, None) => Err(Reject::UnsupportedFamily),
            },
        }
    }

    /// Whether the client asks for a ticket (RFC 8016 §3.1.2).
    fn wants_ticket(&self, request: &Message<'_>, protocol: Protocol) -> Result<bool, Reject> {
        match (self.mobility_ticket(request), protocol) {
            (None, _) => Ok(false),
            // The connections with peers would not find their client.
            (Some([]), Protocol::Tcp) => Err(Reject::MobilityForbidden),
            (Some([]), Protocol::Udp) => Ok(true),
            (Some(_), _) => Err(Reject::Ticket("MOBILITY-TICKET is empty in an Allocate")),
        }
    }

    fn ask_for_relay(&mut self, pending: PendingAllocate) {
        let want = match &pending.stage {
            Stage::First { want, .. } => want.clone(),
            // RFC 8656 §7.2: a pair of ports is of one family, so the second one is any.
            Stage::Second { .. } => Want::Any,
        };
        self.outputs.push_back(Output::OpenRelay(OpenRelay {
            relay: pending.relay,
            protocol: pending.protocol,
            ip: pending.ip,
            want,
        }));
        self.pending = Some(pending);
    }

    /// Says whether the relay socket of an [`OpenRelay`] was opened; the client is answered, or another one is asked for.
    pub fn handle_relay_opened(
        &mut self,
        relay: RelayId,
        opened: Result<OpenedRelay, OpenError>,
        now: Now,
    ) {
        let Some(pending) = self.pending.take_if(|pending| pending.relay == relay) else {
            return;
        };
        match pending.stage {
            Stage::First { .. } => self.first_opened(pending, opened, now),
            Stage::Second { first } => {
                self.second_opened(first, &pending, opened);
                self.allocated(first, pending.flow, &pending.request);
            }
        }
    }

    fn first_opened(
        &mut self,
        pending: PendingAllocate,
        opened: Result<OpenedRelay, OpenError>,
        now: Now,
    ) {
        let PendingAllocate {
            relay,
            protocol,
            ip,
            flow,
            request,
            stage,
        } = pending;
        let Stage::First {
            owner,
            mut opening,
            want,
            then,
        } = stage
        else {
            return;
        };
        match (opened, then) {
            (Ok(opened), None) => {
                self.open((relay, protocol), flow, owner, opening, opened, now);
                self.allocated(relay, flow, &request);
            }
            (Ok(opened), Some(other)) => {
                self.open((relay, protocol), flow, owner, opening, opened, now);
                self.ask_for_relay(PendingAllocate {
                    relay: self.next_relay(),
                    protocol,
                    ip: other,
                    flow,
                    request,
                    stage: Stage::Second { first: relay },
                });
            }
            // RFC 8656 §7.2: one relayed address of two is better than none.
            (Err(_), Some(other)) => {
                opening.missing = Some(no_room(ip));
                self.ask_for_relay(PendingAllocate {
                    relay,
                    protocol,
                    ip: other,
                    flow,
                    request,
                    stage: Stage::First {
                        owner,
                        opening,
                        want,
                        then: None,
                    },
                });
            }
            (Err(error), None) => {
                if let Ok(request) = Message::parse(&request) {
                    let reject = reject(error);
                    let signer = Signer {
                        realm: owner.realm,
                        key: &owner.key,
                        username: &owner.username,
                    };
                    self.refuse_signed(flow, &request, signer, reject);
                }
            }
        }
    }

    fn second_opened(
        &mut self,
        first: RelayId,
        pending: &PendingAllocate,
        opened: Result<OpenedRelay, OpenError>,
    ) {
        match opened {
            Ok(opened) => {
                let second = self.relay(pending.relay, opened);
                self.insert_second(first, second);
            }
            Err(_) => {
                if let Some(allocation) = self.allocation_mut(first) {
                    allocation.opening.missing = Some(no_room(pending.ip));
                }
            }
        }
    }

    fn relay(&self, id: RelayId, opened: OpenedRelay) -> Relay {
        Relay {
            id,
            bound: opened.bound,
            relayed: self.relayed.public(opened.bound),
        }
    }

    /// Makes the allocation and its deadlines.
    fn open(
        &mut self,
        (relay, protocol): (RelayId, Protocol),
        flow: Flow,
        owner: Owner,
        opening: Opening,
        opened: OpenedRelay,
        now: Now,
    ) {
        let serial = self.next_serial();
        let expires = now.instant + opening.lifetime;
        self.deadlines
            .add(expires, Ending::Allocation { relay, serial });
        if let Some(token) = opening.reserved {
            let end = now.instant + RESERVATION_LIFETIME;
            self.deadlines.add(end, Ending::Reservation(token));
        }
        let user_bandwidth = Arc::clone(owner.admitted.user_bandwidth());
        let meter = Meter::new(&self.realms.get(owner.realm).bandwidth, user_bandwidth);
        let mobility = opening.mobile.then(Box::default);
        let relays = Relays::new(self.relay(relay, opened));
        self.insert(Allocation {
            serial,
            flow,
            owner,
            opening,
            relays,
            opened_at: now.instant,
            expires,
            deadline: expires,
            permissions: Permissions::default(),
            channels: Channels::default(),
            meter,
            is_watched: false,
            traffic: Traffic::default(),
            mobility,
            connections: match protocol {
                Protocol::Udp => None,
                Protocol::Tcp => Some(Box::default()),
            },
        });
        self.sweep_deadlines();
    }

    /// Tells operator and client that there is an allocation.
    fn allocated(&mut self, relay: RelayId, flow: Flow, request: &[u8]) {
        let Some(allocation) = self.allocation(relay) else {
            return;
        };
        let relayed = allocation.relays.all().map(|relay| relay.relayed);
        let (realm, kind) = (allocation.owner.realm, allocation.kind());
        let opened = AllocationOpened {
            serial: allocation.serial,
            flow,
            realm: self.realms.get(allocation.owner.realm).name.clone(),
            user: allocation.owner.user_id.clone(),
            relayed: relayed.collect(),
            lifetime: allocation.opening.lifetime,
        };
        self.realms.get_mut(realm).counters.note_opened(kind);
        self.outputs.push_back(Output::Event(Event::Opened(opened)));
        if let Ok(request) = Message::parse(request)
            && let Some(reply) = self.allocate_success(relay, &request)
        {
            self.reply(flow, reply);
        }
    }

    /// The success response, the same one for a retransmission.
    fn allocate_success(&self, relay: RelayId, request: &Message<'_>) -> Option<Vec<u8>> {
        let ticket = self.ticket_for(relay);
        let allocation = self.allocation(relay)?;
        let opening = &allocation.opening;
        let mut reply = Reply::success(request);
        for relay in allocation.relays.all() {
            reply = reply.with(&RelayedAddress {
                ip: relay.relayed.ip(),
                port: relay.relayed.port(),
            });
        }
        reply = reply
            .with(&Lifetime(opening.lifetime))
            .mapped(allocation.flow.five_tuple.client.0);
        if let Some((typ, ticket)) = ticket {
            reply = reply.with_raw(typ, ticket.as_bytes());
        }
        if let Some(token) = opening.reserved {
            reply = reply.with(&TokenAttribute(token.0.to_vec()));
        }
        if let Some(missing) = opening.missing {
            let typ = match self.additional_family(request) {
                Some((typ, _)) if typ == ATTR_DRAFT_ADDITIONAL_ADDRESS_FAMILY => {
                    ATTR_DRAFT_ADDRESS_ERROR_CODE
                }
                Some(_) | None => ATTR_ADDRESS_ERROR_CODE,
            };
            reply = reply.with_raw(typ, &missing.value());
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
        who: &Authenticated,
    ) -> Result<(), Reject> {
        let allocation = self.allocation(relay).ok_or(Reject::NoAllocation)?;
        let flow = allocation.flow;
        let same = allocation.opening.transaction_id == request.transaction_id();
        let owner = &allocation.owner;
        if !same || !owner.may_be(who) || owner.username != who.username {
            return Err(Reject::AllocationExists);
        }
        if let Some(reply) = self.allocate_success(relay, request) {
            self.reply(flow, reply);
        }
        Ok(())
    }
}

fn no_room(ip: IpAddr) -> Missing {
    Missing {
        family: Family::of(ip),
        why: Why::NoRoom,
    }
}

fn reject(error: OpenError) -> Reject {
    match error {
        OpenError::NoPort => Reject::NoPort,
        OpenError::NoReservation => Reject::NoReservation,
        OpenError::Exhausted => Reject::Exhausted,
        OpenError::System => Reject::System,
    }
}
