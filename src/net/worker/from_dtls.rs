//! What clients send over DTLS, and what is sent to them.

use std::os::fd::AsFd;

use super::from_client::Packet;
use super::{Body, Buffer, QUEUED, Worker};
use crate::net::dtls::{Arrival, Dtls, Due, Heard};
use crate::net::sys::Outbox;
use crate::net::udp::UdpListener;
use crate::turn::{FiveTuple, Flow, Now, RelayId, ToClient, Transport};
use crate::wire::data_header::{MAX_HEADER, MAX_PADDING};

impl Worker {
    /// Handles one datagram of the arena that is DTLS, at a listener that speaks it.
    pub(super) fn handle_dtls(&mut self, at: usize, flow: Flow, packet: Packet, now: Now) {
        let five_tuple = FiveTuple {
            transport: Transport::Dtls,
            ..flow.five_tuple
        };
        let flow = Flow { five_tuple, ..flow };
        let mut arrival = self.arrive(at, &flow, &packet, now);
        if let Arrival::Anew(place) = arrival {
            self.end_dtls(place, "begun anew by the client", now);
            arrival = self.arrive(at, &flow, &packet, now);
        }
        match arrival {
            Arrival::Session(place) => self.handle_records(place, packet, now),
            Arrival::Stranger(answer) => {
                if self.server.allows_reply(flow.five_tuple.client, now) {
                    let listener = &mut self.listeners[at];
                    let datagram = listener.datagram(&flow, 0..0);
                    listener.outgoing.push_around(&answer, datagram, 0);
                }
            }
            Arrival::Anew(_) | Arrival::Nothing => {}
        }
    }

    fn arrive(&mut self, at: usize, flow: &Flow, packet: &Packet, now: Now) -> Arrival {
        let bytes = &self.arena.bytes()[packet.range.clone()];
        match &mut self.dtls {
            Some(dtls) => dtls.arrive(flow, at, bytes, now),
            None => Arrival::Nothing,
        }
    }

    /// Handles the records of a datagram, each of which is decrypted where it lies.
    fn handle_records(&mut self, place: usize, packet: Packet, now: Now) {
        let mut start = packet.range.start;
        while let Some(dtls) = &mut self.dtls {
            let rest = &mut self.arena.bytes_mut()[start..packet.range.end];
            let handled = dtls.handle(place, rest, now.instant, &mut self.said);
            let Some((len, heard)) = handled else {
                return;
            };
            self.send_said(place);
            match heard {
                Heard::Nothing => {}
                Heard::Message(range) => {
                    let range = start + range.start..start + range.end;
                    let packet = Packet {
                        range,
                        tos: packet.tos,
                    };
                    self.handle_message_over_dtls(place, packet, now);
                }
                Heard::End(reason) => return self.end_dtls(place, reason, now),
            }
            start += len;
        }
    }

    fn handle_message_over_dtls(&mut self, place: usize, packet: Packet, now: Now) {
        let Some((flow, _)) = self.dtls.as_ref().and_then(|dtls| dtls.get(place)) else {
            return;
        };
        let flow = *flow;
        let bytes = &self.arena.bytes()[packet.range.clone()];
        let handled = self.server.handle_client(flow, bytes, now);
        self.do_routed(flow, handled, packet, Buffer::Arena, now);
        if let Some(dtls) = &mut self.dtls {
            let server = &self.server;
            dtls.note_allocation(place, |five_tuple| server.has_allocation(five_tuple));
        }
    }

    /// Queues what a session has to say itself.
    fn send_said(&mut self, place: usize) {
        if self.said.is_empty() {
            return;
        }
        let session = self.dtls.as_ref().and_then(|dtls| dtls.get(place));
        if let Some((flow, at)) = session {
            let flow = *flow;
            self.queue_said(&flow, at);
        }
        self.said.clear();
    }

    fn queue_said(&mut self, flow: &Flow, at: usize) {
        let listener = &mut self.listeners[at];
        for said in self.said.datagrams() {
            let datagram = listener.datagram(flow, 0..0);
            listener.outgoing.push_around(said, datagram, 0);
        }
        self.said.clear();
        if listener.outgoing.len() >= QUEUED {
            self.flush(Buffer::Arena);
        }
    }

