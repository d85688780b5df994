//! Sending many datagrams in as few calls, and as few passes through the kernel, as can be.
//!
//! Neighbours of equal size that go the same way are handed over as one message, which the kernel cuts (UDP_SEGMENT);
//! messages of one socket leave in one `sendmmsg`; a single datagram leaves by `sendto`, the cheapest of all.

use std::io;
use std::mem::zeroed;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::net::sys::address::RawAddress;
use crate::net::sys::control::{self, Control};
use crate::net::sys::datagram::{Datagram, Outbox};
use crate::net::sys::error_queue::may_be_pending;
use crate::net::sys::plain;

/// Messages handed over in one call at most.
const MESSAGES: usize = 64;
/// Datagrams in one message at most: what every kernel with UDP_SEGMENT takes.
const SEGMENTS: usize = 64;
/// Bytes in one message at most: an IP packet with its headers.
const BYTES: usize = 65_535 - 48;
/// Pieces of memory in one call at most.
const PIECES: usize = 512;
/// Pieces of one datagram: header, data, padding.
const PIECES_EACH: usize = 3;
/// Each route takes segments of this size: the least MTU of IPv6, less the headers.
const FITS_EVERYWHERE: usize = 1280 - 48;

/// Memory for the headers of a batch, used again and again.
pub(in super::super) struct Sender {
    names: Box<[RawAddress]>,
    controls: Box<[Control]>,
    iovecs: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    /// Which datagrams each message is made of.
    parts: Box<[Range<usize>]>,
    /// Messages and pieces in use.
    used: (usize, usize),
    segmentation: Segmentation,
}

/// Which datagrams may be left to the kernel to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segmentation {
    /// Those no longer than this.
    longest: usize,
}

impl Segmentation {
    const OFF: Self = Self { longest: 0 };

    /// Learns from a refusal of segments of `size` bytes; whether it was one.
    ///
    /// A network card without checksums gives EIO. EINVAL or EMSGSIZE is given for segments beyond the route's MTU, and
    /// EINVAL for all of them by a kernel that does not know of segmentation. EMSGSIZE may also be pending from an ICMP error,
    /// which anybody can forge: so it never ends segmentation.
    fn learn(&mut self, error: &io::Error, size: usize) -> bool {
        match error.raw_os_error() {
            Some(libc::EIO) => *self = Self::OFF,
            Some(libc::EINVAL) if size <= FITS_EVERYWHERE => *self = Self::OFF,
            Some(libc::EINVAL | libc::EMSGSIZE) => {
                self.longest = self.longest.min((size - 1).max(FITS_EVERYWHERE));
            }
            _ => return false,
        }
        true
    }
}

// SAFETY: the raw pointers are written anew by each `send` and used only within it.
unsafe impl Send for Sender {}

impl Sender {
    pub(in super::super) fn new() -> Self {
        Self {
            names: vec![RawAddress::zeroed(); MESSAGES].into_boxed_slice(),
            controls: vec![Control::zeroed(); MESSAGES].into_boxed_slice(),
            // SAFETY: both are plain integers and pointers, for which all zeroes is a value.
            iovecs: vec![unsafe { zeroed::<libc::iovec>() }; PIECES].into_boxed_slice(),
            // SAFETY: as above.
            headers: vec![unsafe { zeroed::<libc::mmsghdr>() }; MESSAGES].into_boxed_slice(),
            parts: vec![0..0; MESSAGES].into_boxed_slice(),
            used: (0, 0),
            segmentation: Segmentation { longest: BYTES },
        }
    }

    /// Makes a message of each datagram.
    pub(in super::super) fn leave_nothing_to_cut(&mut self) {
        self.segmentation = Segmentation::OFF;
    }

