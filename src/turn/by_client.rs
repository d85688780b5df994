//! Which allocation a five-tuple has.

use std::hash::BuildHasher;

use super::five_tuple::FiveTuple;
use super::output::RelayId;
use super::slots::Slots;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Finds allocations by their five-tuple. It holds their names only: the five-tuple that is compared lies in the allocation,
/// which whoever looks it up needs next.
#[derive(Default)]
pub(super) struct ByClient {
    names: HashTable<RelayId>,
    /// Keyed, so that nobody can choose five-tuples that collide.
    hasher: RandomState,
}

impl ByClient {
    /// The allocation of `five_tuple` among `slots`.
    pub(super) fn find(&self, five_tuple: &FiveTuple, slots: &Slots) -> Option<RelayId> {
        let wanted = Some(five_tuple);
        let hash = self.hasher.hash_one(wanted);
        let same = |relay: &RelayId| five_tuple_of(*relay, slots) == wanted;
        self.names.find(hash, same).copied()
    }

    /// Enters an allocation that is in `slots`; its five-tuple has no other.
    pub(super) fn insert(&mut self, relay: RelayId, slots: &Slots) {
        let hasher = &self.hasher;
        let hash = |relay: &RelayId| hasher.hash_one(five_tuple_of(*relay, slots));
        self.names.insert_unique(hash(&relay), relay, hash);
    }

    /// Forgets an allocation, which still is in `slots`.
    pub(super) fn remove(&mut self, relay: RelayId, slots: &Slots) {
        let hash = self.hasher.hash_one(five_tuple_of(relay, slots));
        if let Ok(entry) = self.names.find_entry(hash, |other| *other == relay) {
            entry.remove();
        }
    }
}

fn five_tuple_of(relay: RelayId, slots: &Slots) -> Option<&FiveTuple> {
    let allocation = slots.get(relay)?;
    Some(&allocation.flow.five_tuple)
}
