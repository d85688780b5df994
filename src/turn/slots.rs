//! All allocations of a worker, by the names of their relays.

use slab::Slab;

use super::allocation::Allocation;
use super::output::RelayId;

/// Allocations. Each lies at the name of the relay that was opened first; the name of a second one leads there too.
#[derive(Default)]
pub(super) struct Slots(Slab<Slot>);

#[allow(
    clippy::large_enum_variant,
    reason = "nearly every slot has an allocation, which is to lie here"
)]
enum Slot {
    Allocation(Allocation),
    /// The second relay of another slot's allocation.
    Second(RelayId),
}

impl Slots {
    /// The allocation that has this relay.
    pub(super) fn get(&self, relay: RelayId) -> Option<&Allocation> {
        match self.0.get(relay.0 as usize)? {
            Slot::Allocation(allocation) => Some(allocation),
            Slot::Second(first) => match self.0.get(first.0 as usize)? {
                Slot::Allocation(allocation) => Some(allocation),
                Slot::Second(_) => None,
            },
        }
    }

    /// The allocation that has this relay.
    pub(super) fn get_mut(&mut self, relay: RelayId) -> Option<&mut Allocation> {
        let at = match self.0.get(relay.0 as usize)? {
            Slot::Allocation(_) => relay,
            Slot::Second(first) => *first,
        };
        match self.0.get_mut(at.0 as usize)? {
            Slot::Allocation(allocation) => Some(allocation),
            Slot::Second(_) => None,
        }
    }

    /// What the next relay will be called.
    pub(super) fn next(&self) -> RelayId {
        RelayId(self.0.vacant_key() as u32)
    }

    /// Enters an allocation under the name that [`next`](Self::next) gave.
    pub(super) fn insert(&mut self, allocation: Allocation) -> RelayId {
        RelayId(self.0.insert(Slot::Allocation(allocation)) as u32)
    }

    /// Has the name that [`next`](Self::next) gave lead to the allocation at `first`.
    pub(super) fn insert_second(&mut self, first: RelayId) -> RelayId {
        RelayId(self.0.insert(Slot::Second(first)) as u32)
    }

    /// Removes the allocation that lies at `relay`.
    pub(super) fn remove(&mut self, relay: RelayId) -> Option<Allocation> {
        match self.0.try_remove(relay.0 as usize)? {
            Slot::Allocation(allocation) => Some(allocation),
            second @ Slot::Second(_) => {
                // Nobody asks for this; undo it all the same.
                let at = self.0.insert(second);
                debug_assert_eq!(at, relay.0 as usize);
                None
            }
        }
    }

    /// Forgets a name that leads to an allocation elsewhere.
    pub(super) fn remove_second(&mut self, relay: RelayId) {
        if matches!(self.0.get(relay.0 as usize), Some(Slot::Second(_))) {
            self.0.remove(relay.0 as usize);
        }
    }

    /// Where the first allocation lies that this is true of.
    pub(super) fn find(&self, is_it: impl Fn(&Allocation) -> bool) -> Option<RelayId> {
        let mut all = self.0.iter();
        let found = all.find(|(_, slot)| matches!(slot, Slot::Allocation(a) if is_it(a)));
        found.map(|(at, _)| RelayId(at as u32))
    }

    /// The allocation that lies at a place.
    pub(super) fn at(&self, place: usize) -> Option<&Allocation> {
        match self.0.get(place)? {
            Slot::Allocation(allocation) => Some(allocation),
            Slot::Second(_) => None,
        }
    }

    /// No allocation lies here or behind this place.
    pub(super) fn end(&self) -> usize {
        self.0.capacity()
    }

    /// Where all allocations lie.
    pub(super) fn allocations(&self) -> impl Iterator<Item = RelayId> {
        self.0.iter().filter_map(|(at, slot)| match slot {
            Slot::Allocation(_) => Some(RelayId(at as u32)),
            Slot::Second(_) => None,
        })
    }
}
