//! What all relay sockets need: a port of the range, and words for when the system refuses one.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::sys;
use crate::turn::{OpenError, RelayedAddresses};

/// Ports tried until one can be bound: other processes may hold some of the range.
pub(super) const ATTEMPTS: usize = 64;

/// How often the operator is told that the system refuses relay sockets.
const WARN_EVERY: Duration = Duration::from_secs(1);

/// A port that is given back when this is dropped.
pub(super) struct ClaimedPort {
    pub(super) bound: SocketAddr,
    pub(super) relayed: Arc<RelayedAddresses>,
}

impl Drop for ClaimedPort {
    fn drop(&mut self) {
        self.relayed.release(self.bound.ip(), self.bound.port());
    }
}

/// Tells the operator what the system refuses.
#[derive(Default)]
pub(super) struct Complaints {
    warned: Option<Instant>,
}

impl Complaints {
    /// Tells the operator, but not once for every request while descriptors or memory are short.
    pub(super) fn system(&mut self, what: &str, ip: IpAddr, error: &io::Error) -> OpenError {
        let exhausted = sys::is_exhausted(error);
        let now = Instant::now();
        if self.warned.is_none_or(|last| now - last >= WARN_EVERY) {
            self.warned = Some(now);
            let advice = if exhausted {
                ": allow the process more (LimitNOFILE= under systemd, ulimit -n), or lower allocations_total"
            } else {
                ""
            };
            warn!(%ip, %error, "cannot {what} a relay socket{advice}");
        }
        if exhausted {
            OpenError::Exhausted
        } else {
            OpenError::System
        }
    }
}
