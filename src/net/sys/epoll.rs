//! One descriptor that stands for all relay sockets of a worker.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A set of sockets that can be waited for as one.
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    /// Makes an empty set.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is open and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Adds a socket, to be reported as `key` when something has arrived since it was last reported: whoever is told reads
    /// until there is nothing left. Closing the socket removes it.
    pub(crate) fn add(&self, socket: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            // Edge-triggered, as the kernel need not look again at what was reported.
            events: (libc::EPOLLIN | libc::EPOLLET) as u32,
            u64: key,
        };
        // SAFETY: both descriptors are open, and the event lives during the call.
        let result = unsafe {
            libc::epoll_ctl(
                self.0.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                socket.as_raw_fd(),
                &raw mut event,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Finds sockets that can be read, without waiting.
    pub(crate) fn ready(&self, events: &mut Events) -> io::Result<()> {
        events.len = 0;
        // SAFETY: the buffer has room for the number of events given.
        let n = unsafe {
            libc::epoll_wait(
                self.0.as_raw_fd(),
                events.buffer.as_mut_ptr(),
                events.buffer.len() as libc::c_int,
                0,
            )
        };
        if n < 0 {
            return Err(io::Error::last_os_error());
        }
        events.len = n as usize;
        Ok(())
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What [`Epoll::ready`] found.
pub(crate) struct Events {
    buffer: Box<[libc::epoll_event]>,
    len: usize,
}

impl Events {
    /// Makes room for `max` sockets a call.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            buffer: vec![libc::epoll_event { events: 0, u64: 0 }; max].into_boxed_slice(),
            len: 0,
        }
    }

    /// How many sockets were found.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The key of one of them.
    pub(crate) fn key(&self, at: usize) -> u64 {
        self.buffer[..self.len][at].u64
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_socket_is_reported_once_for_what_arrived() {
        let (epoll, mut events) = (Epoll::new().unwrap(), Events::new(4));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        epoll.add(socket.as_fd(), 42).unwrap();
        epoll.ready(&mut events).unwrap();
        assert_eq!(events.len(), 0);
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        epoll.ready(&mut events).unwrap();
        assert_eq!((events.len(), events.key(0)), (1, 42));
        epoll.ready(&mut events).unwrap();
        assert_eq!(events.len(), 0);
        socket.send_to(b"y", socket.local_addr().unwrap()).unwrap();
        epoll.ready(&mut events).unwrap();
        assert_eq!((events.len(), events.key(0)), (1, 42));
        drop(socket);
        epoll.ready(&mut events).unwrap();
        assert_eq!(events.len(), 0);
    }
}
