//! Token buckets, kept as the moment at which they will be full again (the generic cell rate
//! algorithm): one number to store, nothing to refill, no fraction of a byte lost between packets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A bucket with one owner.
#[derive(Debug)]
pub struct Bucket {
    pace: Pace,
    /// `None` until first asked.
    full_at: Option<Instant>,
}

impl Bucket {
    /// A bucket that lets this many bytes per second pass; zero is read as one.
    ///
    /// It holds what comes in a second: a client behind a stalled TCP connection sends what has
    /// gathered meanwhile at once, and that is no excess. It never holds less than
    /// [`LEAST_BURST`], and begins with only that, so that nobody gains by starting over.
    pub fn new(bytes_per_second: u64) -> Self {
        Self {
            pace: Pace::new(bytes_per_second),
            full_at: None,
        }
    }

    /// Takes all of `bytes`, or nothing.
    pub fn take(&mut self, bytes: usize, now: Instant) -> bool {
        let after = self.after(bytes, now);
        self.full_at = after.or(self.full_at);
        after.is_some()
    }

    /// When the bucket would be full again if `bytes` were taken; `None` if it does not hold them.
    pub(super) fn after(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        let at_first = Duration::from_nanos(self.pace.missing_at_first());
        let full_at = *self.full_at.get_or_insert(now + at_first);
        let missing = full_at.saturating_duration_since(now).as_nanos();
        let missing = u64::try_from(missing).unwrap_or(u64::MAX);
        let after = self.pace.take(missing, bytes as u64)?;
        Some(now + Duration::from_nanos(after))
    }

    /// Takes what [`Self::after`] weighed.
    pub(super) fn set_full_at(&mut self, full_at: Instant) {
        self.full_at = Some(full_at);
    }
}

/// A bucket that threads take from together. Its clock counts nanoseconds from its first use.
#[derive(Debug)]
pub struct SharedBucket {
    pace: Pace,
    full_at: AtomicU64,
}

impl SharedBucket {
    /// As [`Bucket::new`].
    pub fn new(bytes_per_second: u64) -> Self {
        let pace = Pace::new(bytes_per_second);
        Self {
            pace,
            full_at: AtomicU64::new(pace.missing_at_first()),
        }
    }

    /// Takes all of `bytes`, or nothing.
    pub fn take(&self, bytes: u64, nanos_since_epoch: u64) -> bool {
        self.take_within(self.pace.burst, bytes, nanos_since_epoch)
    }

    /// Takes all of `bytes` if the bucket is at least half full then, or nothing.
    pub fn take_of_plenty(&self, bytes: u64, nanos_since_epoch: u64) -> bool {
        self.take_within(self.pace.burst / 2, bytes, nanos_since_epoch)
    }

    /// Takes all of `bytes` if no more than `most` is missing then, in nanoseconds.
    fn take_within(&self, most: u64, bytes: u64, nanos_since_epoch: u64) -> bool {
        // Nothing else is published by this number, so that its own order is enough.
        self.full_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
                let missing = full_at.saturating_sub(nanos_since_epoch);
                let after = self.pace.take(missing, bytes)?;
                let within = after <= most;
                within
                    .then(|| nanos_since_epoch.checked_add(after))
                    .flatten()
            })
            .is_ok()
    }
}

/// A rate and a burst, in time rather than bytes.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// What a byte costs, in units of 2^-32 ns: finer than any rate needs, and it saves a division.
    per_byte: u64,
    /// What a full bucket holds, in nanoseconds; 36 hours at most, so that no `Instant` overflows.
    burst: u64,
}

impl Pace {
    fn new(bytes_per_second: u64) -> Self {
        let per_byte = (NANOS_PER_SECOND << 32) / bytes_per_second.max(1);
        let least = cost(per_byte, LEAST_BURST);
        Self {
            per_byte,
            burst: least.max(NANOS_PER_SECOND),
        }
    }

    /// What is missing from a full bucket after `bytes` were taken; `None` if it does not hold them.
    fn take(self, missing: u64, bytes: u64) -> Option<u64> {
        let missing = missing.saturating_add(cost(self.per_byte, bytes));
        (missing <= self.burst).then_some(missing)
    }

    fn missing_at_first(self) -> u64 {
        self.burst - cost(self.per_byte, LEAST_BURST)
    }
}

