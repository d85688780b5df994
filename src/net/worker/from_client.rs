//! What clients send over UDP, and what becomes of what they send, however it came.

use std::ops::Range;
use std::os::fd::AsFd;

use super::{Body, Buffer, Link, ROUNDS, Worker, link_of, now, retry};
use crate::net::dtls::is_dtls;
use crate::net::relay_sockets::RelaySockets;
use crate::net::sys::{Datagram, set_dont_fragment};
use crate::net::udp::Speaks;
use crate::turn::{Flow, FromClient, Local, Now, RelayId, ToPeer};
use crate::wire::reply::SmallReply;

/// One packet of a client's, in the buffer at hand.
#[derive(Clone)]
pub(super) struct Packet {
    /// Where it lies.
    pub(super) range: Range<usize>,
    /// The DSCP and ECN fields that it came with, as one byte (RFC 8656 §14); what comes over a connection has none (§15).
    pub(super) tos: u8,
}

impl Worker {
    /// Handles what has arrived at a listener, up to a bound; whether there may be more.
    pub(super) fn drain_listener(&mut self, at: usize) -> bool {
        for _ in 0..ROUNDS {
            let socket = self.listeners[at].socket.as_fd();
            let slots = self.slots;
            let received = match self.arena.receive(socket, 0..slots) {
                Ok(received) => received,
                Err(error) => return retry(&error, "receive from a client"),
            };
            let now = now();
            let datagrams = (0..received)
                .map(|slot| self.handle_slot(at, slot, now))
                .sum();
            self.flush(Buffer::Arena);
            self.adapt_slots(received, datagrams);
            if received < slots {
                return false;
            }
        }
        true
    }

    /// Handles what was received into a slot; how many datagrams that is.
    fn handle_slot(&mut self, at: usize, slot: usize, now: Now) -> usize {
        let Some(received) = self.arena.received(slot) else {
            return 1;
        };
        let flow = self.listeners[at].flow_of(received);
        let speaks = self.listeners[at].speaks;
        let (tos, mut count) = (received.tos, 0);
        for range in received.datagrams() {
            count += 1;
            let bytes = &self.arena.bytes()[range.clone()];
            if speaks != Speaks::Plain {
                if is_dtls(bytes) {
                    self.handle_dtls(at, flow, Packet { range, tos }, now);
                    continue;
                }
                if speaks == Speaks::Dtls {
                    continue;
                }
            }
            let handled = self.server.handle_client(flow, bytes, now);
            let packet = Packet { range, tos };
            self.do_routed(flow, handled, packet, Buffer::Arena, now);
        }
        count
    }

    /// Does what a packet led to.
    pub(super) fn do_routed(
        &mut self,
        flow: Flow,
        handled: FromClient,
        packet: Packet,
        buffer: Buffer<'_>,
        now: Now,
    ) {
        match handled {
            FromClient::ToPeer(route) => self.route_to_peer(route, &packet, buffer, now),
            FromClient::ToClient(local) => self.route_to_local(&local, &packet, buffer),
            FromClient::ToWorker(handover) => {
                let body = packet.at(&handover.payload);
                let data = &super::bytes(&self.arena, buffer)[body];
                self.handovers.add(&handover, data, packet.tos);
            }
            FromClient::Reply(reply) => self.queue_reply(flow, &reply, buffer),
            FromClient::Control => {
                // What was routed goes out before anything is closed or opened.
                self.flush(buffer);
                self.do_outputs(now);
            }
            FromClient::Elsewhere { worker } => {
                let data = &super::bytes(&self.arena, buffer)[packet.range.clone()];
                let by = self.mailbox;
                (self.handovers).add_client(worker, by, flow, data, packet.tos);
            }
            FromClient::Dropped => {}
        }
    }

    fn route_to_peer(&mut self, route: ToPeer, packet: &Packet, buffer: Buffer<'_>, now: Now) {
        let body = packet.at(&route.payload);
        let datagram = Datagram::new(body, route.target, None).with_tos(packet.tos);
        if route.dont_fragment {
            self.send_unfragmented(route.relay, datagram, buffer, now);
        } else {
            self.queue_to_peer(route.relay, datagram, buffer);
        }
    }

    /// Passes data to another client of this worker.
    fn route_to_local(&mut self, local: &Local, packet: &Packet, buffer: Buffer<'_>) {
        let body = Body {
            range: packet.at(&local.payload),
            // The header that the sender put before its data has been read.
            room: local.payload.start,
            tos: packet.tos,
        };
        self.queue_to_client(local.relay, &local.route, body, buffer);
    }

    fn queue_reply(&mut self, flow: Flow, reply: &SmallReply, buffer: Buffer<'_>) {
        match link_of(flow.link) {
            Link::Stream(place) => self.streams.queue_reply(place, reply.as_bytes()),
            Link::Dtls(place) => self.queue_reply_over_dtls(place, &flow, reply.as_bytes(), buffer),
            Link::Udp(at) => {
                let listener = &mut self.listeners[at];
                let datagram = listener.datagram(&flow, 0..0);
                listener.outgoing.push_around(reply.as_bytes(), datagram, 0);
                if listener.outgoing.len() >= super::QUEUED {
                    self.flush(buffer);
                }
            }
        }
    }

    /// Sends data with the DF bit set. Rare, so it may cost two calls more, and a third to learn why it cannot be sent.
    fn send_unfragmented(
        &mut self,
        relay: RelayId,
        datagram: Datagram,
        buffer: Buffer<'_>,
        now: Now,
    ) {
        self.flush(buffer);
        let v6 = self.relays.is_v6(relay);
        let set = |relays: &RelaySockets, on| match relays.get(relay) {
            Some(socket) => set_dont_fragment(socket.as_fd(), v6, on).is_ok(),
            None => false,
        };
        // RFC 8656 §14: what cannot be sent unfragmented is not sent.
        if set(&self.relays, true) {
            let (to, not_sent) = (datagram.to, self.not_sent);
            self.to_peers.push(relay, datagram);
            self.flush(buffer);
            set(&self.relays, false);
            if self.not_sent > not_sent {
                self.pass_on_errors(relay, Some(to), buffer, now);
            }
        }
    }
}

impl Packet {
    /// A range of it, as one of the buffer.
    fn at(&self, range: &Range<usize>) -> Range<usize> {
        self.range.start + range.start..self.range.start + range.end
    }
}
