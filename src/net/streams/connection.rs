//! One connection of a client: how far it has been read, and how long it may stay.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::StreamSettings;
use super::opening::{Awaited, Opening};
use super::server_name;
use super::tls_session::TlsSession;
use crate::net::connections::Place;
use crate::turn::{FiveTuple, Flow, RealmId, Transport};
use crate::wire::{Kind, classify};

/// How long what waits may take to be written once the client has closed its side.
const LINGER: Duration = Duration::from_secs(5);
/// What a connection may send in all before it has an allocation, and in one message.
const MAX_BEFORE_ALLOCATION: usize = 64 * 1024;
const MAX_MESSAGE_BEFORE_ALLOCATION: usize = 4096;

/// One connection of a client.
pub(in crate::net) struct Connection {
    pub(super) socket: TcpStream,
    /// Elsewhere, as it is ten times larger than all else together.
    pub(super) tls: Option<Box<TlsSession>>,
    pub(in crate::net) flow: Flow,
    /// What is to be found out by its first bytes, if anything is.
    pub(super) opening: Option<Box<Opening>>,
    /// The beginning of a message.
    pub(in crate::net) partial: Vec<u8>,
    /// Whether there ever was an allocation.
    pub(in crate::net) has_allocated: bool,
    /// Bytes received before there was one.
    before_allocation: usize,
    /// When the connection was made, or when the last message was whole.
    last_message: Instant,
    /// Until when what waits may be written, once nothing more will be read.
    closing: Option<Instant>,
    /// The worker that it goes to, as soon as it has been read.
    pub(in crate::net) goes_to: Option<usize>,
    /// Its share of the limits, given back when it closes.
    pub(super) place: Place,
}

/// What a read brought.
pub(in crate::net) enum Received {
    /// The end of the stream.
    End,
    /// Nothing.
    Nothing,
    /// So many bytes.
    Bytes(usize),
}

impl Received {
    /// Reads a socket once.
    pub(in crate::net) fn read_from(socket: &mut impl Read, buffer: &mut [u8]) -> io::Result<Self> {
        loop {
            return match socket.read(buffer) {
                Ok(0) => Ok(Self::End),
                Ok(len) => Ok(Self::Bytes(len)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => Ok(Self::Nothing),
                    io::ErrorKind::Interrupted => continue,
                    _ => Err(error),
                },
            };
        }
    }
}

impl Connection {
    pub(super) fn new(
        socket: TcpStream,
        tls: Option<Box<TlsSession>>,
        flow: Flow,
        place: Place,
        now: Instant,
    ) -> Self {
        Self {
            socket,
            tls,
            flow,
            opening: None,
            partial: Vec::new(),
            has_allocated: false,
            before_allocation: 0,
            last_message: now,
            closing: None,
            goes_to: None,
            place,
        }
    }

    /// Whether what is received next says whose it is, or what it speaks.
    pub(in crate::net) fn is_opening(&self) -> bool {
        let opening = self.opening.as_ref();
        opening.is_some_and(|opening| opening.awaited() != Awaited::Inside)
    }

    /// Whether what is decrypted next says what it speaks.
    pub(in crate::net) fn is_opening_inside(&self) -> bool {
        let opening = self.opening.as_ref();
        opening.is_some_and(|opening| opening.awaited() == Awaited::Inside)
    }

