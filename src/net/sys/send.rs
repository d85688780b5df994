//! Sending many datagrams from one socket in one call.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::address::RawAddress;
use super::control::Control;

/// A datagram to send: a range of some buffer, and where to.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    /// Where its bytes lie.
    pub(crate) range: Range<usize>,
    /// Where it goes.
    pub(crate) to: SocketAddr,
    /// The local address that it comes from, where the socket is bound to none.
    pub(crate) from: Option<IpAddr>,
}

/// Datagrams sent in one call at most.
const MAX: usize = 64;

/// Memory for the headers of a batch, used again and again.
pub(crate) struct SendBatch {
    names: Box<[RawAddress]>,
    controls: Box<[Control]>,
    iovecs: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

// SAFETY: the raw pointers are written anew by each `send` and used only within it.
unsafe impl Send for SendBatch {}

impl SendBatch {
    /// Makes room for a batch.
    pub(crate) fn new() -> Self {
        Self {
            names: vec![RawAddress::zeroed(); MAX].into_boxed_slice(),
            controls: vec![Control::zeroed(); MAX].into_boxed_slice(),
            // SAFETY: both are plain integers and pointers, for which all zeroes is a value.
            iovecs: vec![unsafe { zeroed::<libc::iovec>() }; MAX].into_boxed_slice(),
            // SAFETY: as above.
            headers: vec![unsafe { zeroed::<libc::mmsghdr>() }; MAX].into_boxed_slice(),
        }
    }

    /// Sends `datagrams`, which lie in `bytes`, in order, and returns how many the kernel took.
    ///
    /// What it does not take is lost, as UDP may lose any datagram: waiting would hold up everyone else.
    pub(crate) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        bytes: &[u8],
        datagrams: &[Datagram],
    ) -> usize {
        if let [one @ Datagram { from: None, .. }] = datagrams {
            return usize::from(send_one(socket, &bytes[one.range.clone()], one.to));
        }
        datagrams
            .chunks(MAX)
            .map(|chunk| self.send_chunk(socket, bytes, chunk))
            .sum()
    }

    fn send_chunk(&mut self, socket: BorrowedFd<'_>, bytes: &[u8], chunk: &[Datagram]) -> usize {
        for (at, datagram) in chunk.iter().enumerate() {
            self.fill(at, bytes, datagram);
        }
        let (mut next, mut sent) = (0, 0);
        while next < chunk.len() {
            let headers = &mut self.headers[next..chunk.len()];
            // SAFETY: each header points to a name, an iovec into `bytes` and, if any, a control buffer, of the lengths it
            // says, all alive during the call; the kernel writes `msg_len` only.
            let n = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    headers.as_mut_ptr(),
                    headers.len() as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                )
            };
            if n > 0 {
                (next, sent) = (next + n as usize, sent + n as usize);
                continue;
            }
            match io::Error::last_os_error().kind() {
                io::ErrorKind::WouldBlock => break,
                io::ErrorKind::Interrupted => {}
                // The datagram in front cannot be sent, say because it is too large; those behind it may.
                _ => next += 1,
            }
        }
        sent
    }

    /// Writes the header of one datagram.
    fn fill(&mut self, at: usize, bytes: &[u8], datagram: &Datagram) {
        let payload = &bytes[datagram.range.clone()];
        self.iovecs[at] = libc::iovec {
            iov_base: payload.as_ptr().cast_mut().cast(),
            iov_len: payload.len(),
        };
        let header = &mut self.headers[at].msg_hdr;
        header.msg_namelen = self.names[at].set(datagram.to);
        header.msg_name = (&raw mut self.names[at]).cast();
        header.msg_iov = &raw mut self.iovecs[at];
        header.msg_iovlen = 1;
        header.msg_control = std::ptr::null_mut();
        header.msg_controllen = 0;
        if let Some(from) = datagram.from {
            header.msg_control = (&raw mut self.controls[at]).cast();
            header.msg_controllen = Control::LEN as _;
            set_source(header, from);
        }
    }
}

