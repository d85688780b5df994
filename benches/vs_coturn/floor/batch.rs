//! Datagrams in batches: `recvmmsg` into slots with room for a header, `sendmmsg` out of them.

use std::mem;
use std::net::SocketAddrV4;
use std::ops::Range;
use std::ptr;

use uturn::wire::{ChannelNumber, channel_data};

use super::Descriptor;

/// Bytes of a slot: the header of ChannelData, a datagram of any size on this network, and padding.
const SLOT: usize = 4096;
const HEADER: usize = channel_data::HEADER_LEN;

/// Slots, and what the kernel has to know of them. Nothing of it moves while it is used.
pub(super) struct Batch {
    bytes: Box<[u8]>,
    /// Who sent what was received, or who is sent it.
    addresses: Box<[libc::sockaddr_in]>,
    lengths: Box<[usize]>,
    pieces: Box<[libc::iovec]>,
    messages: Box<[libc::mmsghdr]>,
    /// So many slots hold what was received, from the first one on.
    filled: usize,
}

impl Batch {
    pub(super) fn new(slots: usize) -> Self {
        // SAFETY: all of these are plain data of C, for which zeroes are valid: no address, no buffer, no length.
        let (address, piece, message) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        Self {
            bytes: vec![0; slots * SLOT].into(),
            addresses: vec![address; slots].into(),
            lengths: vec![0; slots].into(),
            pieces: vec![piece; slots].into(),
            messages: vec![message; slots].into(),
            filled: 0,
        }
    }

    /// Forgets what was received.
    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    /// Whether there is room for so many more.
    pub(super) fn has_room(&self, slots: usize) -> bool {
        self.filled + slots <= self.messages.len()
    }

    /// Receives what has arrived, up to so many behind what is there; returns the slots that were filled.
    pub(super) fn receive(&mut self, fd: Descriptor, most: usize) -> Range<usize> {
        let start = self.filled;
        let end = self.messages.len().min(start + most);
        for slot in start..end {
            let room = &mut self.bytes[slot * SLOT..(slot + 1) * SLOT][HEADER..];
            self.pieces[slot] = piece(room);
            self.name(slot);
        }
        // SAFETY: each header names one piece, which is a slot's room behind its header, and one address; all of them
        // belong to `self`, which is borrowed until the kernel has written.
        let filled = unsafe {
            libc::recvmmsg(
                fd,
                self.messages[start..end].as_mut_ptr(),
                (end - start) as u32,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        self.filled += usize::try_from(filled).unwrap_or(0);
        for slot in start..self.filled {
            self.lengths[slot] = self.messages[slot].msg_len as usize;
        }
        start..self.filled
    }

    /// Has a slot's message name the slot's piece and address.
    fn name(&mut self, slot: usize) {
        let header = &mut self.messages[slot].msg_hdr;
        header.msg_iov = &mut self.pieces[slot];
        header.msg_iovlen = 1;
        header.msg_name = ptr::from_mut(&mut self.addresses[slot]).cast();
        header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
    }

    /// What lies in a slot.
    pub(super) fn payload(&self, slot: usize) -> &[u8] {
        let start = slot * SLOT + HEADER;
        &self.bytes[start..start + self.lengths[slot]]
    }

    /// Who sent it.
    pub(super) fn source(&self, slot: usize) -> SocketAddrV4 {
        let source = &self.addresses[slot];
        let ip = u32::from_be(source.sin_addr.s_addr);
        SocketAddrV4::new(ip.into(), u16::from_be(source.sin_port))
    }

    /// Makes slots ChannelData for one client.
    pub(super) fn address(&mut self, slots: Range<usize>, number: ChannelNumber, to: SocketAddrV4) {
        self.frame(slots.clone(), number, false);
        for slot in slots {
            self.addresses[slot] = sockaddr(to);
            self.name(slot);
        }
    }

    /// Sends all slots, each to whom it is addressed.
    pub(super) fn send_datagrams(&mut self, fd: Descriptor) {
        let mut sent = 0;
        while sent < self.filled {
            // SAFETY: as in `receive`; the kernel only reads.
            let more = unsafe {
                let rest = self.messages[sent..].as_mut_ptr();
                libc::sendmmsg(fd, rest, (self.filled - sent) as u32, 0)
            };
            match usize::try_from(more) {
                Ok(more) if more > 0 => sent += more,
                // A datagram that the kernel does not take is lost.
                _ => sent += 1,
            }
        }
        self.clear();
    }

    /// Sends slots into one stream, each as ChannelData with its padding, and forgets all.
    pub(super) fn send_stream(
        &mut self,
        fd: Descriptor,
        slots: Range<usize>,
        number: ChannelNumber,
    ) {
        self.frame(slots.clone(), number, true);
        self.filled = 0;
        let mut pieces = &mut self.pieces[slots];
        while !pieces.is_empty() {
            // SAFETY: each piece is a part of a slot, which lives as long as `self` is borrowed. The kernel only reads.
            let written = unsafe { libc::writev(fd, pieces.as_ptr(), pieces.len() as i32) };
            let Ok(mut written) = usize::try_from(written) else {
                if !wait_until_writable(fd) {
                    return;
                }
                continue;
            };
            while let Some(first) = pieces.first_mut() {
                if written < first.iov_len {
                    // SAFETY: it stays within the piece, as it is longer than what was written of it.
                    first.iov_base = unsafe { first.iov_base.cast::<u8>().add(written) }.cast();
                    first.iov_len -= written;
                    break;
                }
                written -= first.iov_len;
                pieces = &mut pieces[1..];
            }
        }
    }

    /// Writes headers before what was received.
    fn frame(&mut self, slots: Range<usize>, number: ChannelNumber, padded: bool) {
        for slot in slots {
            let len = self.lengths[slot];
            let padding = if padded {
                channel_data::padding(len)
            } else {
                0
            };
            let frame = &mut self.bytes[slot * SLOT..][..HEADER + len + padding];
            frame[..HEADER].copy_from_slice(&channel_data::header(number, len as u16));
            frame[HEADER + len..].fill(0);
            self.pieces[slot] = piece(frame);
        }
    }
}

fn piece(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    }
}

/// Sends one datagram; one that the kernel does not take is lost.
pub(super) fn send_to(fd: Descriptor, to: &libc::sockaddr_in, bytes: &[u8]) {
    // SAFETY: the kernel reads the bytes and the address, whose lengths are those of what they are.
    unsafe {
        libc::sendto(
            fd,
            bytes.as_ptr().cast(),
            bytes.len(),
            0,
            ptr::from_ref(to).cast(),
            size_of::<libc::sockaddr_in>() as u32,
        );
    }
}

/// Waits for room in a stream whose reader is behind; false if it has ended.
fn wait_until_writable(fd: Descriptor) -> bool {
    if std::io::Error::last_os_error().kind() != std::io::ErrorKind::WouldBlock {
        return false;
    }
    let mut wanted = libc::pollfd {
        fd,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: it is one structure, and the call is told so.
    let ready = unsafe { libc::poll(&mut wanted, 1, -1) };
    ready == 1 && wanted.revents & (libc::POLLERR | libc::POLLHUP) == 0
}

pub(super) fn sockaddr(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(*address.ip()).to_be(),
        },
        sin_zero: [0; 8],
    }
}
