//! Where datagrams are received, and stay until they have been sent on.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::BorrowedFd;

use super::backend::Backend;
use super::batched;
use super::control::Beside;
use super::fixed::Fixed;
use super::plain;

/// Room before each slot's data, for a header to be written before it.
pub(super) const HEADROOM: usize = 64;
/// The largest UDP payload, rounded up.
pub(super) const PAYLOAD: usize = 65_536;
/// Room behind it, for padding.
const TAILROOM: usize = 64;
pub(super) const SLOT: usize = HEADROOM + PAYLOAD + TAILROOM;

/// Buffers for a batch of datagrams, each with room before and behind it.
pub(crate) struct Arena {
    bytes: Fixed<u8>,
    received: Box<[Option<Received>]>,
    receiver: Receiver,
}

/// What was received into a slot: a datagram, or several of one sender that the kernel has joined.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Who sent it.
    pub(crate) source: SocketAddr,
    /// The local address that it was sent to, where the socket was asked to report it.
    pub(crate) destination: Option<IpAddr>,
    /// Where it lies in [`Arena::bytes`].
    pub(crate) range: Range<usize>,
    /// The size of each datagram but the last, which may be shorter, where there are several.
    pub(crate) segment: Option<usize>,
    /// The DSCP and ECN fields, as one byte, where the socket was asked to report them.
    pub(crate) tos: u8,
}

impl Received {
    pub(super) fn new(slot: usize, len: usize, source: SocketAddr, beside: Beside) -> Self {
        let start = slot * SLOT + HEADROOM;
        Self {
            source,
            destination: beside.destination,
            range: start..start + len,
            segment: beside.segment.filter(|size| *size < len),
            tos: beside.tos,
        }
    }

    /// Where each datagram lies. An empty one is one, too.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let Range { start, end } = self.range;
        let size = self.segment.unwrap_or(end - start).max(1);
        let count = (end - start).div_ceil(size).max(1);
        (0..count).map(move |n| start + n * size..(start + (n + 1) * size).min(end))
    }
}

enum Receiver {
    Batched(batched::Receiver),
    Plain,
}

impl Arena {
    /// Makes `slots` slots.
    pub(crate) fn new(slots: usize, backend: Backend) -> Self {
        let bytes = Fixed::zeroed(slots * SLOT);
        let receiver = match backend {
            Backend::Batched => batched::receiver(&bytes, slots).map(Receiver::Batched),
            Backend::Plain => None,
        };
        Self {
            bytes,
            received: vec![None; slots].into_boxed_slice(),
            receiver: receiver.unwrap_or(Receiver::Plain),
        }
    }

    /// Receives into the slots `slots`, without waiting, and returns how many were filled.
    ///
    /// Fewer than asked for means that the socket has been emptied.
    pub(crate) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        slots: Range<usize>,
    ) -> io::Result<usize> {
        let (bytes, received) = (&mut self.bytes, &mut self.received);
        match &mut self.receiver {
            Receiver::Batched(receiver) => receiver.receive(socket, bytes, slots, received),
            Receiver::Plain => plain::receive(socket, bytes, slots, received),
        }
    }

    /// Describes what is in a slot that was filled; `None` if it was cut or its sender cannot be told.
    pub(crate) fn received(&self, slot: usize) -> Option<&Received> {
        self.received[slot].as_ref()
    }

    /// All slots, one behind the other.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get()
    }

    /// The same, to write headers and padding around the data.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut()
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::super::{backends, join_received, report_destination};
    use super::*;

    #[test]
    fn datagrams_arrive_whole_and_in_order() {
        for backend in backends() {
            let to = UdpSocket::bind("127.0.0.1:0").unwrap();
            let from = UdpSocket::bind("127.0.0.1:0").unwrap();
            let large = vec![7; 65_507];
            for payload in [&b"one"[..], b"", &large] {
                from.send_to(payload, to.local_addr().unwrap()).unwrap();
            }
            let mut arena = Arena::new(4, backend);
            assert_eq!(arena.receive(to.as_fd(), 1..4).unwrap(), 3);
            for (slot, expected) in [(1, &b"one"[..]), (2, b""), (3, &large)] {
                let received = arena.received(slot).unwrap();
                assert_eq!(received.source, from.local_addr().unwrap());
                assert_eq!(&arena.bytes()[received.range.clone()], expected);
                let mut datagrams = received.datagrams();
                assert_eq!(datagrams.next(), Some(received.range.clone()));
                assert_eq!(datagrams.next(), None);
            }
            let error = arena.receive(to.as_fd(), 0..4).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn the_destination_is_reported_where_asked_for() {
        for backend in backends() {
            for (any, address) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1")] {
                let to = UdpSocket::bind(any).unwrap();
                report_destination(to.as_fd(), any.starts_with('[')).unwrap();
                join_received(to.as_fd());
                let address: IpAddr = address.parse().unwrap();
                let from = UdpSocket::bind((address, 0)).unwrap();
                let port = to.local_addr().unwrap().port();
                from.send_to(b"x", (address, port)).unwrap();
                let mut arena = Arena::new(1, backend);
                arena.receive(to.as_fd(), 0..1).unwrap();
                assert_eq!(arena.received(0).unwrap().destination, Some(address));
            }
        }
    }

    #[test]
    fn what_the_kernel_joined_is_told_apart() {
        let (start, end) = (100, 100 + 2500);
        let received = Received {
            source: "192.0.2.1:1".parse().unwrap(),
            destination: None,
            range: start..end,
            segment: Some(1000),
            tos: 0,
        };
        let datagrams: Vec<_> = received.datagrams().collect();
        assert_eq!(datagrams, [100..1100, 1100..2100, 2100..2600]);
    }
}
