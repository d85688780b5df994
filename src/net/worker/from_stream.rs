//! What clients send over connections, and what is written to them.

use std::io;
use std::time::Instant;

use super::from_client::Packet;
use super::{Buffer, Link, Worker, link_of, now};
use crate::net::mailbox::Letter;
use crate::net::streams::{Connection, Moved, Opened, Received};
use crate::net::sys::{Happened, Source};
use crate::turn::{Flow, FromClient, Now};
use crate::wire::stream::{Frame, MAX_FRAME, next_frame};

/// Bytes read from a connection at a time: what is handled before the others have their turn.
const READ: usize = 16 * 1024;
/// Connections accepted before the sockets have their turn.
const ACCEPTED: usize = 16;

/// Memory that connections are read to: one for all of them, as each is handled before the next is read.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) received: ReadBuffer,
    /// What was found in it over TLS.
    pub(super) messages: Vec<u8>,
    /// What TLS answers.
    pub(super) records: Vec<u8>,
}

/// Room for one read.
#[derive(Default)]
pub(super) struct ReadBuffer(Box<[u8]>);

impl ReadBuffer {
    /// Makes it when it is first needed.
    pub(super) fn get_mut(&mut self) -> &mut [u8] {
        if self.0.is_empty() {
            self.0 = vec![0; READ].into_boxed_slice();
        }
        &mut self.0
    }
}

/// What came of reading a connection once.
enum Progress {
    /// There was nothing.
    Nothing,
    /// All there was.
    Emptied,
    /// As much as there was room for: there may be more.
    Filled,
    /// The client says no more.
    Ended,
}

