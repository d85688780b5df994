//! Calls between two clients of this server: each is the other's peer at its relayed transport address (RFC 8656 §3).
//!
//! Nothing of it touches a socket, and everything is as if it did.

use std::net::SocketAddr;
use std::sync::Arc;

use uturn::admission::bandwidth::{Direction, LEAST_BURST};
use uturn::turn::{
    AllocationEnded, DropReason, Event, FromClient, RelayAddress, RelayId, Transport,
};

use crate::net::codec::{EVEN_PORT, Request, channel_data};
use crate::net::setup::{SERVER, SERVER_V4};
use crate::net::{ClientId, Datagram, Delivery, Net, Setup, at, ip};

/// Two clients whose only way to each other is through both relayed addresses.
fn call(net: &mut Net) -> (ClientId, ClientId) {
    let (alice, bob) = (net.allocate("alice"), net.allocate("bob"));
    net.permit(alice, net.relayed(bob));
    net.permit(bob, net.relayed(alice));
    (alice, bob)
}

/// Data of one arrives at the other, from the address that the other knows it by.
fn assert_heard(net: &mut Net, from: ClientId, to: ClientId) {
    let expected = Delivery::Data {
        client: net.address(to),
        peer: net.relayed(from),
        data: b"hello".to_vec(),
    };
    assert_eq!(net.send_to(from, to, b"hello"), expected);
}

#[test]
fn two_relayed_clients_reach_each_other() {
    let mut net = Net::new();
    let (alice, bob) = call(&mut net);
    assert_heard(&mut net, alice, bob);
    assert_heard(&mut net, bob, alice);
}

#[test]
fn two_relayed_clients_reach_each_other_over_channels() {
    let mut net = Net::new();
    let (alice, bob) = (net.allocate("alice"), net.allocate("bob"));
    net.bind(alice, 0x4000, net.relayed(bob));
    net.bind(bob, 0x4001, net.relayed(alice));
    let expected = Delivery::Channel {
        client: net.address(bob),
        number: 0x4001,
        data: b"hello".to_vec(),
    };
    assert_eq!(net.send_to_on(alice, 0x4000, b"hello"), expected);
}

#[test]
fn two_relayed_clients_reach_each_other_behind_a_one_to_one_nat() {
    let mut net = Net::with(|setup| {
        setup.relay = vec![RelayAddress {
            bind: ip("10.0.0.5"),
            external: Some(ip("9.7.7.7")),
        }];
        setup.peers.own_addresses = vec![ip("10.0.0.5"), ip("9.7.7.7")];
    });
    let (alice, bob) = call(&mut net);
    assert_eq!(net.relayed(alice).ip(), ip("9.7.7.7"));
    assert_heard(&mut net, alice, bob);
    assert_heard(&mut net, bob, alice);
    for own in ["10.0.0.5", "9.7.7.7"] {
        let peer = SocketAddr::new(ip(own), 22);
        assert_eq!(net.refusal(alice, Request::create_permission(&[peer])), 403);
    }
}

#[test]
fn a_permission_for_a_relayed_address_does_not_open_the_host_behind_it() {
    let mut net = Net::new();
    let (alice, _) = call(&mut net);
    let before = net.drops(DropReason::PeerDenied);
    let listener = SocketAddr::new(SERVER_V4, 3478);
    assert_eq!(net.send(alice, listener, b"?"), None);
    assert_eq!(net.send_from_peer(listener, alice, b"?"), Delivery::Dropped);
    assert_eq!(net.drops(DropReason::PeerDenied), before + 2);
}

#[test]
fn a_relayed_address_that_has_closed_is_denied_again() {
    let mut net = Net::new();
    let (alice, bob) = call(&mut net);
    net.bind(alice, 0x4000, net.relayed(bob));
    let gone = net.relayed(bob);
    net.succeed(bob, Request::refresh().lifetime(0));
    assert_eq!(net.send(alice, gone, b"?"), None);
    assert_eq!(net.send_on(alice, 0x4000, b"?"), None);
    let stray = Datagram {
        from: gone,
        to: net.relayed(alice),
        data: Vec::new(),
        dont_fragment: false,
    };
    assert_eq!(net.arrive(&stray), Delivery::Dropped);
    assert_eq!(net.refusal(alice, Request::create_permission(&[gone])), 403);
}

#[test]
fn a_permission_for_a_relayed_address_needs_the_other_side_too() {
    let mut net = Net::new();
    let (alice, bob) = (net.allocate("alice"), net.allocate("bob"));
    net.permit(alice, net.relayed(bob));
    let before = net.drops(DropReason::NoPermission);
    assert_eq!(net.send_to(alice, bob, b"?"), Delivery::Dropped);
    assert_eq!(net.drops(DropReason::NoPermission), before + 1);
    net.permit(bob, net.relayed(alice));
    assert!(net.send_to(alice, bob, b"!").arrived());
}

