//! Channels (RFC 8656 §12).

use std::time::Duration;

use uturn::turn::{CHANNEL_LIFETIME, ChannelNumbers, DropReason, PERMISSION_LIFETIME};

use crate::net::codec::{CHANNEL_NUMBER, Request, XOR_PEER_ADDRESS};
use crate::net::{ClientId, Delivery, Net};

const INSTANT: Duration = Duration::from_nanos(1);

/// A client whose allocation outlives every test here.
fn long_allocation(net: &mut Net) -> ClientId {
    let alice = net.client("alice");
    net.succeed(alice, Request::allocate().lifetime(3600));
    alice
}

#[test]
fn chn_17_a_channel_lives_exactly_600_seconds() {
    let mut net = Net::new();
    let alice = long_allocation(&mut net);
    let peer = net.peer();
    net.bind(alice, 0x4000, peer);
    net.advance(CHANNEL_LIFETIME - INSTANT);
    assert!(net.send_on(alice, 0x4000, b"last").is_some());
    let arrived = net.send_from_peer(peer, alice, b"last");
    assert!(matches!(arrived, Delivery::Channel { number: 0x4000, .. }));
    net.advance(INSTANT);
    assert_eq!(net.send_on(alice, 0x4000, b"late"), None);
    assert_eq!(net.drops(DropReason::NoChannel), 1);
    assert_eq!(net.send_from_peer(peer, alice, b"late"), Delivery::Dropped);
}

#[test]
fn chn_17_channel_data_does_not_refresh_a_channel() {
    let mut net = Net::new();
    let alice = long_allocation(&mut net);
    let peer = net.peer();
    net.bind(alice, 0x4000, peer);
    for _ in 0..60 {
        assert!(net.send_on(alice, 0x4000, b"out").is_some());
        assert!(net.send_from_peer(peer, alice, b"in").arrived());
        net.advance_secs(10);
    }
    assert_eq!(net.send_on(alice, 0x4000, b"out"), None);
}

#[test]
fn binding_again_refreshes_a_channel() {
    let mut net = Net::new();
    let alice = long_allocation(&mut net);
    let peer = net.peer();
    net.bind(alice, 0x4000, peer);
    net.advance_secs(599);
    net.bind(alice, 0x4000, peer);
    net.advance(CHANNEL_LIFETIME - INSTANT);
    assert!(net.send_on(alice, 0x4000, b"open").is_some());
    net.advance(INSTANT);
    assert_eq!(net.send_on(alice, 0x4000, b"shut"), None);
}

#[test]
fn chn_17_number_and_peer_are_free_for_others_after_600_seconds() {
    let mut net = Net::new();
    let alice = long_allocation(&mut net);
    let (peer, other) = (net.peer(), net.peer());
    net.bind(alice, 0x4000, peer);
    net.advance(CHANNEL_LIFETIME - INSTANT);
    assert_eq!(
        net.refusal(alice, Request::channel_bind(0x4000, other)),
        400
    );
    assert_eq!(net.refusal(alice, Request::channel_bind(0x4001, peer)), 400);
    net.advance(INSTANT);
    net.bind(alice, 0x4000, other);
    net.bind(alice, 0x4001, peer);
    assert_eq!(net.send_on(alice, 0x4000, b"?").unwrap().to, other);
    assert_eq!(net.send_on(alice, 0x4001, b"?").unwrap().to, peer);
}

#[test]
fn a_number_stands_for_one_peer_and_a_peer_has_one_number() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let (peer, other) = (net.peer(), net.peer());
    net.bind(alice, 0x4000, peer);
    assert_eq!(
        net.refusal(alice, Request::channel_bind(0x4000, other)),
        400
    );
    assert_eq!(net.refusal(alice, Request::channel_bind(0x4001, peer)), 400);
    assert_eq!(
        net.send(alice, other, b"?"),
        None,
        "no permission from a refusal"
    );
    assert_eq!(net.send_on(alice, 0x4000, b"!").unwrap().to, peer);
}

#[test]
fn two_ports_of_one_address_have_a_channel_each() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let one = net.peer();
    let mut other = one;
    other.set_port(one.port() + 1);
    net.bind(alice, 0x4000, one);
    net.bind(alice, 0x4001, other);
    for (number, peer) in [(0x4000, one), (0x4001, other)] {
        assert_eq!(net.send_on(alice, number, b"!").unwrap().to, peer);
        let expected = Delivery::Channel {
            client: net.address(alice),
            number,
            data: b"?".to_vec(),
        };
        assert_eq!(net.send_from_peer(peer, alice, b"?"), expected);
    }
}

#[test]
fn another_port_of_a_bound_peer_is_heard_by_indication() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let mut peer = net.peer();
    net.bind(alice, 0x4000, peer);
    peer.set_port(9);
    let expected = Delivery::Data {
        client: net.address(alice),
        peer,
        data: b"?".to_vec(),
    };
    assert_eq!(net.send_from_peer(peer, alice, b"?"), expected);
    assert_eq!(net.send(alice, peer, b"!").unwrap().to, peer);
}

