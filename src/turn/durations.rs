//! How long the allocations lasted that have ended, as a histogram.

use std::ops::AddAssign;
use std::time::Duration;

/// The bounds of the histogram, in seconds: from a call that never came to be, to one that is left on for a day.
const BOUNDS: [u64; 9] = [1, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400];

/// How many lasted how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// Those up to each bound that are longer than the one before, and at the end the longest ones.
    counts: [u64; BOUNDS.len() + 1],
    total: Duration,
}

impl Durations {
    pub(super) fn note(&mut self, age: Duration) {
        let place = BOUNDS
            .iter()
            .position(|bound| age <= Duration::from_secs(*bound));
        self.counts[place.unwrap_or(BOUNDS.len())] += 1;
        self.total = self.total.saturating_add(age);
    }

    /// Each bound in seconds, with how many lasted no longer.
    pub fn up_to(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut sum = 0;
        BOUNDS
            .into_iter()
            .zip(self.counts)
            .map(move |(bound, count)| {
                sum += count;
                (bound, sum)
            })
    }

    /// All of them.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long all of them lasted together.
    pub fn total(&self) -> Duration {
        self.total
    }
}

impl AddAssign for Durations {
    fn add_assign(&mut self, other: Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.total = self.total.saturating_add(other.total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_up_to_every_bound_that_it_does_not_exceed() {
        let mut durations = Durations::default();
        for millis in [0, 1_000, 1_001, 60_000, 90_000_000] {
            durations.note(Duration::from_millis(millis));
        }
        let mut twice = durations;
        twice += durations;
        let up_to: Vec<_> = twice.up_to().collect();
        assert_eq!(up_to[..4], [(1, 4), (10, 6), (30, 6), (60, 8)]);
        assert_eq!(up_to.last(), Some(&(86_400, 8)));
        assert_eq!(twice.count(), 10);
        assert_eq!(twice.total(), Duration::from_millis(2 * 90_062_001));
    }
}
