//! Socket options that neither the standard library nor `socket2` has.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Has the local address of each datagram reported, and lets the source of each sent one be chosen.
pub(crate) fn report_destination(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    if v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    } else {
        set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    }
}

/// Has the DSCP and ECN fields of each datagram reported.
#[cfg(target_os = "linux")]
pub(crate) fn report_tos(socket: BorrowedFd<'_>, v6: bool) {
    let (level, option) = if v6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS)
    } else {
        (libc::IPPROTO_IP, libc::IP_RECVTOS)
    };
    // Where it is refused, all are best effort, which RFC 8656 §14 allows as well.
    let _ = set(socket, level, option, 1);
}

/// Nothing is reported where it is not known that what was reported can be set for each datagram: all are best effort then.
#[cfg(not(target_os = "linux"))]
pub(crate) fn report_tos(_: BorrowedFd<'_>, _: bool) {}

/// Leaves the DF bit clear and lets the kernel fragment: what RFC 8656 §14 asks for unless DONT-FRAGMENT is there.
pub(crate) fn fragment_freely(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    fragmentation(socket, v6, Fragmentation::Allowed)
}

/// Sets or clears the DF bit of what is sent from here on (RFC 8656 §14).
pub(crate) fn set_dont_fragment(socket: BorrowedFd<'_>, v6: bool, on: bool) -> io::Result<()> {
    let mode = if on {
        Fragmentation::Refused
    } else {
        Fragmentation::AllowedAgain
    };
    fragmentation(socket, v6, mode)
}

/// Whether datagrams may be fragmented.
enum Fragmentation {
    Allowed,
    Refused,
    /// What was sent before must not be, and an ICMP error may yet tell that it would have to.
    AllowedAgain,
}

#[cfg(target_os = "linux")]
fn fragmentation(socket: BorrowedFd<'_>, v6: bool, mode: Fragmentation) -> io::Result<()> {
    let mode = match mode {
        Fragmentation::Allowed => libc::IP_PMTUDISC_DONT,
        // It sets DF without heeding a cached path MTU: the client probes the path, not we.
        Fragmentation::Refused => libc::IP_PMTUDISC_PROBE,
        // IPv4 does not tell a socket with DONT of "fragmentation needed". With OMIT it does, and DF is as clear; packets
        // are cut for the first link alone, and by routers if that is not enough, which those of IPv6 cannot do.
        Fragmentation::AllowedAgain if !v6 => libc::IP_PMTUDISC_OMIT,
        Fragmentation::AllowedAgain => libc::IP_PMTUDISC_DONT,
    };
    if v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, mode)
    } else {
        set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, mode)
    }
}

#[cfg(not(target_os = "linux"))]
fn fragmentation(socket: BorrowedFd<'_>, v6: bool, mode: Fragmentation) -> io::Result<()> {
    let dont = matches!(mode, Fragmentation::Refused);
    if v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, dont.into())
    } else {
        set(socket, libc::IPPROTO_IP, libc::IP_DONTFRAG, dont.into())
    }
}

/// Lets the kernel hand over neighbouring datagrams of one sender as one (UDP_GRO), where it can.
pub(crate) fn join_received(socket: BorrowedFd<'_>) {
    #[cfg(target_os = "linux")]
    // A kernel that does not know the option joins nothing, which is correct as well.
    let _ = set(socket, libc::SOL_UDP, libc::UDP_GRO, 1);
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}

/// Datagrams that the kernel has dropped because the socket's receive buffer was full, since it was opened.
#[cfg(target_os = "linux")]
pub(crate) fn kernel_drops(socket: BorrowedFd<'_>) -> u32 {
    // `SK_MEMINFO_DROPS` is the ninth of the numbers that SO_MEMINFO gives.
    let mut info = [0u32; 9];
    let mut len = size_of::<[u32; 9]>() as libc::socklen_t;
    // SAFETY: the buffer lives during the call and has the length given.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if result < 0 { 0 } else { info[8] }
}

/// Datagrams that the kernel has dropped: unknown here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn kernel_drops(_: BorrowedFd<'_>) -> u32 {
    0
}

/// Asks for a receive buffer of so many bytes: beyond the system's limit where we may, else up to it.
pub(crate) fn receive_buffer(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    #[cfg(target_os = "linux")]
    if set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes).is_ok() {
        return Ok(());
    }
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes)
}

pub(super) fn set(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the value lives during the call and has the length given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether the system has no more of something for us: descriptors, memory, places in an event queue.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::ENOSPC)
    )
}

/// Whether a connection is being made: the call does not wait for it.
pub(crate) fn is_underway(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINPROGRESS)
}

/// Lets the process open as many descriptors as its hard limit allows, and returns how many that is.
///
/// Shells give 1,024 by default, and every allocation and connection takes one.
pub(crate) fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure lives during the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let raised = libc::rlimit {
        rlim_cur: limit.rlim_max,
        ..limit
    };
    // SAFETY: as above.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } < 0 {
        return Ok(limit.rlim_cur);
    }
    Ok(raised.rlim_cur)
}

/// How many descriptors the process may open.
pub(crate) fn descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure lives during the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_kernels_drops_are_counted() {
        let to = UdpSocket::bind("127.0.0.1:0").unwrap();
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        receive_buffer(to.as_fd(), 4096).unwrap();
        assert_eq!(kernel_drops(to.as_fd()), 0);
        for _ in 0..100 {
            from.send_to(&[0; 1000], to.local_addr().unwrap()).unwrap();
        }
        to.set_nonblocking(true).unwrap();
        let received = std::iter::repeat_with(|| to.recv(&mut [0; 1000]).is_ok())
            .take_while(|received| *received)
            .count();
        assert!(received > 0);
        assert_eq!(kernel_drops(to.as_fd()) as usize, 100 - received);
    }
}
