//! What every packet carries, so that it can be attributed and timed wherever it turns up.

use std::time::Instant;

/// One clock for both ends: nanoseconds since it was started.
#[derive(Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// The first bytes of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The run that it belongs to: what is left over from an earlier one does not count.
    pub(super) run: u32,
    /// The client whose flow it belongs to.
    pub(super) client: u32,
    /// Its place in that flow.
    pub(super) sequence: u64,
    /// When it was sent, by the [`Clock`].
    pub(super) sent: u64,
}

impl Stamp {
    /// Bytes of a stamp: the least size of a payload.
    pub(super) const LEN: usize = 24;

    /// Writes it to the beginning of a payload.
    pub(super) fn write(&self, payload: &mut [u8]) {
        payload[..4].copy_from_slice(&self.run.to_be_bytes());
        payload[4..8].copy_from_slice(&self.client.to_be_bytes());
        payload[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        payload[16..24].copy_from_slice(&self.sent.to_be_bytes());
    }

    /// Reads it from the beginning of a payload; `None` if that is too short for one.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let (run, rest) = payload.split_first_chunk()?;
        let (client, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (sent, _) = rest.split_first_chunk()?;
        Some(Self {
            run: u32::from_be_bytes(*run),
            client: u32::from_be_bytes(*client),
            sequence: u64::from_be_bytes(*sequence),
            sent: u64::from_be_bytes(*sent),
        })
    }
}

/// Which packets of a flow have arrived, so that a duplicate does not hide a loss.
#[derive(Clone, Copy, Default)]
pub(super) struct Arrived {
    /// One more than the highest sequence number seen.
    end: u64,
    /// The 64 numbers below `end`, the latest in the lowest bit.
    seen: u64,
}

impl Arrived {
    /// Notes a packet; whether it is the first with its number. What is too old to tell is taken for new.
    pub(super) fn note(&mut self, sequence: u64) -> bool {
        if sequence >= self.end {
            let shift = sequence + 1 - self.end;
            self.seen = if shift < 64 { self.seen << shift } else { 0 } | 1;
            self.end = sequence + 1;
            return true;
        }
        let age = self.end - 1 - sequence;
        if age >= 64 {
            return true;
        }
        let bit = 1 << age;
        let new = self.seen & bit == 0;
        self.seen |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_back() {
        let stamp = Stamp {
            run: 7,
            client: 0x0102_0304,
            sequence: u64::MAX - 1,
            sent: 1 << 40,
        };
        let mut payload = [0; 30];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(Stamp::read(&payload[..Stamp::LEN]), Some(stamp));
        assert_eq!(Stamp::read(&payload[..Stamp::LEN - 1]), None);
    }

    #[test]
    fn a_duplicate_is_told_from_a_straggler() {
        let mut arrived = Arrived::default();
        for sequence in [0, 1, 5, 3] {
            assert!(arrived.note(sequence), "{sequence}");
            assert!(!arrived.note(sequence), "{sequence}");
        }
        assert!(arrived.note(200));
        assert!(arrived.note(199));
        assert!(!arrived.note(199));
        assert!(arrived.note(2), "too old to tell");
    }
}
