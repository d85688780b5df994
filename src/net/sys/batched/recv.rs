//! Receiving many datagrams in one call.

use std::io;
use std::mem::zeroed;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::net::sys::address::RawAddress;
use crate::net::sys::arena::{HEADROOM, PAYLOAD, Received, SLOT};
use crate::net::sys::control::{self, Control};
use crate::net::sys::error_queue::receive_beyond;
use crate::net::sys::fixed::Fixed;

/// The headers of the slots of one arena.
pub(in super::super) struct Receiver {
    names: Fixed<RawAddress>,
    controls: Fixed<Control>,
    iovecs: Fixed<libc::iovec>,
    headers: Fixed<libc::mmsghdr>,
    /// Slots whose headers the kernel wrote to in the last call.
    written: Range<usize>,
    /// Where the slots begin.
    memory: *mut u8,
}

// SAFETY: the raw pointers lead into the memory beside them and into the arena's, which moves with both without changing its
// place, and are only followed by the kernel, during `receive`, which borrows both mutably.
unsafe impl Send for Receiver {}

impl Receiver {
    /// Makes headers for the slots of `bytes`, whose place does not change.
    pub(in super::super) fn new(bytes: &Fixed<u8>, slots: usize) -> Self {
        assert!(bytes.get().len() >= slots * SLOT);
        let mut receiver = Self {
            names: Fixed::new(RawAddress::zeroed(), slots),
            controls: Fixed::new(Control::zeroed(), slots),
            // SAFETY: both are plain integers and pointers, for which all zeroes is a value.
            iovecs: Fixed::new(unsafe { zeroed::<libc::iovec>() }, slots),
            // SAFETY: as above.
            headers: Fixed::new(unsafe { zeroed::<libc::mmsghdr>() }, slots),
            written: 0..slots,
            memory: bytes.pointer(0),
        };
        for slot in 0..slots {
            receiver.iovecs.get_mut()[slot] = libc::iovec {
                iov_base: bytes.pointer(slot * SLOT + HEADROOM).cast(),
                iov_len: PAYLOAD,
            };
            let header = &mut receiver.headers.get_mut()[slot].msg_hdr;
            header.msg_name = receiver.names.pointer(slot).cast();
            header.msg_iov = receiver.iovecs.pointer(slot);
            header.msg_iovlen = 1;
            header.msg_control = receiver.controls.pointer(slot).cast();
        }
        receiver
    }

    /// Receives into `slots` of the `bytes` that this was made for, and describes what was received.
    pub(in super::super) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        bytes: &mut Fixed<u8>,
        slots: Range<usize>,
        received: &mut [Option<Received>],
    ) -> io::Result<usize> {
        assert_eq!(
            bytes.pointer(0),
            self.memory,
            "the arena that it was made for"
        );
        for header in &mut self.headers.get_mut()[self.written.clone()] {
            header.msg_hdr.msg_namelen = RawAddress::LEN;
            header.msg_hdr.msg_controllen = Control::LEN as _;
        }
        self.written = slots.start..slots.start;
        let n = receive_beyond(|| self.fill(socket, slots.clone()))?;
        let filled = slots.start..slots.start + n;
        for slot in filled.clone() {
            received[slot] = self.describe(slot);
        }
        self.written = filled;
        Ok(n)
    }

    fn fill(&mut self, socket: BorrowedFd<'_>, slots: Range<usize>) -> io::Result<usize> {
        let headers = &mut self.headers.get_mut()[slots];
        // SAFETY: each header points to a name, an iovec and a control buffer of its own, of the lengths it says, which
        // live as long as `self` and the arena; nobody else has a reference to them, as `receive` borrows both mutably.
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
        Ok(n as usize)
    }

    fn describe(&self, slot: usize) -> Option<Received> {
        let header = &self.headers.get()[slot];
        if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let source = self.names.get()[slot].get()?;
        // SAFETY: `recvmmsg` has filled the header.
        let beside = unsafe { control::read(&header.msg_hdr) };
        Some(Received::new(slot, header.msg_len as usize, source, beside))
    }
}