/// How long `bytes` take to come, in nanoseconds.
fn cost(per_byte: u64, bytes: u64) -> u64 {
    let nanos = (u128::from(per_byte) * u128::from(bytes)) >> 32;
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// What a bucket holds at least, in bytes: the largest datagram, twice, so that it passes however the
/// caller counts its headers.
pub const LEAST_BURST: u64 = 2 * 65_536;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MEGABYTE: u64 = 1_000_000;
    const SECOND: Duration = Duration::from_secs(1);

    /// Takes packets of 1000 bytes until refused; says how many bytes that were.
    fn drain(mut take: impl FnMut(usize) -> bool) -> u64 {
        (0..1_000_000).take_while(|_| take(1000)).count() as u64 * 1000
    }

    #[test]
    fn a_fresh_bucket_holds_the_least_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(MEGABYTE);
        assert_eq!(drain(|bytes| bucket.take(bytes, start)), 131_000);
        assert!(bucket.take(72, start));
        assert!(!bucket.take(1, start));
    }

    #[test]
    fn an_idle_bucket_gathers_a_second_and_no_more() {
        let start = Instant::now();
        let mut bucket = Bucket::new(MEGABYTE);
        assert!(bucket.take(1, start));
        let later = start + 100 * SECOND;
        assert_eq!(drain(|bytes| bucket.take(bytes, later)), MEGABYTE);
        assert_eq!(
            drain(|bytes| bucket.take(bytes, later + SECOND / 2)),
            MEGABYTE / 2
        );
    }

    #[test]
    fn the_largest_datagram_passes_after_a_pause_at_any_rate() {
        for rate in [0, 1, 1000, 65_535, MEGABYTE, 125 * MEGABYTE, u64::MAX] {
            let start = Instant::now();
            let mut bucket = Bucket::new(rate);
            assert!(bucket.take(65_535, start), "{rate}");
            while bucket.take(65_535, start) && rate != u64::MAX {}
            let rested = start + Duration::from_nanos(bucket.pace.burst);
            assert!(bucket.take(65_535, rested), "{rate}");
        }
    }

    #[test]
    fn many_small_packets_lose_no_fraction() {
        let start = Instant::now();
        let mut bucket = Bucket::new(999);
        drain(|bytes| bucket.take(bytes, start));
        let taken = (0..10_000_000_u64)
            .step_by(1000)
            .filter(|micros| bucket.take(1, start + Duration::from_micros(*micros)))
            .count();
        // What drain left, and ten seconds.
        assert!((9990..=9990 + 1000).contains(&taken), "{taken}");
    }

    #[test]
    fn time_that_stands_or_runs_backwards_adds_nothing() {
        let start = Instant::now() + 10 * SECOND;
        let mut bucket = Bucket::new(MEGABYTE);
        drain(|bytes| bucket.take(bytes, start));
        assert!(!bucket.take(1000, start));
        assert!(!bucket.take(1000, start - SECOND));
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let start = Instant::now();
        assert!(!Bucket::new(1).take(usize::MAX, start));
        assert!(!SharedBucket::new(1).take(u64::MAX, 0));
        assert!(!SharedBucket::new(1).take(u64::MAX, u64::MAX));
    }

    #[test]
    fn a_shared_bucket_holds_as_much_as_one_with_one_owner() {
        let shared = SharedBucket::new(MEGABYTE);
        assert_eq!(drain(|bytes| shared.take(bytes as u64, 0)), 131_000);
        let later = 100 * NANOS_PER_SECOND;
        assert_eq!(drain(|bytes| shared.take(bytes as u64, later)), MEGABYTE);
    }

    #[test]
    fn threads_never_take_more_together_than_there_is() {
        let shared = SharedBucket::new(MEGABYTE);
        let now = 100 * NANOS_PER_SECOND;
        let taken: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| drain(|bytes| shared.take(bytes as u64, now))))
                .collect();
            let taken = threads.into_iter().map(|thread| thread.join());
            taken.map(|taken| taken.expect("no panic")).sum()
        });
        assert_eq!(taken, MEGABYTE);
    }

    proptest! {
        #[test]
        fn no_pattern_beats_the_rate(
            rate in 1..10_000_000_u64,
            packets in prop::collection::vec((0..65_536_usize, 0..2_000_000_u64), 1..200),
        ) {
            let start = Instant::now();
            let (mut owned, shared) = (Bucket::new(rate), SharedBucket::new(rate));
            let (mut passed, mut nanos) = (0_u64, 0_u64);
            for (bytes, pause) in packets {
                nanos += pause * 1000;
                let taken = owned.take(bytes, start + Duration::from_nanos(nanos));
                prop_assert_eq!(taken, shared.take(bytes as u64, nanos));
                passed += if taken { bytes as u64 } else { 0 };
                let came = (u128::from(rate) * u128::from(nanos) / 1_000_000_000) as u64;
                // A nanosecond may be lost to rounding for each packet.
                let rounding = 1 + 200 * rate / NANOS_PER_SECOND;
                prop_assert!(passed <= LEAST_BURST.max(rate) + came + rounding);
            }
        }
    }
}
