//! How many allocations there may be: per user, per client address, in total.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use thiserror::Error;

use super::bandwidth::{self, UserBandwidth};
use super::client_network::ClientNetwork;
use crate::lock::Lock;

/// Limits on simultaneous allocations.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Per user id.
    pub per_user: u32,
    /// Per client address (IPv6: per /64).
    pub per_client_address: u32,
    /// On this server, or in one realm of it.
    pub total: u32,
}

/// A browser opens a handful per call; an office of many people shares one address.
impl Default for Settings {
    fn default() -> Self {
        Self {
            per_user: 64,
            per_client_address: 512,
            total: 16_384,
        }
    }
}

/// Counts the allocations that there are. Threads share it; it is locked when an allocation begins and
/// when it ends, never for a packet.
///
/// Its tables hold only users and clients that have an allocation: the total limit bounds them, too.
pub struct Quotas {
    settings: Settings,
    bandwidth: bandwidth::Settings,
    /// Places on the server, which the quotas of all its realms share.
    places: Arc<Places>,
    counts: Lock<Counts>,
}

/// How many more allocations the server may have.
struct Places {
    limit: u32,
    free: AtomicU32,
}

#[derive(Default)]
struct Counts {
    total: u32,
    clients: HashMap<ClientNetwork, u32>,
    users: HashMap<Arc<str>, User>,
}

struct User {
    allocations: u32,
    bandwidth: Arc<UserBandwidth>,
}

/// Why there may not be another allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum QuotaReached {
    /// The user has as many as a user may have.
    #[error("the user has reached the limit of {limit} allocations per user")]
    PerUser {
        /// [`Settings::per_user`].
        limit: u32,
    },
    /// The client's address has as many as an address may have.
    #[error("the client has reached the limit of {limit} allocations per address")]
    PerClientAddress {
        /// [`Settings::per_client_address`].
        limit: u32,
    },
    /// The realm has as many as it may have.
    #[error("the realm has reached its limit of {limit} allocations")]
    Realm {
        /// [`Settings::total`] of the realm.
        limit: u32,
    },
    /// The server has as many as it may have.
    #[error("the server has reached its limit of {limit} allocations")]
    Total {
        /// [`Settings::total`] of the server.
        limit: u32,
    },
}

impl Quotas {
    /// Begins with no allocation. Users that come share nothing but these limits.
    pub fn new(settings: Settings, bandwidth: &bandwidth::Settings) -> Arc<Self> {
        let places = Places {
            limit: settings.total,
            free: AtomicU32::new(settings.total),
        };
        Self::within(settings, bandwidth, Arc::new(places))
    }

    /// The quotas of another realm of the same server. Its users and clients are counted on their own; its total counts within
    /// that of the server.
    pub fn beside(&self, settings: Settings, bandwidth: &bandwidth::Settings) -> Arc<Self> {
        Self::within(settings, bandwidth, Arc::clone(&self.places))
    }

    fn within(
        settings: Settings,
        bandwidth: &bandwidth::Settings,
        places: Arc<Places>,
    ) -> Arc<Self> {
        Arc::new(Self {
            settings,
            bandwidth: bandwidth.clone(),
            places,
            counts: Lock::default(),
        })
    }

    /// Counts one more allocation of a user and a client, until the returned value is dropped.
    pub fn admit(
        self: &Arc<Self>,
        user_id: &str,
        client: IpAddr,
    ) -> Result<Admitted, QuotaReached> {
        let client = ClientNetwork::of(client);
        let mut counts = self.counts.hold();
        counts.check(&self.settings, user_id, client)?;
        let limit = self.settings.total;
        if counts.total >= limit && limit < self.places.limit {
            return Err(QuotaReached::Realm { limit });
        }
        self.places.take()?;
        let (user_id, bandwidth) = counts.add(user_id, client, &self.bandwidth);
        drop(counts);
        Ok(Admitted {
            quotas: Arc::clone(self),
            user_id,
            client,
            bandwidth,
        })
    }