/// Sends a single datagram, for which a batch would be the dearer call.
fn send_one(socket: BorrowedFd<'_>, payload: &[u8], to: SocketAddr) -> bool {
    let mut name = RawAddress::zeroed();
    let length = name.set(to);
    // SAFETY: payload and name live during the call and have the lengths given.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            payload.as_ptr().cast(),
            payload.len(),
            libc::MSG_DONTWAIT,
            (&raw const name).cast(),
            length,
        )
    };
    sent >= 0
}

/// Writes the source address into a header's ancillary data.
fn set_source(header: &mut libc::msghdr, from: IpAddr) {
    match from {
        IpAddr::V4(ip) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from_ne_bytes(ip.octets()),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            set_control(header, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
        }
        IpAddr::V6(ip) => {
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr {
                    s6_addr: ip.octets(),
                },
                ipi6_ifindex: 0,
            };
            set_control(header, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
        }
    }
}

fn set_control<T>(header: &mut libc::msghdr, level: libc::c_int, typ: libc::c_int, value: T) {
    // SAFETY: `msg_control` points to a `Control`: 64 bytes aligned to 8, more than `CMSG_SPACE` of the largest `T` used
    // (`in6_pktinfo`: 16 + 20 bytes, rounded up), so `CMSG_FIRSTHDR` is not null and the writes are within it.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(header);
        (*first).cmsg_level = level;
        (*first).cmsg_type = typ;
        (*first).cmsg_len = libc::CMSG_LEN(size_of::<T>() as u32) as _;
        std::ptr::write_unaligned(libc::CMSG_DATA(first).cast(), value);
        header.msg_controllen = libc::CMSG_SPACE(size_of::<T>() as u32) as _;
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_batch_goes_to_several_places() {
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to: Vec<_> = (0..3)
            .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
            .collect();
        let bytes = b"abcdef";
        let datagrams: Vec<Datagram> = to
            .iter()
            .enumerate()
            .map(|(n, to)| Datagram {
                range: n..2 * n,
                to: to.local_addr().unwrap(),
                from: None,
            })
            .collect();
        let sent = SendBatch::new().send(from.as_fd(), bytes, &datagrams);
        assert_eq!(sent, 3);
        for (n, to) in to.iter().enumerate() {
            let mut buffer = [0; 16];
            let (len, source) = to.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], &bytes[n..2 * n]);
            assert_eq!(source, from.local_addr().unwrap());
        }
    }

    #[test]
    fn one_that_is_too_large_does_not_stop_the_others() {
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = UdpSocket::bind("127.0.0.1:0").unwrap();
        let bytes = vec![1; 65_535];
        let datagram = |len| Datagram {
            range: 0..len,
            to: to.local_addr().unwrap(),
            from: None,
        };
        let batch = [datagram(1), datagram(65_535), datagram(2)];
        assert_eq!(SendBatch::new().send(from.as_fd(), &bytes, &batch), 2);
        let mut buffer = [0; 16];
        assert_eq!(to.recv(&mut buffer).unwrap(), 1);
        assert_eq!(to.recv(&mut buffer).unwrap(), 2);
    }

    #[test]
    fn the_source_can_be_chosen() {
        for (any, source) in [("0.0.0.0:0", "127.0.0.3"), ("[::]:0", "::1")] {
            let from = UdpSocket::bind(any).unwrap();
            let source: IpAddr = source.parse().unwrap();
            let to = UdpSocket::bind((source, 0)).unwrap();
            let datagram = Datagram {
                range: 0..1,
                to: to.local_addr().unwrap(),
                from: Some(source),
            };
            SendBatch::new().send(from.as_fd(), b"x", &[datagram]);
            assert_eq!(to.recv_from(&mut [0; 1]).unwrap().1.ip(), source);
        }
    }
}
