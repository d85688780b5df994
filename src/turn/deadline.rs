//! What ends when: ordered, with lazy deletion, so that finding the next deadline never scans.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::output::{RelayId, ReservationToken};

/// Something that a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// An allocation. The serial tells it from a later one in the same place.
    Allocation {
        /// Which.
        relay: RelayId,
        /// Counts allocations from the server's start.
        serial: u64,
    },
    /// A port reserved by EVEN-PORT.
    Reservation(ReservationToken),
}

/// Deadlines in order. An entry may be out of date: whoever takes it looks up what holds.
#[derive(Default)]
pub(super) struct Deadlines(BinaryHeap<Reverse<(Instant, Ending)>>);

impl Deadlines {
    pub(super) fn add(&mut self, at: Instant, ending: Ending) {
        self.0.push(Reverse((at, ending)));
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the earliest entry that is due, with the time that it is for.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Instant, Ending)> {
        self.next().filter(|at| *at <= now)?;
        self.0.pop().map(|Reverse(entry)| entry)
    }
}
