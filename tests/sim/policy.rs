//! Which peers may be reached (RFC 8656 §21), and the relayed addresses of this very server (§3).

use std::net::SocketAddr;

use uturn::turn::{DropReason, Event, Reject};

use crate::net::codec::Request;
use crate::net::setup::{SERVER, SERVER_V4, SERVER_V6};
use crate::net::{ClientId, Delivery, Net, at};

/// A client with a relayed address of the peer's family.
fn client_for(net: &mut Net, peer: SocketAddr) -> ClientId {
    let alice = net.client("alice");
    let family = if peer.is_ipv4() { 1 } else { 2 };
    net.succeed(alice, Request::allocate().family(family));
    alice
}

/// None of the ways to a peer is open.
fn assert_denied(net: &mut Net, alice: ClientId, peer: SocketAddr) {
    let create = Request::create_permission(&[peer]);
    assert_eq!(net.refusal(alice, create), 403, "CreatePermission {peer}");
    let bind = Request::channel_bind(0x4000, peer);
    assert_eq!(net.refusal(alice, bind), 403, "ChannelBind {peer}");
    assert_eq!(net.send(alice, peer, b"?"), None, "Send {peer}");
    assert_eq!(net.send_on(alice, 0x4000, b"?"), None, "ChannelData {peer}");
    let before = net.drops(DropReason::PeerDenied);
    assert_eq!(net.send_from_peer(peer, alice, b"?"), Delivery::Dropped);
    assert_eq!(net.drops(DropReason::PeerDenied), before + 1, "from {peer}");
}

#[test]
fn special_purpose_addresses_are_denied_every_way() {
    let mut net = Net::new();
    let alice = client_for(&mut net, at("1.1.1.1:1"));
    for peer in [
        "0.0.0.0:80",
        "0.1.2.3:80",
        "10.0.0.1:80",
        "100.64.0.1:80",
        "127.0.0.1:3478",
        "169.254.169.254:80",
        "172.16.5.4:80",
        "192.0.2.2:80",
        "192.168.1.1:80",
        "224.0.0.1:80",
        "240.0.0.1:80",
        "255.255.255.255:80",
    ] {
        assert_denied(&mut net, alice, at(peer));
    }
}

#[test]
fn an_ipv4_address_in_disguise_is_denied_every_way() {
    let mut net = Net::new();
    let alice = client_for(&mut net, at("[2600::1]:1"));
    for peer in [
        "[::ffff:10.0.0.1]:80",
        "[::10.0.0.1]:80",
        "[::ffff:0:10.0.0.1]:80",
        "[64:ff9b::10.0.0.1]:80",
        "[64:ff9b:1::10.0.0.1]:80",
        "[2002:a00:1::1]:80",
        "[2001:0:a00:1::1]:80",
        "[2001:0:909:909:0:0:f5ff:fffe]:80",
        "[2600::5efe:10.0.0.1]:80",
        "[2600::200:5efe:127.0.0.1]:80",
        "[::1]:80",
        "[::]:80",
        "[fe80::1]:80",
        "[fd00:ec2::254]:80",
        "[ff02::1]:80",
    ] {
        assert_denied(&mut net, alice, at(peer));
    }
}

#[test]
fn configured_ranges_are_denied_every_way() {
    let mut net = Net::with(|setup| {
        setup.peers.denied = vec!["9.9.9.0/24".parse().unwrap()];
        setup.peers.allowed = vec!["10.1.0.0/16".parse().unwrap()];
    });
    let alice = client_for(&mut net, at("1.1.1.1:1"));
    let (denied, allowed) = (net.peer(), at("10.1.2.3:4"));
    assert_denied(&mut net, alice, denied);
    net.permit(alice, allowed);
    assert!(net.send(alice, allowed, b"!").is_some());
    assert!(net.send_from_peer(allowed, alice, b"!").arrived());
}

#[test]
fn a_refusal_names_its_rule_to_the_operator_and_only_if_asked_to_the_client() {
    for named in [false, true] {
        let mut net = Net::with(|setup| setup.name_rule_in_reply = named);
        let alice = net.allocate("alice");
        let peer = at("10.0.0.1:80");
        let response = net.request(alice, Request::create_permission(&[peer]));
        assert_eq!(response.reason().contains("10.0.0.0/8"), named);
        let Some(Event::Refused(refused)) = net.events.last() else {
            panic!("a refusal");
        };
        assert!(matches!(refused.reject, Reject::PeerDenied(_)));
        assert!(refused.reject.detail().contains("10.0.0.0/8"));
        assert_eq!(refused.peer.map(|peer| peer.0), Some(peer));
        assert_eq!(refused.username.as_deref(), Some("alice"));
    }
}

#[test]
fn the_servers_own_addresses_are_denied_every_way() {
    let mut net = Net::new();
    let alice = client_for(&mut net, SERVER);
    for port in [22, 80, SERVER.port(), 50_000] {
        assert_denied(&mut net, alice, SocketAddr::new(SERVER_V4, port));
    }
    let bob = client_for(&mut net, at("[2600::1]:1"));
    assert_denied(&mut net, bob, SocketAddr::new(SERVER_V6, 3478));
}
