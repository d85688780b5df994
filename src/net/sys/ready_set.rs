//! Waiting for many sockets at once.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

/// The bits of a token that tell the kind of its source; the rest is a number.
const KIND_SHIFT: u32 = usize::BITS - 3;
const NUMBER: usize = (1 << KIND_SHIFT) - 1;
/// What a [`Bell`] is called.
const BELL: usize = usize::MAX;

/// A set of sockets that are waited for together.
pub(crate) struct ReadySet(Poll);

/// Adds sockets to a set. Closing a socket removes it.
pub(crate) struct Members(Registry);

/// Ends the wait for a set, from any thread.
pub(crate) struct Bell(Waker);

/// What something happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A UDP listener.
    Listener(usize),
    /// A listener of connections.
    Acceptor(usize),
    /// A relay socket.
    Relay(u32),
    /// A client's connection.
    Connection(usize),
    /// A relay that peers connect to.
    PeerAcceptor(u32),
    /// A connection with a peer.
    PeerStream(usize),
    /// The bell was rung.
    Bell,
}

/// What happened, and to what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happened {
    /// To what.
    pub(crate) source: Source,
    /// There may be something to read.
    pub(crate) readable: bool,
    /// It may take more to write.
    pub(crate) writable: bool,
    /// Nothing more will arrive: it is to be read until it says so.
    pub(crate) ended: bool,
    /// There may be errors to read about what was sent.
    pub(crate) failed: bool,
}

impl Happened {
    /// The same without room to write.
    pub(crate) fn only_readable(self) -> Self {
        Self {
            writable: false,
            ..self
        }
    }
}

impl Source {
    fn token(self) -> Token {
        let of_kind = |kind: usize, number: usize| Token(kind << KIND_SHIFT | number & NUMBER);
        match self {
            Self::Listener(n) => of_kind(0, n),
            Self::Acceptor(n) => of_kind(1, n),
            Self::Relay(n) => of_kind(2, n as usize),
            Self::Connection(n) => of_kind(3, n),
            Self::PeerAcceptor(n) => of_kind(4, n as usize),
            Self::PeerStream(n) => of_kind(5, n),
            Self::Bell => Token(BELL),
        }
    }

    fn of(token: Token) -> Self {
        let number = token.0 & NUMBER;
        match token.0 >> KIND_SHIFT {
            0 => Self::Listener(number),
            1 => Self::Acceptor(number),
            2 => Self::Relay(number as u32),
            3 => Self::Connection(number),
            4 => Self::PeerAcceptor(number as u32),
            5 => Self::PeerStream(number),
            _ => Self::Bell,
        }
    }
}

impl ReadySet {
    /// Makes an empty set.
    pub(crate) fn new() -> io::Result<Self> {
        Poll::new().map(Self)
    }

    /// What adds sockets to it.
    pub(crate) fn members(&self) -> io::Result<Members> {
        self.0.registry().try_clone().map(Members)
    }

    /// The bell of this set: there is one.
    pub(crate) fn bell(&self) -> io::Result<Bell> {
        Waker::new(self.0.registry(), Source::Bell.token()).map(Bell)
    }

    /// Waits until something happens or `timeout` has passed, and finds what has happened since it was last told.
    pub(crate) fn wait(&mut self, found: &mut Found, timeout: Duration) -> io::Result<()> {
        self.0.poll(&mut found.events, Some(timeout))
    }
}

impl Members {
    /// Adds a socket, to be told of when something has arrived since it was last told: whoever is told reads until there is
    /// nothing left.
    pub(crate) fn add(&self, socket: BorrowedFd<'_>, source: Source) -> io::Result<()> {
        self.register(&socket, source, Interest::READABLE)
    }

    /// Adds a connection, to be told of also when it takes more to write after it had refused, and when its other side has
    /// ended.
    pub(crate) fn add_connection(&self, socket: &impl AsRawFd, source: Source) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.register(socket, source, interest)
    }

    /// Takes a socket out of the set that goes to another one.
    pub(crate) fn remove(&self, socket: &impl AsRawFd) -> io::Result<()> {
        self.0.deregister(&mut SourceFd(&socket.as_raw_fd()))
    }

    fn register(
        &self,
        socket: &impl AsRawFd,
        source: Source,
        interest: Interest,
    ) -> io::Result<()> {
        let mut descriptor = SourceFd(&socket.as_raw_fd());
        self.0.register(&mut descriptor, source.token(), interest)
    }
}

impl Bell {
    /// Rings it.
    pub(crate) fn ring(&self) -> io::Result<()> {
        self.0.wake()
    }
}

/// What [`ReadySet::wait`] found.
pub(crate) struct Found {
    events: Events,
    max: usize,
}

impl Found {
    /// Makes room for `max` a call.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            events: Events::with_capacity(max),
            max,
        }
    }

    /// All of it.
    pub(crate) fn all(&self) -> impl Iterator<Item = Happened> {
        self.events.iter().map(|event| Happened {
            source: Source::of(event.token()),
            readable: event.is_readable(),
            writable: event.is_writable(),
            ended: event.is_read_closed() || event.is_error(),
            failed: event.is_error(),
        })
    }

    /// Whether there was no room for more.
    pub(crate) fn is_full(&self) -> bool {
        self.events.iter().count() == self.max
    }

    /// Forgets it.
    pub(crate) fn clear(&mut self) {
        self.events.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    fn found(set: &mut ReadySet) -> Vec<Source> {
        let mut found = Found::new(4);
        set.wait(&mut found, Duration::ZERO).unwrap();
        found.all().map(|happened| happened.source).collect()
    }

    #[test]
    fn a_socket_is_reported_once_for_what_arrived() {
        let mut set = ReadySet::new().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let relay = Source::Relay(42);
        set.members().unwrap().add(socket.as_fd(), relay).unwrap();
        assert_eq!(found(&mut set), []);
        for _ in 0..2 {
            socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            assert_eq!(found(&mut set), [relay]);
            assert_eq!(found(&mut set), []);
        }
        drop(socket);
        assert_eq!(found(&mut set), []);
    }

    #[test]
    fn a_bell_is_heard_each_time_it_is_rung() {
        let mut set = ReadySet::new().unwrap();
        let bell = set.bell().unwrap();
        for _ in 0..2 {
            std::thread::scope(|threads| {
                threads.spawn(|| bell.ring().unwrap());
            });
            assert_eq!(found(&mut set), [Source::Bell]);
            assert_eq!(found(&mut set), []);
        }
    }

    #[test]
    fn sources_keep_their_kind_and_number() {
        for source in [
            Source::Listener(3),
            Source::Acceptor(0),
            Source::Relay(u32::MAX >> 3),
            Source::Connection(12_345_678),
            Source::PeerAcceptor(7),
            Source::PeerStream(8),
            Source::Bell,
        ] {
            assert_eq!(Source::of(source.token()), source);
        }
    }
}
