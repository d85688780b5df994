//! Data: Send and Data indications, ChannelData (RFC 8656 §11, §12).

use uturn::admission::bandwidth::Direction;
use uturn::turn::{DropReason, Event, Transport};

use crate::net::codec::{DATA, DONT_FRAGMENT, Request, XOR_PEER_ADDRESS, channel_data};
use crate::net::{Datagram, Delivery, Net, at};

#[test]
fn a_send_indication_leaves_from_the_relayed_address() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    let expected = Datagram {
        from: net.relayed(alice),
        to: peer,
        data: b"hello".to_vec(),
        dont_fragment: false,
    };
    assert_eq!(net.send(alice, peer, b"hello"), Some(expected.clone()));
    // Indications are never authenticated, and a channel does not stand in their way.
    net.bind(alice, 0x4000, peer);
    assert_eq!(net.send(alice, peer, b"hello"), Some(expected.clone()));
    assert_eq!(net.send_on(alice, 0x4000, b"hello"), Some(expected));
}

#[test]
fn data_of_a_peer_reaches_its_client_alone() {
    let mut net = Net::new();
    let (alice, _bob) = (net.allocate("alice"), net.allocate("bob"));
    let peer = net.peer();
    net.permit(alice, peer);
    let expected = Delivery::Data {
        client: net.address(alice),
        peer,
        data: b"hello".to_vec(),
    };
    assert_eq!(net.send_from_peer(peer, alice, b"hello"), expected);
}

#[test]
fn empty_data_is_relayed_in_every_form() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Dtls] {
        let mut net = Net::new();
        let alice = net.client_at(transport, at("192.0.2.1:7"), "alice");
        net.succeed(alice, Request::allocate());
        let peer = net.peer();
        net.permit(alice, peer);
        assert_eq!(net.send(alice, peer, b"").unwrap().data, b"");
        let (client, data) = (net.address(alice), Vec::new());
        let indication = Delivery::Data { client, peer, data };
        assert_eq!(net.send_from_peer(peer, alice, b""), indication);
        net.bind(alice, 0x4000, peer);
        assert_eq!(net.send_on(alice, 0x4000, b"").unwrap().data, b"");
        let (number, data) = (0x4000, Vec::new());
        let channel = Delivery::Channel {
            client,
            number,
            data,
        };
        assert_eq!(net.send_from_peer(peer, alice, b""), channel);
    }
}

#[test]
fn padding_of_channel_data_is_not_relayed() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.bind(alice, 0x4000, peer);
    let mut padded = channel_data(0x4000, b"hello");
    padded.extend([0xEE; 3]);
    assert_eq!(net.send_bytes(alice, &padded).unwrap().data, b"hello");
}

#[test]
fn channel_data_that_claims_more_than_there_is_is_dropped() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.bind(alice, 0x4000, peer);
    let whole = channel_data(0x4000, b"hello");
    for length in 0..whole.len() {
        assert_eq!(net.send_bytes(alice, &whole[..length]), None);
    }
    assert_eq!(net.drops(DropReason::Malformed), whole.len() as u64);
    assert!(net.send_bytes(alice, &whole).is_some());
}

#[test]
fn a_send_indication_that_lacks_something_is_dropped() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    let whole = Request::send(peer, b"hello");
    for request in [
        whole.clone().without(DATA),
        whole.clone().without(XOR_PEER_ADDRESS),
        whole.clone().with(0x7F00, b""),
    ] {
        let bytes = request.encode(net.transaction(), None);
        assert_eq!(net.send_bytes(alice, &bytes), None);
    }
    let optional = whole.with(0xBF00, b"").encode(net.transaction(), None);
    assert!(net.send_bytes(alice, &optional).is_some());
}

#[test]
fn dont_fragment_is_passed_on_and_only_where_asked_for() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    let request = Request::send(peer, b"whole").with(DONT_FRAGMENT, b"");
    let bytes = request.encode(net.transaction(), None);
    assert!(net.send_bytes(alice, &bytes).unwrap().dont_fragment);
    assert!(!net.send(alice, peer, b"any").unwrap().dont_fragment);
}

#[test]
fn nothing_is_sent_to_port_zero() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let mut peer = net.peer();
    net.permit(alice, peer);
    peer.set_port(0);
    assert_eq!(net.send(alice, peer, b"?"), None);
}

