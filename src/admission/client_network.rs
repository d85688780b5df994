//! What counts as one client where only the address is known.

use std::net::IpAddr;

/// An IPv4 address, or an IPv6 /64: what one subscriber gets, and can change at will within.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ClientNetwork {
    V4(u32),
    V6 { prefix: u64 },
}

impl ClientNetwork {
    /// The network that a client address counts under; IPv4-mapped addresses count as IPv4.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6 {
                prefix: (address.to_bits() >> 64) as u64,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, other: &str) -> bool {
        let network = |text: &str| ClientNetwork::of(text.parse().expect(text));
        network(one) == network(other)
    }

    #[test]
    fn ipv4_addresses_count_one_by_one() {
        assert!(same("192.0.2.1", "192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }

    #[test]
    fn ipv6_addresses_count_by_their_64() {
        assert!(same("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1"));
    }

    #[test]
    fn an_ipv4_mapped_address_counts_as_ipv4() {
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
    }
}
