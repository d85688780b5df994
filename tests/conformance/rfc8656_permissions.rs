//! CreatePermission, and which peers a permission may name (RFC 8656 §9, §10, §21).

use std::net::{IpAddr, SocketAddr};

use crate::client::attribute::*;
use crate::client::{Client, Draft, Peer, allocate, method};
use crate::target::{Flavour, Target};

/// RFC 8656 §10.2: a permission is granted in a signed success.
#[test]
fn prm_01_permission_is_granted() {
    let mut client = Target::shared().udp();
    client.allocate();
    let answer = client
        .create_permission(&[Peer::at("127.0.0.2").address()])
        .success();
    assert!(answer.is_signed_with(&client.key()), "{answer:?}");
}

/// RFC 8656 §10.2: every XOR-PEER-ADDRESS of a request counts.
#[test]
fn prm_02_every_peer_of_the_request_is_permitted() {
    let mut client = Target::shared().udp();
    let peers = [
        Peer::at("127.0.0.2"),
        Peer::at("127.0.0.3"),
        Peer::at("127.0.0.4"),
    ];
    let relay = client.allocate();
    client
        .create_permission(&peers.each_ref().map(Peer::address))
        .success();
    for peer in peers {
        peer.send(relay, b"heard");
        client.expect_data(peer.address(), b"heard");
    }
}

/// RFC 8656 §10.2: no XOR-PEER-ADDRESS: 400.
#[test]
fn prm_03_no_peer_gets_400() {
    let mut client = Target::shared().udp();
    client.allocate();
    client.create_permission(&[]).error(400);
}

/// RFC 8656 §10.2: a peer of another family than the relay: 443.
#[test]
fn prm_04_peer_of_the_other_family_gets_443() {
    let mut client = Target::shared().udp();
    client.allocate();
    client.create_permission(&[address("::1", 9)]).error(443);
}

/// RFC 8656 §9: a permission is for an address; its port does not matter.
#[test]
fn prm_05_permission_ignores_the_port() {
    let mut client = Target::shared().udp();
    let peer = Peer::at("127.0.0.2");
    let relay = client.allocate();
    client.permit(address("127.0.0.2", 0));
    peer.send(relay, b"from any port");
    client.expect_data(peer.address(), b"from any port");
}

/// RFC 8656 §10.2: a peer that the server refuses: a signed 403.
#[test]
fn prm_06_refused_peer_gets_a_signed_403() {
    let server = Target::shared();
    let mut client = server.udp();
    client.allocate();
    let answer = client
        .create_permission(&[(server.denied_peer, 9).into()])
        .error(403);
    assert!(answer.is_signed_with(&client.key()), "{answer:?}");
}

/// RFC 8656 §10.2: a request with one refused peer installs nothing, wherever the refused one stands.
#[test]
fn prm_07_request_with_one_refused_peer_installs_nothing() {
    let server = Target::shared();
    let mut client = server.udp();
    let (good, marker) = (Peer::at("127.0.0.2"), Peer::at("127.0.0.3"));
    let denied = (server.denied_peer, 9).into();
    let relay = client.allocate();
    client
        .create_permission(&[good.address(), denied])
        .error(403);
    client
        .create_permission(&[denied, good.address()])
        .error(403);
    expect_unheard(&mut client, relay, &good, &marker);
}

/// RFC 8656 §5: without an allocation: 437.
#[test]
fn prm_08_permission_without_allocation_gets_437() {
    let mut client = Target::shared().udp();
    client
        .create_permission(&[address("127.0.0.2", 9)])
        .error(437);
}

/// RFC 8656 §10.2: a malformed XOR-PEER-ADDRESS: 400.
#[test]
fn prm_09_malformed_peer_gets_400() {
    let mut client = Target::shared().udp();
    client.allocate();
    let mut as_ipv4_but_long = vec![0, 1, 0, 9];
    as_ipv4_but_long.extend([0; 16]);
    let malformed = [
        vec![],
        vec![0, 1, 0, 9],
        vec![0, 1, 0, 9, 127, 0],
        vec![0, 7, 0, 9, 1, 2, 3, 4],
        as_ipv4_but_long,
    ];
    for value in malformed {
        client
            .call(Draft::request(method::CREATE_PERMISSION).put(XOR_PEER_ADDRESS, value))
            .error(400);
    }
}

/// RFC 8656 §9: what a peer sends without permission is dropped.
#[test]
fn prm_11_peer_without_permission_is_not_heard() {
    let mut client = Target::shared().udp();
    let relay = client.allocate();
    expect_unheard(
        &mut client,
        relay,
        &Peer::at("127.0.0.2"),
        &Peer::at("127.0.0.3"),
    );
}

/// RFC 8656 §9: a permission serves its own allocation only.
#[test]
fn prm_12_permission_serves_its_own_allocation_only() {
    let server = Target::shared();
    let (mut permitting, mut other) = (server.udp(), server.udp());
    let peer = Peer::at("127.0.0.2");
    permitting.allocate();
    permitting.permit(peer.address());
    let relay = other.allocate();
    expect_unheard(&mut other, relay, &peer, &Peer::at("127.0.0.3"));
}