#[test]
fn data_without_an_allocation_is_dropped() {
    let mut net = Net::new();
    let alice = net.client("alice");
    let peer = net.peer();
    assert_eq!(net.send(alice, peer, b"?"), None);
    assert_eq!(net.send_on(alice, 0x4000, b"?"), None);
    assert_eq!(net.drops(DropReason::NoAllocation), 2);
}

#[test]
fn datagrams_up_to_the_largest_are_whole_or_dropped() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    for size in [1, 1200, 1472, 9000, 17_000, 65_000] {
        net.advance_secs(1);
        let data: Vec<u8> = (0..size).map(|n| n as u8).collect();
        let Delivery::Data { data: heard, .. } = net.send_from_peer(peer, alice, &data) else {
            panic!("{size} bytes were dropped");
        };
        assert_eq!(heard, data);
    }
    let longest = vec![0; 65_535];
    assert_eq!(net.send_from_peer(peer, alice, &longest), Delivery::Dropped);
    assert_eq!(net.drops(DropReason::TooLarge), 1);
}

#[test]
fn every_pair_of_families_relays_both_ways() {
    for client in ["192.0.2.1:7", "[2001:db8::1]:7"] {
        for family in [1, 2] {
            let mut net = Net::new();
            let alice = net.client_at(Transport::Udp, at(client), "alice");
            net.succeed(alice, Request::allocate().family(family));
            let peer = if family == 1 {
                net.peer()
            } else {
                net.peer_v6()
            };
            net.permit(alice, peer);
            assert_eq!(net.send(alice, peer, b"out").unwrap().to, peer);
            let expected = Delivery::Data {
                client: at(client),
                peer,
                data: b"in".to_vec(),
            };
            assert_eq!(net.send_from_peer(peer, alice, b"in"), expected);
        }
    }
}

#[test]
fn what_was_moved_is_counted_when_it_ends() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let (peer, stranger) = (net.peer(), net.peer());
    net.permit(alice, peer);
    net.send(alice, peer, b"123");
    net.send(alice, peer, b"4567");
    net.send_from_peer(peer, alice, b"12345");
    net.send_from_peer(stranger, alice, b"?");
    net.advance_secs(60);
    net.succeed(alice, Request::refresh().lifetime(0));
    let Some(uturn::turn::Event::Ended(ended)) = net.events.pop() else {
        panic!("an ending");
    };
    let traffic = ended.traffic;
    assert_eq!((traffic.packets_to_peer, traffic.bytes_to_peer), (2, 7));
    assert_eq!((traffic.packets_to_client, traffic.bytes_to_client), (1, 5));
    assert_eq!(traffic.drops.total(), 1);
    assert_eq!((ended.age.as_secs(), &*ended.user), (60, "alice"));
}

#[test]
fn what_the_shell_cannot_send_to_a_client_is_not_counted_as_moved() {
    for reason in [DropReason::SlowReader, DropReason::TooLarge] {
        let mut net = Net::new();
        let (alice, peer) = (net.allocate("alice"), net.peer());
        net.permit(alice, peer);
        for data in [&b"read"[..], b"not read"] {
            assert!(net.send_from_peer(peer, alice, data).arrived());
        }
        let relay = net.shell.relay_at(net.relayed(alice)).expect("it is open");
        match reason {
            DropReason::TooLarge => net.server.handle_too_large(relay, 8),
            _ => net.server.handle_no_room(relay, 8),
        }
        assert_eq!(net.drops(reason), 1);
        let counted = net.moved(Direction::ToClient);
        net.succeed(alice, Request::refresh().lifetime(0));
        let ended = net.events.iter().find_map(|event| match event {
            Event::Ended(ended) => Some(ended.traffic),
            Event::Opened(_) | Event::Moved(_) | Event::Refused(_) => None,
        });
        let traffic = ended.expect("the allocation has ended");
        assert_eq!((traffic.packets_to_client, traffic.bytes_to_client), (1, 4));
        assert_eq!((counted.packets, counted.bytes), (1, 4));
        assert_eq!(traffic.drops.total(), 1);
    }
}

/// RFC 8656 §13: DONT-FRAGMENT is for data that stays in its family.
#[test]
fn iph_09_dont_fragment_is_ignored_between_families() {
    let mut net = Net::new();
    let alice = net.client("alice");
    net.succeed(alice, Request::allocate().family(2));
    let peer = net.peer_v6();
    net.permit(alice, peer);
    let send = Request::send(peer, b"hello").with(DONT_FRAGMENT, []);
    let packet = send.encode(net.transaction(), None);
    let sent = net.send_bytes(alice, &packet).unwrap();
    assert!(!sent.dont_fragment);
}