    /// Sends an outbox, whose data lies in `bytes`, in order, and returns how many datagrams the kernel took.
    pub(in super::super) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        outbox: &Outbox,
        bytes: &[u8],
    ) -> usize {
        let datagrams = outbox.datagrams();
        if let [one] = datagrams {
            return usize::from(plain::send_one(socket, one, outbox.heads(), bytes).is_ok());
        }
        let (mut next, mut sent) = (0, 0);
        while next < datagrams.len() {
            self.used = (0, 0);
            while next < datagrams.len() && self.has_room() {
                next = self.add_message(outbox, next, bytes);
            }
            match self.transmit(socket, outbox, bytes) {
                Ok(taken) => sent += taken,
                // The socket is full: what does not fit is lost, as waiting would hold up everyone else.
                Err(taken) => return sent + taken,
            }
        }
        sent
    }

    fn has_room(&self) -> bool {
        self.used.0 < MESSAGES && self.used.1 + PIECES_EACH <= PIECES
    }

    /// Makes a message of the datagram at `first` and those behind it that can go with it; returns where the next one begins.
    fn add_message(&mut self, outbox: &Outbox, first: usize, bytes: &[u8]) -> usize {
        let datagrams = outbox.datagrams();
        let (message, first_piece) = self.used;
        let size = datagrams[first].len();
        let (mut next, mut total, mut pieces) = (first, 0, first_piece);
        let mut last_size = size;
        while next < datagrams.len() && pieces + PIECES_EACH <= PIECES {
            let datagram = &datagrams[next];
            if next > first && !self.may_join(&datagrams[first..=next], last_size, total) {
                break;
            }
            for piece in datagram.pieces(outbox.heads(), bytes) {
                pieces = self.add_piece(piece, first_piece, pieces);
            }
            last_size = datagram.len();
            total += last_size;
            next += 1;
        }
        self.parts[message] = first..next;
        let segment = (next - first > 1).then_some(size as u16);
        self.fill_header(message, &datagrams[first], first_piece..pieces, segment);
        self.used = (message + 1, pieces);
        next
    }

    /// Whether the last of `datagrams` can go in one message with those before it, the latest of which has `last_size` bytes.
    fn may_join(&self, datagrams: &[Datagram], last_size: usize, total: usize) -> bool {
        let [first, .., candidate] = datagrams else {
            return false;
        };
        let (size, len) = (first.len(), candidate.len());
        // A shorter one ends the message, and an empty one cannot be cut off it.
        size <= self.segmentation.longest
            && last_size == size
            && (1..=size).contains(&len)
            && datagrams.len() <= SEGMENTS
            && total + len <= BYTES
            && candidate.to == first.to
            && candidate.from == first.from
            && candidate.tos == first.tos
    }

    /// Adds a piece of memory to the message whose pieces begin at `first`, or makes its last piece longer.
    fn add_piece(&mut self, piece: &[u8], first: usize, next: usize) -> usize {
        if piece.is_empty() {
            return next;
        }
        if next > first {
            let last = &mut self.iovecs[next - 1];
            let end = last.iov_base.cast::<u8>().wrapping_add(last.iov_len);
            if std::ptr::eq(end, piece.as_ptr()) {
                last.iov_len += piece.len();
                return next;
            }
        }
        self.iovecs[next] = libc::iovec {
            iov_base: piece.as_ptr().cast_mut().cast(),
            iov_len: piece.len(),
        };
        next + 1
    }

    fn fill_header(
        &mut self,
        message: usize,
        datagram: &Datagram,
        pieces: Range<usize>,
        segment: Option<u16>,
    ) {
        let header = &mut self.headers[message].msg_hdr;
        header.msg_namelen = self.names[message].set(datagram.to);
        header.msg_name = (&raw mut self.names[message]).cast();
        header.msg_iovlen = pieces.len();
        header.msg_iov = self.iovecs[pieces].as_mut_ptr();
        let mut beside = control::Writer::new(&mut self.controls[message]);
        if let Some(from) = datagram.from {
            beside.source(from);
        }
        if datagram.tos != 0 {
            beside.tos(datagram.tos, datagram.to.is_ipv6());
        }
        if let Some(size) = segment {
            beside.segment(size);
        }
        beside.finish(header);
    }

    /// Hands over the messages and returns how many datagrams were taken: as an error if the socket has no room for more.
    fn transmit(
        &mut self,
        socket: BorrowedFd<'_>,
        outbox: &Outbox,
        bytes: &[u8],
    ) -> Result<usize, usize> {
        let messages = self.used.0;
        let (mut next, mut sent, mut tried) = (0, 0, None);
        while next < messages {
            match self.hand_over(socket, next..messages) {
                Ok(taken) => {
                    sent += self.parts[next]
                        .start
                        .abs_diff(self.parts[next + taken - 1].end);
                    next += taken;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Err(sent),
                    io::ErrorKind::Interrupted => {}
                    _ if tried != Some(next) && may_be_pending(&error) => tried = Some(next),
                    // The message in front cannot be sent as it is; those behind it may.
                    _ => {
                        sent += self.send_apart(socket, next, outbox, bytes, &error);
                        next += 1;
                    }
                },
            }
        }
        Ok(sent)
    }

    fn hand_over(&mut self, socket: BorrowedFd<'_>, messages: Range<usize>) -> io::Result<usize> {
        let headers = &mut self.headers[messages];
        let n = if let [only] = headers {
            // SAFETY: the header points to a name, iovecs into the caller's memory and, if any, a control buffer, of the
            // lengths it says, all alive during the call; the kernel writes to none of them.
            let sent = unsafe {
                libc::sendmsg(
                    socket.as_raw_fd(),
                    &raw const only.msg_hdr,
                    libc::MSG_DONTWAIT,
                )
            };
            if sent < 0 { -1 } else { 1 }
        } else {
            // SAFETY: as above, for each header; the kernel writes `msg_len` only.
            unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    headers.as_mut_ptr(),
                    headers.len() as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                )
            }
        };
        if n < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(n as usize)
    }

    /// Sends the datagrams of a message that was refused, one by one, if it was refused for having several.
    fn send_apart(
        &mut self,
        socket: BorrowedFd<'_>,
        message: usize,
        outbox: &Outbox,
        bytes: &[u8],
        error: &io::Error,
    ) -> usize {
        let part = self.parts[message].clone();
        let datagrams = &outbox.datagrams()[part];
        if datagrams.len() == 1 || !self.segmentation.learn(error, datagrams[0].len()) {
            return 0;
        }
        tracing::debug!(%error, size = datagrams[0].len(), "the kernel does not cut datagrams of this size here");
        let taken = |one: &&Datagram| plain::send_one(socket, one, outbox.heads(), bytes).is_ok();
        datagrams.iter().filter(taken).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_size_is_learned_for_that_size() {
        let mut segmentation = Segmentation { longest: BYTES };
        let too_long = io::Error::from_raw_os_error(libc::EINVAL);
        assert!(segmentation.learn(&too_long, 8000));
        assert_eq!(segmentation.longest, 7999);
        assert!(!segmentation.learn(&io::Error::from_raw_os_error(libc::ENETUNREACH), 8000));
        assert_eq!(segmentation.longest, 7999);
    }

    #[test]
    fn what_a_forged_icmp_error_can_cause_does_not_end_it() {
        let mut segmentation = Segmentation { longest: BYTES };
        for code in [libc::EMSGSIZE, libc::ENOPROTOOPT, libc::EOPNOTSUPP] {
            segmentation.learn(&io::Error::from_raw_os_error(code), 160);
            assert_ne!(segmentation, Segmentation::OFF);
        }
        assert_eq!(segmentation.longest, FITS_EVERYWHERE);
    }

    #[test]
    fn a_refusal_of_every_size_ends_it() {
        for (code, size) in [(libc::EIO, 8000), (libc::EINVAL, 160)] {
            let mut segmentation = Segmentation { longest: BYTES };
            assert!(segmentation.learn(&io::Error::from_raw_os_error(code), size));
            assert_eq!(segmentation, Segmentation::OFF);
        }
    }
}
