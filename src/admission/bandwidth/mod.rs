//! How many bytes per second may be relayed: token buckets, one per direction.
//!
//! Each allocation holds a [`Meter`] and asks it for every packet. Three buckets have to hold the bytes:
//! the allocation's own, the one that its user's allocations share, and the server's; a realm may have one, too. `bucket.rs` is
//! the arithmetic; `lease.rs` keeps threads from meeting at a shared bucket.

use std::sync::Arc;
use std::time::Instant;

use thiserror::Error;

mod bucket;
mod lease;

pub use bucket::{Bucket, LEAST_BURST, SharedBucket};
use lease::{Lease, SharedBuckets};

/// Limits in bytes per second, for each direction on its own.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Per allocation.
    pub per_allocation: u64,
    /// Per user id, over all allocations.
    pub per_user: u64,
    /// On this server, or in one realm of it.
    pub total: u64,
}

/// 80 Mbit/s, 160 Mbit/s, 8 Gbit/s: more than a call with shared screens needs, less than a flood.
impl Default for Settings {
    fn default() -> Self {
        Self {
            per_allocation: 10_000_000,
            per_user: 20_000_000,
            total: 1_000_000_000,
        }
    }
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client, out of the relayed address.
    ToPeer,
    /// From a peer, to the client.
    ToClient,
}

/// Whose limit does not let a packet pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Exceeded {
    /// [`Settings::per_allocation`].
    #[error("the allocation's bandwidth is exceeded")]
    Allocation,
    /// [`Settings::per_user`].
    #[error("the user's bandwidth is exceeded")]
    User,
    /// [`Settings::total`] of a realm.
    #[error("the realm's bandwidth is exceeded")]
    Realm,
    /// [`Settings::total`] of the server.
    #[error("the server's bandwidth is exceeded")]
    Total,
}

/// What the allocations of one user share.
#[derive(Debug)]
pub struct UserBandwidth(SharedBuckets);

impl UserBandwidth {
    /// For a user that had no allocation.
    pub fn new(settings: &Settings) -> Self {
        Self(SharedBuckets::new(settings.per_user))
    }
}

/// What all allocations share, over all threads. Each thread draws from it through a [`TotalLease`].
#[derive(Debug)]
pub struct Total(SharedBuckets);

impl Total {
    /// One for the server, or for one realm of it.
    pub fn new(settings: &Settings) -> Arc<Self> {
        Arc::new(Self(SharedBuckets::new(settings.total)))
    }
}

/// A thread's part of [`Total`].
#[derive(Debug)]
pub struct TotalLease {
    total: Arc<Total>,
    lease: Lease,
}

impl TotalLease {
    /// One for each thread.
    pub fn new(total: Arc<Total>) -> Self {
        Self {
            total,
            lease: Lease::new(),
        }
    }

    fn take(&mut self, direction: Direction, bytes: usize, now: Instant) -> bool {
        self.lease.take(&self.total.0, direction, bytes, now)
    }
}

/// Weighs the packets of one allocation.
#[derive(Debug)]
pub struct Meter {
    allocation: PerDirection<Bucket>,
    user: Arc<UserBandwidth>,
    user_lease: Lease,
}

impl Meter {
    /// For a new allocation of this user.
    pub fn new(settings: &Settings, user: Arc<UserBandwidth>) -> Self {
        Self {
            allocation: PerDirection::from_fn(|| Bucket::new(settings.per_allocation)),
            user,
            user_lease: Lease::new(),
        }
    }

    /// Takes a packet's bytes from every bucket, or from none: the allocation's, its user's, its realm's where that has one, and
    /// the server's.
    ///
    /// Never blocks and never allocates; mostly it touches nothing that another thread does (about 10 ns).
    pub fn take(
        &mut self,
        direction: Direction,
        bytes: usize,
        now: Instant,
        (mut realm, total): (Option<&mut TotalLease>, &mut TotalLease),
    ) -> Result<(), Exceeded> {
        let allocation = self.allocation.get_mut(direction);
        let full_at = allocation.after(bytes, now).ok_or(Exceeded::Allocation)?;
        if !self.user_lease.take(&self.user.0, direction, bytes, now) {
            return Err(Exceeded::User);
        }
        // Most servers have one realm, which has no total of its own.
        if let Some(realm) = &mut realm
            && !realm.take(direction, bytes, now)
        {
            self.user_lease.give_back(direction, bytes);
            return Err(Exceeded::Realm);
        }
        if !total.take(direction, bytes, now) {
            if let Some(realm) = realm {
                realm.lease.give_back(direction, bytes);
            }
            self.user_lease.give_back(direction, bytes);
            return Err(Exceeded::Total);
        }
        allocation.set_full_at(full_at);
        Ok(())
    }
}

