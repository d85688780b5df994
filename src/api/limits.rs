//! How often one may ask: the generic cell rate algorithm (GCRA) in tables of fixed size.
//!
//! A keyed limiter that keeps every key until it is swept (such as `governor`'s) grows with the number
//! of addresses that ask between two sweeps, and has nothing to evict by. Here a key hashes to a set of a
//! few slots; when all are in use, the slot that would be free soonest makes way, so that whoever is
//! being limited stays limited.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::problem::Problem;
use super::proxies::Client;
use crate::lock::Lock;

/// The limits on asking for credentials.
pub(super) struct Limits {
    addresses: RateTable,
    callers: RateTable,
}

impl Limits {
    pub(super) fn new(per_address_per_minute: u32, per_caller_per_minute: u32) -> Self {
        Self {
            addresses: RateTable::new(per_address_per_minute),
            callers: RateTable::new(per_caller_per_minute),
        }
    }

    /// Says when `client` may come back if it has used up its requests; counts nothing.
    pub(super) fn check_address(&self, client: Client) -> Result<(), Problem> {
        self.addresses
            .check(&block_of(client.0), Instant::now())
            .map_err(|wait| {
                Problem::rate_limited(
                    "Too many requests came from this address; wait for as many seconds as Retry-After says.",
                    wait,
                )
            })
    }

    /// Counts a request from `client`.
    pub(super) fn charge_address(&self, client: Client) {
        self.addresses
            .charge(&block_of(client.0), 1, Instant::now());
    }

    /// Counts a request from `client` that proved to be from nobody.
    pub(super) fn penalise_address(&self, client: Client) {
        self.addresses
            .charge(&block_of(client.0), FAILURE_COST, Instant::now());
    }

    /// Counts a request by an authenticated caller, or says when it may come back.
    pub(super) fn admit_caller(&self, caller: &impl Hash) -> Result<(), Problem> {
        self.callers.admit(caller, Instant::now()).map_err(|wait| {
            Problem::rate_limited(
                "Too many requests came with this key or token; wait for as many seconds as Retry-After says.",
                wait,
            )
        })
    }
}

/// What one subscriber holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum AddressBlock {
    /// One address.
    V4(u32),
    /// The upper half of every address in a /64.
    V6(u64),
}

pub(super) fn block_of(address: IpAddr) -> AddressBlock {
    match address.to_canonical() {
        IpAddr::V4(v4) => AddressBlock::V4(v4.to_bits()),
        IpAddr::V6(v6) => AddressBlock::V6((v6.to_bits() >> 64) as u64),
    }
}

/// GCRA for many keys in constant memory.
struct RateTable {
    /// The time that one request is worth.
    interval: Duration,
    /// How far ahead of the clock a key may run: a minute's worth of requests.
    tolerance: Duration,
    hasher: RandomState,
    start: Instant,
    slots: Lock<Box<[Slot]>>,
}

/// The state of one key. A slot whose time has passed says nothing, and is free.
#[derive(Clone, Copy, Default)]
struct Slot {
    tag: u64,
    /// The theoretical arrival time, since the table's start.
    arrival: Duration,
}

impl RateTable {
    fn new(per_minute: u32) -> Self {
        let per_minute = per_minute.max(1);
        let interval = MINUTE / per_minute;
        Self {
            interval,
            tolerance: interval * per_minute,
            hasher: RandomState::new(),
            start: Instant::now(),
            slots: Lock::new(vec![Slot::default(); SETS * WAYS].into_boxed_slice()),
        }
    }

    /// Counts one request, or returns how long it is until there is room for one.
    fn admit(&self, key: &impl Hash, now: Instant) -> Result<(), Duration> {
        self.with_slot(key, now, |slot, now| {
            slot.arrival = self.room(slot, now)?;
            Ok(())
        })
    }

    /// Returns how long it is until there is room for a request, if there is none; counts nothing.
    fn check(&self, key: &impl Hash, now: Instant) -> Result<(), Duration> {
        self.with_slot(key, now, |slot, now| self.room(slot, now).map(drop))
    }

    /// Counts `requests`, whether or not there is room for them.
    fn charge(&self, key: &impl Hash, requests: u32, now: Instant) {
        self.with_slot(key, now, |slot, now| {
            slot.arrival = slot.arrival.max(now) + self.interval * requests;
        });
    }

