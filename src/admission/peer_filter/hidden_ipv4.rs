//! The IPv4 addresses that hide in an IPv6 one.
//!
//! A host or a translator on the way may deliver what is sent to such an address to the IPv4 address
//! in it, so that what denies the one must not be passed in the shape of the other.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Every IPv4 address that some mechanism may read out of `address`.
pub(super) fn hidden_ipv4(address: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let bits = address.to_bits();
    by_prefix(address, bits)
        .into_iter()
        .chain([isatap(bits)])
        .flatten()
        .map(Ipv4Addr::from_bits)
}

/// The same with what each is taken for.
pub(super) fn named(address: Ipv6Addr) -> Vec<(&'static str, Ipv4Addr)> {
    let bits = address.to_bits();
    let by_prefix = by_prefix(address, bits).into_iter().enumerate();
    let by_prefix = by_prefix.map(|(place, found)| (form(address, place), found));
    let all = by_prefix.chain([("an ISATAP address", isatap(bits))]);
    all.filter_map(|(form, found)| Some((form, Ipv4Addr::from_bits(found?))))
        .collect()
}

/// What an address is called in which [`by_prefix`] has found something at this place.
fn form(address: Ipv6Addr, place: usize) -> &'static str {
    match (address.segments(), place) {
        ([0, 0, 0, 0, 0, 0, ..], _) => "an IPv4-compatible address",
        ([0, 0, 0, 0, 0, 0xffff, ..], _) => "an IPv4-mapped address",
        ([0, 0, 0, 0, 0xffff, 0, ..], _) => "an IPv4-translated address",
        ([0x64, 0xff9b, 1, ..], 0) => "a local NAT64 address with a prefix of 48 bits",
        ([0x64, 0xff9b, 1, ..], 1) => "a local NAT64 address with a prefix of 56 bits",
        ([0x64, 0xff9b, 1, ..], 2) => "a local NAT64 address with a prefix of 64 bits",
        ([0x64, 0xff9b, 1, ..], _) => "a local NAT64 address with a prefix of 96 bits",
        ([0x64, 0xff9b, ..], _) => "a NAT64 address",
        ([0x2002, ..], _) => "a 6to4 address",
        (_, 0) => "the server in a Teredo address",
        (_, _) => "the client in a Teredo address",
    }
}

fn by_prefix(address: Ipv6Addr, bits: u128) -> [Option<u32>; 4] {
    let low = bits as u32;
    match address.segments() {
        // The unspecified and the loopback address look IPv4-compatible, and are not (RFC 4291 §2.5.2, §2.5.3).
        [0, 0, 0, 0, 0, 0, ..] if bits <= 1 => [None; 4],
        // IPv4-compatible (RFC 4291 §2.5.5.1), IPv4-mapped (§2.5.5.2), IPv4-translated (RFC 2765
        // §2.1), NAT64 with the well-known prefix (RFC 6052 §2.1).
        [0, 0, 0, 0, 0, 0, ..]
        | [0, 0, 0, 0, 0, 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..] => [Some(low), None, None, None],
        [0x64, 0xff9b, 1, ..] => local_nat64(bits).map(Some),
        // 6to4 (RFC 3056 §2).
        [0x2002, ..] => [Some((bits >> 80) as u32), None, None, None],
        // Teredo (RFC 4380 §4): the server's address, and the client's with all bits inverted.
        [0x2001, 0, ..] => [Some((bits >> 64) as u32), Some(!low), None, None],
        _ => [None; 4],
    }
}

/// NAT64 with the prefix for local use (RFC 8215), whose length only its operator knows: 48, 56, 64
/// or 96 bits. Bits 64 to 71 are skipped (RFC 6052 §2.2).
fn local_nat64(bits: u128) -> [u32; 4] {
    let field = |first_bit: u32, length: u32| {
        let to_the_end = bits >> (128 - first_bit - length);
        (to_the_end as u32) & (u32::MAX >> (32 - length))
    };
    [
        field(48, 16) << 16 | field(72, 16),
        field(56, 8) << 24 | field(72, 24),
        field(72, 32),
        field(96, 32),
    ]
}

/// ISATAP (RFC 5214 §6.1): the interface identifier is 0000:5efe or 0200:5efe, then the address.
fn isatap(bits: u128) -> Option<u32> {
    let marker = (bits >> 32) as u32;
    matches!(marker, 0x0000_5efe | 0x0200_5efe).then_some(bits as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden_in(address: &str) -> Vec<String> {
        let address = address.parse().expect(address);
        hidden_ipv4(address).map(|ip| ip.to_string()).collect()
    }

    #[test]
    fn each_mechanism_is_read() {
        for (address, hidden) in [
            ("::192.0.2.33", "192.0.2.33"),
            ("::ffff:192.0.2.33", "192.0.2.33"),
            ("::ffff:0:192.0.2.33", "192.0.2.33"),
            ("64:ff9b::192.0.2.33", "192.0.2.33"),
            ("2002:c000:221::1", "192.0.2.33"),
            ("fe80::5efe:192.0.2.33", "192.0.2.33"),
            ("2a00:1450:1:2:0:5efe:192.0.2.33", "192.0.2.33"),
            ("2a00:1450:1:2:200:5efe:192.0.2.33", "192.0.2.33"),
        ] {
            assert_eq!(hidden_in(address), [hidden], "{address}");
        }
    }

    #[test]
    fn teredo_hides_its_server_and_its_client() {
        assert_eq!(
            hidden_in("2001:0:4136:e378:8000:63bf:3fff:fdd2"),
            ["65.54.227.120", "192.0.2.45"]
        );
    }

    #[test]
    fn local_nat64_is_read_with_every_prefix_length() {
        // The rows of RFC 6052 §2.4, with the prefix of RFC 8215.
        for (address, reading) in [
            ("64:ff9b:1:c000:2:2100::", 0),
            ("64:ff9b:1:1c0:0:221::", 1),
            ("64:ff9b:1:1:c0:2:2100::", 2),
            ("64:ff9b:1:1::192.0.2.33", 3),
        ] {
            assert_eq!(hidden_in(address)[reading], "192.0.2.33", "{address}");
        }
    }

    #[test]
    fn both_a_prefix_and_an_isatap_identifier_are_read() {
        assert_eq!(
            hidden_in("2002:c000:221::5efe:10.0.0.1"),
            ["192.0.2.33", "10.0.0.1"]
        );
    }

    #[test]
    fn plain_addresses_hide_nothing() {
        for address in [
            "::",
            "::1",
            "2a00:1450:4001:81d::200e",
            "2001:4860:4860::8888",
            "2003::1",
            "64:ff9b:2::1",
            "64:ff9b:0:0:0:1::",
            "fe80::100:5efe:192.0.2.33",
        ] {
            assert_eq!(hidden_in(address), Vec::<String>::new(), "{address}");
        }
    }
}
