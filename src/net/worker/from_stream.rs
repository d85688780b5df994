//! What clients send over connections, and what is written to them.

use std::io;
use std::time::Instant;

use super::from_client::Packet;
use super::{Buffer, Worker, now};
use crate::net::streams::{Connection, Received};
use crate::net::sys::{Happened, Source};
use crate::turn::{Flow, Now};
use crate::wire::stream::{Frame, MAX_FRAME, next_frame};

/// Bytes read from a connection at a time: what is handled before the others have their turn.
const READ: usize = 16 * 1024;
/// Connections accepted before the sockets have their turn.
const ACCEPTED: usize = 16;

/// Memory that connections are read to: one for all of them, as each is handled before the next is read.
#[derive(Default)]
pub(super) struct Scratch {
    received: ReadBuffer,
    /// What was found in it over TLS.
    messages: Vec<u8>,
    /// What TLS answers.
    records: Vec<u8>,
}

/// Room for one read.
#[derive(Default)]
struct ReadBuffer(Box<[u8]>);

impl ReadBuffer {
    /// Makes it when it is first needed.
    fn get_mut(&mut self) -> &mut [u8] {
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
        let handled = self.write_and_read(place, happened, now);
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
                Progress::Nothing if happened.ended => return Err(closed_by_client()),
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
        self.streams.put_back(place, connection);
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
        let received = &mut buffer[..len];
        if self.streams.allows_plain_on_tls() {
            connection.fall_back(received);
        }
        let (messages, records) = (&mut scratch.messages, &mut scratch.records);
        messages.clear();
        records.clear();
        match connection.decrypt(received, messages, records, now.instant) {
            None => self.handle_messages(connection, received, now)?,
            Some(decrypted) => {
                if !records.is_empty() {
                    self.streams.queue_records(place, records);
                }
                self.handle_messages(connection, messages, now)?;
                if decrypted.map_err(io::Error::other)? {
                    self.end_reading(connection, now);
                    return Ok(Progress::Ended);
                }
            }
        }
        connection.check_stranger(len)?;
        Ok(progress)
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
        let garbage = || io::Error::other("neither STUN nor ChannelData");
        let partial = &mut connection.partial;
        let handled = if partial.is_empty() {
            let handled = self
                .handle_stream(flow, received, now)
                .ok_or_else(garbage)?;
            if handled < received.len() {
                self.streams.lend(partial);
                partial.extend_from_slice(&received[handled..]);
            }
            handled
        } else {
            partial.extend_from_slice(received);
            let handled = self.handle_stream(flow, partial, now).ok_or_else(garbage)?;
            partial.drain(..handled);
            if partial.is_empty() {
                self.streams.take_back(partial);
            }
            handled
        };
        debug_assert!(partial.len() < MAX_FRAME);
        connection.handled(handled, now.instant);
        if !connection.has_allocated {
            connection.has_allocated = self.server.has_allocation(&flow.five_tuple);
        }
        Ok(())
    }

    /// Handles whole messages at the start of what a connection sent, and returns how much of it they were.
    ///
    /// `None` means that what follows cannot be understood. The bytes lie in `buffer`.
    fn handle_stream(&mut self, flow: Flow, buffer: &[u8], now: Now) -> Option<usize> {
        let mut consumed = 0;
        let understood = loop {
            let rest = &buffer[consumed..];
            let length = match next_frame(rest) {
                Frame::Whole(length) => length,
                Frame::Partial => break true,
                Frame::Garbage => break false,
            };
            let handled = self.server.handle_client(flow, &rest[..length], now);
            let packet = Packet {
                range: consumed..consumed + length,
                tos: 0,
            };
            self.do_routed(flow, handled, packet, Buffer::Other(buffer), now);
            consumed += length;
        };
        self.flush(Buffer::Other(buffer));
        understood.then_some(consumed)
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
        if let Err(error) = self.streams.write(place, now.instant) {
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
