//! Sending what an outbox holds.

use std::os::fd::BorrowedFd;

use super::backend::Backend;
use super::batched;
use super::datagram::{Datagram, Outbox};
use super::plain;

/// Sends datagrams; one for each thread, as it keeps the memory that a batch needs.
pub(crate) struct Sender(Kind);

enum Kind {
    Batched(Box<batched::Sender>),
    Plain,
}

impl Sender {
    /// A sender that uses the calls of `backend`.
    pub(crate) fn new(backend: Backend) -> Self {
        let batched = match backend {
            Backend::Batched => batched::sender().map(Box::new),
            Backend::Plain => None,
        };
        Self(batched.map_or(Kind::Plain, Kind::Batched))
    }

    /// Has each datagram pass through the kernel by itself, although it could cut them.
    pub(crate) fn without_segmentation(mut self) -> Self {
        if let Kind::Batched(sender) = &mut self.0 {
            sender.leave_nothing_to_cut();
        }
        self
    }

    /// Sends an outbox, whose data lies in `bytes`, in order, and returns how many datagrams the kernel took.
    ///
    /// What it does not take is lost, as UDP may lose any datagram: waiting would hold up everyone else.
    pub(crate) fn send(&mut self, socket: BorrowedFd<'_>, outbox: &Outbox, bytes: &[u8]) -> usize {
        match &mut self.0 {
            Kind::Batched(sender) => sender.send(socket, outbox, bytes),
            Kind::Plain => plain::send(socket, outbox, bytes),
        }
    }
}

