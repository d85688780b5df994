//! Allocate (RFC 8656 §7).

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::client::attribute::*;
use crate::client::{Client, Draft, Link, Message, Peer, allocate, is_refused, method};
use crate::target::{EXTERNAL_ADDRESS, Flavour, Target};

/// RFC 8656 §7.2: a success says what was allocated, for how long, and from where the request came.
#[test]
fn alc_01_success_carries_relay_lifetime_and_mapped_address() {
    let mut client = Target::shared().udp();
    let answer = client.call(allocate()).success();
    assert!(
        answer.has(XOR_RELAYED_ADDRESS) && answer.lifetime().is_some(),
        "{answer:?}"
    );
    assert_eq!(answer.address(XOR_MAPPED_ADDRESS), Some(client.local()));
}

/// RFC 8656 §7.2: behind a 1:1 NAT the client learns the address that peers see.
#[test]
fn alc_01_behind_a_nat_the_relayed_address_is_the_external_one() {
    let Some(server) = Target::with(Flavour::External) else {
        return;
    };
    let mut client = server.udp();
    let peer = Peer::at("127.0.0.2");
    let relay = client.allocate();
    assert_eq!(relay.ip().to_string(), EXTERNAL_ADDRESS);
    client.permit(peer.address());
    client.send_indication(peer.address(), b"outward");
    let (_, bound) = peer.receive();
    assert_eq!(bound.port(), relay.port());
    peer.send(bound, b"inward");
    client.expect_data(peer.address(), b"inward");
}

/// RFC 8656 §7.2: without LIFETIME an allocation lasts ten minutes.
#[test]
fn alc_02_lifetime_defaults_to_600_s() {
    assert_eq!(lifetime_for(None), 600);
}

/// RFC 8656 §7.2: a longer LIFETIME is granted up to the maximum, which is an hour at most.
#[test]
fn alc_03_longer_lifetime_is_granted_up_to_an_hour() {
    assert!((600..=3600).contains(&lifetime_for(Some(3600))));
    assert_eq!(lifetime_for(Some(700)), 700);
}

/// RFC 8656 §7.2: a LIFETIME below the default becomes the default.
#[test]
fn alc_04_shorter_lifetime_becomes_the_default() {
    assert_eq!(lifetime_for(Some(10)), 600);
}

/// RFC 8656 §7.2: the greatest LIFETIME is clamped, and the allocation is alive.
#[test]
fn alc_05_greatest_lifetime_is_clamped() {
    let mut client = Target::shared().udp();
    let lifetime = client
        .call(allocate().put(LIFETIME, [0xFF; 4]))
        .success()
        .lifetime();
    assert!(
        lifetime.is_some_and(|seconds| (600..=3600).contains(&seconds)),
        "{lifetime:?}"
    );
    client.refresh(None).success();
}

/// RFC 8656 §7.2: LIFETIME 0 deletes in Refresh only.
#[test]
fn alc_06_lifetime_0_becomes_the_default() {
    assert_eq!(lifetime_for(Some(0)), 600);
}

/// RFC 8656 §7.2: without REQUESTED-TRANSPORT: 400.
#[test]
fn alc_07_no_requested_transport_gets_400() {
    let mut client = Target::shared().udp();
    client.call(Draft::request(method::ALLOCATE)).error(400);
}

/// RFC 8656 §7.2: REQUESTED-TRANSPORT has four bytes.
#[test]
fn alc_08_malformed_requested_transport_gets_400() {
    let mut client = Target::shared().udp();
    for length in [0, 1, 8] {
        let value = [17, 0, 0, 0, 0, 0, 0, 0];
        client
            .call(Draft::request(method::ALLOCATE).put(REQUESTED_TRANSPORT, &value[..length]))
            .error(400);
    }
}

/// RFC 8656 §7.2: a protocol that is not relayed: 442.
#[test]
fn alc_09_unsupported_protocol_gets_442() {
    let mut client = Target::shared().udp();
    for protocol in [1, 132, 0] {
        let request =
            Draft::request(method::ALLOCATE).put(REQUESTED_TRANSPORT, [protocol, 0, 0, 0]);
        client.call(request).error(442);
    }
}

