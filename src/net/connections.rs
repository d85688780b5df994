//! How many TCP and TLS connections there may be: in total, and from one client address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::admission::ClientNetwork;
use crate::lock::Lock;

/// Counts the connections of all workers.
pub(super) struct Connections {
    max: usize,
    max_per_address: usize,
    /// One entry for each address that has a connection, so no more than `max`.
    counts: Lock<Counts>,
}

#[derive(Default)]
struct Counts {
    total: usize,
    by_address: HashMap<ClientNetwork, usize>,
}

/// One connection: gives its place back when dropped.
pub(super) struct Place {
    connections: Arc<Connections>,
    address: ClientNetwork,
}

impl Connections {
    pub(super) fn new(max: usize, max_per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            max_per_address,
            counts: Lock::default(),
        })
    }

    /// A place for a connection from `client`; `None` if there is none.
    pub(super) fn admit(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let address = ClientNetwork::of(client);
        let mut counts = self.counts.hold();
        let from_address = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.total >= self.max || from_address >= self.max_per_address {
            return None;
        }
        counts.total += 1;
        counts.by_address.insert(address, from_address + 1);
        Some(Place {
            connections: Arc::clone(self),
            address,
        })
    }
}

impl Place {
    /// Makes it `client`'s, if that has not too many; whether it is.
    pub(super) fn move_to(&mut self, client: IpAddr) -> bool {
        let address = ClientNetwork::of(client);
        if address == self.address {
            return true;
        }
        let mut counts = self.connections.counts.hold();
        let from_address = counts.by_address.get(&address).copied().unwrap_or(0);
        if from_address >= self.connections.max_per_address {
            return false;
        }
        counts.leave(&self.address);
        counts.by_address.insert(address, from_address + 1);
        self.address = address;
        true
    }
}

impl Counts {
    fn leave(&mut self, address: &ClientNetwork) {
        if let Some(count) = self.by_address.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(address);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.connections.counts.hold();
        counts.total -= 1;
        counts.leave(&self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_places_come_back() {
        let connections = Connections::new(3, 2);
        let ip = |n: u8| IpAddr::from([192, 0, 2, n]);
        let first = connections.admit(ip(1)).unwrap();
        let _second = connections.admit(ip(1)).unwrap();
        assert!(connections.admit(ip(1)).is_none(), "two from one address");
        let _third = connections.admit(ip(2)).unwrap();
        assert!(connections.admit(ip(3)).is_none(), "three in total");
        drop(first);
        assert!(connections.admit(ip(3)).is_some());
        assert_eq!(connections.counts.hold().by_address.len(), 2);
    }

    #[test]
    fn a_place_moves_to_another_address_within_its_limit() {
        let connections = Connections::new(4, 2);
        let ip = |n: u8| IpAddr::from([192, 0, 2, n]);
        let mut moved: Vec<_> = (0..2).map(|_| connections.admit(ip(1)).unwrap()).collect();
        assert!(connections.admit(ip(1)).is_none());
        assert!(moved[0].move_to(ip(2)) && moved[1].move_to(ip(2)));
        let _of_the_first = [ip(1), ip(1)].map(|ip| connections.admit(ip).unwrap());
        assert_eq!(connections.counts.hold().total, 4);
        assert!(!moved[0].move_to(ip(1)), "two from one address");
        assert!(moved[0].move_to(ip(2)), "it has been there");
        drop(moved);
        assert_eq!(connections.counts.hold().total, 2);
        assert_eq!(connections.counts.hold().by_address.len(), 1);
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let connections = Connections::new(9, 1);
        let _place = connections.admit("2001:db8::1".parse().unwrap()).unwrap();
        assert!(
            connections
                .admit("2001:db8::2:1".parse().unwrap())
                .is_none()
        );
        assert!(
            connections
                .admit("2001:db8:0:1::1".parse().unwrap())
                .is_some()
        );
    }
}
