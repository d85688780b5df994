//! Permissions (RFC 8656 §9, §10).

use std::time::Duration;

use uturn::turn::{DropReason, PERMISSION_LIFETIME};

use crate::net::codec::Request;
use crate::net::{Delivery, Net, at};

const INSTANT: Duration = Duration::from_nanos(1);

/// Without the extension that a channel keeps its peer's permission alive.
fn by_the_letter() -> Net {
    Net::with(|setup| setup.turn.channel_keeps_permission = false)
}

#[test]
fn prm_10_a_permission_lives_exactly_300_seconds() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    net.advance(PERMISSION_LIFETIME - INSTANT);
    assert!(net.send_from_peer(peer, alice, b"last").arrived());
    assert!(net.send(alice, peer, b"last").is_some());
    net.advance(INSTANT);
    assert_eq!(net.send_from_peer(peer, alice, b"late"), Delivery::Dropped);
    assert_eq!(net.send(alice, peer, b"late"), None);
    assert_eq!(net.drops(DropReason::NoPermission), 2);
}

#[test]
fn prm_10_data_does_not_refresh_a_permission() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    for _ in 0..30 {
        assert!(net.send(alice, peer, b"out").is_some());
        assert!(net.send_from_peer(peer, alice, b"in").arrived());
        net.advance_secs(10);
    }
    assert_eq!(net.send(alice, peer, b"out"), None);
    assert!(!net.send_from_peer(peer, alice, b"in").arrived());
}

#[test]
fn prm_18_create_permission_refreshes_a_permission_to_300_seconds() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    net.advance_secs(200);
    net.permit(alice, peer);
    net.advance(PERMISSION_LIFETIME - INSTANT);
    assert!(net.send_from_peer(peer, alice, b"open").arrived());
    net.advance(INSTANT);
    assert!(!net.send_from_peer(peer, alice, b"shut").arrived());
}

#[test]
fn prm_18_channel_bind_refreshes_a_permission_to_300_seconds() {
    let mut net = by_the_letter();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    net.advance_secs(200);
    net.bind(alice, 0x4000, peer);
    net.advance(PERMISSION_LIFETIME - INSTANT);
    assert!(net.send_from_peer(peer, alice, b"open").arrived());
    net.advance(INSTANT);
    assert!(!net.send_from_peer(peer, alice, b"shut").arrived());
}

#[test]
fn a_refused_channel_bind_refreshes_no_permission() {
    let mut net = by_the_letter();
    let alice = net.allocate("alice");
    let (peer, other) = (net.peer(), net.peer());
    net.bind(alice, 0x4000, other);
    net.permit(alice, peer);
    net.advance_secs(200);
    assert_eq!(net.refusal(alice, Request::channel_bind(0x4000, peer)), 400);
    net.advance_secs(100);
    assert_eq!(net.send(alice, peer, b"shut"), None);
}

#[test]
fn two_peers_in_one_request_are_both_permitted() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let (one, other) = (net.peer(), net.peer());
    net.succeed(alice, Request::create_permission(&[one, other]));
    assert!(net.send_from_peer(one, alice, b"one").arrived());
    assert!(net.send_from_peer(other, alice, b"other").arrived());
    assert!(net.send(alice, one, b"one").is_some());
    assert!(net.send(alice, other, b"other").is_some());
}

#[test]
fn one_denied_peer_among_several_installs_none() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let (first, last) = (net.peer(), net.peer());
    let denied = at("10.0.0.1:80");
    let request = Request::create_permission(&[first, denied, last]);
    assert_eq!(net.refusal(alice, request), 403);
    assert!(!net.send_from_peer(first, alice, b"?").arrived());
    assert!(!net.send_from_peer(last, alice, b"?").arrived());
}

#[test]
fn one_malformed_peer_among_several_installs_none() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    for value in [
        &[][..],
        &[0, 1, 0, 0],
        &[0, 7, 0, 0, 1, 2, 3, 4],
        &[0, 1, 0, 0, 1, 2],
    ] {
        let request = Request::create_permission(&[peer]).with(0x0012, value);
        assert_eq!(net.refusal(alice, request), 400);
        assert!(!net.send_from_peer(peer, alice, b"?").arrived());
    }
}

#[test]
fn a_permission_counts_for_every_port_of_the_address() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let mut peer = net.peer();
    let mut portless = peer;
    portless.set_port(0);
    net.permit(alice, portless);
    peer.set_port(9);
    assert!(net.send_from_peer(peer, alice, b"in").arrived());
    assert!(net.send(alice, peer, b"out").is_some());
}

#[test]
fn permissions_beyond_the_bound_are_refused_as_a_whole() {
    let mut net = Net::with(|setup| setup.turn.max_permissions = 3);
    let alice = net.allocate("alice");
    let peers: Vec<_> = (0..4).map(|_| net.peer()).collect();
    net.succeed(alice, Request::create_permission(&peers[..2]));
    assert_eq!(
        net.refusal(alice, Request::create_permission(&peers[2..])),
        508
    );
    assert!(!net.send_from_peer(peers[2], alice, b"?").arrived());
    net.permit(alice, peers[2]);
    assert_eq!(
        net.refusal(alice, Request::channel_bind(0x4000, peers[3])),
        508
    );
    assert_eq!(net.send_on(alice, 0x4000, b"?"), None);
    // What is there may be renewed, and what has ended gives way.
    net.succeed(alice, Request::create_permission(&peers[..3]));
    net.advance(PERMISSION_LIFETIME);
    net.bind(alice, 0x4000, peers[3]);
}

#[test]
fn the_default_bound_on_permissions_is_reached() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peers: Vec<_> = (0..129).map(|_| net.peer()).collect();
    net.succeed(alice, Request::create_permission(&peers[..128]));
    assert_eq!(
        net.refusal(alice, Request::create_permission(&peers[128..])),
        508
    );
}

#[test]
fn permissions_of_one_allocation_do_not_serve_another() {
    let mut net = Net::new();
    let (alice, bob) = (net.allocate("alice"), net.allocate("bob"));
    let second = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    for other in [bob, second] {
        assert_eq!(net.send_from_peer(peer, other, b"?"), Delivery::Dropped);
        assert_eq!(net.send(other, peer, b"?"), None);
    }
}

#[test]
fn permissions_end_with_their_allocation() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    net.bind(alice, 0x4000, peer);
    net.succeed(alice, Request::refresh().lifetime(0));
    net.succeed(alice, Request::allocate());
    assert_eq!(net.send(alice, peer, b"?"), None);
    assert_eq!(net.send_on(alice, 0x4000, b"?"), None);
    assert_eq!(net.send_from_peer(peer, alice, b"?"), Delivery::Dropped);
}
