//! Allocations with a relayed transport address of each family (RFC 8656 §7.2, §8.1, §18.11, §18.12).

use std::net::SocketAddr;

use crate::client::attribute::*;
use crate::client::{Client, Draft, Message, Peer, QUIET_TIME, allocate, is_refused, method};
use crate::target::{Flavour, Target, not_run};

const IPV4: [u8; 4] = [1, 0, 0, 0];
const IPV6: [u8; 4] = [2, 0, 0, 0];

/// RFC 8656 §7.2 (6): one family, or one beside IPv4: not both.
#[test]
fn alc_16_both_families_attributes_get_400() {
    let mut client = Target::shared().udp();
    for family in [IPV4, IPV6] {
        let request = allocate().put(REQUESTED_ADDRESS_FAMILY, family);
        client
            .call(request.put(ADDITIONAL_ADDRESS_FAMILY, IPV6))
            .error(400);
    }
}

/// RFC 8656 §7.2 (9): what is there beside IPv4 is IPv6.
#[test]
fn alc_17_additional_family_is_ipv6_or_400() {
    let mut client = Target::shared().udp();
    for family in [&IPV4[..], &[0, 0, 0, 0], &[9, 0, 0, 0], &[2], &[]] {
        let request = allocate().put(ADDITIONAL_ADDRESS_FAMILY, family);
        client.call(request).error(400);
    }
}

/// RFC 8656 §7.2 (9): one allocation has two relayed transport addresses, IPv4 and IPv6, and serves peers of both.
#[test]
fn alc_18_one_allocation_relays_to_both_families() {
    let Some((mut client, [v4, v6])) = dual() else {
        return;
    };
    let peers = [Peer::at("127.0.0.2"), Peer::at("::1")];
    for (peer, relay) in peers.iter().zip([v4, v6]) {
        let at = peer.address();
        client.permit(at);
        client.send_indication(at, b"out");
        let (received, source) = peer.receive();
        assert_eq!((received.as_slice(), source), (&b"out"[..], relay));
        peer.send(relay, b"in");
        client.expect_data(at, b"in");
    }
    for (number, (peer, relay)) in (0x4000..).zip(peers.iter().zip([v4, v6])) {
        client.bind(number, peer.address());
        client.channel_data(number, b"out");
        peer.expect(b"out");
        peer.send(relay, b"in");
        client.expect_channel_data(number, b"in");
    }
    // A number stands for one peer, of whichever family.
    client.channel_bind(0x4000, peers[1].address()).error(400);
    client.refresh(Some(0)).success();
    for relay in [v4, v6] {
        assert!(is_refused(relay, QUIET_TIME), "{relay} stays open");
    }
}

/// RFC 8656 §7.2: a retransmission gets the same two addresses, and the quota counts one allocation.
#[test]
fn alc_18_two_addresses_are_one_allocation() {
    let Some(server) = Target::with(Flavour::Quota) else {
        return;
    };
    let (mut first, mut second, mut third) = (server.udp(), server.udp(), server.udp());
    let request = first.seal(allocate().put(ADDITIONAL_ADDRESS_FAMILY, IPV6));
    let [answer, again] = [0, 1].map(|_| relays(&first.exchange(&request).success()));
    assert_eq!(answer, again);
    second.allocate();
    third.call(allocate()).error(486);
}

/// RFC 8656 §7.2, §18.12: where one family cannot be had, the other one is granted, and the response says why.
#[test]
fn alc_18_missing_family_is_told() {
    let Some(server) = Target::with(Flavour::Ipv4Only) else {
        return;
    };
    let mut client = server.udp();
    let answer = client.call(allocate().put(ADDITIONAL_ADDRESS_FAMILY, IPV6));
    let answer = answer.success();
    let [relay] = relays(&answer)[..] else {
        panic!("{answer:?}");
    };
    assert!(relay.is_ipv4());
    let error = answer.get(ADDRESS_ERROR_CODE).expect("ADDRESS-ERROR-CODE");
    assert_eq!(error[..4], [2, 0, 4, 40], "{answer:?}");
}

