//! How allocations come to be and end: who is told, and what is given back.

use std::time::Instant;

use super::Now;
use super::allocation::{Allocation, EndReason};
use super::deadline::Ending;
use super::five_tuple::Flow;
use super::output::{AllocationEnded, Event, Output, RelayId};
use super::relayed_addresses::Owner;
use super::relays::Relay;
use super::server::Server;

impl Server {
    /// Ends the allocation of a connection that closed, unless its client has a ticket to find it by.
    pub fn handle_disconnected(&mut self, flow: Flow, now: Now) {
        let Some(relay) = self.relay_of(&flow.five_tuple) else {
            return;
        };
        let is_its_own = |allocation: &Allocation| {
            let next = allocation.mobility.as_ref().and_then(|m| m.next);
            allocation.flow == flow || next.is_some_and(|next| next.flow == flow)
        };
        if self.allocation(relay).is_some_and(is_its_own)
            && !self.survives_disconnection(relay, &flow)
        {
            self.end(relay, EndReason::Disconnected, now.instant);
        }
    }

    /// Ends what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        if !self.traces.is_empty() {
            self.traces.flush(now.instant, false);
        }
        while let Some((at, ending)) = self.deadlines.take_due(now.instant) {
            match ending {
                Ending::Reservation(token) => {
                    self.outputs.push_back(Output::DropReservation(token));
                }
                Ending::Connection(connection) => self.connection_overdue(connection, at, now),
                Ending::Allocation { relay, serial } => {
                    let counts = |a: &Allocation| a.serial == serial && a.deadline == at;
                    if self.allocation(relay).is_some_and(counts) {
                        self.expire(relay, now);
                    }
                }
            }
        }
    }

    fn expire(&mut self, relay: RelayId, now: Now) {
        let Some(allocation) = self.allocation(relay) else {
            return;
        };
        if !allocation.has_ended(now.instant) {
            return self.set_deadline(relay);
        }
        let credential_ended = allocation.owner.end.is_some_and(|end| end <= now.instant);
        let reason = if credential_ended {
            EndReason::CredentialEnded
        } else {
            EndReason::Expired
        };
        self.end(relay, reason, now.instant);
    }

    /// Has an allocation looked at when it expires.
    pub(super) fn set_deadline(&mut self, relay: RelayId) {
        if let Some(allocation) = self.slots.get_mut(relay) {
            let serial = allocation.serial;
            allocation.deadline = allocation.expires;
            self.deadlines
                .add(allocation.expires, Ending::Allocation { relay, serial });
        }
    }

    /// Forgets deadlines that are out of date, now and then.
    pub(super) fn sweep_deadlines(&mut self) {
        let (slots, connections) = (&self.slots, &self.peer_connections);
        self.deadlines.sweep(|at, ending| match ending {
            Ending::Connection(connection) => connections.is_due_at(connection, at),
            Ending::Reservation(_) => true,
            Ending::Allocation { relay, serial } => slots
                .get(relay)
                .is_some_and(|a| a.serial == serial && a.deadline == at),
        });
    }

    /// Ends every allocation: the server stops.
    pub fn handle_stop(&mut self, now: Now) {
        let all: Vec<RelayId> = self.slots.allocations().collect();
        for relay in all {
            self.end(relay, EndReason::ServerStopped, now.instant);
        }
    }

    /// Enters an allocation under the name that [`next_relay`](Self::next_relay) gave.
    pub(super) fn insert(&mut self, allocation: Allocation) {
        debug_assert!(
            self.relay_of(&allocation.flow.five_tuple).is_none(),
            "one allocation a five-tuple"
        );
        let relay = self.slots.insert(allocation);
        self.relays += 1;
        self.live += 1;
        self.by_client.insert(relay, &self.slots);
        if let Some(allocation) = self.slots.get(relay).filter(|a| a.mobility.is_some()) {
            self.ways.add_serial(allocation.serial, relay);
        }
        self.own_relays(relay);
        self.count_live(relay, true);
    }

    /// Adds a second relay, under the name that [`next_relay`](Self::next_relay) gave, to the allocation that lies at `first`.
    pub(super) fn insert_second(&mut self, first: RelayId, second: Relay) {
        let named = self.slots.insert_second(first);
        debug_assert_eq!(named, second.id);
        self.relays += 1;
        self.count_live(first, false);
        if let Some(allocation) = self.slots.get_mut(first) {
            allocation.relays.add(second);
        }
        self.count_live(first, true);
        self.own_relays(first);
    }

    /// Counts an allocation among those that there are, or not any more: before anything changes that it is counted by, and
    /// after that.
    pub(super) fn count_live(&mut self, relay: RelayId, counts: bool) {
        let Some(allocation) = self.slots.get(relay) else {
            return;
        };
        let counters = &mut self.realms.get_mut(allocation.owner.realm).counters;
        let live = counters.live_mut(allocation.kind());
        *live = if counts {
            *live + 1
        } else {
            live.saturating_sub(1)
        };
    }

    /// Ends the allocation of this number, because the operator asks for it; whether there was one.
    pub fn handle_end(&mut self, serial: u64, now: Now) -> bool {
        let Some(relay) = self.relay_of_serial(serial) else {
            return false;
        };
        self.end(relay, EndReason::EndedByOperator, now.instant);
        true
    }

    /// The allocation of this number. Looks at each: an operator asks, and no client.
    pub(super) fn relay_of_serial(&self, serial: u64) -> Option<RelayId> {
        let with_ticket = self.ways.by_serial(serial);
        with_ticket.or_else(|| self.slots.find(|allocation| allocation.serial == serial))
    }

    /// Says whose the relays of an allocation are: from here on they are open.
    fn own_relays(&self, relay: RelayId) {
        let worker = self.worker;
        let Some(allocation) = self.slots.get(relay) else {
            return;
        };
        for relay in allocation.relays.all() {
            let owner = Owner {
                worker,
                relay: relay.id,
            };
            self.relayed
                .set_owner(relay.bound, allocation.protocol(), owner);
        }
    }

    /// Closes one of an allocation's two relays. Nothing passes through it after that.
    pub(super) fn close_relay(&mut self, relay: &Relay) {
        self.relays -= 1;
        self.relayed.clear_owner(relay.bound);
        self.slots.remove_second(relay.id);
        self.outputs.push_back(Output::CloseRelay(relay.id));
    }

    /// Removes an allocation at once: nothing is relayed after it.
    pub(super) fn end(&mut self, relay: RelayId, reason: EndReason, now: Instant) {
        self.by_client.remove(relay, &self.slots);
        let Some(allocation) = self.slots.remove(relay) else {
            return;
        };
        self.live -= 1;
        if allocation.is_watched {
            self.traces.ended(allocation.serial, now, reason);
        }
        let counters = &mut self.realms.get_mut(allocation.owner.realm).counters;
        counters.note_ended(allocation.kind(), reason);
        let age = now.saturating_duration_since(allocation.opened_at);
        self.counters.durations.note(age);
        if let Some(mobility) = &allocation.mobility {
            self.ways.remove_serial(allocation.serial);
            self.forget_ways(&allocation.flow, mobility.via, mobility.next);
        }
        for connection in allocation.connections.into_iter().flat_map(|all| *all) {
            self.peer_connections.remove(connection);
            self.outputs.push_back(Output::CloseConnection(connection));
        }
        for relay in allocation.relays.all() {
            self.close_relay(relay);
        }
        let relayed = allocation.relays.all().map(|relay| relay.relayed);
        self.outputs
            .push_back(Output::Event(Event::Ended(AllocationEnded {
                serial: allocation.serial,
                flow: allocation.flow,
                realm: self.realms.get(allocation.owner.realm).name.clone(),
                user: allocation.owner.user_id,
                relayed: relayed.collect(),
                age,
                traffic: allocation.traffic,
                reason,
            })));
    }
}
