//! Receiving many datagrams in one call.

use std::io;
use std::mem::zeroed;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::address::RawAddress;
use super::control::Control;
use super::fixed::Fixed;

/// Room before each datagram, for a header to be written before its data.
const HEADROOM: usize = 64;
/// The largest UDP payload, rounded up.
const PAYLOAD: usize = 65_536;
/// Room behind it, for padding.
const TAILROOM: usize = 64;
const SLOT: usize = HEADROOM + PAYLOAD + TAILROOM;

/// Buffers for a batch of datagrams, each with room before and behind it.
///
/// A datagram is received into a slot and stays there until it has been sent on.
pub(crate) struct Arena {
    bytes: Fixed<u8>,
    names: Fixed<RawAddress>,
    controls: Fixed<Control>,
    iovecs: Fixed<libc::iovec>,
    headers: Fixed<libc::mmsghdr>,
    /// Slots whose headers the kernel wrote to in the last call.
    written: Range<usize>,
}

// SAFETY: the raw pointers in `iovecs` and `headers` lead into the memory beside them, which moves with the arena without
// changing its place, and are only followed by the kernel, during `receive`, which borrows the arena mutably.
unsafe impl Send for Arena {}

/// A datagram in a slot.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Who sent it.
    pub(crate) source: SocketAddr,
    /// The local address that it was sent to, where the socket was asked to report it.
    pub(crate) destination: Option<IpAddr>,
    /// Where it lies in [`Arena::bytes`].
    pub(crate) range: Range<usize>,
}

impl Arena {
    /// Makes `slots` slots.
    pub(crate) fn new(slots: usize) -> Self {
        let mut arena = Self {
            bytes: Fixed::new(0, slots * SLOT),
            names: Fixed::new(RawAddress::zeroed(), slots),
            controls: Fixed::new(Control::zeroed(), slots),
            // SAFETY: both are plain integers and pointers, for which all zeroes is a value.
            iovecs: Fixed::new(unsafe { zeroed::<libc::iovec>() }, slots),
            // SAFETY: as above.
            headers: Fixed::new(unsafe { zeroed::<libc::mmsghdr>() }, slots),
            written: 0..slots,
        };
        for slot in 0..slots {
            arena.iovecs.get_mut()[slot] = libc::iovec {
                iov_base: arena.bytes.pointer(slot * SLOT + HEADROOM).cast(),
                iov_len: PAYLOAD,
            };
            let header = &mut arena.headers.get_mut()[slot].msg_hdr;
            header.msg_name = arena.names.pointer(slot).cast();
            header.msg_iov = arena.iovecs.pointer(slot);
            header.msg_iovlen = 1;
            header.msg_control = arena.controls.pointer(slot).cast();
        }
        arena
    }

    /// Receives into the slots `slots`, without waiting, and returns how many were filled.
    ///
    /// Fewer than asked for means that the socket has been emptied. What earlier calls received may no longer be described
    /// ([`received`](Self::received)), but stays where it lies.
    pub(crate) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        slots: Range<usize>,
    ) -> io::Result<usize> {
        for header in &mut self.headers.get_mut()[self.written.clone()] {
            header.msg_hdr.msg_namelen = RawAddress::LEN;
            header.msg_hdr.msg_controllen = Control::LEN as _;
        }
        self.written = slots.start..slots.start;
        let headers = &mut self.headers.get_mut()[slots];
        // SAFETY: each header points to a name, an iovec and a control buffer of its own, of the lengths it says, which
        // live as long as `self`; nobody else has a reference to them, as `self` is borrowed mutably.
        let n = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        if n < 0 {
            return Err(io::Error::last_os_error());
        }
        self.written.end += n as usize;
        Ok(n as usize)
    }

    /// Describes the datagram in a slot that was filled; `None` if it was cut or its sender cannot be told.
    pub(crate) fn received(&self, slot: usize) -> Option<Received> {
        let header = &self.headers.get()[slot];
        if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let start = slot * SLOT + HEADROOM;
        Some(Received {
            source: self.names.get()[slot].get()?,
            destination: destination(&header.msg_hdr),
            range: start..start + header.msg_len as usize,
        })
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

/// The destination in a header's ancillary data.
fn destination(header: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the header was filled by `recvmmsg`, so `msg_controllen` bytes at `msg_control` are well-formed ancillary
    // data; `CMSG_FIRSTHDR` checks that a header fits, and the kernel writes no cut `in_pktinfo` without MSG_CTRUNC.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(header);
        if first.is_null() || header.msg_flags & libc::MSG_CTRUNC != 0 {
            return None;
        }
        match ((*first).cmsg_level, (*first).cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let info: libc::in_pktinfo =
                    std::ptr::read_unaligned(libc::CMSG_DATA(first).cast());
                Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()))
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let info: libc::in6_pktinfo =
                    std::ptr::read_unaligned(libc::CMSG_DATA(first).cast());
                Some(IpAddr::from(info.ipi6_addr.s6_addr))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn datagrams_arrive_whole_and_in_order() {
        let to = UdpSocket::bind("127.0.0.1:0").unwrap();
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        let large = vec![7; 65_507];
        for payload in [&b"one"[..], b"", &large] {
            from.send_to(payload, to.local_addr().unwrap()).unwrap();
        }
        let mut arena = Arena::new(4);
        assert_eq!(arena.receive(to.as_fd(), 1..4).unwrap(), 3);
        for (slot, expected) in [(1, &b"one"[..]), (2, b""), (3, &large)] {
            let received = arena.received(slot).unwrap();
            assert_eq!(received.source, from.local_addr().unwrap());
            assert_eq!(&arena.bytes()[received.range], expected);
        }
        let error = arena.receive(to.as_fd(), 0..4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn the_destination_is_reported_where_asked_for() {
        for (any, address) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1")] {
            let to = UdpSocket::bind(any).unwrap();
            super::super::report_destination(to.as_fd(), any.starts_with('[')).unwrap();
            let address: IpAddr = address.parse().unwrap();
            let from = UdpSocket::bind((address, 0)).unwrap();
            let port = to.local_addr().unwrap().port();
            from.send_to(b"x", (address, port)).unwrap();
            let mut arena = Arena::new(1);
            arena.receive(to.as_fd(), 0..1).unwrap();
            assert_eq!(arena.received(0).unwrap().destination, Some(address));
        }
    }
}
