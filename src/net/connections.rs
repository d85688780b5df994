//! How many TCP and TLS connections and DTLS sessions there may be: in total, and from one client address.

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
    /// Whose it is; none while that is to be said by a proxy, which has many clients' and no limit of its own.
    address: Option<ClientNetwork>,
}

impl Connections {
    pub(super) fn new(max: usize, max_per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            max_per_address,
            counts: Lock::default(),
        })
    }

    /// Those that there are.
    pub(super) fn total(&self) -> usize {
        self.counts.hold().total
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
            address: Some(address),
        })
    }

    /// A place for a connection from a proxy that has to say whose it is; `None` if there is none.
    pub(super) fn admit_proxied(self: &Arc<Self>) -> Option<Place> {
        let mut counts = self.counts.hold();
        if counts.total >= self.max {
            return None;
        }
        counts.total += 1;
        Some(Place {
            connections: Arc::clone(self),
            address: None,
        })
    }
}

impl Place {
    /// Makes it `client`'s, if that has not too many; whether it is.
    pub(super) fn move_to(&mut self, client: IpAddr) -> bool {
        let address = ClientNetwork::of(client);
        if self.address == Some(address) {
            return true;
        }
        let mut counts = self.connections.counts.hold();
        let from_address = counts.by_address.get(&address).copied().unwrap_or(0);
        if from_address >= self.connections.max_per_address {
            return false;
        }
        counts.leave(self.address);
        counts.by_address.insert(address, from_address + 1);
        self.address = Some(address);
        true
    }
}

impl Counts {
    fn leave(&mut self, address: Option<ClientNetwork>) {
        if let Some(address) = address
            && let Some(count) = self.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.connections.counts.hold();
        counts.total -= 1;
        counts.leave(self.address);
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
        let mut proxied: Vec<_> = (0..4)
            .map(|_| connections.admit_proxied().unwrap())
            .collect();
        assert!(connections.admit_proxied().is_none(), "four in total");
        assert_eq!(connections.counts.hold().by_address.len(), 0);
        assert!(proxied[0].move_to(ip(1)) && proxied[1].move_to(ip(1)));
        assert!(!proxied[2].move_to(ip(1)), "two from one address");
        assert!(proxied[1].move_to(ip(1)), "it is there");
        assert!(proxied[1].move_to(ip(2)) && proxied[2].move_to(ip(1)));
        assert!(connections.admit(ip(3)).is_none(), "four in total");
        proxied.truncate(1);
        assert_eq!(connections.counts.hold().total, 1);
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
