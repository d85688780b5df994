//! What peers send: to relay sockets, or from an allocation of another worker.

use std::os::fd::AsFd;

use super::from_client::Packet;
use super::{BATCH, Body, Buffer, PARCELS, SLOTS, SLOTS_PER_RELAY, Worker, now, retry};
use crate::net::mailbox::{Letter, Parcel, What};
use crate::turn::{Now, RelayId};
use crate::wire::data_header::MAX_HEADER;

/// Letters of other workers opened before the sockets have their turn.
const LETTERS: usize = 16;

impl Worker {
    /// Handles what has arrived at relay sockets, up to a bound for each; the rest is handled in the next turn.
    pub(super) fn drain_relays(&mut self) {
        std::mem::swap(&mut self.relays_at_hand, &mut self.pending.relays);
        let now = now();
        let (mut filled, mut datagrams) = (0, 0);
        for next in 0..self.relays_at_hand.len() {
            let relay = self.relays_at_hand[next];
            if filled + SLOTS_PER_RELAY > SLOTS || datagrams >= BATCH {
                self.flush(Buffer::Arena);
                (filled, datagrams) = (0, 0);
            }
            let (slots, handled) = self.drain_relay(relay, filled, now);
            if slots == SLOTS_PER_RELAY {
                self.pending.relays.push(relay);
            }
            filled += slots;
            datagrams += handled;
        }
        self.flush(Buffer::Arena);
        self.relays_at_hand.clear();
    }

    /// Receives from one relay socket into the slots from `first` on; how many were filled, and with how many datagrams.
    fn drain_relay(&mut self, relay: RelayId, first: usize, now: Now) -> (usize, usize) {
        let Some(socket) = self.relays.get(relay) else {
            return (0, 0);
        };
        let slots = first..first + SLOTS_PER_RELAY;
        let received = match self.arena.receive(socket.as_fd(), slots) {
            Ok(received) => received,
            Err(error) => {
                if retry(&error, "receive from a peer") {
                    self.pending.relays.push(relay);
                }
                return (0, 0);
            }
        };
        let datagrams = (first..first + received)
            .map(|slot| self.route_slot(relay, slot, now))
            .sum();
        (received, datagrams)
    }

    /// Routes what was received into a slot; how many datagrams that is.
    fn route_slot(&mut self, relay: RelayId, slot: usize, now: Now) -> usize {
        let Some(received) = self.arena.received(slot) else {
            return 1;
        };
        let (source, tos, mut room, mut count) = (received.source, received.tos, MAX_HEADER, 0);
        for range in received.datagrams() {
            count += 1;
            let route = self.server.handle_peer(relay, source, range.len(), now);
            if let Some(route) = route {
                let body = Body { range, room, tos };
                self.queue_to_client(relay, &route, body, Buffer::Arena);
            }
            // What precedes the next one is this one.
            room = 0;
        }
        count
    }

    /// Opens what other workers have posted, up to a bound; whether there may be more.
    pub(super) fn open_mail(&mut self) -> bool {
        let mailboxes = std::sync::Arc::clone(&self.mailboxes);
        let mailbox = &mailboxes[self.mailbox];
        for _ in 0..PARCELS {
            let Some(parcel) = mailbox.take() else {
                return false;
            };
            self.open_parcel(&parcel);
            mailbox.leave(parcel);
        }
        true
    }

    /// Reads what other workers have written, up to a bound; whether there may be more.
    pub(super) fn read_letters(&mut self) -> bool {
        let mailboxes = std::sync::Arc::clone(&self.mailboxes);
        for _ in 0..LETTERS {
            match mailboxes[self.mailbox].take_letter() {
                None => return false,
                Some(Letter::Connection(moved)) => self.take_in(*moved),
                Some(Letter::Forward { five_tuple, to }) => {
                    self.server.handle_forward(five_tuple, to);
                }
                Some(Letter::Ask(ask)) => {
                    self.answer(ask);
                    // One in a turn: clients come first.
                    return true;
                }
            }
        }
        true
    }

    fn open_parcel(&mut self, parcel: &Parcel) {
        let now = now();
        let buffer = Buffer::Other(parcel.bytes());
        for item in parcel.items() {
            let (range, tos) = (item.body.clone(), item.tos);
            match item.what {
                What::Data { relay, to, from } => {
                    let len = range.len();
                    let route = self.server.handle_handover(relay, to, from, len, now);
                    if let Some(route) = route {
                        let body = Body {
                            range,
                            room: 0,
                            tos,
                        };
                        self.queue_to_client(relay, &route, body, buffer);
                    }
                }
                What::Client { flow, by } => {
                    let packet = &parcel.bytes()[range.clone()];
                    let handled = self.server.handle_forwarded(flow, packet, by, now);
                    self.do_routed(flow, handled, Packet { range, tos }, buffer, now);
                }
            }
        }
        self.flush(buffer);
    }
}
