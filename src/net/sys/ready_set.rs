//! One descriptor that stands for many sockets.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

/// What [`Found`] calls a [`Bell`].
const BELL: usize = usize::MAX;

/// A set of sockets that can be waited for as one.
pub(crate) struct ReadySet(Poll);

/// Adds sockets to a set.
pub(crate) struct Members(Registry);

/// Has a set reported as readable, from any thread.
pub(crate) struct Bell(Waker);

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
        Waker::new(self.0.registry(), Token(BELL)).map(Bell)
    }

    /// A descriptor that can be read while anything in the set can.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        // SAFETY: the descriptor is open as long as `self` is, which the borrow does not outlive.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }.try_clone_to_owned()
    }

    /// Finds what can be read, without waiting.
    pub(crate) fn ready(&mut self, found: &mut Found) -> io::Result<()> {
        self.0.poll(&mut found.events, Some(Duration::ZERO))
    }
}

impl Members {
    /// Adds a socket, to be reported as `key` when something has arrived since it was last reported: whoever is told reads
    /// until there is nothing left. Closing the socket removes it.
    pub(crate) fn add(&self, socket: BorrowedFd<'_>, key: u32) -> io::Result<()> {
        let mut source = SourceFd(&socket.as_raw_fd());
        self.0
            .register(&mut source, Token(key as usize), Interest::READABLE)
    }

    /// Adds a connection, to be reported as `key` when more has arrived, when it takes more to write after it had refused,
    /// and when its other side has ended. Closing it removes it.
    pub(crate) fn add_connection(&self, socket: &impl AsRawFd, key: u32) -> io::Result<()> {
        let mut source = SourceFd(&socket.as_raw_fd());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.0.register(&mut source, Token(key as usize), interest)
    }
}

impl Bell {
    /// Rings it.
    pub(crate) fn ring(&self) -> io::Result<()> {
        self.0.wake()
    }
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happened {
    /// What it was added as.
    pub(crate) key: u32,
    /// There may be something to read.
    pub(crate) readable: bool,
    /// It may take more to write.
    pub(crate) writable: bool,
    /// Nothing more will arrive: it is to be read until it says so.
    pub(crate) ended: bool,
}

/// What [`ReadySet::ready`] found.
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

    /// The keys of the sockets that can be read.
    pub(crate) fn keys(&self) -> impl Iterator<Item = u32> {
        self.events
            .iter()
            .map(|event| event.token().0)
            .filter(|token| *token != BELL)
            .map(|token| token as u32)
    }

    /// The connections that something happened to.
    pub(crate) fn connections(&self) -> impl Iterator<Item = Happened> {
        self.events.iter().map(|event| Happened {
            key: event.token().0 as u32,
            readable: event.is_readable(),
            writable: event.is_writable(),
            ended: event.is_read_closed() || event.is_error(),
        })
    }

    /// Whether the bell was rung.
    pub(crate) fn rung(&self) -> bool {
        self.events.iter().any(|event| event.token().0 == BELL)
    }

    /// Whether there was no room for more.
    pub(crate) fn is_full(&self) -> bool {
        self.events.iter().count() == self.max
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    fn found(set: &mut ReadySet) -> (Vec<u32>, bool) {
        let mut found = Found::new(4);
        set.ready(&mut found).unwrap();
        (found.keys().collect(), found.rung())
    }

    #[test]
    fn a_socket_is_reported_once_for_what_arrived() {
        let mut set = ReadySet::new().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        set.members().unwrap().add(socket.as_fd(), 42).unwrap();
        assert_eq!(found(&mut set), (vec![], false));
        for _ in 0..2 {
            socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            assert_eq!(found(&mut set), (vec![42], false));
            assert_eq!(found(&mut set), (vec![], false));
        }
        drop(socket);
        assert_eq!(found(&mut set), (vec![], false));
    }

    #[test]
    fn a_bell_is_heard_each_time_it_is_rung() {
        let mut set = ReadySet::new().unwrap();
        let bell = set.bell().unwrap();
        for _ in 0..2 {
            std::thread::scope(|threads| {
                threads.spawn(|| bell.ring().unwrap());
            });
            assert_eq!(found(&mut set), (vec![], true));
            assert_eq!(found(&mut set), (vec![], false));
        }
    }
}
