//! Linux' error queue.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::SendError;
use crate::net::sys::address::RawAddress;
use crate::net::sys::options;

/// Memory for the ancillary data of an error: the error, the address of who told of it (64 bytes with the header), and what
/// else the socket reports beside a datagram.
#[repr(C, align(8))]
struct Control([u8; 256]);

/// Tries to read one that is no use before the next is left for later: so many at most lie before one that is.
const USELESS: usize = 4;

/// What the kernel's own refusal is, as an ICMP message: for the client of a relay "this does not fit the first link" and "this
/// does not fit a later one" are the same fact.
const FRAGMENTATION_NEEDED: (u8, u8) = (3, 4);
const PACKET_TOO_BIG: (u8, u8) = (2, 0);

/// Has ICMP errors reported in the socket's error queue.
///
/// From then on each is also the outcome of the next call that sends or receives, once: see [`may_be_pending`].
pub(crate) fn report_errors(socket: BorrowedFd<'_>, v6: bool) {
    let (level, option) = if v6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
    } else {
        (libc::IPPROTO_IP, libc::IP_RECVERR)
    };
    // What only looks like Linux may not have it: then nothing is told, and all else works.
    let _ = options::set(socket, level, option, 1);
}

/// Takes the next error out of the queue; `None` if there is none.
pub(crate) fn next_error(socket: BorrowedFd<'_>) -> Option<SendError> {
    for _ in 0..USELESS {
        match receive(socket) {
            Ok(Some(error)) => return Some(error),
            // Not about a datagram, or cut.
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    None
}

/// Whether an error of a call that sends or receives may be about an earlier datagram: the kernel reports such a one once,
/// and has done nothing then. These are what it makes of ICMP messages; some of them may be meant as well.
pub(in super::super) fn may_be_pending(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::ENOPROTOOPT
                | libc::EOPNOTSUPP
                | libc::EPROTO
                | libc::EACCES
                | libc::EMSGSIZE
        )
    )
}

fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<SendError>> {
    let mut name = RawAddress::zeroed();
    let mut control = Control([0; 256]);
    // SAFETY: integers and pointers, for which all zeroes is a value.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = (&raw mut name).cast();
    header.msg_namelen = RawAddress::LEN;
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = size_of::<Control>() as _;
    // SAFETY: the header points to a name and a control buffer of the lengths it says, both alive and borrowed by nobody else
    // during the call, and to no iovec: of the datagram itself nothing is wanted.
    let n = unsafe {
        libc::recvmsg(
            socket.as_raw_fd(),
            &raw mut header,
            libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
        )
    };
    if n < 0 {
        return Err(io::Error::last_os_error());
    }
    if header.msg_flags & libc::MSG_CTRUNC != 0 {
        return Ok(None);
    }
    // SAFETY: `recvmsg` has filled the header.
    let error = unsafe { extended_error(&header) };
    Ok(name
        .get()
        .zip(error)
        .and_then(|(to, error)| send_error(to, &error)))
}

/// Finds the error in the ancillary data of a message of the error queue.
///
/// # Safety
///
/// The header was filled by the kernel: `msg_controllen` bytes at `msg_control` are well-formed ancillary data.
unsafe fn extended_error(header: &libc::msghdr) -> Option<libc::sock_extended_err> {
    // SAFETY: the caller vouches for the header; `CMSG_FIRSTHDR` and `CMSG_NXTHDR` check that a header fits, and nothing was
    // cut, so that an error is whole where its length says so.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while let Some(message) = next.as_ref() {
            let whole = libc::CMSG_LEN(size_of::<libc::sock_extended_err>() as u32) as _;
            if let (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) =
                (message.cmsg_level, message.cmsg_type)
                && message.cmsg_len >= whole
            {
                return Some(std::ptr::read_unaligned(libc::CMSG_DATA(next).cast()));
            }
            next = libc::CMSG_NXTHDR(header, next);
        }
    }
    None
}

