//! Telling the operator of datagrams that the kernel has dropped: a receive buffer was too small for a burst.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use tracing::warn;

use super::Worker;
use crate::net::sys;

/// How often sockets are asked.
pub(super) const PERIOD: Duration = Duration::from_secs(1);
/// Relay sockets asked at a time; all of them are, in turn.
const RELAYS: usize = 256;

/// When sockets were asked, and what they have said in all.
pub(super) struct KernelDrops {
    next: Instant,
    total: u64,
    of_relays: u64,
}

impl KernelDrops {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            next: now + PERIOD,
            total: 0,
            of_relays: 0,
        }
    }

    /// Datagrams dropped since the start, as far as was told.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Of those, what was sent to relay sockets.
    pub(super) fn of_relays(&self) -> u64 {
        self.of_relays
    }
}

impl Worker {
    /// Asks the listeners and some of the relay sockets, if it is time to.
    pub(super) fn look_for_kernel_drops(&mut self, now: Instant) {
        if now < self.kernel_drops.next {
            return;
        }
        self.kernel_drops.next = now + PERIOD;
        for listener in &mut self.listeners {
            let total = sys::kernel_drops(listener.socket.as_fd());
            let dropped = total.wrapping_sub(listener.kernel_drops);
            listener.kernel_drops = total;
            if dropped > 0 {
                self.kernel_drops.total += u64::from(dropped);
                warn!(
                    listener = %listener.local,
                    dropped,
                    total,
                    "the kernel dropped datagrams from clients: the receive buffer was full \
                     (listener_receive_buffer, net.core.rmem_max)"
                );
            }
        }
        let relays = self.relays.new_kernel_drops(RELAYS);
        if relays.dropped > 0 {
            self.kernel_drops.total += relays.dropped;
            self.kernel_drops.of_relays += relays.dropped;
            warn!(
                dropped = relays.dropped,
                sockets = relays.sockets,
                worst = relays.worst.map(tracing::field::display),
                "the kernel dropped datagrams from peers: receive buffers of relay sockets were full \
                 (relay_receive_buffer, net.core.rmem_max)"
            );
        }
    }
}
