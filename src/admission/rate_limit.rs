//! A limit on what a source address causes that has shown no credential: replies, connections. In a table of fixed size.

#[expect(
    deprecated,
    reason = "the standard library's only hasher that takes a key"
)]
use std::hash::SipHasher;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::time::Instant;

use super::client_network::ClientNetwork;

/// How often one source address (IPv6: one /64) gets something, such as a reply or a connection.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Sustained rate; zero is read as one.
    pub per_second: u32,
    /// At once, after a pause; zero is read as one.
    pub burst: u32,
}

/// An office behind one address can start hundreds of calls at once; a victim of forged source
/// addresses sees a few kilobytes a second.
impl Default for Settings {
    fn default() -> Self {
        Self {
            per_second: 50,
            burst: 250,
        }
    }
}

/// Decides whether a source that has not authenticated gets a reply, or a connection.
///
/// Anybody can forge a source address, so nothing is stored for a source: the state is a table of
/// 2 × [`CELLS`] counters, 1 MiB, whoever knocks. A source belongs to one cell in each of the two rows,
/// chosen by a hash whose key nobody outside knows, and is refused only when both are exhausted.
///
/// * A source that shares neither cell gets exactly its limit: `burst`, and `per_second` from then on.
///   Sharing cells it may get up to twice that, when others use up now the one and now the other.
/// * A source that stays below its limit is refused only if others exhaust both its cells: with *n*
///   sources over their limit at a time, the odds are (1 − e^(−n/65536))². That is 1 in 4000 for
///   n = 1000, 1 in 50 for n = 10 000, and two in five for n = 65 536 (3.3 million packets per second at
///   the defaults; so many from random sources would exhaust every cell).
///
/// There is one for each thread. A source whose packets spread over several threads has the limit on each.
pub struct SourceLimiter {
    /// The time that one reply or connection uses up, in nanoseconds.
    per_event: u64,
    /// The time that a fresh cell holds.
    burst: u64,
    /// For each cell, when it will be fresh again, in nanoseconds since `epoch`.
    rows: [Box<[u64]>; 2],
    keys: [u64; 2],
    /// The first time that was asked about.
    epoch: Option<Instant>,
}

impl SourceLimiter {
    /// An untouched table. `seed` is random, and secret: who knows it can pick sources that share a
    /// victim's cells.
    pub fn new(settings: &Settings, seed: u64) -> Self {
        let per_event = NANOS_PER_SECOND / u64::from(settings.per_second.max(1));
        Self {
            per_event,
            burst: per_event * u64::from(settings.burst.max(1)),
            rows: [(); 2].map(|()| vec![0; CELLS].into()),
            keys: [seed, !seed],
            epoch: None,
        }
    }

    /// Counts a reply to `source`, or a connection from it, and says whether it may be.
    pub fn allow(&mut self, source: IpAddr, now: Instant) -> bool {
        let epoch = *self.epoch.get_or_insert(now);
        let now = now.saturating_duration_since(epoch).as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let cells = self.cells(ClientNetwork::of(source));
        let (per_event, burst) = (self.per_event, self.burst);
        let mut allowed = false;
        for (row, cell) in self.rows.iter_mut().zip(cells) {
            let fresh_at = row[cell].max(now).saturating_add(per_event);
            if fresh_at - now <= burst {
                row[cell] = fresh_at;
                allowed = true;
            }
        }
        allowed
    }

    /// Where a source is counted: its cell in each row.
    fn cells(&self, source: ClientNetwork) -> [usize; 2] {
        #[expect(deprecated, reason = "as at its import")]
        let mut hasher = SipHasher::new_with_keys(self.keys[0], self.keys[1]);
        source.hash(&mut hasher);
        let hash = hasher.finish() as usize;
        [hash % CELLS, (hash >> 32) % CELLS]
    }
}

