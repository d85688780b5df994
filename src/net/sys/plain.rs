//! One datagram a call: what every Unix has.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::address::RawAddress;
use super::arena::{HEADROOM, PAYLOAD, Received, SLOT};
use super::control::{self, Control};
use super::datagram::{Datagram, Outbox};
use super::error_queue::{may_be_pending, receive_beyond};
use super::fixed::Fixed;

/// Receives into one slot after the other until there is nothing left.
pub(super) fn receive(
    socket: BorrowedFd<'_>,
    bytes: &mut Fixed<u8>,
    slots: Range<usize>,
    received: &mut [Option<Received>],
) -> io::Result<usize> {
    for slot in slots.clone() {
        match receive_beyond(|| receive_one(socket, bytes, slot)) {
            Ok(one) => received[slot] = one,
            Err(error) if slot == slots.start => return Err(error),
            // It is met again, and told, by the next call.
            Err(_) => return Ok(slot - slots.start),
        }
    }
    Ok(slots.len())
}

fn receive_one(
    socket: BorrowedFd<'_>,
    bytes: &mut Fixed<u8>,
    slot: usize,
) -> io::Result<Option<Received>> {
    let mut name = RawAddress::zeroed();
    let mut control = Control::zeroed();
    let start = slot * SLOT + HEADROOM;
    let room = &mut bytes.get_mut()[start..start + PAYLOAD];
    let mut iovec = libc::iovec {
        iov_base: room.as_mut_ptr().cast(),
        iov_len: room.len(),
    };
    // SAFETY: integers and pointers, for which all zeroes is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = (&raw mut name).cast();
    header.msg_namelen = RawAddress::LEN;
    header.msg_iov = &raw mut iovec;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = Control::LEN as _;
    // SAFETY: the header points to a name, an iovec over `room` and a control buffer, of the lengths it says, all alive and
    // borrowed by nobody else during the call.
    let n = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    if n < 0 {
        return Err(io::Error::last_os_error());
    }
    if header.msg_flags & libc::MSG_TRUNC != 0 {
        return Ok(None);
    }
    // SAFETY: `recvmsg` has filled the header.
    let beside = unsafe { control::read(&header) };
    Ok(name
        .get()
        .map(|source| Received::new(slot, n as usize, source, beside)))
}

/// Sends one datagram after the other, and returns how many the kernel took.
pub(super) fn send(socket: BorrowedFd<'_>, outbox: &Outbox, bytes: &[u8]) -> usize {
    let taken = |datagram: &&Datagram| send_one(socket, datagram, outbox.heads(), bytes).is_ok();
    outbox.datagrams().iter().filter(taken).count()
}

/// Sends a single datagram, which a full socket loses.
pub(super) fn send_one(
    socket: BorrowedFd<'_>,
    datagram: &Datagram,
    heads: &[u8],
    bytes: &[u8],
) -> io::Result<()> {
    let pieces = datagram.pieces(heads, bytes);
    let mut tried = false;
    loop {
        let sent = match (datagram.from, datagram.tos, pieces) {
            (None, 0, [[], whole, []] | [whole, [], []]) => send_to(socket, whole, datagram.to),
            _ => send_message(socket, pieces, datagram),
        };
        match sent {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if !tried && may_be_pending(&error) => tried = true,
            sent => return sent,
        }
    }
}

fn send_to(socket: BorrowedFd<'_>, payload: &[u8], to: SocketAddr) -> io::Result<()> {
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
    outcome(sent)
}

fn send_message(socket: BorrowedFd<'_>, pieces: [&[u8]; 3], datagram: &Datagram) -> io::Result<()> {
    let mut name = RawAddress::zeroed();
    let mut control = Control::zeroed();
    let mut iovecs = pieces.map(|piece| libc::iovec {
        iov_base: piece.as_ptr().cast_mut().cast(),
        iov_len: piece.len(),
    });
    // SAFETY: integers and pointers, for which all zeroes is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_namelen = name.set(datagram.to);
    header.msg_name = (&raw mut name).cast();
    header.msg_iov = iovecs.as_mut_ptr();
    header.msg_iovlen = iovecs.len() as _;
    let mut beside = control::Writer::new(&mut control);
    if let Some(from) = datagram.from {
        beside.source(from);
    }
    if datagram.tos != 0 {
        beside.tos(datagram.tos, datagram.to.is_ipv6());
    }
    beside.finish(&mut header);
    // SAFETY: the header points to a name, iovecs over the pieces and, if any, a control buffer, of the lengths it says, all
    // alive during the call; the kernel writes to none of them.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) };
    outcome(sent)
}

fn outcome(sent: isize) -> io::Result<()> {
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
