//! Whether the calls work, and what uses them.

pub(in super::super) use super::recv::Receiver;
pub(in super::super) use super::send::Sender;
use crate::net::sys::fixed::Fixed;

/// What receives into the `slots` slots of `bytes`.
pub(in super::super) fn receiver(bytes: &Fixed<u8>, slots: usize) -> Option<Receiver> {
    Some(Receiver::new(bytes, slots))
}

/// What sends.
pub(in super::super) fn sender() -> Option<Sender> {
    Some(Sender::new())
}

/// Whether the kernel has the calls, and no filter of system calls is in the way.
pub(in super::super) fn work() -> bool {
    let no_socket = -1;
    // SAFETY: no headers are given, so that nothing is read or written.
    let received = unsafe {
        libc::recvmmsg(
            no_socket,
            std::ptr::null_mut(),
            0,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let has_recvmmsg = received < 0 && is_bad_descriptor();
    // SAFETY: as above.
    let sent =
        unsafe { libc::sendmmsg(no_socket, std::ptr::null_mut(), 0, libc::MSG_DONTWAIT as _) };
    has_recvmmsg && sent < 0 && is_bad_descriptor()
}

/// Whether the last call has got as far as looking at its descriptor.
fn is_bad_descriptor() -> bool {
    std::io::Error::last_os_error().raw_os_error() == Some(libc::EBADF)
}