/// Cells in each of the two rows.
pub const CELLS: usize = 65_536;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    const SETTINGS: Settings = Settings {
        per_second: 10,
        burst: 20,
    };
    const SECOND: Duration = Duration::from_secs(1);

    fn limiter() -> SourceLimiter {
        SourceLimiter::new(&SETTINGS, 0x5eed)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    /// How many replies out of a hundred a source gets.
    fn replies(limiter: &mut SourceLimiter, source: IpAddr, now: Instant) -> usize {
        (0..100).filter(|_| limiter.allow(source, now)).count()
    }

    #[test]
    fn a_source_gets_its_burst_and_then_its_rate() {
        let (mut limiter, source, start) = (limiter(), ip("192.0.2.1"), Instant::now());
        assert_eq!(replies(&mut limiter, source, start), 20);
        assert_eq!(replies(&mut limiter, source, start + SECOND), 10);
        assert_eq!(replies(&mut limiter, source, start + SECOND * 3 / 2), 5);
        assert_eq!(replies(&mut limiter, source, start + 3600 * SECOND), 20);
    }

    #[test]
    fn refused_requests_do_not_prolong_the_refusal() {
        let (mut limiter, source, start) = (limiter(), ip("192.0.2.1"), Instant::now());
        for _ in 0..1000 {
            limiter.allow(source, start);
        }
        assert!(limiter.allow(source, start + SECOND / 10));
    }

    #[test]
    fn an_ipv6_source_is_limited_by_its_64() {
        let (mut limiter, now) = (limiter(), Instant::now());
        assert_eq!(replies(&mut limiter, ip("2001:db8:0:1::1"), now), 20);
        assert_eq!(replies(&mut limiter, ip("2001:db8:0:1:2::2"), now), 0);
        assert_eq!(replies(&mut limiter, ip("2001:db8:0:2::1"), now), 20);
    }

    #[test]
    fn a_source_that_shares_one_exhausted_cell_is_still_answered() {
        for row in 0..2 {
            let (mut limiter, now) = (limiter(), Instant::now());
            let source = ip("192.0.2.1");
            let cells = limiter.cells(ClientNetwork::of(source));
            limiter.rows[row][cells[row]] = u64::MAX;
            assert_eq!(replies(&mut limiter, source, now), 20);
            limiter.rows[1 - row][cells[1 - row]] = u64::MAX;
            assert_eq!(replies(&mut limiter, source, now), 0);
        }
    }

    #[test]
    fn a_flood_from_a_thousand_sources_hardly_touches_others() {
        let (mut limiter, now) = (limiter(), Instant::now());
        for low in 0..1000 {
            let source = Ipv4Addr::from_bits(0x0a00_0000 + low);
            replies(&mut limiter, source.into(), now);
        }
        let refused = (0..1000_u32)
            .filter(|low| {
                let source = Ipv4Addr::from_bits(0x0b00_0000 + low);
                !limiter.allow(source.into(), now)
            })
            .count();
        // The odds are 1 in 4000, and the seed is fixed.
        assert!(refused <= 2, "{refused}");
    }

    #[test]
    fn a_flood_from_everywhere_is_held_to_the_table() {
        let (mut limiter, now) = (limiter(), Instant::now());
        let sources = 4 * 20 * CELLS as u32;
        let answered = (0..sources)
            .filter(|low| limiter.allow(Ipv4Addr::from_bits(*low).into(), now))
            .count();
        assert!(answered <= 2 * 20 * CELLS, "{answered}");
        assert_eq!(replies(&mut limiter, ip("192.0.2.1"), now), 0);
        assert_eq!(replies(&mut limiter, ip("192.0.2.1"), now + 2 * SECOND), 20);
    }

    #[test]
    fn the_seed_decides_who_shares_cells() {
        let source = ClientNetwork::of(ip("192.0.2.1"));
        let other = SourceLimiter::new(&SETTINGS, 0x5eee);
        assert_ne!(limiter().cells(source), other.cells(source));
        assert_eq!(limiter().cells(source), limiter().cells(source));
    }

    #[test]
    fn settings_of_zero_are_read_as_one() {
        let settings = Settings {
            per_second: 0,
            burst: 0,
        };
        let mut limiter = SourceLimiter::new(&settings, 0);
        let start = Instant::now();
        assert_eq!(replies(&mut limiter, ip("192.0.2.1"), start), 1);
        assert_eq!(replies(&mut limiter, ip("192.0.2.1"), start + SECOND), 1);
    }

    #[test]
    fn absurd_settings_do_not_overflow() {
        let settings = Settings {
            per_second: u32::MAX,
            burst: u32::MAX,
        };
        let mut limiter = SourceLimiter::new(&settings, 0);
        assert!(limiter.allow(ip("192.0.2.1"), Instant::now()));
        let slow = Settings {
            per_second: 1,
            burst: u32::MAX,
        };
        let mut limiter = SourceLimiter::new(&slow, 0);
        assert!(limiter.allow(ip("192.0.2.1"), Instant::now()));
    }
}
