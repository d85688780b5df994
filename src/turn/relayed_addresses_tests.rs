use std::collections::HashSet;

use super::*;

const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 5));

fn addresses(range: RangeInclusive<u16>) -> RelayedAddresses {
    let address = RelayAddress {
        bind: V4,
        external: Some("198.51.100.7".parse().unwrap()),
    };
    RelayedAddresses::new(&[address], range)
}

#[test]
fn every_port_of_the_range_is_claimed_once_and_then_none() {
    for range in [
        50_000..=50_000,
        49_152..=49_407,
        1000..=1129,
        65_500..=65_535,
        0..=70,
    ] {
        for random in [0, 1, 77, u16::MAX] {
            let addresses = addresses(range.clone());
            let mut claimed = HashSet::new();
            while let Some(port) = addresses.claim(V4, Parity::Any, random) {
                assert!(range.contains(&port) && claimed.insert(port), "{port}");
            }
            assert_eq!(claimed.len(), range.clone().count());
            assert_eq!(addresses.open_ports() as usize, claimed.len());
        }
    }
}

#[test]
fn pairs_are_even_and_whole() {
    let addresses = addresses(1001..=1010);
    let mut lower = Vec::new();
    while let Some(port) = addresses.claim(V4, Parity::EvenPair, 9) {
        lower.push(port);
    }
    lower.sort_unstable();
    assert_eq!(lower, [1002, 1004, 1006, 1008]);
    assert_eq!(addresses.claim(V4, Parity::Even, 0), Some(1010));
    assert_eq!(addresses.claim(V4, Parity::Any, 0), Some(1001));
    assert_eq!(addresses.claim(V4, Parity::Any, 0), None);
}

#[test]
fn a_released_port_is_claimed_again() {
    let addresses = addresses(50_000..=50_000);
    let port = addresses.claim(V4, Parity::Any, 0).unwrap();
    assert_eq!(addresses.claim(V4, Parity::Any, 0), None);
    addresses.release(V4, port);
    addresses.release(V4, port);
    assert_eq!(addresses.open_ports(), 0);
    assert_eq!(addresses.claim(V4, Parity::Any, 5), Some(port));
}

#[test]
fn looking_on_behind_each_port_that_cannot_be_bound_finds_every_free_one_once() {
    for range in [50_000..=50_099, 1000..=1129, 65_500..=65_535, 0..=70] {
        let addresses = addresses(range.clone());
        let last = *range.end();
        for start in [0, 63, last, u16::MAX] {
            let (mut random, mut found) = (start, HashSet::new());
            for _ in range.clone() {
                let port = addresses.claim(V4, Parity::Any, random).unwrap();
                addresses.release(V4, port);
                random = addresses.behind(port);
                assert!(range.contains(&port) && found.insert(port), "{port}");
            }
        }
    }
}

#[test]
fn an_open_port_is_found_by_either_name() {
    let addresses = addresses(50_000..=50_001);
    addresses.claim(V4, Parity::Any, 0).unwrap();
    let bound: SocketAddr = "10.0.0.5:50000".parse().unwrap();
    let public: SocketAddr = "198.51.100.7:50000".parse().unwrap();
    assert_eq!(addresses.public(bound), public);
    assert_eq!(
        addresses.open_behind(bound, Protocol::Udp),
        None,
        "claimed, but not bound yet"
    );
    addresses.set_reserved(bound);
    assert_eq!(addresses.owner_of(bound), None, "open, and nobody's yet");
    assert_eq!(addresses.open_behind(bound, Protocol::Udp), Some(bound));
    assert_eq!(addresses.open_behind(public, Protocol::Udp), Some(bound));
    assert_eq!(
        addresses.open_behind("198.51.100.7:50001".parse().unwrap(), Protocol::Udp),
        None
    );
    assert_eq!(
        addresses.open_behind("192.0.2.1:50000".parse().unwrap(), Protocol::Udp),
        None
    );
    assert!(addresses.is_ours(public.ip()) && addresses.is_ours(V4));
    addresses.release(V4, 50_000);
    assert_eq!(addresses.open_behind(public, Protocol::Udp), None);
}

#[test]
fn the_address_that_the_client_used_is_preferred() {
    let two = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|ip| RelayAddress {
        bind: ip.parse().unwrap(),
        external: None,
    });
    let addresses = RelayedAddresses::new(&two, 50_000..=60_000);
    let near = |ip: &str| addresses.choose(Family::V4, ip.parse().unwrap()).unwrap();
    assert_eq!(near("192.0.2.2").to_string(), "192.0.2.2");
    assert_eq!(near("10.0.0.1").to_string(), "192.0.2.1");
    assert_eq!(near("2001:db8::1").to_string(), "192.0.2.1");
}

#[test]
fn claims_from_many_threads_never_meet() {
    let addresses = addresses(50_000..=50_999);
    let claimed: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4u16)
            .map(|n| {
                let addresses = &addresses;
                scope.spawn(move || {
                    (0..250)
                        .filter_map(|k| addresses.claim(V4, Parity::Any, n * 7919 + k))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(claimed.len(), 1000);
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 1000);
}

#[test]
fn a_port_is_its_owners_until_it_is_cleared() {
    let addresses = addresses(50_000..=50_001);
    let bound = SocketAddr::new(V4, addresses.claim(V4, Parity::Any, 0).unwrap());
    assert_eq!(addresses.owner_of(bound), None, "claimed, and nobody's yet");
    let owner = Owner {
        worker: 0,
        relay: RelayId(0),
    };
    let other = Owner {
        worker: 1023,
        relay: RelayId(u32::MAX),
    };
    for owner in [owner, other] {
        addresses.set_owner(bound, Protocol::Udp, owner);
        assert_eq!(addresses.owner_of(bound), Some(owner));
    }
    let next = SocketAddr::new(V4, bound.port() ^ 1);
    assert_eq!(addresses.owner_of(next), None);
    addresses.clear_owner(bound);
    assert_eq!(addresses.owner_of(bound), None);
    assert_eq!(
        addresses.owner_of("198.51.100.7:50000".parse().unwrap()),
        None
    );
}