#[test]
fn data_for_a_relayed_address_never_leaves_whichever_name_the_peer_has() {
    let mut net = Net::with(|setup| {
        setup.relay = vec![RelayAddress {
            bind: ip("10.0.0.5"),
            external: Some(ip("9.7.7.7")),
        }];
    });
    let (alice, bob) = call(&mut net);
    // By the inner name, too, which bob's socket would see as the same peer.
    let inner = SocketAddr::new(ip("10.0.0.5"), net.relayed(bob).port());
    net.permit(alice, inner);
    let bytes = Request::send(inner, b"hello").encode(net.transaction(), None);
    let expected = Delivery::Data {
        client: net.address(bob),
        peer: net.relayed(alice),
        data: b"hello".to_vec(),
    };
    assert_eq!(net.pass(alice, &bytes), expected);
}

#[test]
fn an_allocation_reaches_itself_as_it_would_over_the_wire() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    net.permit(alice, net.relayed(alice));
    assert_heard(&mut net, alice, alice);
}

#[test]
fn a_client_over_tcp_is_one_side_of_a_call_like_any_other() {
    let mut net = Net::new();
    let alice = net.client_at(Transport::Tcp, at("192.0.2.200:1"), "alice");
    net.succeed(alice, Request::allocate());
    let bob = net.allocate("bob");
    net.bind(alice, 0x4000, net.relayed(bob));
    net.bind(bob, 0x4001, net.relayed(alice));
    let mut padded = channel_data(0x4000, b"hello");
    padded.resize(padded.len() + 3, 0);
    let expected = Delivery::Channel {
        client: net.address(bob),
        number: 0x4001,
        data: b"hello".to_vec(),
    };
    assert_eq!(net.pass(alice, &padded), expected);
    // No datagram carries more than 65,507 bytes over IPv4, though ChannelData on a stream does.
    for (len, arrives) in [(65_507, true), (65_508, false), (65_535, false)] {
        net.advance_secs(1);
        let long = channel_data(0x4000, &vec![0; len]);
        assert_eq!(net.pass(alice, &long).arrived(), arrives, "{len}");
    }
}

/// What each side is told to have moved when both allocations end.
fn traffic(net: &mut Net) -> Vec<uturn::turn::Traffic> {
    net.server.handle_stop(net.now);
    net.do_outputs();
    let mut ended: Vec<&AllocationEnded> = net
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Ended(ended) => Some(ended),
            Event::Opened(_) | Event::Moved(_) | Event::Refused(_) => None,
        })
        .collect();
    ended.sort_by_key(|ended| ended.serial);
    ended.iter().map(|ended| ended.traffic).collect()
}

#[test]
fn both_sides_are_charged_as_over_the_wire() {
    let mut net = Net::new();
    let (alice, bob) = (net.allocate("alice"), net.allocate("bob"));
    net.permit(alice, net.relayed(bob));
    assert_eq!(net.send_to(alice, bob, b"too early"), Delivery::Dropped);
    net.permit(bob, net.relayed(alice));
    for data in [&b"one"[..], b"", b"three"] {
        assert!(net.send_to(alice, bob, data).arrived());
    }
    assert_eq!(net.moved(Direction::ToPeer).packets, 4);
    assert_eq!(net.moved(Direction::ToClient).packets, 3);
    assert_eq!(net.server.counters().between_clients().packets, 4);
    let [alice, bob] = traffic(&mut net)[..] else {
        panic!("two allocations");
    };
    assert_eq!((alice.packets_to_peer, alice.bytes_to_peer), (4, 9 + 8));
    assert_eq!((alice.packets_to_client, alice.drops.total()), (0, 0));
    assert_eq!((bob.packets_to_client, bob.bytes_to_client), (3, 8));
    assert_eq!((bob.packets_to_peer, bob.drops.total()), (0, 1));
}

#[test]
fn each_side_is_held_to_its_own_bandwidth() {
    const PACKET: usize = 1000;
    let mut net = Net::with(|setup| setup.bandwidth.per_allocation = 1_000_000);
    let (bob, fresh) = (net.allocate("bob"), LEAST_BURST as usize / PACKET);
    let senders = [net.allocate("alice"), net.allocate("carol")];
    for sender in senders {
        net.permit(sender, net.relayed(bob));
        net.permit(bob, net.relayed(sender));
    }
    let data = [0; PACKET];
    let mut pass = |sender: ClientId| {
        (0..2000)
            .filter(|_| net.send_to(sender, bob, &data).arrived())
            .count()
    };
    assert_eq!(pass(senders[0]), fresh);
    assert_eq!(pass(senders[1]), 0, "bob has had his share");
}

#[test]
fn nothing_arrives_once_the_receivers_time_has_passed() {
    let mut net = Net::new();
    let (alice, bob) = call(&mut net);
    net.succeed(alice, Request::refresh().lifetime(3600));
    net.advance_secs(400);
    net.permit(alice, net.relayed(bob));
    net.permit(bob, net.relayed(alice));
    assert!(net.send_to(alice, bob, b"in time").arrived());
    // The deadline is due, but has not been handled.
    net.now.instant += std::time::Duration::from_secs(201);
    assert_eq!(net.send_to(alice, bob, b"?"), Delivery::Dropped);
}