    /// Reads once.
    pub(in crate::net) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        Received::read_from(&mut &self.socket, buffer)
    }

    /// Serves a client in the clear that begins with STUN although it is expected to speak TLS: libnice does for `turns:`, and
    /// so what is built on it. Nobody is talked out of TLS by this, as the first byte is the client's.
    pub(in crate::net) fn fall_back(&mut self, received: &[u8]) {
        if self.tls.is_some()
            && self.before_allocation == 0
            && classify(received) == Some(Kind::Stun)
        {
            self.tls = None;
            self.flow.five_tuple.transport = Transport::Tcp;
        }
    }

    /// Decrypts what was received over TLS: adds the messages in it to `messages`, and to `records` what TLS itself has to
    /// say, even where it ends the connection with an error. Whether the client has ended its side.
    ///
    /// `None` where the connection is in the clear.
    pub(in crate::net) fn decrypt(
        &mut self,
        received: &mut [u8],
        messages: &mut Vec<u8>,
        records: &mut Vec<u8>,
        now: Instant,
    ) -> Option<Result<bool, rustls::Error>> {
        let tls = self.tls.as_mut()?;
        let was_handshaking = tls.is_handshaking();
        let read = tls.read(received, messages, records);
        if was_handshaking && !tls.is_handshaking() {
            self.last_message = now;
        }
        Some(read)
    }

    /// Whether TLS has begun and is not yet agreed on.
    pub(in crate::net) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Chooses the realm of a client that has just named a server in its ClientHello.
    pub(in crate::net) fn choose_realm(&mut self, of_server_name: impl FnOnce(&str) -> RealmId) {
        if let Some(name) = server_name::take() {
            self.flow.realm = of_server_name(&name);
        }
    }

    /// Bounds what a client can cost that has not shown any credentials: each request is checked against every secret.
    pub(in crate::net) fn check_stranger(&mut self, received: usize) -> io::Result<()> {
        if self.has_allocated {
            return Ok(());
        }
        self.before_allocation = self.before_allocation.saturating_add(received);
        if self.before_allocation > MAX_BEFORE_ALLOCATION {
            return Err(io::Error::other("too much without an allocation"));
        }
        if self.partial.len() > MAX_MESSAGE_BEFORE_ALLOCATION {
            return Err(io::Error::other("too long a message without an allocation"));
        }
        Ok(())
    }

    /// Gives up a connection that begins with ChannelData: HTTP does, as `G` and `P` are such bytes.
    pub(in crate::net) fn check_first_byte(&self, received: &[u8]) -> io::Result<()> {
        if !self.has_allocated
            && self.partial.is_empty()
            && classify(received) == Some(Kind::ChannelData)
        {
            return Err(io::Error::other("does not begin with STUN"));
        }
        Ok(())
    }

    /// Remembers that whole messages were received.
    pub(in crate::net) fn handled(&mut self, bytes: usize, now: Instant) {
        if bytes > 0 {
            self.last_message = now;
        }
    }

    /// Remembers that nothing more will be read.
    pub(in crate::net) fn begin_closing(&mut self, now: Instant) {
        self.closing = Some(now + LINGER);
    }

    pub(in crate::net) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Begins to count anew what a client may take its time for.
    pub(super) fn begin_waiting(&mut self, now: Instant) {
        self.last_message = now;
    }

    /// Whether a client that is to hear no more has not gone in time.
    pub(super) fn lingers(&self, now: Instant) -> Option<&'static str> {
        let late = self.closing.is_some_and(|until| now >= until);
        late.then_some("closed, but not by the client")
    }

    /// What the client has not done in time. It may be silent while it has an allocation, and for a while besides.
    pub(super) fn overdue(
        &mut self,
        settings: &StreamSettings,
        now: Instant,
        has_allocation: impl Fn(&FiveTuple) -> bool,
    ) -> Option<&'static str> {
        if let Some(until) = self.closing {
            return (now >= until).then_some("closed by the client, which does not read");
        }
        let is_handshaking = self.is_handshaking();
        let unfinished = match &self.opening {
            Some(opening) if opening.awaited() == Awaited::ProxyHeader => {
                Some("no PROXY header in time")
            }
            _ if is_handshaking => Some("TLS handshake timed out"),
            Some(_) => Some("said nothing in time"),
            None => None,
        };
        if unfinished.is_some() {
            let late = now >= self.last_message + settings.handshake_timeout;
            return unfinished.filter(|_| late);
        }
        if now < self.last_message + settings.idle_timeout {
            return None;
        }
        if has_allocation(&self.flow.five_tuple) {
            self.last_message = now;
            return None;
        }
        Some("no allocation, and silent for too long")
    }

    /// Says that no more will be written, once everything has been.
    pub(super) fn end_writing(&mut self) -> io::Result<()> {
        self.say_goodbye();
        self.socket.shutdown(Shutdown::Write)
    }

    /// Ends the TLS session as it should be, if the socket takes that much.
    pub(super) fn say_goodbye(&mut self) {
        let mut records = Vec::new();
        if let Some(tls) = &mut self.tls
            && tls.close(&mut records).is_ok()
        {
            // The connection is closed all the same.
            let _ = (&self.socket).write(&records);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::net::connections::Connections;
    use crate::turn::{ClientAddr, LinkId, RealmId};

    /// A connection over a socket that has been accepted.
    pub(in crate::net::streams) fn connection_of(socket: std::net::TcpStream) -> Connection {
        socket.set_nonblocking(true).unwrap();
        let client = socket.peer_addr().unwrap();
        let flow = Flow {
            five_tuple: FiveTuple {
                transport: Transport::Tcp,
                client: ClientAddr(client),
                server: socket.local_addr().unwrap(),
            },
            link: LinkId(0),
            realm: RealmId::DEFAULT,
        };
        let place = Connections::new(1, 1).admit(client.ip()).unwrap();
        Connection::new(
            TcpStream::from_std(socket),
            None,
            flow,
            place,
            Instant::now(),
        )
    }
}