fn send_error(to: SocketAddr, error: &libc::sock_extended_err) -> Option<SendError> {
    let is_local = error.ee_origin == libc::SO_EE_ORIGIN_LOCAL;
    let (typ, code) = match error.ee_origin {
        libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6 => (error.ee_type, error.ee_code),
        libc::SO_EE_ORIGIN_LOCAL if error.ee_errno == libc::EMSGSIZE as u32 => {
            if to.is_ipv4() {
                FRAGMENTATION_NEEDED
            } else {
                PACKET_TOO_BIG
            }
        }
        _ => return None,
    };
    Some(SendError {
        to,
        typ,
        code,
        mtu: error.ee_info,
        is_local,
    })
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::super::super::{Arena, Datagram, Outbox, Sender, backends, send_one};
    use super::*;

    /// A socket that hears of errors, and an address of the same family where nobody is.
    fn sockets(ip: &str) -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        report_errors(socket.as_fd(), ip.contains(':'));
        let gone = UdpSocket::bind((ip, 0)).unwrap().local_addr().unwrap();
        (socket, gone)
    }

    #[test]
    fn a_closed_port_is_told_of_once() {
        for (ip, typ, code) in [("127.0.0.1", 3, 3), ("::1", 1, 4)] {
            let (socket, gone) = sockets(ip);
            assert_eq!(next_error(socket.as_fd()), None);
            socket.send_to(b"anyone?", gone).unwrap();
            let expected = SendError {
                to: gone,
                typ,
                code,
                mtu: 0,
                is_local: false,
            };
            assert_eq!(next_error(socket.as_fd()), Some(expected));
            assert_eq!(next_error(socket.as_fd()), None);
        }
    }

    #[test]
    fn a_pending_error_loses_nothing_that_is_sent() {
        for backend in backends() {
            for count in [1, 2, 8, 200] {
                for sizes in [|_| 100, |n| 1 + n] {
                    let (socket, gone) = sockets("127.0.0.1");
                    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
                    let to = peer.local_addr().unwrap();
                    let mut outbox = Outbox::default();
                    (0..count).for_each(|n| outbox.push(Datagram::new(0..sizes(n), to, None)));
                    socket.send_to(b"anyone?", gone).unwrap();
                    let sent = Sender::new(backend).send(socket.as_fd(), &outbox, &[7; 256]);
                    assert_eq!(sent, count);
                    peer.set_nonblocking(true).unwrap();
                    for n in 0..count {
                        assert_eq!(peer.recv(&mut [0; 256]).unwrap(), sizes(n));
                    }
                }
            }
        }
    }

    #[test]
    fn errors_in_the_middle_of_a_batch_lose_nothing_of_it() {
        for backend in backends() {
            let (socket, gone) = sockets("127.0.0.1");
            let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut outbox = Outbox::default();
            for n in 0..100 {
                let to = if n % 3 == 0 {
                    gone
                } else {
                    peer.local_addr().unwrap()
                };
                outbox.push(Datagram::new(0..100, to, None));
            }
            let sent = Sender::new(backend).send(socket.as_fd(), &outbox, &[7; 100]);
            assert_eq!(sent, 100);
            peer.set_nonblocking(true).unwrap();
            let received = std::iter::repeat_with(|| peer.recv(&mut [0; 100]).is_ok())
                .take_while(|received| *received);
            assert_eq!(received.count(), 66);
        }
    }

    #[test]
    fn a_pending_error_hides_nothing_that_was_received() {
        for backend in backends() {
            let (socket, gone) = sockets("127.0.0.1");
            let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..3 {
                peer.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            }
            socket.send_to(b"anyone?", gone).unwrap();
            let mut arena = Arena::new(8, backend);
            assert_eq!(arena.receive(socket.as_fd(), 0..8).unwrap(), 3);
        }
    }

    #[test]
    fn what_is_too_large_for_the_first_link_is_told_of_with_its_mtu() {
        // Just beyond what an IPv4 datagram can be, and the MTU of loopback.
        for (ip, len, typ, code) in [("127.0.0.1", 65_509, 3, 4), ("::1", 65_500, 2, 0)] {
            let (socket, gone) = sockets(ip);
            options::set_dont_fragment(socket.as_fd(), ip.contains(':'), true).unwrap();
            let datagram = Datagram::new(0..len, gone, None);
            assert!(!send_one(socket.as_fd(), &datagram, &vec![0; len]));
            let error = next_error(socket.as_fd()).unwrap();
            assert_eq!(
                (error.to.ip(), error.typ, error.code),
                (gone.ip(), typ, code)
            );
            assert_eq!((error.mtu, error.is_local), (65_536, true));
        }
    }
}