/// RFC 8656 §18.8: the reserved bytes of REQUESTED-TRANSPORT are ignored.
#[test]
fn alc_10_reserved_bytes_of_requested_transport_are_ignored() {
    let mut client = Target::shared().udp();
    client
        .call(Draft::request(method::ALLOCATE).put(REQUESTED_TRANSPORT, [17, 0xFF, 0xFF, 0xFF]))
        .success();
}

/// RFC 8656 §7.2: one allocation per 5-tuple; another request gets a signed 437.
#[test]
fn alc_11_second_allocate_gets_a_signed_437() {
    let mut client = Target::shared().udp();
    client.allocate();
    let answer = client.call(allocate()).error(437);
    assert!(answer.is_signed_with(&client.key()), "{answer:?}");
}

/// RFC 8656 §7.2: a retransmitted Allocate gets the same success again.
#[test]
fn alc_12_retransmitted_allocate_gets_the_same_success() {
    let mut client = Target::shared().udp();
    let request = client.seal(allocate().put(EVEN_PORT, [0x80]));
    let first = client.exchange(&request).success();
    let second = client.exchange(&request).success();
    for kind in [XOR_RELAYED_ADDRESS, XOR_MAPPED_ADDRESS, RESERVATION_TOKEN] {
        assert!(first.has(kind), "{first:?}");
        assert_eq!(first.get(kind), second.get(kind));
    }
}

/// RFC 8656 §7.2: REQUESTED-ADDRESS-FAMILY 1 is an IPv4 relay.
#[test]
fn alc_13_ipv4_relay_on_request() {
    let mut client = Target::shared().udp();
    let answer = client
        .call(allocate().put(REQUESTED_ADDRESS_FAMILY, [1, 0, 0, 0]))
        .success();
    assert!(relay(&answer).is_ipv4());
}

/// RFC 8656 §7.2: REQUESTED-ADDRESS-FAMILY 2 is an IPv6 relay, or 440 from a server without IPv6.
#[test]
fn alc_14_ipv6_relay_on_request() {
    let server = Target::shared();
    let answer = server
        .udp()
        .call(allocate().put(REQUESTED_ADDRESS_FAMILY, [2, 0, 0, 0]));
    match server.udp_over_ipv6() {
        Some(_) => assert!(relay(&answer.success()).is_ipv6()),
        None => drop(answer.error(440)),
    }
}

/// RFC 8656 §7.2: an unknown family: 440.
#[test]
fn alc_15_unknown_family_gets_440() {
    let mut client = Target::shared().udp();
    client
        .call(allocate().put(REQUESTED_ADDRESS_FAMILY, [9, 0, 0, 0]))
        .error_among(&[440, 400]);
}

/// RFC 8656 §7.2: EVEN-PORT gives an even port.
#[test]
fn alc_19_even_port_is_even() {
    for _ in 0..4 {
        let answer = Target::shared()
            .udp()
            .call(allocate().put(EVEN_PORT, [0]))
            .success();
        assert_eq!(relay(&answer).port() % 2, 0);
        assert!(!answer.has(RESERVATION_TOKEN), "{answer:?}");
    }
}

/// RFC 8656 §7.2: EVEN-PORT with R reserves the next port; the token gives it to another 5-tuple.
#[test]
fn alc_20_reservation_token_gives_the_next_port() {
    let server = Target::shared();
    let (first, token) = reserve(&mut server.udp());
    let second = server
        .udp()
        .call(allocate().put(RESERVATION_TOKEN, token))
        .success();
    assert_eq!(
        relay(&second),
        SocketAddr::new(first.ip(), first.port() + 1)
    );
}

/// RFC 8656 §7.2: a token that was used, or never given out: 508.
#[test]
fn alc_21_used_or_invented_token_gets_508() {
    let server = Target::shared();
    let (_, token) = reserve(&mut server.udp());
    server
        .udp()
        .call(allocate().put(RESERVATION_TOKEN, &token))
        .success();
    server
        .udp()
        .call(allocate().put(RESERVATION_TOKEN, &token))
        .error(508);
    server
        .udp()
        .call(allocate().put(RESERVATION_TOKEN, *b"no token"))
        .error(508);
}