#[test]
fn chn_21_a_live_channel_keeps_its_permission() {
    let mut net = Net::new();
    let alice = long_allocation(&mut net);
    let peer = net.peer();
    net.bind(alice, 0x4000, peer);
    net.advance(CHANNEL_LIFETIME - INSTANT);
    assert!(net.send_from_peer(peer, alice, b"in").arrived());
    assert!(net.send(alice, peer, b"out").is_some());
    net.advance(INSTANT);
    assert_eq!(net.send(alice, peer, b"out"), None);
}

#[test]
fn chn_21_by_the_letter_a_channel_does_not_keep_its_permission() {
    let mut net = Net::with(|setup| setup.turn.channel_keeps_permission = false);
    let alice = long_allocation(&mut net);
    let peer = net.peer();
    net.bind(alice, 0x4000, peer);
    net.advance(PERMISSION_LIFETIME - INSTANT);
    assert!(net.send_from_peer(peer, alice, b"in").arrived());
    net.advance(INSTANT);
    assert_eq!(net.send_from_peer(peer, alice, b"in"), Delivery::Dropped);
    assert_eq!(net.send_on(alice, 0x4000, b"out"), None);
    // The channel itself is still there.
    net.permit(alice, peer);
    assert!(net.send_on(alice, 0x4000, b"out").is_some());
    let arrived = net.send_from_peer(peer, alice, b"in");
    assert!(matches!(arrived, Delivery::Channel { number: 0x4000, .. }));
}

#[test]
fn channels_of_two_allocations_are_apart() {
    let mut net = Net::new();
    let (alice, bob) = (net.allocate("alice"), net.allocate("bob"));
    let (peer, other) = (net.peer(), net.peer());
    net.bind(alice, 0x4000, peer);
    assert_eq!(net.send_on(bob, 0x4000, b"?"), None);
    net.bind(bob, 0x4000, other);
    assert_eq!(net.send_on(alice, 0x4000, b"!").unwrap().to, peer);
    assert_eq!(net.send_on(bob, 0x4000, b"!").unwrap().to, other);
}

#[test]
fn the_strict_range_is_that_of_rfc8656() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    for number in [0x4000, 0x4FFF] {
        let peer = net.peer();
        net.bind(alice, number, peer);
    }
    for number in [0, 0x3FFF, 0x5000, 0x7FFE, 0x7FFF, 0x8000, 0xFFFF] {
        let peer = net.peer();
        assert_eq!(net.refusal(alice, Request::channel_bind(number, peer)), 400);
    }
}

#[test]
fn the_wider_range_of_rfc5766_may_be_chosen() {
    let mut net = Net::with(|setup| setup.turn.channel_numbers = ChannelNumbers::Rfc5766);
    let alice = net.allocate("alice");
    for number in [0x4000, 0x5000, 0x7FFE, 0x7FFF] {
        let peer = net.peer();
        net.bind(alice, number, peer);
        assert_eq!(net.send_on(alice, number, b"!").unwrap().to, peer);
    }
    for number in [0, 0x3FFF, 0x8000, 0xFFFF] {
        let peer = net.peer();
        assert_eq!(net.refusal(alice, Request::channel_bind(number, peer)), 400);
    }
}

#[test]
fn a_channel_bind_without_number_or_peer_is_refused() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    let whole = Request::channel_bind(0x4000, peer);
    let short = whole
        .clone()
        .without(CHANNEL_NUMBER)
        .with(CHANNEL_NUMBER, [0x40, 0]);
    for request in [
        whole.clone().without(CHANNEL_NUMBER),
        whole.clone().without(XOR_PEER_ADDRESS),
        short,
    ] {
        assert_eq!(net.refusal(alice, request), 400);
    }
    let reserved_bits = whole
        .without(CHANNEL_NUMBER)
        .with(CHANNEL_NUMBER, [0x40, 0, 0xFF, 0xFF]);
    net.succeed(alice, reserved_bits);
}

#[test]
fn channels_beyond_the_bound_are_refused() {
    let mut net = Net::with(|setup| setup.turn.max_channels = 2);
    let alice = long_allocation(&mut net);
    let peers: Vec<_> = (0..3).map(|_| net.peer()).collect();
    net.bind(alice, 0x4000, peers[0]);
    net.bind(alice, 0x4001, peers[1]);
    assert_eq!(
        net.refusal(alice, Request::channel_bind(0x4002, peers[2])),
        508
    );
    assert_eq!(
        net.send(alice, peers[2], b"?"),
        None,
        "no permission from a refusal"
    );
    net.bind(alice, 0x4001, peers[1]);
    net.advance(CHANNEL_LIFETIME);
    net.bind(alice, 0x4002, peers[2]);
}
