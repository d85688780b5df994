//! The ranges where no public peer lives.

/// Denied unless the operator says otherwise: each range, and what it is.
///
/// From the IANA special-purpose address registries (RFC 6890) as of 2026, the multicast ranges, and a
/// metadata address of a cloud that lies in public space (the others lie in the ranges listed). IPv6
/// is turned round: nothing outside 2000::/3 is global unicast yet, so all of it is denied; the blocks
/// there that are listed too give a refusal its most precise name.
pub const SPECIAL_PURPOSE: &[(&str, &str)] = &[
    ("0.0.0.0/8", "this network (RFC 791 §3.2)"),
    ("10.0.0.0/8", "private use (RFC 1918)"),
    ("100.64.0.0/10", "shared by carriers' customers (RFC 6598)"),
    ("127.0.0.0/8", "loopback (RFC 1122 §3.2.1.3)"),
    ("168.63.129.16/32", "Azure's platform services"),
    ("169.254.0.0/16", "link-local, cloud metadata (RFC 3927)"),
    ("172.16.0.0/12", "private use (RFC 1918)"),
    ("192.0.0.0/24", "IETF protocol assignments (RFC 6890 §2.1)"),
    ("192.0.2.0/24", "documentation (RFC 5737)"),
    ("192.31.196.0/24", "AS112 (RFC 7535)"),
    ("192.52.193.0/24", "automatic multicast tunnels (RFC 7450)"),
    ("192.88.99.0/24", "6to4 relay anycast (RFC 7526)"),
    ("192.168.0.0/16", "private use (RFC 1918)"),
    ("192.175.48.0/24", "AS112 (RFC 7534)"),
    ("198.18.0.0/15", "benchmarks (RFC 2544)"),
    ("198.51.100.0/24", "documentation (RFC 5737)"),
    ("203.0.113.0/24", "documentation (RFC 5737)"),
    ("224.0.0.0/4", "multicast (RFC 1112 §4)"),
    ("240.0.0.0/4", "reserved, broadcast (RFC 1112 §4, RFC 919)"),
    ("::/3", "not global unicast (RFC 4291 §2.4)"),
    ("::/96", "IPv4-compatible (RFC 4291 §2.5.5.1)"),
    ("::/128", "unspecified (RFC 4291 §2.5.2)"),
    ("::1/128", "loopback (RFC 4291 §2.5.3)"),
    ("::ffff:0:0/96", "IPv4-mapped (RFC 4291 §2.5.5.2)"),
    ("::ffff:0:0:0/96", "IPv4-translated (RFC 2765 §2.1)"),
    ("64:ff9b::/96", "NAT64 (RFC 6052 §2.1)"),
    ("64:ff9b:1::/48", "NAT64, local use (RFC 8215)"),
    ("100::/64", "discard (RFC 6666)"),
    ("100:0:0:1::/64", "dummy prefix (RFC 9780)"),
    (
        "2001::/23",
        "IETF protocol assignments, Teredo (RFC 2928, RFC 4380)",
    ),
    ("2001:db8::/32", "documentation (RFC 3849)"),
    ("2002::/16", "6to4 (RFC 3056)"),
    ("2620:4f:8000::/48", "AS112 (RFC 7534)"),
    ("3fff::/20", "documentation (RFC 9637)"),
    ("4000::/2", "not global unicast (RFC 4291 §2.4)"),
    ("5f00::/16", "segment routing (RFC 9602)"),
    ("8000::/1", "not global unicast (RFC 4291 §2.4)"),
    ("fc00::/7", "unique local, cloud metadata (RFC 4193)"),
    ("fe80::/10", "link-local (RFC 4291 §2.5.6)"),
    ("fec0::/10", "site-local (RFC 3879)"),
    ("ff00::/8", "multicast (RFC 4291 §2.7)"),
];
