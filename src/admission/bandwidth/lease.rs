//! Buckets that threads share, and leases that keep them from meeting there for every packet.

use std::sync::OnceLock;
use std::time::Instant;

use super::bucket::SharedBucket;
use super::{Direction, PerDirection};

/// Two shared buckets, one for each direction, with the clock that they count by.
#[derive(Debug)]
pub(super) struct SharedBuckets {
    /// When the first packet came.
    epoch: OnceLock<Instant>,
    buckets: PerDirection<SharedBucket>,
    /// What a lease draws at once, in bytes.
    chunk: u64,
}

impl SharedBuckets {
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self {
            epoch: OnceLock::new(),
            buckets: PerDirection::from_fn(|| SharedBucket::new(bytes_per_second)),
            chunk: bytes_per_second / CHUNKS_PER_SECOND,
        }
    }

    fn take(&self, direction: Direction, bytes: u64, now: Instant) -> bool {
        let nanos = self.nanos_at(now);
        self.buckets.get(direction).take(bytes, nanos)
    }

    fn take_of_plenty(&self, direction: Direction, bytes: u64, now: Instant) -> bool {
        let nanos = self.nanos_at(now);
        self.buckets.get(direction).take_of_plenty(bytes, nanos)
    }

    fn nanos_at(&self, now: Instant) -> u64 {
        let epoch = *self.epoch.get_or_init(|| now);
        let nanos = now.saturating_duration_since(epoch).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

/// Bytes drawn from [`SharedBuckets`] in chunks, and spent without touching them.
///
/// Each lease may hold one chunk, a thousandth of a second's worth, beyond what the buckets hold.
#[derive(Debug)]
pub(super) struct Lease {
    credit: PerDirection<u64>,
}

impl Lease {
    pub(super) fn new() -> Self {
        Self {
            credit: PerDirection::from_fn(|| 0),
        }
    }

    /// Takes all of `bytes`, or nothing.
    pub(super) fn take(
        &mut self,
        shared: &SharedBuckets,
        direction: Direction,
        bytes: usize,
        now: Instant,
    ) -> bool {
        let bytes = bytes as u64;
        let credit = self.credit.get_mut(direction);
        let missing = bytes.saturating_sub(*credit);
        if missing > 0 {
            let chunk = shared.chunk.max(missing);
            if shared.take_of_plenty(direction, chunk, now) {
                *credit += chunk;
            } else if shared.take(direction, missing, now) {
                // Near the limit the rest goes to those who need it, packet by packet: chunks that many leases hold and
                // few of them spend would leave nothing for the others.
                *credit += missing;
            } else {
                return false;
            }
        }
        *credit -= bytes;
        true
    }

    /// Keeps for the next packet what was taken for one that did not pass.
    pub(super) fn give_back(&mut self, direction: Direction, bytes: usize) {
        *self.credit.get_mut(direction) += bytes as u64;
    }
}

/// A lease draws a millisecond's worth: some packets at the rates where threads would meet, and still
/// little against what a bucket holds, however many hold a lease on it.
const CHUNKS_PER_SECOND: u64 = 1000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::bucket::LEAST_BURST;
    use super::*;

    const RATE: u64 = 100_000_000;
    const CHUNK: u64 = RATE / CHUNKS_PER_SECOND;

    fn spend(lease: &mut Lease, shared: &SharedBuckets, now: Instant) -> u64 {
        (0..10_000_000)
            .take_while(|_| lease.take(shared, Direction::ToPeer, 1000, now))
            .count() as u64
            * 1000
    }

    #[test]
    fn a_chunk_is_spent_without_touching_the_bucket() {
        let now = Instant::now();
        let shared = SharedBuckets::new(RATE);
        let mut lease = Lease::new();
        assert!(lease.take(&shared, Direction::ToPeer, 1000, now));
        assert_eq!(*lease.credit.get(Direction::ToPeer), 0, "not full yet");
        let rested = now + Duration::from_secs(2);
        assert!(lease.take(&shared, Direction::ToPeer, 1000, rested));
        assert_eq!(*lease.credit.get(Direction::ToPeer), CHUNK - 1000);
        // What the first chunk left of a full bucket.
        assert!(shared.take(Direction::ToPeer, RATE - CHUNK, rested));
        assert_eq!(spend(&mut lease, &shared, rested), CHUNK - 1000);
    }

    #[test]
    fn the_last_bytes_are_drawn_one_packet_at_a_time() {
        let now = Instant::now();
        let shared = SharedBuckets::new(RATE);
        let mut lease = Lease::new();
        assert_eq!(spend(&mut lease, &shared, now), LEAST_BURST / 1000 * 1000);
    }

    #[test]
    fn leases_together_exceed_the_rate_by_no_more_than_their_chunks() {
        let start = Instant::now();
        let shared = SharedBuckets::new(RATE);
        let mut leases: Vec<Lease> = (0..8).map(|_| Lease::new()).collect();
        for lease in &mut leases {
            assert!(lease.take(&shared, Direction::ToPeer, 1, start));
        }
        let later = start + Duration::from_secs(60);
        let spent: u64 = leases
            .iter_mut()
            .map(|lease| spend(lease, &shared, later))
            .sum();
        assert!(spent <= RATE + 8 * CHUNK, "{spent}");
        assert!(spent >= RATE - 8 * 1000, "{spent}");
    }

    #[test]
    fn many_leases_that_spend_little_leave_enough_for_each_other() {
        let start = Instant::now();
        let shared = SharedBuckets::new(20_000_000);
        let mut leases: Vec<Lease> = (0..10_000).map(|_| Lease::new()).collect();
        // Of a fresh bucket, and of one that is full: less than it holds, but more if each took a chunk.
        let rested = start + Duration::from_secs(10);
        for (now, bytes) in [(start, 10), (rested, 1000)] {
            for (n, lease) in leases.iter_mut().enumerate() {
                assert!(lease.take(&shared, Direction::ToPeer, bytes, now), "{n}");
            }
        }
    }

    #[test]
    fn the_directions_are_apart() {
        let now = Instant::now();
        let shared = SharedBuckets::new(RATE);
        let mut lease = Lease::new();
        spend(&mut lease, &shared, now);
        assert!(!lease.take(&shared, Direction::ToPeer, 1000, now));
        assert!(lease.take(&shared, Direction::ToClient, 1000, now));
    }

    #[test]
    fn what_is_given_back_is_there_for_the_next() {
        let now = Instant::now();
        let shared = SharedBuckets::new(RATE);
        let mut lease = Lease::new();
        spend(&mut lease, &shared, now);
        lease.give_back(Direction::ToPeer, 1000);
        assert_eq!(spend(&mut lease, &shared, now), 1000);
    }
}
