//! A Refresh from another 5-tuple: the client has moved, and shows its ticket (RFC 8016 §3.2).

use stun::attributes::AttrType;

use crate::turn::Now;
use crate::turn::five_tuple::{FiveTuple, Flow, LinkId};
use crate::turn::mobility::{Path, Ticket};
use crate::turn::output::{AllocationMoved, Event, Forward, Output, RelayId};
use crate::turn::reject::Reject;
use crate::turn::request::Authenticated;
use crate::turn::server::{FromClient, Server};
use crate::wire::message::ATTR_MOBILITY_TICKET;
use crate::wire::{Message, Method};

impl Server {
    /// MOBILITY-TICKET, where it is understood (RFC 8016 §3.1.2: else it is as any unknown attribute that may be ignored).
    pub(in crate::turn) fn mobility_ticket<'m>(&self, request: &Message<'m>) -> Option<&'m [u8]> {
        let value = request.get(ATTR_MOBILITY_TICKET)?;
        self.settings.mobility.then_some(value)
    }

    /// Renews the allocation that a ticket is for, and lets its client be where the request came from.
    pub(in crate::turn) fn refresh_by_ticket(
        &mut self,
        flow: Flow,
        request: &Message<'_>,
        ticket: &[u8],
        authenticated: Authenticated,
        now: Now,
    ) -> Result<(), Reject> {
        let ticket = self
            .tickets
            .open(ticket)
            .ok_or(Reject::Ticket("MOBILITY-TICKET is not of this server"))?;
        if self.worker_of_serial(ticket.serial) != self.worker {
            // Whose request has not been handed over comes by DTLS.
            return Err(Reject::MobilityForbidden);
        }
        let relay = self.relay_of_ticket(&ticket).ok_or(Reject::NoAllocation)?;
        let existing = self.relay_of(&flow.five_tuple);
        let id = request.transaction_id();
        let allocation = self.allocation_mut(relay).ok_or(Reject::NoAllocation)?;
        if allocation.has_ended(now.instant) {
            return Err(Reject::NoAllocation);
        }
        if !allocation.owner.is_the_same(&authenticated) {
            return Err(Reject::OtherUser);
        }
        let client = flow.five_tuple.client;
        let mobility = allocation.mobility.as_mut().ok_or(Reject::NoAllocation)?;
        if mobility.has_answered(id, &flow.five_tuple, now.instant) {
            return self.refresh(relay, flow, request, authenticated, now);
        }
        match existing {
            Some(other) if other != relay => return Err(Reject::AllocationExists),
            Some(_) => return Err(Reject::Ticket("The allocation is on this 5-tuple")),
            None => {}
        }
        if ticket.generation != mobility.generation {
            return Err(Reject::Ticket("MOBILITY-TICKET has been used"));
        }
        (allocation.owner.admitted)
            .move_to(client.ip())
            .map_err(Reject::Quota)?;
        let path = Path {
            flow,
            via: self.via,
        };
        self.add_path(relay, path, request, now);
        self.refresh(relay, flow, request, authenticated, now)
    }

    fn add_path(&mut self, relay: RelayId, path: Path, request: &Message<'_>, now: Now) {
        let id = request.transaction_id();
        let Some(allocation) = self.allocation_mut(relay) else {
            return;
        };
        let is_lost = allocation.flow.link == LinkId::NOWHERE;
        let realm = allocation.owner.realm;
        let mut moved = AllocationMoved {
            serial: allocation.serial,
            realm: None,
            user: allocation.owner.user_id.clone(),
            flow: path.flow,
        };
        let from = allocation.flow.five_tuple.client;
        let mobility = allocation.mobility.get_or_insert_default();
        if let Some(before) = mobility.move_to(path, from, id, now.instant) {
            self.forget_path(before);
        }
        moved.realm = self.realms.get(realm).name.clone();
        self.ways.add_next(path.flow.five_tuple, relay);
        if let Some(worker) = path.via {
            let (five_tuple, to) = (path.flow.five_tuple, Some(self.worker));
            self.forward(worker, five_tuple, to);
        }
        self.outputs.push_back(Output::Event(Event::Moved(moved)));
        if is_lost {
            self.take_next_path(relay);
        }
    }

    fn forward(&mut self, at: usize, five_tuple: FiveTuple, to: Option<usize>) {
        self.outputs
            .push_back(Output::Forward(Forward { at, five_tuple, to }));
    }

    fn forget_path(&mut self, path: Path) {
        self.ways.remove_next(&path.flow.five_tuple);
        if let Some(worker) = path.via {
            self.forward(worker, path.flow.five_tuple, None);
        }
    }

    /// Has data go to where a client has said that it is: it has sent something from there (RFC 8016 §3.2.2).
    pub(in crate::turn) fn notice_data(&mut self, five_tuple: &FiveTuple) {
        if let Some(relay) = self.ways.next(five_tuple) {
            self.take_next_path(relay);
        }
    }

    /// Leaves the 5-tuple that an allocation was on for the one that its client has moved to.
    fn take_next_path(&mut self, relay: RelayId) {
        self.by_client.remove(relay, &self.slots);
        let Some(allocation) = self.slots.get_mut(relay) else {
            return;
        };
        let mobility = allocation.mobility.get_or_insert_default();
        let Some(next) = mobility.next.take() else {
            self.by_client.insert(relay, &self.slots);
            return;
        };
        let via = std::mem::replace(&mut mobility.via, next.via);
        self.count_live(relay, false);
        let Some(allocation) = self.slots.get_mut(relay) else {
            return;
        };
        let before = std::mem::replace(&mut allocation.flow, next.flow);
        self.count_live(relay, true);
        self.ways.remove_next(&next.flow.five_tuple);
        self.by_client.insert(relay, &self.slots);
        if let Some(worker) = via {
            self.forward(worker, before.five_tuple, None);
        }
    }

    /// Forgets by which ways an allocation is reached that ends.
    pub(in crate::turn) fn forget_ways(
        &mut self,
        flow: &Flow,
        via: Option<usize>,
        next: Option<Path>,
    ) {
        if let Some(worker) = via {
            self.forward(worker, flow.five_tuple, None);
        }
        if let Some(next) = next {
            self.forget_path(next);
        }
    }

    /// Keeps an allocation whose client is lost, if that has a ticket to find it by; whether it is kept.
    pub(in crate::turn) fn survives_disconnection(&mut self, relay: RelayId, flow: &Flow) -> bool {
        let allocation = self.slots.get_mut(relay);
        let Some(mobility) = allocation.and_then(|allocation| allocation.mobility.as_mut()) else {
            return false;
        };
        match mobility.next {
            Some(next) if next.flow == *flow => {
                mobility.next = None;
                self.forget_path(next);
            }
            Some(_) => self.take_next_path(relay),
            None => {
                // Nobody who comes by the same 5-tuple is its client, unless with the ticket.
                self.by_client.remove(relay, &self.slots);
                if let Some(allocation) = self.slots.get_mut(relay) {
                    allocation.flow.link = LinkId::NOWHERE;
                }
            }
        }
        true
    }

    /// Handles a datagram of a client that the worker `from` has received, because the client's allocation is here, or one that
    /// it has a ticket of.
    pub fn handle_forwarded(
        &mut self,
        flow: Flow,
        packet: &[u8],
        from: usize,
        now: Now,
    ) -> FromClient {
        self.via = Some(from);
        let handled = self.handle_client(flow, packet, now);
        self.via = None;
        match handled {
            // It was for an allocation of this worker that has gone: nothing goes round in circles.
            FromClient::Elsewhere { .. } => FromClient::Dropped,
            handled => handled,
        }
    }

    /// Has datagrams of a five-tuple handed over to another worker from here on, or not any more.
    pub fn handle_forward(&mut self, five_tuple: FiveTuple, to: Option<usize>) {
        self.ways.set_elsewhere(five_tuple, to);
    }

    /// The worker that has the allocation which a Refresh shows the ticket of, where it is not this one.
    pub(in crate::turn) fn worker_of_ticket(&self, request: &Message<'_>) -> Option<usize> {
        let worker = self.worker_of_serial(self.ticket_in(request)?.serial);
        (worker != self.worker).then_some(worker)
    }

    /// The allocation that a Refresh shows the ticket of.
    pub(in crate::turn) fn relay_by_ticket(&self, request: &Message<'_>) -> Option<RelayId> {
        self.relay_of_ticket(&self.ticket_in(request)?)
    }

    fn ticket_in(&self, request: &Message<'_>) -> Option<Ticket> {
        if request.method() != Method::Refresh {
            return None;
        }
        self.tickets.open(self.mobility_ticket(request)?)
    }

    fn relay_of_ticket(&self, ticket: &Ticket) -> Option<RelayId> {
        self.ways.by_serial(ticket.serial)
    }

    /// The MOBILITY-TICKET of a response, where the allocation has one.
    pub(in crate::turn) fn ticket_for(&self, relay: RelayId) -> Option<(AttrType, String)> {
        let allocation = self.allocation(relay)?;
        let ticket = Ticket {
            serial: allocation.serial,
            generation: allocation.mobility.as_ref()?.generation,
        };
        let sealed = self.tickets.seal(ticket)?;
        Some((ATTR_MOBILITY_TICKET, sealed))
    }
}
