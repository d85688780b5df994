//! What became of datagrams that were sent: ICMP errors, from a socket's error queue (IP_RECVERR).
//!
//! Linux hands them to anybody who asks. Elsewhere, and where a build sets `--cfg portable`, nothing is told.

use std::io;
use std::net::SocketAddr;

#[cfg(not(all(target_os = "linux", not(portable))))]
mod absent;
#[cfg(all(target_os = "linux", not(portable)))]
mod present;

#[cfg(not(all(target_os = "linux", not(portable))))]
pub(super) use absent::may_be_pending;
#[cfg(not(all(target_os = "linux", not(portable))))]
pub(crate) use absent::{next_error, report_errors};
#[cfg(all(target_os = "linux", not(portable)))]
pub(super) use present::may_be_pending;
#[cfg(all(target_os = "linux", not(portable)))]
pub(crate) use present::{next_error, report_errors};

/// Why a datagram did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SendError {
    /// Where it was sent. The port is 0 where the kernel does not tell it.
    pub(crate) to: SocketAddr,
    /// The type of the ICMP message.
    pub(crate) typ: u8,
    /// Its code.
    pub(crate) code: u8,
    /// The MTU of the next hop, if it is about that.
    pub(crate) mtu: u32,
    /// Whether the kernel refused it itself, before it had left.
    pub(crate) is_local: bool,
}

/// Receives, and once more if there was an error about an earlier datagram instead: what has arrived must not be lost to it. If
/// errors come as fast as that, the caller is told that it was interrupted.
pub(super) fn receive_beyond<T>(mut receive: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    match receive() {
        Err(error) if may_be_pending(&error) => match receive() {
            Err(error) if may_be_pending(&error) => Err(io::ErrorKind::Interrupted.into()),
            received => received,
        },
        received => received,
    }
}
