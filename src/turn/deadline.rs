//! What ends when: ordered, with lazy deletion, so that finding the next deadline never scans.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::output::{ConnectionId, RelayId, ReservationToken};

/// Something that a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// An allocation. The serial tells it from a later one in the same place.
    Allocation {
        /// Which.
        relay: RelayId,
        /// A number that no other allocation has.
        serial: u64,
    },
    /// A port reserved by EVEN-PORT.
    Reservation(ReservationToken),
    /// The wait for a peer or a client in making a connection.
    Connection(ConnectionId),
}

/// Deadlines in order. An entry may be out of date: whoever takes it looks up what holds.
#[derive(Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, Ending)>>,
    /// How many entries there were after the last sweep.
    swept: usize,
}

/// As many entries as are never worth a sweep.
const UNSWEPT: usize = 1024;

impl Deadlines {
    pub(super) fn add(&mut self, at: Instant, ending: Ending) {
        self.heap.push(Reverse((at, ending)));
    }

    /// Removes entries that are out of date once they may be half of all: clients that come and go leave one each
    /// time, and it would stay for up to the longest lifetime. Costs a constant for each entry added.
    pub(super) fn sweep(&mut self, holds: impl Fn(Instant, Ending) -> bool) {
        if self.heap.len() > UNSWEPT + 2 * self.swept {
            self.heap
                .retain(|Reverse((at, ending))| holds(*at, *ending));
            self.swept = self.heap.len();
        }
    }

    /// Entries, some of them out of date.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the earliest entry that is due, with the time that it is for.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Instant, Ending)> {
        self.next().filter(|at| *at <= now)?;
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}