    /// How many allocations there are.
    pub fn allocations(&self) -> u32 {
        self.counts.hold().total
    }

    /// How many of them are a user's.
    pub fn allocations_of(&self, user_id: &str) -> u32 {
        self.counts.hold().of_user(user_id)
    }

    /// How many allocations count against [`Settings::total`]: those of the whole server, unless the limit is the realm's own.
    pub fn allocations_in_all(&self) -> u32 {
        if self.settings.total < self.places.limit {
            return self.allocations();
        }
        self.places.limit - self.places.free.load(Ordering::Relaxed)
    }
}

/// An allocation that is counted; dropping it gives its place back.
pub struct Admitted {
    quotas: Arc<Quotas>,
    user_id: Arc<str>,
    client: ClientNetwork,
    bandwidth: Arc<UserBandwidth>,
}

impl Admitted {
    /// Counts for another client address from here on; unless that has as many as it may have, which changes nothing.
    pub fn move_to(&mut self, client: IpAddr) -> Result<(), QuotaReached> {
        let client = ClientNetwork::of(client);
        if client == self.client {
            return Ok(());
        }
        let mut counts = self.quotas.counts.hold();
        let limit = self.quotas.settings.per_client_address;
        let count = counts.clients.entry(client).or_insert(0);
        if *count >= limit {
            return Err(QuotaReached::PerClientAddress { limit });
        }
        *count += 1;
        release(&mut counts.clients, self.client, |count| count);
        drop(counts);
        self.client = client;
        Ok(())
    }

    /// What all allocations of this user share.
    pub fn user_bandwidth(&self) -> &Arc<UserBandwidth> {
        &self.bandwidth
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.quotas.counts.hold().remove(&self.user_id, self.client);
        self.quotas.places.give_back();
    }
}

impl Places {
    fn take(&self) -> Result<(), QuotaReached> {
        let limit = self.limit;
        // Nothing else is read by what is read here.
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let taken = (self.free).fetch_update(set, fetch, |free| free.checked_sub(1));
        taken.map(|_| ()).map_err(|_| QuotaReached::Total { limit })
    }