    /// Ends a session, and the allocation of its client.
    fn end_dtls(&mut self, place: usize, reason: &str, now: Now) {
        // What was routed goes out before anything is closed.
        self.flush(Buffer::Arena);
        let removed = self.dtls.as_mut();
        let removed = removed.and_then(|dtls| dtls.remove(place, &mut self.said));
        if let Some((flow, at)) = removed {
            self.queue_said(&flow, at);
            tracing::debug!(reason, transport = %flow.five_tuple.transport, "session ended");
            self.server.handle_disconnected(flow, now);
            self.do_outputs(now);
        }
        self.said.clear();
    }

    /// Ends all sessions: unlike that of a connection, the end of a session has to be told.
    pub(super) fn end_all_dtls(&mut self, now: Now) {
        while let Some(place) = self.dtls.as_ref().and_then(Dtls::any) {
            self.end_dtls(place, "the server stops", now);
        }
        self.flush(Buffer::Arena);
    }

    /// Sends again what has not been answered, and ends the sessions that have taken too long over something.
    pub(super) fn look_at_dtls(&mut self, now: Now) {
        while let Some(dtls) = &mut self.dtls {
            let server = &self.server;
            let due = dtls.next_due(now.instant, &mut self.said, |five_tuple| {
                server.has_allocation(five_tuple)
            });
            match due {
                Some(Due::Send(place)) => self.send_said(place),
                Some(Due::End(place, reason)) => self.end_dtls(place, reason, now),
                None => break,
            }
        }
        self.flush(Buffer::Arena);
    }

    /// Queues data for a client, encrypted.
    pub(super) fn queue_data_over_dtls(
        &mut self,
        place: usize,
        (relay, route): (RelayId, &ToClient),
        body: Body,
        buffer: Buffer<'_>,
    ) {
        let len = body.range.len();
        let data = &super::bytes(&self.arena, buffer)[body.range];
        let mut head = [0; MAX_HEADER];
        let start = route.header.write_before(&mut head, len);
        let padding = [0; MAX_PADDING];
        let padding = &padding[..route.header.padding(len, false)];
        let pieces = [&head[start..], data, padding];
        let is_queued = seal_into(
            (&mut self.dtls, &mut self.listeners),
            (place, &route.flow),
            &pieces,
            body.tos,
        );
        match is_queued {
            Some(at) if self.listeners[at].outgoing.len() >= QUEUED => self.flush(buffer),
            Some(_) => {}
            None => self.server.handle_too_large(relay, len),
        }
    }

    /// Queues a response, encrypted.
    pub(super) fn queue_reply_over_dtls(
        &mut self,
        place: usize,
        flow: &Flow,
        reply: &[u8],
        buffer: Buffer<'_>,
    ) {
        let (dtls, listeners) = (&mut self.dtls, &mut self.listeners);
        let queued = seal_into((dtls, listeners), (place, flow), &[reply], 0);
        if queued.is_some_and(|at| self.listeners[at].outgoing.len() >= QUEUED) {
            self.flush(buffer);
        }
    }

    /// Sends a response at once, encrypted.
    pub(super) fn reply_over_dtls(&mut self, place: usize, flow: &Flow, reply: &[u8]) {
        let Some(dtls) = &mut self.dtls else {
            return;
        };
        self.sealed.clear();
        if let Some((_, at)) = dtls.get(place)
            && dtls.seal(place, &[reply], &mut self.sealed)
        {
            let listener = &self.listeners[at];
            let mut only = Outbox::default();
            only.push(listener.datagram(flow, 0..self.sealed.len()));
            let socket = listener.socket.as_fd();
            self.sender.send(socket, &only, &self.sealed);
        }
    }
}

/// Adds an encrypted message to what its listener is about to send; which one that is. `None` if it does not fit a datagram.
fn seal_into(
    (dtls, listeners): (&mut Option<Dtls>, &mut [UdpListener]),
    (place, flow): (usize, &Flow),
    pieces: &[&[u8]],
    tos: u8,
) -> Option<usize> {
    let dtls = dtls.as_mut()?;
    let (_, at) = dtls.get(place)?;
    let listener = &mut listeners[at];
    let datagram = listener.datagram(flow, 0..0).with_tos(tos);
    let write = |out: &mut Vec<u8>| dtls.seal(place, pieces, out);
    listener
        .outgoing
        .push_written(datagram, write)
        .then_some(at)
}
