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

/// Leaves the DF bit clear and lets the kernel fragment: what RFC 8656 §14 asks for unless DONT-FRAGMENT is there.
pub(crate) fn fragment_freely(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    path_mtu_discovery(socket, v6, libc::IP_PMTUDISC_DONT)
}

/// Sets or clears the DF bit of what is sent from here on (RFC 8656 §14).
pub(crate) fn set_dont_fragment(socket: BorrowedFd<'_>, v6: bool, on: bool) -> io::Result<()> {
    // PROBE sets DF without heeding a cached path MTU: the client probes the path, not we.
    let mode = if on {
        libc::IP_PMTUDISC_PROBE
    } else {
        libc::IP_PMTUDISC_DONT
    };
    path_mtu_discovery(socket, v6, mode)
}

fn path_mtu_discovery(socket: BorrowedFd<'_>, v6: bool, mode: libc::c_int) -> io::Result<()> {
    if v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, mode)
    } else {
        set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, mode)
    }
}

/// Asks for a receive buffer: beyond the system's limit where we may, else up to it.
pub(crate) fn receive_buffer(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
        .or_else(|_| set(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes))
}

fn set(
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
