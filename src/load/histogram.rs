//! Latencies, counted in buckets that are at most 1.6 % wide.

use serde::Serialize;

/// Counts of nanoseconds: exact below 64, then 64 buckets for each power of two.
#[derive(Clone)]
pub(super) struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    max: u64,
}

/// Buckets of one power of two, as a power of two.
const FINENESS: u32 = 6;
/// What is longer than half an hour counts as that.
const LONGEST: u64 = (1 << 41) - 1;

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; bucket(LONGEST) + 1].into_boxed_slice(),
            total: 0,
            max: 0,
        }
    }
}

impl Histogram {
    /// Counts one.
    pub(super) fn record(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds.min(LONGEST))] += 1;
        self.total += 1;
        self.max = self.max.max(nanoseconds);
    }

    /// Counts all that another one has counted.
    pub(super) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// The value that `percent` of all do not exceed.
    pub(super) fn percentile(&self, percent: f64) -> u64 {
        let rank = (percent / 100.0 * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return highest(index).min(self.max);
            }
        }
        self.max
    }

    /// What is reported of it; `None` if nothing was counted.
    pub(super) fn summary(&self) -> Option<Latency> {
        let micros = |nanoseconds: u64| (nanoseconds as f64 / 100.0).round() / 10.0;
        (self.total > 0).then(|| Latency {
            p50: micros(self.percentile(50.0)),
            p90: micros(self.percentile(90.0)),
            p99: micros(self.percentile(99.0)),
            max: micros(self.max),
        })
    }
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Half of all are no longer.
    pub p50: f64,
    /// Nine of ten are no longer.
    pub p90: f64,
    /// 99 of 100 are no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

fn bucket(value: u64) -> usize {
    let magnitude = (u64::BITS - (value >> FINENESS).leading_zeros()).saturating_sub(1);
    let sub = (value >> magnitude) as usize;
    ((magnitude as usize) << FINENESS) + sub
}

/// The highest value of a bucket.
fn highest(index: usize) -> u64 {
    let magnitude = (index >> FINENESS).saturating_sub(1);
    let sub = (index - (magnitude << FINENESS)) as u64;
    ((sub + 1) << magnitude) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut last = 0;
        for value in 0..100_000u64 {
            let index = bucket(value);
            assert!(index == last || index == last + 1, "{value}");
            assert!(highest(index) >= value, "{value}");
            assert!(highest(index) - value <= value / 64, "{value}");
            last = index;
        }
    }

    #[test]
    fn percentiles_are_within_the_width_of_a_bucket() {
        let mut histogram = Histogram::default();
        for value in 1..=100_000 {
            histogram.record(value);
        }
        for (percent, exact) in [(50.0, 50_000), (99.0, 99_000), (100.0, 100_000)] {
            let found = histogram.percentile(percent);
            assert!(found.abs_diff(exact) <= exact / 60, "{percent}: {found}");
        }
    }

    #[test]
    fn what_is_beyond_all_buckets_is_counted() {
        let mut histogram = Histogram::default();
        histogram.record(u64::MAX);
        assert_eq!(histogram.summary().unwrap().max, 18446744073709551.6);
        assert_eq!(Histogram::default().summary(), None);
    }
}
