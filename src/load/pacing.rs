//! When the next packets are due.

/// How packets are offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// So many each second, whatever becomes of them.
    Open(f64),
    /// As many as come back: this number is under way at any time.
    Closed(usize),
}

/// Says how many packets are due.
pub(super) struct Pacer {
    pace: Pace,
    /// Packets of one flow that are sent together.
    train: usize,
    /// How far sending may lag behind, in nanoseconds, before what was due counts as unsent.
    patience: u64,
    start: u64,
    /// Packets handed out or given up so far.
    accounted: u64,
    unsent: u64,
}

/// Packets handed out at once at most.
pub(super) const BATCH: usize = 64;

impl Pacer {
    pub(super) fn new(pace: Pace, train: usize, patience: u64, start: u64) -> Self {
        Self {
            pace,
            train,
            patience,
            start,
            accounted: 0,
            unsent: 0,
        }
    }

    /// How many packets are to be sent at `now`, in whole trains, while `under_way` have not come back.
    pub(super) fn due(&mut self, now: u64, under_way: usize) -> usize {
        let due = match self.pace {
            Pace::Open(rate) => self.behind(rate, now),
            Pace::Closed(window) => {
                let window = window.max(self.train);
                let room = window.saturating_sub(under_way);
                // A few at a time, as single ones would make the generator dearer than what it measures.
                if room < (window / 8).max(1) { 0 } else { room }
            }
        };
        let most = BATCH.max(self.train);
        let due = due.min(most) / self.train * self.train;
        self.accounted += due as u64;
        due
    }

    fn behind(&mut self, rate: f64, now: u64) -> usize {
        let due = |nanoseconds: u64| (nanoseconds as f64 * rate / 1e9) as u64;
        let behind = due(now.saturating_sub(self.start)).saturating_sub(self.accounted);
        let most = due(self.patience).max(2 * self.train as u64);
        let given_up = behind.saturating_sub(most);
        self.accounted += given_up;
        self.unsent += given_up;
        (behind - given_up) as usize
    }

    /// Notes packets that were handed out and could not be sent; a closed loop will ask for them again.
    pub(super) fn refuse(&mut self, packets: usize) {
        match self.pace {
            Pace::Open(_) => self.unsent += packets as u64,
            Pace::Closed(_) => {}
        }
    }

    /// Packets that were due and have not been sent.
    pub(super) fn unsent(&self) -> u64 {
        self.unsent
    }
}

/// Packets that have been sent and have neither come back nor been given up.
///
/// They are counted by when they were sent; what is older than an eighth of a second or so is taken for lost, so that a
/// closed loop does not come to a halt.
#[derive(Default)]
pub(super) struct UnderWay {
    slices: [u32; SLICES],
    total: usize,
    /// The slice of the latest time seen.
    latest: u64,
}

const SLICES: usize = 9;
/// A slice of time, as a power of two of nanoseconds: 17 milliseconds.
const SLICE: u32 = 24;

impl UnderWay {
    /// How many there are at `now`.
    pub(super) fn count(&mut self, now: u64) -> usize {
        let slice = now >> SLICE;
        while self.latest < slice {
            // Beyond one round there is nothing left to forget.
            self.latest = (self.latest + 1).max(slice.saturating_sub(SLICES as u64));
            let old = &mut self.slices[self.latest as usize % SLICES];
            self.total -= *old as usize;
            *old = 0;
        }
        self.total
    }

    /// Notes packets sent at `now`.
    pub(super) fn sent(&mut self, now: u64, packets: usize) {
        self.count(now);
        self.slices[(now >> SLICE) as usize % SLICES] += packets as u32;
        self.total += packets;
    }

    /// Notes that one that was sent at `sent` has come back.
    pub(super) fn came_back(&mut self, sent: u64) {
        let slice = sent >> SLICE;
        if slice > self.latest || self.latest - slice >= SLICES as u64 {
            return;
        }
        let count = &mut self.slices[slice as usize % SLICES];
        if *count > 0 {
            *count -= 1;
            self.total -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    #[test]
    fn an_open_loop_offers_its_rate() {
        let mut pacer = Pacer::new(Pace::Open(20_000.0), 1, MILLISECOND, 0);
        let due: usize = (0..10_000).map(|n| pacer.due(n * 100_000, 0)).sum();
        assert_eq!((due, pacer.unsent()), (19_998, 0));
    }

    #[test]
    fn what_a_stall_has_kept_from_being_sent_is_told() {
        let mut pacer = Pacer::new(Pace::Open(10_000.0), 1, MILLISECOND, 0);
        assert_eq!(pacer.due(100 * MILLISECOND, 0), 10);
        assert_eq!(pacer.unsent(), 990);
        assert_eq!(pacer.due(100 * MILLISECOND, 0), 0);
        pacer.refuse(3);
        assert_eq!(pacer.unsent(), 993);
    }

    #[test]
    fn a_closed_loop_fills_its_window_in_trains() {
        let mut pacer = Pacer::new(Pace::Closed(64), 1, MILLISECOND, 0);
        assert_eq!(pacer.due(0, 0), 64);
        assert_eq!(pacer.due(0, 60), 0);
        assert_eq!(pacer.due(0, 50), 14);
        let mut pacer = Pacer::new(Pace::Closed(64), 10, MILLISECOND, 0);
        assert_eq!(pacer.due(0, 0), 60);
        assert_eq!(pacer.due(0, 60), 0);
        let mut pacer = Pacer::new(Pace::Closed(1), 10, MILLISECOND, 0);
        assert_eq!(pacer.due(0, 0), 10);
    }

    #[test]
    fn a_train_may_be_longer_than_a_batch() {
        let mut pacer = Pacer::new(Pace::Open(1e6), 100, MILLISECOND, 0);
        assert_eq!(pacer.due(MILLISECOND, 0), 100);
    }

    #[test]
    fn what_does_not_come_back_is_given_up() {
        let mut under_way = UnderWay::default();
        under_way.sent(5 * MILLISECOND, 10);
        under_way.sent(40 * MILLISECOND, 10);
        under_way.came_back(5 * MILLISECOND);
        assert_eq!(under_way.count(100 * MILLISECOND), 19);
        assert_eq!(under_way.count(160 * MILLISECOND), 10);
        under_way.came_back(5 * MILLISECOND);
        assert_eq!(under_way.count(160 * MILLISECOND), 10, "it was given up");
        assert_eq!(under_way.count(100_000 * MILLISECOND), 0);
    }
}
