//! Bandwidth (RFC 8656 §5): what exceeds it is dropped without a word, in each direction on its own.

use uturn::admission::bandwidth::LEAST_BURST;
use uturn::turn::DropReason;

use crate::net::{ClientId, Net};

const RATE: u64 = 1_000_000;
const PACKET: usize = 1000;
/// Packets that a fresh allocation may send at once.
const FRESH: usize = LEAST_BURST as usize / PACKET;

/// How many of 2000 packets pass to the peer.
fn out(net: &mut Net, client: ClientId, peer: std::net::SocketAddr) -> usize {
    let data = [0; PACKET];
    let passed = |_: &usize| net.send(client, peer, &data).is_some();
    (0..2000).filter(passed).count()
}

/// How many of 2000 packets pass to the client.
fn into(net: &mut Net, client: ClientId, peer: std::net::SocketAddr) -> usize {
    let data = [0; PACKET];
    let passed = |_: &usize| net.send_from_peer(peer, client, &data).arrived();
    (0..2000).filter(passed).count()
}

#[test]
fn an_allocation_is_held_to_its_bandwidth_in_each_direction() {
    let mut net = Net::with(|setup| setup.bandwidth.per_allocation = RATE);
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    assert_eq!(out(&mut net, alice, peer), FRESH);
    assert_eq!(into(&mut net, alice, peer), FRESH);
    assert_eq!(net.drops(DropReason::Bandwidth), 2 * (2000 - FRESH as u64));
    net.advance_secs(1);
    assert_eq!(out(&mut net, alice, peer), RATE as usize / PACKET);
    assert_eq!(into(&mut net, alice, peer), RATE as usize / PACKET);
    // Another allocation, of the same user even, is not touched.
    let second = net.allocate("alice");
    net.permit(second, peer);
    assert_eq!(out(&mut net, second, peer), FRESH);
}

#[test]
fn the_allocations_of_a_user_share_its_bandwidth() {
    let mut net = Net::with(|setup| setup.bandwidth.per_user = RATE);
    let (first, second, bob) = (
        net.allocate("alice"),
        net.allocate("alice"),
        net.allocate("bob"),
    );
    let peer = net.peer();
    for client in [first, second, bob] {
        net.permit(client, peer);
        assert!(net.send(client, peer, b"the first").is_some());
    }
    net.advance_secs(1);
    let passed = out(&mut net, first, peer) + out(&mut net, second, peer);
    let rate = RATE as usize / PACKET;
    assert!((rate - 1..=rate + 1).contains(&passed), "{passed}");
    assert!(out(&mut net, bob, peer) >= rate - 1);
}

#[test]
fn all_share_the_bandwidth_of_the_server() {
    let mut net = Net::with(|setup| setup.bandwidth.total = RATE);
    let (alice, bob) = (net.allocate("alice"), net.allocate("bob"));
    let peer = net.peer();
    net.permit(alice, peer);
    net.permit(bob, peer);
    let passed = out(&mut net, alice, peer) + out(&mut net, bob, peer);
    assert!((FRESH - 1..=FRESH).contains(&passed), "{passed}");
}

#[test]
fn requests_are_answered_whatever_the_bandwidth() {
    let mut net = Net::with(|setup| setup.bandwidth.per_allocation = 1);
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    out(&mut net, alice, peer);
    for _ in 0..500 {
        net.permit(alice, peer);
    }
}