    fn give_back(&self) {
        self.free.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counts {
    fn of_user(&self, user_id: &str) -> u32 {
        self.users.get(user_id).map_or(0, |user| user.allocations)
    }

    fn check(
        &self,
        limits: &Settings,
        user_id: &str,
        client: ClientNetwork,
    ) -> Result<(), QuotaReached> {
        let of_user = self.of_user(user_id);
        if of_user >= limits.per_user {
            let limit = limits.per_user;
            return Err(QuotaReached::PerUser { limit });
        }
        let of_client = self.clients.get(&client).copied().unwrap_or(0);
        if of_client >= limits.per_client_address {
            let limit = limits.per_client_address;
            return Err(QuotaReached::PerClientAddress { limit });
        }
        Ok(())
    }

    fn add(
        &mut self,
        user_id: &str,
        client: ClientNetwork,
        bandwidth: &bandwidth::Settings,
    ) -> (Arc<str>, Arc<UserBandwidth>) {
        self.total += 1;
        *self.clients.entry(client).or_insert(0) += 1;
        // An entry shares its key with the guards, so that a user's name is stored once.
        let user_id = match self.users.get_key_value(user_id) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::from(user_id),
        };
        let user = self
            .users
            .entry(Arc::clone(&user_id))
            .or_insert_with(|| User {
                allocations: 0,
                bandwidth: Arc::new(UserBandwidth::new(bandwidth)),
            });
        user.allocations += 1;
        (user_id, Arc::clone(&user.bandwidth))
    }

    fn remove(&mut self, user_id: &Arc<str>, client: ClientNetwork) {
        self.total -= 1;
        release(&mut self.clients, client, |count| count);
        release(&mut self.users, Arc::clone(user_id), |user| {
            &mut user.allocations
        });
    }
}

/// Counts one less, and forgets what has none left.
fn release<K: Eq + Hash, V>(table: &mut HashMap<K, V>, key: K, count: impl Fn(&mut V) -> &mut u32) {
    if let Entry::Occupied(mut entry) = table.entry(key) {
        let count = count(entry.get_mut());
        *count -= 1;
        if *count == 0 {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Settings = Settings {
        per_user: 2,
        per_client_address: 3,
        total: 5,
    };

    fn quotas() -> Arc<Quotas> {
        Quotas::new(LIMITS, &bandwidth::Settings::default())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    /// Admits without a limit in the way.
    fn admit(quotas: &Arc<Quotas>, user_id: &str, client: &str) -> Admitted {
        let admitted = quotas.admit(user_id, ip(client));
        admitted.unwrap_or_else(|refused| panic!("{user_id} at {client}: {refused}"))
    }

    fn refusal(quotas: &Arc<Quotas>, user_id: &str, client: &str) -> Option<QuotaReached> {
        quotas.admit(user_id, ip(client)).err()
    }

    #[test]
    fn a_user_has_no_more_than_its_limit_wherever_it_connects_from() {
        let quotas = quotas();
        let _first = admit(&quotas, "alice", "192.0.2.1");
        let _second = admit(&quotas, "alice", "192.0.2.2");
        let limit = QuotaReached::PerUser { limit: 2 };
        assert_eq!(refusal(&quotas, "alice", "192.0.2.3"), Some(limit));
        assert_eq!(refusal(&quotas, "bob", "192.0.2.3"), None);
    }

    #[test]
    fn a_client_address_has_no_more_than_its_limit_whoever_connects() {
        let quotas = quotas();
        let _held = ["a", "b", "c"].map(|user| admit(&quotas, user, "192.0.2.1"));
        let limit = QuotaReached::PerClientAddress { limit: 3 };
        assert_eq!(refusal(&quotas, "d", "192.0.2.1"), Some(limit));
        assert_eq!(refusal(&quotas, "d", "::ffff:192.0.2.1"), Some(limit));
        assert_eq!(refusal(&quotas, "d", "192.0.2.2"), None);
    }

    #[test]
    fn an_ipv6_client_is_counted_by_its_64() {
        let quotas = quotas();
        let _held =
            ["a", "b", "c"].map(|user| admit(&quotas, user, &format!("2001:db8:0:1::{user}")));
        let limit = QuotaReached::PerClientAddress { limit: 3 };
        assert_eq!(refusal(&quotas, "d", "2001:db8:0:1:f::1"), Some(limit));
        assert_eq!(refusal(&quotas, "d", "2001:db8:0:2::1"), None);
    }

    #[test]
    fn the_server_has_no_more_than_its_limit() {
        let quotas = quotas();
        let _held: Vec<Admitted> = (0..5)
            .map(|i| admit(&quotas, &format!("user {i}"), &format!("192.0.2.{i}")))
            .collect();
        assert_eq!(quotas.allocations(), 5);
        let limit = QuotaReached::Total { limit: 5 };
        assert_eq!(refusal(&quotas, "another", "192.0.2.99"), Some(limit));
    }

    #[test]
    fn dropping_gives_the_place_back_and_forgets_who_has_none() {
        let quotas = quotas();
        let first = admit(&quotas, "alice", "192.0.2.1");
        let second = admit(&quotas, "alice", "192.0.2.1");
        assert!(refusal(&quotas, "alice", "192.0.2.1").is_some());
        drop(first);
        let third = admit(&quotas, "alice", "192.0.2.1");
        drop((second, third));
        let counts = quotas.counts.hold();
        assert_eq!(counts.total, 0);
        assert!(counts.users.is_empty() && counts.clients.is_empty());
    }

    #[test]
    fn a_refusal_leaves_no_trace() {
        let quotas = quotas();
        let _held: Vec<Admitted> = (0..5)
            .map(|i| admit(&quotas, &format!("user {i}"), &format!("192.0.2.{i}")))
            .collect();
        for i in 0..100 {
            assert!(refusal(&quotas, &format!("other {i}"), "198.51.100.1").is_some());
        }
        let counts = quotas.counts.hold();
        assert_eq!((counts.users.len(), counts.clients.len()), (5, 5));
    }

    #[test]
    fn a_limit_of_zero_admits_nobody() {
        let settings = Settings { total: 0, ..LIMITS };
        let quotas = Quotas::new(settings, &bandwidth::Settings::default());
        let limit = QuotaReached::Total { limit: 0 };
        assert_eq!(refusal(&quotas, "alice", "192.0.2.1"), Some(limit));
    }

    #[test]
    fn the_allocations_of_a_user_share_their_bandwidth() {
        let quotas = quotas();
        let first = admit(&quotas, "alice", "192.0.2.1");
        let second = admit(&quotas, "alice", "192.0.2.2");
        let other = admit(&quotas, "bob", "192.0.2.1");
        assert!(Arc::ptr_eq(first.user_bandwidth(), second.user_bandwidth()));
        assert!(!Arc::ptr_eq(first.user_bandwidth(), other.user_bandwidth()));
    }

    #[test]
    fn realms_count_their_own_and_share_the_places_of_the_server() {
        let default = quotas();
        let realm = Settings { total: 3, ..LIMITS };
        let other = default.beside(realm, &bandwidth::Settings::default());
        let held = ["a", "b"].map(|user| admit(&default, user, "192.0.2.1"));
        let _same_names = ["a", "b", "c"].map(|user| admit(&other, user, "192.0.2.1"));
        let reached = |quotas, user| refusal(quotas, user, "192.0.2.2");
        assert_eq!(reached(&other, "d"), Some(QuotaReached::Realm { limit: 3 }));
        assert_eq!(
            reached(&default, "d"),
            Some(QuotaReached::Total { limit: 5 })
        );
        drop(held);
        assert_eq!(reached(&default, "d"), None);
        assert_eq!((default.allocations(), other.allocations()), (0, 3));
    }

    #[test]
    fn threads_never_exceed_the_total_together() {
        let settings = Settings {
            per_user: 1000,
            per_client_address: 1000,
            total: 100,
        };
        let quotas = Quotas::new(settings, &bandwidth::Settings::default());
        let admitted: Vec<Admitted> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let attempts = (0..50).map(|_| quotas.admit("alice", ip("192.0.2.1")));
                        attempts.flatten().collect::<Vec<Admitted>>()
                    })
                })
                .collect();
            let finished = workers.into_iter().map(|worker| worker.join());
            finished.flat_map(|held| held.expect("no panic")).collect()
        });
        assert_eq!(admitted.len(), 100);
        drop(admitted);
        assert_eq!(quotas.allocations(), 0);
    }

    proptest! {
        #[test]
        fn the_counts_are_those_of_the_allocations_held(
            steps in prop::collection::vec((0..4_u8, 0..4_u8, any::<bool>()), 0..60)
        ) {
            let quotas = quotas();
            let mut held: Vec<(u8, u8, Admitted)> = Vec::new();
            for (user, client, release) in steps {
                let of_user = held.iter().filter(|(held, _, _)| *held == user).count();
                let of_client = held.iter().filter(|(_, held, _)| *held == client).count();
                if release && !held.is_empty() {
                    held.swap_remove(usize::from(user) % held.len());
                } else {
                    let fits = of_user < 2 && of_client < 3 && held.len() < 5;
                    let admitted = quotas.admit(&user.to_string(), IpAddr::from([192, 0, 2, client]));
                    prop_assert_eq!(admitted.is_ok(), fits);
                    held.extend(admitted.ok().map(|admitted| (user, client, admitted)));
                }
                prop_assert_eq!(quotas.allocations() as usize, held.len());
            }
        }
    }
}