    /// Returns the arrival time behind one more request, or how long it is until there is room for it.
    fn room(&self, slot: &Slot, now: Duration) -> Result<Duration, Duration> {
        let arrival = slot.arrival.max(now) + self.interval;
        match arrival.checked_sub(now + self.tolerance) {
            None | Some(Duration::ZERO) => Ok(arrival),
            Some(wait) => Err(wait),
        }
    }

    fn with_slot<T>(
        &self,
        key: &impl Hash,
        now: Instant,
        use_slot: impl FnOnce(&mut Slot, Duration) -> T,
    ) -> T {
        let now = now.saturating_duration_since(self.start);
        let tag = self.hasher.hash_one(key);
        let first = (tag as usize % SETS) * WAYS;
        let mut slots = self.slots.hold();
        let set = &mut slots[first..first + WAYS];
        let slot = match set.iter().position(|slot| slot.tag == tag) {
            Some(index) => &mut set[index],
            None => {
                let soonest = set
                    .iter_mut()
                    .min_by_key(|slot| slot.arrival)
                    .expect("a set has slots");
                *soonest = Slot { tag, arrival: now };
                soonest
            }
        };
        use_slot(slot, now)
    }
}

/// A failed authentication costs as much as this many requests: guessing is slower than asking.
const FAILURE_COST: u32 = 6;
const MINUTE: Duration = Duration::from_secs(60);
/// Keys that a table can tell apart at once: `SETS * WAYS`, 16384, in 400 KB.
const SETS: usize = 2048;
const WAYS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_passes_at_once_and_then_one_per_interval() {
        let table = RateTable::new(3);
        let now = table.start;
        for _ in 0..3 {
            assert_eq!(table.admit(&"web", now), Ok(()));
        }
        assert_eq!(table.admit(&"web", now), Err(Duration::from_secs(20)));
        let later = now + Duration::from_secs(20);
        assert_eq!(table.admit(&"web", later), Ok(()));
        assert_eq!(table.admit(&"web", later), Err(Duration::from_secs(20)));
    }

    #[test]
    fn keys_do_not_share_a_limit() {
        let table = RateTable::new(1);
        let now = table.start;
        assert_eq!(table.admit(&"web", now), Ok(()));
        assert_eq!(table.admit(&"app", now), Ok(()));
        assert!(table.admit(&"web", now).is_err());
    }

    #[test]
    fn a_charge_delays_the_next_request() {
        let table = RateTable::new(60);
        let now = table.start;
        table.charge(&"guesser", 60 + 5, now);
        assert_eq!(table.admit(&"guesser", now), Err(Duration::from_secs(6)));
    }

    #[test]
    fn a_check_says_what_admission_would_and_counts_nothing() {
        let table = RateTable::new(1);
        let now = table.start;
        for _ in 0..3 {
            assert_eq!(table.check(&"web", now), Ok(()));
        }
        assert_eq!(table.admit(&"web", now), Ok(()));
        assert_eq!(table.check(&"web", now), Err(MINUTE));
        assert_eq!(table.check(&"web", now + MINUTE), Ok(()));
    }

    #[test]
    fn a_full_table_keeps_limiting_whoever_is_furthest_ahead() {
        let table = RateTable::new(10);
        let now = table.start;
        while table.admit(&"greedy", now).is_ok() {}
        for other in 0..(SETS * WAYS * 4) as u64 {
            assert_eq!(table.admit(&other, now), Ok(()));
        }
        assert!(table.admit(&"greedy", now).is_err());
    }

    #[test]
    fn an_ipv6_client_is_its_slash_64_and_a_mapped_one_its_ipv4_address() {
        let block = |text: &str| block_of(text.parse().expect("an address"));
        assert_eq!(block("2001:db8:0:1::1"), block("2001:db8:0:1:ffff::2"));
        assert_ne!(block("2001:db8:0:1::1"), block("2001:db8:0:2::1"));
        assert_eq!(block("::ffff:192.0.2.1"), block("192.0.2.1"));
        assert_ne!(block("192.0.2.1"), block("192.0.2.2"));
    }
}