impl Worker {
    /// Accepts connections at a listener, up to a bound; whether there may be more. An error means that the system refuses.
    pub(super) fn accept(&mut self, at: usize, now: Instant) -> io::Result<bool> {
        for _ in 0..ACCEPTED {
            if !self.streams.accept(at, now)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Handles what has happened to connections; what they may still hold is handled in the next turn.
    pub(super) fn drain_connections(&mut self) {
        let now = now();
        std::mem::swap(&mut self.happened, &mut self.pending.connections);
        for next in 0..self.happened.len() {
            let happened = self.happened[next];
            if let Source::Connection(place) = happened.source {
                self.handle_connection(place, happened, now);
            }
        }
        self.happened.clear();
    }

    fn handle_connection(&mut self, place: usize, happened: Happened, now: Now) {
        let handled = match self.streams.peer_of(place) {
            Some(peer) => self.handle_bound(place, peer, happened, now),
            None => self.write_and_read(place, happened, now),
        };
        if let Err(error) = handled {
            self.close_stream(place, &error.to_string(), now);
        }
    }

    /// An error means that the connection is to be closed.
    fn write_and_read(&mut self, place: usize, happened: Happened, now: Now) -> io::Result<()> {
        if happened.writable {
            self.streams.handle_writable(place, now.instant)?;
        }
        if happened.readable || happened.ended {
            match self.read_stream(place, now)? {
                Progress::Emptied if !happened.ended => {}
                // What was told may be about the connection that had this place before: reading alone says what has ended.
                Progress::Ended | Progress::Nothing => {}
                // What has ended is read until it says so.
                Progress::Emptied | Progress::Filled => self.pending.connections.push(Happened {
                    writable: false,
                    ..happened
                }),
            }
        }
        Ok(())
    }

    /// Reads from a connection once.
    fn read_stream(&mut self, place: usize, now: Now) -> io::Result<Progress> {
        let Some(mut connection) = self.streams.take(place) else {
            return Ok(Progress::Nothing);
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        let read = self.read_connection(place, &mut connection, &mut scratch, now);
        self.scratch = scratch;
        let goes_to = connection.goes_to;
        self.streams.put_back(place, connection);
        if let (Ok(_), Some(worker)) = (&read, goes_to) {
            self.send_away(place, worker)?;
            return Ok(Progress::Nothing);
        }
        if matches!(read, Ok(Progress::Ended)) && !self.streams.has_waiting(place) {
            return Err(closed_by_client());
        }
        read
    }

    fn read_connection(
        &mut self,
        place: usize,
        connection: &mut Connection,
        scratch: &mut Scratch,
        now: Now,
    ) -> io::Result<Progress> {
        if connection.is_closing() {
            return Ok(Progress::Nothing);
        }
        let buffer = scratch.received.get_mut();
        let len = match connection.receive(buffer)? {
            Received::Nothing => return Ok(Progress::Nothing),
            Received::End => {
                self.end_reading(connection, now);
                return Ok(Progress::Ended);
            }
            Received::Bytes(len) => len,
        };
        let progress = if len == buffer.len() {
            Progress::Filled
        } else {
            Progress::Emptied
        };
        let mut opened: Vec<u8>;
        let received = if connection.is_opening() {
            match self.streams.open(connection, &buffer[..len], now.instant)? {
                Opened::Waiting => return Ok(progress),
                Opened::Http(said) => {
                    self.begin_http(place, connection, &said)?;
                    return Ok(progress);
                }
                Opened::Turn(said) if said.is_empty() => return Ok(progress),
                Opened::Turn(said) => {
                    opened = said;
                    &mut opened[..]
                }
            }
        } else {
            &mut buffer[..len]
        };
        let len = received.len();
        if self.streams.allows_plain_on_tls() {
            connection.fall_back(received);
        }
        let (messages, records) = (&mut scratch.messages, &mut scratch.records);
        messages.clear();
        records.clear();
        let was_handshaking = connection.is_handshaking();
        let decrypted = connection.decrypt(received, messages, records, now.instant);
        if was_handshaking {
            connection.choose_realm(|name| self.server.realm_of_server_name(name));
            if decrypted.is_some() && !connection.is_handshaking() {
                self.streams.note_handshake();
            }
        }
        match decrypted {
            None => self.handle_messages(connection, received, now)?,
            Some(decrypted) => {
                if !records.is_empty() {
                    self.streams.queue_records(place, records);
                }
                self.handle_decrypted(place, connection, messages, now)?;
                let has_ended = decrypted.map_err(io::Error::other)?;
                if has_ended && let Some(peer) = self.streams.peer_of(place) {
                    self.end_client(peer)?;
                    return Ok(progress);
                }
                if has_ended {
                    self.end_reading(connection, now);
                    return Ok(Progress::Ended);
                }
            }
        }
        if self.streams.peer_of(place).is_none() {
            connection.check_stranger(len)?;
        }
        Ok(progress)
    }

    /// Handles what a client said within TLS, once it is known what it speaks.
    fn handle_decrypted(
        &mut self,
        place: usize,
        connection: &mut Connection,
        said: &[u8],
        now: Now,
    ) -> io::Result<()> {
        if !connection.is_opening_inside() {
            return self.handle_messages(connection, said, now);
        }
        match self.streams.open_inside(connection, said)? {
            Opened::Waiting => Ok(()),
            Opened::Turn(said) => self.handle_messages(connection, &said, now),
            Opened::Http(said) => self.begin_http(place, connection, &said),
        }
    }

    /// Handles what a client said, and keeps the beginning of a message.
    fn handle_messages(
        &mut self,
        connection: &mut Connection,
        received: &[u8],
        now: Now,
    ) -> io::Result<()> {
        if received.is_empty() {
            return Ok(());
        }
        connection.check_first_byte(received)?;
        let flow = connection.flow;
        let partial = &mut connection.partial;
        let handled = if partial.is_empty() {
            let (handled, goes_to) = self.handle_stream(flow, received, now)?;
            connection.goes_to = goes_to;
            if handled < received.len() {
                self.streams.lend(partial);
                partial.extend_from_slice(&received[handled..]);
            }
            handled
        } else {
            partial.extend_from_slice(received);
            let (handled, goes_to) = self.handle_stream(flow, partial, now)?;
            connection.goes_to = goes_to;
            partial.drain(..handled);
            if partial.is_empty() {
                self.streams.take_back(partial);
            }
            handled
        };
        if let Link::Stream(place) = link_of(flow.link)
            && let Some(peer) = self.streams.peer_of(place)
        {
            self.pass_rest_to_peer(peer, partial);
            self.streams.take_back(partial);
        }
        debug_assert!(partial.len() < MAX_FRAME);
        connection.handled(handled, now.instant);
        if !connection.has_allocated {
            connection.has_allocated = self.server.has_allocation(&flow.five_tuple);
        }
        Ok(())
    }

    /// Handles whole messages at the start of what a connection sent, and returns how much of it they were.
    ///
    /// It stops before a message that another worker is for, which is named then, and behind one that has bound the connection
    /// to a peer's. An error means that what follows cannot be understood. The bytes lie in `buffer`.
    fn handle_stream(
        &mut self,
        flow: Flow,
        buffer: &[u8],
        now: Now,
    ) -> io::Result<(usize, Option<usize>)> {
        let mut consumed = 0;
        let done = loop {
            let rest = &buffer[consumed..];
            let length = match next_frame(rest) {
                Frame::Whole(length) => length,
                Frame::Partial => break Ok(None),
                Frame::Garbage => break Err(io::Error::other("neither STUN nor ChannelData")),
            };
            let handled = self.server.handle_client(flow, &rest[..length], now);
            if let FromClient::Elsewhere { worker } = handled {
                break Ok(Some(worker));
            }
            let is_control = handled == FromClient::Control;
            let packet = Packet {
                range: consumed..consumed + length,
                tos: 0,
            };
            self.do_routed(flow, handled, packet, Buffer::Other(buffer), now);
            consumed += length;
            if is_control && self.is_bound(flow) {
                break Ok(None);
            }
        };
        self.flush(Buffer::Other(buffer));
        done.map(|goes_to| (consumed, goes_to))
    }

    fn is_bound(&self, flow: Flow) -> bool {
        match link_of(flow.link) {
            Link::Stream(place) => self.streams.peer_of(place).is_some(),
            Link::Udp(_) | Link::Dtls(_) => false,
        }
    }

    /// Hands a connection over to the worker that it asks for something of.
    fn send_away(&mut self, place: usize, worker: usize) -> io::Result<()> {
        let moved = self.streams.send_away(place)?;
        self.mailboxes[worker].send(Letter::Connection(moved));
        Ok(())
    }

    /// Takes over a connection from another worker, and handles what its client has said there.
    pub(super) fn take_in(&mut self, moved: Moved) {
        let now = now();
        let place = match self.streams.take_in(moved, now.instant) {
            Ok(place) => place,
            Err(error) => {
                tracing::debug!(%error, "connection lost between workers");
                return;
            }
        };
        let Some(mut connection) = self.streams.take(place) else {
            return;
        };
        let mut said = std::mem::take(&mut connection.partial);
        let handled = self.handle_messages(&mut connection, &said, now);
        self.streams.take_back(&mut said);
        let goes_to = connection.goes_to;
        self.streams.put_back(place, connection);
        let handled = handled.and_then(|()| match goes_to {
            Some(worker) => self.send_away(place, worker),
            None => Ok(()),
        });
        if let Err(error) = handled {
            self.close_stream(place, &error.to_string(), now);
        }
    }

    /// Ends the allocation of a client that says no more; what waits for it is still written.
    fn end_reading(&mut self, connection: &mut Connection, now: Now) {
        connection.begin_closing(now.instant);
        self.handle_disconnected(connection.flow, now);
    }

    /// Writes what waits to be written to connections.
    pub(super) fn write_streams(&mut self) {
        if !self.streams.has_dirty() {
            return;
        }
        let now = now();
        while let Some(place) = self.streams.next_dirty() {
            self.write_stream(place, now);
        }
    }

    pub(super) fn write_stream(&mut self, place: usize, now: Now) {
        let mut written = self.streams.write(place, now.instant);
        if let (Ok(()), Some(peer)) = (&written, self.streams.peer_of(place)) {
            self.wake_peer(peer, place);
            written = self.check_whether_over(peer, place);
        }
        if let Err(error) = written {
            self.close_stream(place, &error.to_string(), now);
        }
    }

    /// Closes the connections that have taken too long over something.
    pub(super) fn close_overdue_streams(&mut self, now: Now) {
        loop {
            let server = &self.server;
            let overdue = self
                .streams
                .next_overdue(now.instant, |five_tuple| server.has_allocation(five_tuple));
            let Some((place, reason)) = overdue else {
                return;
            };
            self.close_stream(place, reason, now);
        }
    }

    fn close_stream(&mut self, place: usize, reason: &str, now: Now) {
        // An alert or a last response, if the socket takes it.
        let _ = self.streams.write(place, now.instant);
        self.close_other_half(place);
        if let Some(flow) = self.streams.remove(place) {
            tracing::debug!(reason, transport = %flow.five_tuple.transport, "connection ended");
            self.handle_disconnected(flow, now);
        }
    }

    /// Ends the allocation of a connection that closed.
    fn handle_disconnected(&mut self, flow: Flow, now: Now) {
        self.server.handle_disconnected(flow, now);
        self.do_outputs(now);
    }
}

fn closed_by_client() -> io::Error {
    io::Error::other("closed by the client")
}
