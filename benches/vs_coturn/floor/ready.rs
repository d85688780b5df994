//! Which sockets can be read.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::Descriptor;

/// A socket that is watched.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// The socket of all clients over UDP.
    Clients,
    /// The socket that takes connections.
    NewStreams,
    /// A client's connection.
    Stream(usize),
    /// The relay socket of a client.
    Peers(usize),
}

/// An epoll set; a socket leaves it when it is closed.
pub(super) struct Ready {
    set: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// Sockets told of at once.
const EVENTS: usize = 256;

impl Ready {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: it takes a number and gives a descriptor that nobody else has.
        let set = unsafe {
            match libc::epoll_create1(libc::EPOLL_CLOEXEC) {
                -1 => return Err(io::Error::last_os_error()),
                fd => OwnedFd::from_raw_fd(fd),
            }
        };
        Ok(Self {
            set,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS],
        })
    }

    /// Watches a socket.
    pub(super) fn add(&self, fd: Descriptor, source: Source) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: source.number(),
        };
        // SAFETY: the kernel reads the event and keeps no pointer.
        match unsafe { libc::epoll_ctl(self.set.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) }
        {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Waits until something can be read.
    pub(super) fn wait(&mut self, found: &mut Vec<Source>) -> io::Result<()> {
        found.clear();
        // SAFETY: the kernel writes no more events than there is room for.
        let count = unsafe {
            libc::epoll_wait(
                self.set.as_raw_fd(),
                self.events.as_mut_ptr(),
                EVENTS as i32,
                -1,
            )
        };
        match usize::try_from(count) {
            Ok(count) => {
                let events = &self.events[..count];
                found.extend(events.iter().map(|event| Source::of(event.u64)));
                Ok(())
            }
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
                error => Err(error),
            },
        }
    }
}

impl Source {
    fn number(self) -> u64 {
        match self {
            Self::Clients => 0,
            Self::NewStreams => 1,
            Self::Stream(key) => 2 + 2 * key as u64,
            Self::Peers(key) => 3 + 2 * key as u64,
        }
    }

    fn of(number: u64) -> Self {
        match number {
            0 => Self::Clients,
            1 => Self::NewStreams,
            even if even % 2 == 0 => Self::Stream((even as usize - 2) / 2),
            odd => Self::Peers((odd as usize - 3) / 2),
        }
    }
}
