//! Clients over TCP and TLS.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use super::LoadError;
use super::connection::Connection;
use super::frames::Batch;
use super::links::Arrival;
use super::stamp::Clock;
use super::tls::Tls;
use super::udp::TOO_MANY_OPEN_FILES;
use crate::wire::stream::{Frame, MAX_FRAME, next_frame};

/// The connections of all clients, in one thread.
pub(super) struct StreamClients {
    server: SocketAddr,
    tls: Option<Tls>,
    poll: Poll,
    events: Events,
    places: Vec<Place>,
    /// What has been read from one connection, behind the beginning of a message that it had left.
    scratch: Box<[u8]>,
    /// Clients whose connection could not be made; they are told when something is received.
    unmade: Vec<(u32, String)>,
}

/// Where a client's connection is, from its first message on.
enum Place {
    Unused,
    Made(Box<Connection>),
    Ended,
}

/// Bytes read at once.
const READ: usize = 64 << 10;

impl StreamClients {
    /// Prepares for `clients` clients; each connects when it has something to say.
    pub(super) fn open(
        server: SocketAddr,
        clients: usize,
        tls: Option<Tls>,
    ) -> Result<Self, LoadError> {
        let poll = Poll::new()
            .map_err(|error| LoadError::new(format!("cannot watch connections: {error}")))?;
        Ok(Self {
            server,
            tls,
            poll,
            events: Events::with_capacity(1024),
            places: std::iter::repeat_with(|| Place::Unused)
                .take(clients)
                .collect(),
            scratch: vec![0; MAX_FRAME + READ].into_boxed_slice(),
            unmade: Vec::new(),
        })
    }

    /// Sends one message of a client, and connects it if need be.
    pub(super) fn send_message(&mut self, client: u32, message: &[u8]) {
        if matches!(self.places[client as usize], Place::Unused) {
            self.places[client as usize] = match self.connect(client) {
                Ok(connection) => Place::Made(Box::new(connection)),
                Err(why) => {
                    self.unmade.push((client, why));
                    Place::Ended
                }
            };
        }
        if let Place::Made(connection) = &mut self.places[client as usize] {
            connection.send(message);
        }
    }

    fn connect(&mut self, client: u32) -> Result<Connection, String> {
        let failed = |error: io::Error| match error.raw_os_error() {
            Some(code) if code == TOO_MANY_OPEN_FILES => {
                "this process may not open as many connections (`ulimit -n` shows the limit)"
                    .to_owned()
            }
            _ => error.to_string(),
        };
        let tls = self.tls.as_ref().map(Tls::connection).transpose();
        let mut stream = mio::net::TcpStream::connect(self.server).map_err(failed)?;
        self.poll
            .registry()
            .register(
                &mut stream,
                Token(client as usize),
                Interest::READABLE | Interest::WRITABLE,
            )
            .map_err(failed)?;
        Ok(Connection::new(
            stream,
            tls.map_err(|error| error.to_string())?,
        ))
    }

    /// Sends a frame of each client listed, those of a train in one write; returns how many were taken.
    ///
    /// A connection that still has something to send takes nothing.
    pub(super) fn send(&mut self, batch: Batch<'_>, clients: &[u32]) -> usize {
        let (mut sent, mut next) = (0, 0);
        for train in clients.chunk_by(|a, b| a == b) {
            let end = next + train.len();
            let bytes = &batch.bytes[batch.range(next).start..batch.range(end - 1).end];
            if let Place::Made(connection) = &mut self.places[train[0] as usize]
                && connection.is_idle()
            {
                connection.send(bytes);
                sent += train.len();
            }
            next = end;
        }
        sent
    }

    /// Hands over what has arrived, with its client and the time; returns how much it was.
    pub(super) fn receive(
        &mut self,
        clock: Clock,
        mut take: impl FnMut(u32, Arrival<'_>, u64),
    ) -> io::Result<usize> {
        let mut total = 0;
        for (client, why) in self.unmade.drain(..) {
            take(client, Arrival::End(&why), clock.now());
            total += 1;
        }
        match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(total),
            polled => polled?,
        }
        for event in &self.events {
            let client = event.token().0;
            let Some(place) = self.places.get_mut(client) else {
                continue;
            };
            let Place::Made(connection) = place else {
                continue;
            };
            let client = client as u32;
            let read = read_all(
                connection,
                &mut self.scratch,
                |message, now| {
                    take(client, Arrival::Message(message), now);
                    total += 1;
                },
                clock,
            );
            if let Err(why) = read.and_then(|()| connection.flush()) {
                take(client, Arrival::End(&why), clock.now());
                total += 1;
                *place = Place::Ended;
            }
        }
        Ok(total)
    }
}

/// Reads a connection until there is nothing left, and hands over each whole message; the error says why it has ended.
fn read_all(
    connection: &mut Connection,
    scratch: &mut [u8],
    mut take: impl FnMut(&[u8], u64),
    clock: Clock,
) -> Result<(), String> {
    loop {
        let kept = connection.rest.len();
        scratch[..kept].copy_from_slice(&connection.rest);
        let Some(read) = connection.read(&mut scratch[kept..kept + READ])? else {
            return Ok(());
        };
        let now = clock.now();
        let mut unread = &scratch[..kept + read];
        loop {
            match next_frame(unread) {
                Frame::Whole(len) => {
                    take(&unread[..len], now);
                    unread = &unread[len..];
                }
                Frame::Partial => break,
                Frame::Garbage => {
                    return Err("it sent something that is neither STUN nor ChannelData".to_owned());
                }
            }
        }
        connection.rest.clear();
        connection.rest.extend_from_slice(unread);
    }
}