/// Sends a single datagram without a header, whose data lies in `bytes`; whether the kernel took it.
pub(crate) fn send_one(socket: BorrowedFd<'_>, datagram: &Datagram, bytes: &[u8]) -> bool {
    plain::send_one(socket, datagram, &[], bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, UdpSocket};
    use std::os::fd::{AsFd, AsRawFd};

    use super::super::{Arena, backends, join_received};
    use super::*;

    fn outbox(datagrams: impl IntoIterator<Item = Datagram>) -> Outbox {
        let mut outbox = Outbox::default();
        for datagram in datagrams {
            outbox.push(datagram);
        }
        outbox
    }

    fn pair() -> (UdpSocket, UdpSocket) {
        let bind = || UdpSocket::bind("127.0.0.1:0").unwrap();
        (bind(), bind())
    }

    fn receive(socket: &UdpSocket) -> Vec<u8> {
        let mut buffer = vec![0; 65_536];
        let len = socket.recv(&mut buffer).unwrap();
        buffer.truncate(len);
        buffer
    }

    #[test]
    fn a_batch_goes_to_several_places() {
        for backend in backends() {
            let from = UdpSocket::bind("127.0.0.1:0").unwrap();
            let to: Vec<_> = (0..3)
                .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
                .collect();
            let bytes = b"abcdef";
            let outbox = outbox(
                to.iter()
                    .enumerate()
                    .map(|(n, to)| Datagram::new(n..2 * n, to.local_addr().unwrap(), None)),
            );
            assert_eq!(Sender::new(backend).send(from.as_fd(), &outbox, bytes), 3);
            for (n, to) in to.iter().enumerate() {
                let mut buffer = [0; 16];
                let (len, source) = to.recv_from(&mut buffer).unwrap();
                assert_eq!(&buffer[..len], &bytes[n..2 * n]);
                assert_eq!(source, from.local_addr().unwrap());
            }
        }
    }

    #[test]
    fn one_that_is_too_large_does_not_stop_the_others() {
        for backend in backends() {
            let (from, to) = pair();
            let bytes = vec![1; 65_535];
            let outbox = outbox(
                [1, 65_535, 2].map(|len| Datagram::new(0..len, to.local_addr().unwrap(), None)),
            );
            assert_eq!(Sender::new(backend).send(from.as_fd(), &outbox, &bytes), 2);
            assert_eq!(receive(&to).len(), 1);
            assert_eq!(receive(&to).len(), 2);
        }
    }

    #[test]
    fn the_source_can_be_chosen() {
        for backend in backends() {
            for (any, source) in [("0.0.0.0:0", "127.0.0.3"), ("[::]:0", "::1")] {
                let from = UdpSocket::bind(any).unwrap();
                let source: IpAddr = source.parse().unwrap();
                let to = UdpSocket::bind((source, 0)).unwrap();
                let datagram = Datagram::new(0..1, to.local_addr().unwrap(), Some(source));
                for count in [1, 3] {
                    let outbox = outbox(vec![datagram.clone(); count]);
                    assert_eq!(
                        Sender::new(backend).send(from.as_fd(), &outbox, b"x"),
                        count
                    );
                    for _ in 0..count {
                        assert_eq!(to.recv_from(&mut [0; 1]).unwrap().1.ip(), source);
                    }
                }
            }
        }
    }

    #[test]
    fn headers_and_padding_go_around_the_data_of_a_train() {
        for backend in backends() {
            let (from, to) = pair();
            let address = to.local_addr().unwrap();
            let bytes = b"aaaabbbbccccdd";
            let mut outbox = Outbox::default();
            for (head, body, tail) in [(b"H1", 0..4, 0), (b"H2", 4..8, 0), (b"H3", 8..12, 3)] {
                outbox.push_around(head, Datagram::new(body, address, None), tail);
            }
            outbox.push(Datagram::new(12..14, address, None));
            outbox.push(Datagram::new(0..0, address, None));
            assert_eq!(Sender::new(backend).send(from.as_fd(), &outbox, bytes), 5);
            let expected: [&[u8]; 5] = [b"H1aaaa", b"H2bbbb", b"H3cccc\0\0\0", b"dd", b""];
            for expected in expected {
                assert_eq!(receive(&to), expected);
            }
        }
    }

    /// Lengths with runs of equal ones, shorter and longer ones, more than one message and one call take.
    fn lengths() -> Vec<usize> {
        let mut lengths = vec![1200; 150];
        lengths.extend([700, 1200, 1200, 1201, 0, 3, 3, 3, 2, 3]);
        lengths.extend((0..200).map(|n| 100 + n % 2));
        lengths.extend([20_000; 7]);
        lengths
    }

    #[test]
    fn trains_arrive_as_they_were_whoever_receives_them() {
        for backend in backends() {
            for joined in [false, true] {
                let (from, to) = pair();
                super::super::receive_buffer(to.as_fd(), 16 << 20).unwrap();
                if joined {
                    join_received(to.as_fd());
                }
                let bytes: Vec<u8> = (0..65_536u32).map(|n| (n % 251) as u8).collect();
                let lengths = lengths();
                let outbox = outbox(lengths.iter().enumerate().map(|(n, len)| {
                    Datagram::new(n * 7..n * 7 + len, to.local_addr().unwrap(), None)
                }));
                let sent = Sender::new(backend).send(from.as_fd(), &outbox, &bytes);
                assert_eq!(sent, lengths.len());

                let mut arena = Arena::new(16, backend);
                let mut next = 0;
                while let Ok(filled) = arena.receive(to.as_fd(), 0..16) {
                    for slot in 0..filled {
                        for range in arena.received(slot).unwrap().datagrams() {
                            let expected = &bytes[next * 7..next * 7 + lengths[next]];
                            assert_eq!(&arena.bytes()[range], expected, "datagram {next}");
                            next += 1;
                        }
                    }
                }
                assert_eq!(next, lengths.len());
            }
        }
    }

    #[test]
    fn where_segmentation_is_refused_each_datagram_is_sent_by_itself() {
        let (from, to) = pair();
        // Without checksums the kernel cuts nothing: it answers EINVAL.
        let on: libc::c_int = 1;
        // SAFETY: the value lives during the call and has the length given.
        let set = unsafe {
            libc::setsockopt(
                from.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_NO_CHECK,
                (&raw const on).cast(),
                4,
            )
        };
        assert_eq!(set, 0);
        let mut sender = Sender::new(Backend::best());
        for _ in 0..2 {
            let outbox =
                outbox((0..8).map(|n| Datagram::new(n..n + 100, to.local_addr().unwrap(), None)));
            let bytes: Vec<u8> = (0..200).collect();
            assert_eq!(sender.send(from.as_fd(), &outbox, &bytes), 8);
            for n in 0..8 {
                assert_eq!(receive(&to), &bytes[n..n + 100]);
            }
        }
    }
}