/// RFC 8656 §7.2: RESERVATION-TOKEN excludes EVEN-PORT and both address families: 400, before the token is looked at.
#[test]
fn alc_22_token_with_contradicting_attributes_gets_400() {
    let mut client = Target::shared().udp();
    let contradictions: [(u16, &[u8]); 3] = [
        (EVEN_PORT, &[0]),
        (REQUESTED_ADDRESS_FAMILY, &[1, 0, 0, 0]),
        (ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]),
    ];
    for (kind, value) in contradictions {
        client
            .call(
                allocate()
                    .put(RESERVATION_TOKEN, *b"no token")
                    .put(kind, value),
            )
            .error(400);
    }
}

/// RFC 8656 §7.2: a reservation made over UDP serves over any transport.
#[test]
fn alc_24_reservation_serves_over_any_transport() {
    let server = Target::shared();
    for mut client in server.streams() {
        let (first, token) = reserve(&mut server.udp());
        let second = client
            .call(allocate().put(RESERVATION_TOKEN, token))
            .success();
        assert_eq!(relay(&second).port(), first.port() + 1);
    }
}

/// RFC 8656 §7.2: DONT-FRAGMENT is granted, or listed in a 420.
#[test]
fn alc_25_dont_fragment_is_granted_or_listed_as_unknown() {
    let mut client = Target::shared().udp();
    let answer = client.call(allocate().put(DONT_FRAGMENT, []));
    if answer.code().is_some() {
        assert_eq!(answer.error(420).unknown_attributes(), [DONT_FRAGMENT]);
    }
}

/// RFC 8656 §7.2: a user has a quota of allocations; beyond it, 486. Other users have their own.
#[test]
fn alc_26_allocation_beyond_the_quota_gets_a_signed_486() {
    let Some(server) = Target::with(Flavour::Quota) else {
        return;
    };
    let (mut first, mut second, mut third) = (server.udp(), server.udp(), server.udp());
    first.allocate();
    second.allocate();
    let answer = third.call(allocate()).error(486);
    assert!(answer.is_signed_with(&third.key()), "{answer:?}");
    server.udp_as(&server.bob).allocate();
}

/// RFC 8656 §7.2: without REQUESTED-ADDRESS-FAMILY the relay is IPv4, for an IPv6 client too.
#[test]
fn alc_27_relay_is_ipv4_unless_asked_otherwise() {
    if let Some(mut client) = Target::shared().udp_over_ipv6() {
        assert!(client.allocate().is_ipv4());
    }
}

/// RFC 8656 §3.2: the 5-tuple counts the transport: one address and port may hold an allocation over each.
#[test]
fn alc_28_udp_and_tcp_from_one_port_are_two_allocations() {
    let server = Target::shared();
    let mut udp = server.udp();
    let mut tcp = Client::new(Link::tcp_from(udp.local(), server.address), &server.alice);
    assert_eq!(udp.local(), tcp.local());
    assert_ne!(udp.allocate(), tcp.allocate());
}

/// RFC 8656 §7.2: relay ports cannot be guessed from the ones before.
#[test]
fn alc_29_relay_ports_are_random() {
    let server = Target::shared();
    let ports: Vec<i32> = (0..12)
        .map(|_| server.udp().allocate().port().into())
        .collect();
    let close = ports
        .windows(2)
        .filter(|two| (two[1] - two[0]).abs() <= 4)
        .count();
    assert!(close <= 2, "{ports:?}");
}

/// RFC 8656 §7.2: relay ports come from 49152 to 65535 by default.
#[test]
fn alc_30_relay_ports_are_dynamic_ones() {
    for _ in 0..6 {
        let port = Target::shared().udp().allocate().port();
        assert!(port >= 49_152, "{port}");
    }
}