/// RFC 8656 §7.2 (8): a pair of ports is not reserved for two families.
#[test]
fn alc_23_reserved_pair_with_two_families_gets_400() {
    let mut client = Target::shared().udp();
    let request = allocate().put(ADDITIONAL_ADDRESS_FAMILY, IPV6);
    client.call(request.put(EVEN_PORT, [0x80])).error(400);
    // An even port alone is no contradiction.
    let request = allocate().put(ADDITIONAL_ADDRESS_FAMILY, IPV6);
    let answer = client.call(request.put(EVEN_PORT, [0])).success();
    assert_eq!(relays(&answer)[0].port() % 2, 0);
}

/// RFC 8656 §8.1: Refresh with LIFETIME 0 and a family deletes that address alone, with what belongs to it.
#[test]
fn rfr_06_one_of_two_addresses_is_deleted() {
    for (deleted, kept) in [(1, 0), (0, 1)] {
        let Some((mut client, relays)) = dual() else {
            return;
        };
        let peers = [Peer::at("127.0.0.2"), Peer::at("::1")];
        client.bind(0x4000, peers[0].address());
        client.bind(0x4001, peers[1].address());
        let family = [IPV4, IPV6][deleted];
        let delete = Draft::request(method::REFRESH).put(LIFETIME, [0; 4]);
        let answer = client
            .call(delete.put(REQUESTED_ADDRESS_FAMILY, family))
            .success();
        assert_eq!(answer.lifetime(), Some(0));
        assert!(is_refused(relays[deleted], QUIET_TIME));
        let number = 0x4000 + kept as u16;
        client.channel_data(0x4000 + deleted as u16, b"to nobody");
        client.channel_data(number, b"still");
        peers[kept].expect(b"still");
        peers[kept].send(relays[kept], b"here");
        client.expect_channel_data(number, b"here");
        // What is gone cannot be refreshed, or be given peers.
        let refresh = Draft::request(method::REFRESH).put(REQUESTED_ADDRESS_FAMILY, family);
        client.call(refresh).error(443);
        client
            .create_permission(&[peers[deleted].address()])
            .error(443);
        client.refresh(None).success();
        // With its last address the allocation goes.
        let delete = Draft::request(method::REFRESH).put(LIFETIME, [0; 4]);
        let family = [IPV4, IPV6][kept];
        client
            .call(delete.put(REQUESTED_ADDRESS_FAMILY, family))
            .success();
        client.refresh(None).error(437);
        assert!(is_refused(relays[kept], QUIET_TIME));
    }
}

/// Clients of the drafts before RFC 8656, such as coturn's `turnutils_uclient -Z`, are served where that is configured.
#[test]
fn alc_18_numbers_of_the_drafts_can_be_allowed() {
    let request = || allocate().put(DRAFT_ADDITIONAL_ADDRESS_FAMILY, IPV6);
    if let Some(server) = Target::with(Flavour::Compatible) {
        let answer = server.udp().call(request()).success();
        assert_eq!(relays(&answer).len(), 2, "{answer:?}");
    }
    // Elsewhere they are unknown, and comprehension-optional.
    let answer = Target::shared().udp().call(request()).success();
    if relays(&answer).len() != 1 {
        not_run::<()>("a server that does not know the drafts' numbers");
    }
}

/// A client with two relayed transport addresses, IPv4 first.
#[track_caller]
fn dual() -> Option<(Client, [SocketAddr; 2])> {
    let mut client = Target::shared().udp();
    let answer = client.call(allocate().put(ADDITIONAL_ADDRESS_FAMILY, IPV6));
    let mut relays = relays(&answer.success());
    relays.sort();
    let Ok(relays) = <[SocketAddr; 2]>::try_from(relays) else {
        return not_run("a server that relays from IPv4 and IPv6 addresses");
    };
    assert!(relays[0].is_ipv4() && relays[1].is_ipv6(), "{relays:?}");
    Some((client, relays))
}

/// Every XOR-RELAYED-ADDRESS.
fn relays(answer: &Message) -> Vec<SocketAddr> {
    answer.addresses(XOR_RELAYED_ADDRESS).collect()
}