/// Two workers of one server, with a call between them: alice's on the one, bob's on the other.
fn two_workers() -> ([Net; 2], [ClientId; 2]) {
    let mut first = Net::from_parts(worker(0).into_parts());
    let mut parts = worker(1).into_parts();
    parts.relayed = Arc::clone(&first.relayed);
    let mut second = Net::from_parts(parts);
    second.now = first.now;
    (first.shares_ports, second.shares_ports) = (true, true);
    let (alice, bob) = (first.allocate("alice"), second.allocate("bob"));
    first.bind(alice, 0x4000, second.relayed(bob));
    second.bind(bob, 0x4001, first.relayed(alice));
    ([first, second], [alice, bob])
}

fn worker(number: u64) -> Setup {
    Setup {
        worker: (number, 2),
        // What each believes to be free depends on the other.
        ports: 50_000..=50_009,
        ..Setup::default()
    }
}

#[test]
fn clients_of_two_workers_reach_each_other() {
    let ([mut first, mut second], [alice, bob]) = two_workers();
    let handover = first.hand_over(alice, 0x4000, b"hello");
    assert_eq!((handover.worker, handover.relay), (1, RelayId(0)));
    assert_eq!(handover.to.ip(), SERVER_V4);
    let expected = Delivery::Channel {
        client: second.address(bob),
        number: 0x4001,
        data: b"hello".to_vec(),
    };
    assert_eq!(second.arrive_from_worker(&handover, b"hello"), expected);
    let back = second.hand_over(bob, 0x4001, b"!");
    assert!(first.arrive_from_worker(&back, b"!").arrived());
}

#[test]
fn each_side_is_held_to_its_own_bandwidth_whichever_workers_serve_them() {
    const PACKET: usize = 1000;
    let fresh = LEAST_BURST as usize / PACKET;
    let ([mut first, mut second], [alice, bob]) = two_workers();
    let carol = first.allocate("carol");
    first.bind(carol, 0x4000, second.relayed(bob));
    second.permit(bob, first.relayed(carol));
    // What all share has been used and is full again: it is not what holds anybody here.
    for net in [&mut first, &mut second] {
        let (other, peer) = (net.allocate("carol"), net.peer());
        net.permit(other, peer);
        assert!(net.send(other, peer, b"?").is_some());
        assert!(net.send_from_peer(peer, other, b"!").arrived());
        net.advance_secs(10);
    }
    let data = [0; PACKET];
    let mut pass = |sender| {
        let bytes = channel_data(0x4000, &data);
        let (mut left, mut arrived) = (0, 0);
        for _ in 0..2 * fresh {
            let routed = first
                .server
                .handle_client(first.flow(sender), &bytes, first.now);
            if let FromClient::ToWorker(handover) = routed {
                left += 1;
                arrived += usize::from(second.arrive_from_worker(&handover, &data).arrived());
            }
        }
        (left, arrived)
    };
    assert_eq!(pass(alice), (fresh, fresh), "alice is held to hers");
    assert_eq!(pass(carol), (fresh, 0), "bob has had his share");
    let drops = [&first, &second].map(|net| net.drops(DropReason::Bandwidth));
    assert_eq!(drops, [2 * fresh as u64, fresh as u64]);
}

#[test]
fn what_is_handed_over_too_late_reaches_nobody() {
    let ([mut first, mut second], [alice, bob]) = two_workers();
    let handover = first.hand_over(alice, 0x4000, b"hello");
    second.succeed(bob, Request::refresh().lifetime(0));
    let before = second.drops(DropReason::NoAllocation);
    assert_eq!(
        second.arrive_from_worker(&handover, b"hello"),
        Delivery::Dropped
    );
    // Carol gets the place in the table, but another port: what was for bob is not for her.
    let carol = second.allocate("carol");
    second.bind(carol, 0x4001, first.relayed(alice));
    assert_ne!(second.relayed(carol), handover.to);
    assert_eq!(
        second.arrive_from_worker(&handover, b"hello"),
        Delivery::Dropped
    );
    assert_eq!(second.drops(DropReason::NoAllocation), before + 2);
}

#[test]
fn a_reserved_port_is_nobodys_and_is_reached_through_its_socket() {
    let mut net = Net::new();
    let (alice, bob) = (net.allocate("alice"), net.client("bob"));
    net.succeed(bob, Request::allocate().with(EVEN_PORT, [0x80]));
    let bound = net.relayed(bob);
    let reserved = SocketAddr::new(bound.ip(), bound.port() + 1);
    net.permit(alice, reserved);
    let datagram = net.send(alice, reserved, b"?").expect("sent");
    assert_eq!((datagram.from.ip(), datagram.to), (SERVER.ip(), reserved));
}