/// RFC 8656 §18.7: EVEN-PORT has one byte; another length is refused, or its first bit counts.
#[test]
fn alc_31_even_port_of_another_length_does_no_harm() {
    for value in [&[][..], &[0; 2], &[0x80, 0, 0, 0]] {
        let answer = Target::shared()
            .udp()
            .call(allocate().put(EVEN_PORT, value));
        match answer.code() {
            Some(_) => drop(answer.error(400)),
            None => assert_eq!(relay(&answer).port() % 2, 0),
        }
    }
}

/// RFC 8489 §6.3.1: copies of one Allocate, back to back, make one allocation.
#[test]
fn alc_32_burst_of_one_allocate_makes_one_allocation() {
    let mut client = Target::shared().udp();
    let request = client.seal(allocate());
    (0..5).for_each(|_| client.send(&request.bytes()));
    let relays: HashSet<_> = (0..5)
        .map(|_| relay(&client.answer_to(&request).success()))
        .collect();
    assert_eq!(relays.len(), 1);
    client.refresh(Some(0)).success();
    let [relay] = Vec::from_iter(relays)[..] else {
        unreachable!("one, as just seen");
    };
    assert!(
        is_refused(relay, Duration::from_secs(2)),
        "a copy of the allocation lives on"
    );
}

/// RFC 8656 §7.2, §8.2: a deleted allocation frees its 5-tuple at once.
#[test]
fn alc_33_deleted_allocation_frees_the_five_tuple() {
    let mut client = Target::shared().udp();
    client.allocate();
    client.refresh(Some(0)).success();
    client.allocate();
}

/// RFC 8656 §8.2: so it frees its relay port.
#[test]
fn alc_33_deleted_allocation_frees_its_port() {
    if let Some(server) = Target::with(Flavour::OnePort) {
        let (mut first, mut second) = (server.udp(), server.udp());
        first.allocate();
        first.refresh(Some(0)).success();
        second.allocate();
    }
}

/// RFC 8656 §8.2: so it no longer counts towards its user's quota.
#[test]
fn alc_33_deleted_allocation_leaves_the_quota() {
    if let Some(server) = Target::with(Flavour::Quota) {
        let (mut first, mut second, mut third) = (server.udp(), server.udp(), server.udp());
        first.allocate();
        second.allocate();
        first.refresh(Some(0)).success();
        third.allocate();
    }
}

/// RFC 8656 §7.2: without a free relay port: 508.
#[test]
fn alc_34_no_free_port_gets_508() {
    let Some(server) = Target::with(Flavour::OnePort) else {
        return;
    };
    let (mut first, mut second) = (server.udp(), server.udp());
    first.allocate();
    let answer = second.call(allocate()).error(508);
    assert!(answer.is_signed_with(&second.key()), "{answer:?}");
}

/// RFC 8656 §7.2: with all that it can hold, a success fits into the smallest datagram that every host takes.
#[test]
fn alc_35_success_fits_into_548_bytes() {
    let request = allocate().put(EVEN_PORT, [0x80]);
    let length = Target::shared().udp().call(request).success().bytes().len();
    assert!(length < 548, "{length} bytes");
}

/// The lifetime granted to an Allocate that asks for `seconds`.
#[track_caller]
fn lifetime_for(seconds: Option<u32>) -> u32 {
    let request = match seconds {
        Some(seconds) => allocate().put(LIFETIME, seconds.to_be_bytes()),
        None => allocate(),
    };
    let answer = Target::shared().udp().call(request).success();
    answer.lifetime().expect("LIFETIME")
}

/// Allocates an even port and reserves the next one.
#[track_caller]
fn reserve(client: &mut Client) -> (SocketAddr, Vec<u8>) {
    let answer = client.call(allocate().put(EVEN_PORT, [0x80])).success();
    let token = answer
        .get(RESERVATION_TOKEN)
        .expect("RESERVATION-TOKEN")
        .to_vec();
    assert_eq!(token.len(), 8);
    assert_eq!(relay(&answer).port() % 2, 0);
    (relay(&answer), token)
}

#[track_caller]
fn relay(answer: &Message) -> SocketAddr {
    answer
        .address(XOR_RELAYED_ADDRESS)
        .expect("XOR-RELAYED-ADDRESS")
}