/// One of each, chosen by the direction.
#[derive(Debug)]
struct PerDirection<T> {
    to_peer: T,
    to_client: T,
}

impl<T> PerDirection<T> {
    fn from_fn(make: impl Fn() -> T) -> Self {
        Self {
            to_peer: make(),
            to_client: make(),
        }
    }

    fn get(&self, direction: Direction) -> &T {
        match direction {
            Direction::ToPeer => &self.to_peer,
            Direction::ToClient => &self.to_client,
        }
    }

    fn get_mut(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::ToPeer => &mut self.to_peer,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Direction::{ToClient, ToPeer};
    use super::*;

    /// What a fresh bucket holds, in packets.
    const FRESH: u64 = LEAST_BURST / 1000;
    const SECOND: Duration = Duration::from_secs(1);
    const AMPLE: u64 = 1_000_000_000;

    /// A user with allocations on one thread.
    struct User {
        meters: Vec<Meter>,
        now: Instant,
    }

    impl User {
        fn new(settings: &Settings, allocations: usize) -> Self {
            let user = Arc::new(UserBandwidth::new(settings));
            let meter = || Meter::new(settings, Arc::clone(&user));
            Self {
                meters: std::iter::repeat_with(meter).take(allocations).collect(),
                now: Instant::now(),
            }
        }

        /// One whose buckets have been used, and are full.
        fn rested(settings: &Settings, allocations: usize, total: &mut TotalLease) -> Self {
            let mut user = Self::new(settings, allocations);
            for meter in &mut user.meters {
                for direction in [ToPeer, ToClient] {
                    assert_eq!(meter.take(direction, 1000, user.now, (None, total)), Ok(()));
                }
            }
            user.now += 10 * SECOND;
            user
        }

        /// Packets of 1000 bytes until one is refused: how many passed, and whose limit stopped them.
        fn send(
            &mut self,
            allocation: usize,
            direction: Direction,
            total: &mut TotalLease,
        ) -> (u64, Exceeded) {
            let meter = &mut self.meters[allocation];
            let mut passed = 0;
            loop {
                match meter.take(direction, 1000, self.now, (None, total)) {
                    Ok(()) => passed += 1,
                    Err(exceeded) => return (passed, exceeded),
                }
            }
        }
    }

    fn limits(per_allocation: u64, per_user: u64, total: u64) -> (Settings, TotalLease) {
        let settings = Settings {
            per_allocation,
            per_user,
            total,
        };
        let lease = TotalLease::new(Total::new(&settings));
        (settings, lease)
    }

    #[test]
    fn an_allocation_is_held_to_its_limit() {
        let (settings, mut total) = limits(1_000_000, AMPLE, AMPLE);
        let mut user = User::new(&settings, 2);
        assert_eq!(
            user.send(0, ToPeer, &mut total),
            (FRESH, Exceeded::Allocation)
        );
        user.now += 10 * SECOND;
        assert_eq!(
            user.send(0, ToPeer, &mut total),
            (1000, Exceeded::Allocation)
        );
        user.now += SECOND;
        assert_eq!(
            user.send(0, ToPeer, &mut total),
            (1000, Exceeded::Allocation)
        );
        assert_eq!(
            user.send(0, ToClient, &mut total),
            (FRESH, Exceeded::Allocation)
        );
        assert_eq!(
            user.send(1, ToPeer, &mut total),
            (FRESH, Exceeded::Allocation)
        );
    }

    #[test]
    fn the_allocations_of_a_user_are_held_to_its_limit_together() {
        let (settings, mut total) = limits(AMPLE, 1_000_000, AMPLE);
        let mut user = User::rested(&settings, 2, &mut total);
        assert_eq!(user.send(0, ToPeer, &mut total), (1000, Exceeded::User));
        assert_eq!(user.send(1, ToPeer, &mut total), (0, Exceeded::User));
        assert_eq!(user.send(1, ToClient, &mut total), (1000, Exceeded::User));
        let mut other = User::new(&settings, 1);
        other.now = user.now;
        assert_eq!(other.send(0, ToPeer, &mut total).0, FRESH);
    }

    #[test]
    fn all_users_are_held_to_the_servers_limit_together() {
        let (settings, mut total) = limits(AMPLE, AMPLE, 1_000_000);
        let mut alice = User::rested(&settings, 1, &mut total);
        let mut bob = User::new(&settings, 1);
        bob.now = alice.now;
        assert_eq!(alice.send(0, ToPeer, &mut total), (1000, Exceeded::Total));
        assert_eq!(bob.send(0, ToPeer, &mut total), (0, Exceeded::Total));
        let mut other_thread = TotalLease::new(Arc::clone(&total.total));
        assert_eq!(bob.send(0, ToPeer, &mut other_thread), (0, Exceeded::Total));
    }

    #[test]
    fn what_a_later_limit_refuses_is_not_taken_from_the_earlier_ones() {
        let (_, mut ample) = limits(AMPLE, AMPLE, AMPLE);
        let (settings, mut exhausted) = limits(1_000_000, 1_000_000, 1);
        let mut user = User::new(&settings, 1);
        assert!(ample.take(ToPeer, 1000, user.now));
        user.send(0, ToPeer, &mut exhausted);
        user.now += SECOND;
        for _ in 0..10_000 {
            assert_eq!(user.send(0, ToPeer, &mut exhausted), (0, Exceeded::Total));
        }
        assert_eq!(
            user.send(0, ToPeer, &mut ample),
            (1000, Exceeded::Allocation)
        );
    }

    #[test]
    fn a_realm_is_held_to_its_limit_and_leaves_the_rest_to_others() {
        let (_, mut realm) = limits(AMPLE, AMPLE, 1_000_000);
        let (settings, mut server) = limits(AMPLE, AMPLE, AMPLE);
        let mut alice = User::rested(&settings, 1, &mut server);
        let mut take =
            |now| alice.meters[0].take(ToPeer, 1000, now, (Some(&mut realm), &mut server));
        let mut now = alice.now;
        assert_eq!(take(now), Ok(()));
        now += 10 * SECOND;
        let passed = (0..).take_while(|_| take(now).is_ok()).count();
        assert_eq!((passed, take(now)), (1000, Err(Exceeded::Realm)));
        let mut bob = User::new(&settings, 1);
        bob.now = now;
        assert_eq!(bob.send(0, ToPeer, &mut server).0, FRESH);
    }

    #[test]
    fn what_the_server_refuses_is_not_taken_from_the_realm() {
        let (_, mut realm) = limits(AMPLE, AMPLE, 1_000_000);
        let (settings, mut exhausted) = limits(AMPLE, AMPLE, 1);
        let mut user = User::new(&settings, 1);
        user.send(0, ToPeer, &mut exhausted);
        user.now += SECOND;
        let meter = &mut user.meters[0];
        for _ in 0..10_000 {
            let totals = (Some(&mut realm), &mut exhausted);
            assert_eq!(
                meter.take(ToPeer, 1000, user.now, totals),
                Err(Exceeded::Total)
            );
        }
        let (_, mut ample) = limits(AMPLE, AMPLE, AMPLE);
        let totals = (Some(&mut realm), &mut ample);
        assert_eq!(meter.take(ToPeer, 1000, user.now, totals), Ok(()));
    }

    #[test]
    fn starting_over_gains_no_more_than_the_least_burst() {
        let (settings, mut total) = limits(AMPLE, AMPLE, AMPLE);
        let rested = User::rested(&settings, 1, &mut total);
        let mut newcomer = User::new(&settings, 1);
        newcomer.now = rested.now;
        assert_eq!(newcomer.send(0, ToPeer, &mut total).0, FRESH);
    }

    #[test]
    fn a_call_of_ordinary_size_never_meets_the_defaults() {
        let settings = Settings::default();
        let mut total = TotalLease::new(Total::new(&settings));
        let mut user = User::new(&settings, 1);
        // 50 Mbit/s as bursts of 50 packets, each 8 ms.
        for _ in 0..1000 {
            for _ in 0..50 {
                let taken = user.meters[0].take(ToClient, 1000, user.now, (None, &mut total));
                assert_eq!(taken, Ok(()));
            }
            user.now += Duration::from_millis(8);
        }
    }
}
