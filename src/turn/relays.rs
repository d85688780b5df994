//! The relayed transport addresses of one allocation: one, or one of each family (RFC 8656 §7.2).

use std::net::{IpAddr, SocketAddr};

use super::output::RelayId;
use super::relayed_addresses::Family;

/// A relayed transport address, and the relay behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relay {
    pub(super) id: RelayId,
    /// What its socket is bound to.
    pub(super) bound: SocketAddr,
    /// What clients and peers know it by.
    pub(super) relayed: SocketAddr,
}

impl Relay {
    pub(super) fn family(&self) -> Family {
        Family::of(self.bound.ip())
    }
}

/// What an allocation relays through.
pub(super) struct Relays {
    first: Relay,
    /// Elsewhere, as few have one.
    second: Option<Box<Relay>>,
}

/// What came of removing a relay.
pub(super) enum Removed {
    /// It is gone, the other one remains.
    One(Relay),
    /// It was the only one, and is still there.
    Last,
    /// There was none of this family.
    None,
}

impl Relays {
    pub(super) fn new(first: Relay) -> Self {
        Self {
            first,
            second: None,
        }
    }

    /// Adds one of the other family.
    pub(super) fn add(&mut self, second: Relay) {
        debug_assert_ne!(self.first.family(), second.family());
        self.second = Some(Box::new(second));
    }

    /// In the order in which they were opened.
    pub(super) fn all(&self) -> impl Iterator<Item = &Relay> {
        std::iter::once(&self.first).chain(self.second.as_deref())
    }

    /// The one that reaches peers of the family of `peer`.
    pub(super) fn toward(&self, peer: IpAddr) -> Option<&Relay> {
        if self.first.bound.is_ipv4() == peer.is_ipv4() {
            return Some(&self.first);
        }
        self.second.as_deref()
    }

    /// The one of this name.
    pub(super) fn named(&self, id: RelayId) -> Option<&Relay> {
        self.all().find(|relay| relay.id == id)
    }

    /// Whether there is one of this family.
    pub(super) fn has(&self, family: Family) -> bool {
        self.all().any(|relay| relay.family() == family)
    }

    /// Removes the one of a family, but never the last one.
    pub(super) fn remove(&mut self, family: Family) -> Removed {
        if !self.has(family) {
            return Removed::None;
        }
        let Some(second) = self.second.take() else {
            return Removed::Last;
        };
        if second.family() == family {
            return Removed::One(*second);
        }
        Removed::One(std::mem::replace(&mut self.first, *second))
    }
}