/// RFC 8656 §21: without the operator's leave no peer within the host, on the link, in a private or reserved network.
#[test]
fn prm_13_special_purpose_peers_are_refused_by_default() {
    let Some(server) = Target::with(Flavour::Guarded) else {
        return;
    };
    let refused = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.2",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
    ];
    let mut client = server.udp();
    client.allocate();
    expect_refused(&mut client, &refused, &[403]);
    let refused = [
        "::",
        "::2",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "100::1",
        "2001:db8::1",
    ];
    if let Some(mut client) = ipv6_allocation(&server) {
        expect_refused(&mut client, &refused, &[403]);
    }
}

/// RFC 8656 §21.4: no Teredo and no 6to4 peer, nor another IPv6 address that hides an IPv4 one.
#[test]
fn prm_14_tunnelled_peers_are_refused() {
    let Some(server) = Target::with(Flavour::Guarded) else {
        return;
    };
    let refused = [
        "2001:0:1::1",
        "2002:7f00:1::1",
        "2002:808:808::1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "::127.0.0.1",
    ];
    if let Some(mut client) = ipv6_allocation(&server) {
        expect_refused(&mut client, &refused, &[403]);
    }
}

/// RFC 8656 §21: nobody reaches the server's own listeners through its relay.
#[test]
fn prm_15_own_listener_is_out_of_reach() {
    let Some(server) = Target::with(Flavour::Guarded) else {
        return;
    };
    let mut client = server.udp();
    client.allocate();
    // A server that relays to itself for clients at both ends may grant a permission for its address, but no more.
    let answer = client.create_permission(&[server.address]);
    if answer.code().is_some() {
        answer.error(403);
    }
    let answer = client.channel_bind(0x4000, server.address);
    if answer.code().is_some() {
        answer.error(403);
    }
    let binding = Draft::request(method::BINDING).bytes();
    client.send_indication(server.address, &binding);
    client.channel_data(0x4000, &binding);
    client.expect_nothing();
}

/// RFC 8656 §10.2: many peers in one request are all permitted, or none of them.
#[test]
fn prm_16_many_peers_in_one_request_are_all_permitted_or_none() {
    let mut client = Target::shared().udp();
    let relay = client.allocate();
    let peers: Vec<_> = (2..=41)
        .map(|host| Peer::at(&format!("127.0.0.{host}")))
        .collect();
    let addresses: Vec<_> = peers.iter().map(Peer::address).collect();
    let answer = client.create_permission(&addresses);
    if answer.code().is_some() {
        answer.error(508);
        let marker = Peer::at("127.0.0.50");
        expect_unheard(&mut client, relay, &peers[0], &marker);
    } else {
        for peer in [&peers[0], &peers[39]] {
            peer.send(relay, b"permitted");
            client.expect_data(peer.address(), b"permitted");
        }
    }
}

/// RFC 8656 §10.2: an IPv4-mapped IPv6 peer is judged as the IPv4 address it is, or refused for its family.
#[test]
fn prm_17_ipv4_mapped_peer_does_not_evade_the_policy() {
    let server = Target::shared();
    let IpAddr::V4(denied) = server.denied_peer else {
        panic!("UTURN_TEST_DENIED_PEER: an IPv4 address");
    };
    if let Some(mut client) = ipv6_allocation(server) {
        expect_refused(
            &mut client,
            &[&denied.to_ipv6_mapped().to_string()],
            &[403, 443],
        );
    }
}

fn address(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an IP address"), port)
}

/// A client with an IPv6 relay.
fn ipv6_allocation(server: &Target) -> Option<Client> {
    let mut client = server.udp_over_ipv6()?;
    client
        .call(allocate().put(REQUESTED_ADDRESS_FAMILY, [2, 0, 0, 0]))
        .success();
    Some(client)
}

/// Fails the test unless CreatePermission and ChannelBind refuse each of `peers` with one of `codes`.
#[track_caller]
fn expect_refused(client: &mut Client, peers: &[&str], codes: &[u16]) {
    let mut wrong = Vec::new();
    for ip in peers {
        let peer = address(ip, 9);
        for answer in [
            client.create_permission(&[peer]),
            client.channel_bind(0x4000, peer),
        ] {
            if !answer.code().is_some_and(|code| codes.contains(&code)) {
                wrong.push(format!("{ip}: {answer:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "not refused: {wrong:#?}");
}

/// Fails the test if `silent` is heard at `relay`; `marker`, which gets a permission, is heard after it.
#[track_caller]
fn expect_unheard(client: &mut Client, relay: SocketAddr, silent: &Peer, marker: &Peer) {
    client.permit(marker.address());
    silent.send(relay, b"not to be heard");
    marker.send(relay, b"to be heard");
    client.expect_data(marker.address(), b"to be heard");
}
