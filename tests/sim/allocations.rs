//! The life of an allocation: Allocate, Refresh, its end (RFC 8656 §7, §8).

use std::time::Duration;

use uturn::turn::{EndReason, Event, OpenError, Protocol, Transport};

use crate::net::codec::{Request, SOFTWARE, XOR_MAPPED_ADDRESS, XOR_RELAYED_ADDRESS};
use crate::net::{Delivery, Net, Step, at};

const INSTANT: Duration = Duration::from_nanos(1);

#[test]
fn a_success_names_relayed_and_mapped_address_and_lifetime() {
    let mut net = Net::new();
    let alice = net.client("alice");
    let response = net.succeed(alice, Request::allocate());
    let relayed = response.address(XOR_RELAYED_ADDRESS);
    assert_eq!(relayed.ip().to_string(), "9.1.1.5");
    assert!((49_152..).contains(&relayed.port()));
    assert_eq!(response.address(XOR_MAPPED_ADDRESS), net.address(alice));
    assert_eq!(response.lifetime(), 600);
    assert!(response.has(SOFTWARE));
    assert!(matches!(net.events[..], [.., Event::Opened(_)]));
}

#[test]
fn lifetimes_are_clamped_and_none_is_zero() {
    for (asked, granted) in [
        (None, 600),
        (Some(0), 600),
        (Some(10), 600),
        (Some(600), 600),
        (Some(601), 601),
        (Some(3600), 3600),
        (Some(3601), 3600),
        (Some(u32::MAX), 3600),
    ] {
        let mut net = Net::new();
        let alice = net.client("alice");
        let with = |request: Request| asked.iter().fold(request, |r, secs| r.lifetime(*secs));
        let response = net.succeed(alice, with(Request::allocate()));
        assert_eq!(response.lifetime(), granted, "Allocate {asked:?}");
        if asked != Some(0) {
            let response = net.succeed(alice, with(Request::refresh()));
            assert_eq!(response.lifetime(), granted, "Refresh {asked:?}");
        }
    }
}

#[test]
fn an_allocation_ends_exactly_at_its_deadline() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.advance_secs(400);
    net.permit(alice, peer);
    net.bind(alice, 0x4000, peer);
    net.advance(Duration::from_secs(200) - INSTANT);
    assert!(net.send_from_peer(peer, alice, b"last").arrived());
    net.advance(INSTANT);
    assert_eq!(
        net.send_from_peer(peer, alice, b"late"),
        Delivery::PortClosed
    );
    assert_eq!(net.send(alice, peer, b"late"), None);
    assert_eq!(net.send_on(alice, 0x4000, b"late"), None);
    assert_eq!(net.endings(), [EndReason::Expired]);
    assert_eq!(net.refusal(alice, Request::refresh()), 437);
}

#[test]
fn a_refresh_counts_from_when_it_comes() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    for _ in 0..10 {
        net.advance_secs(599);
        assert_eq!(net.succeed(alice, Request::refresh()).lifetime(), 600);
    }
    net.advance(Duration::from_secs(600) - INSTANT);
    assert_eq!(net.server.allocations(), 1);
    net.advance(INSTANT);
    assert_eq!(net.server.allocations(), 0);
}

#[test]
fn a_refresh_may_shorten_the_lifetime() {
    let mut net = Net::new();
    let alice = net.client("alice");
    net.succeed(alice, Request::allocate().lifetime(3600));
    net.advance_secs(100);
    assert_eq!(
        net.succeed(alice, Request::refresh().lifetime(600))
            .lifetime(),
        600
    );
    net.advance(Duration::from_secs(600) - INSTANT);
    assert_eq!(net.server.allocations(), 1);
    net.advance(INSTANT);
    assert_eq!(net.server.allocations(), 0);
    assert_eq!(net.endings(), [EndReason::Expired]);
}

#[test]
fn lifetimes_that_go_up_and_down_end_at_the_last_one_granted() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    for round in 0..50 {
        let lifetime = [3600, 600, 1800][round % 3];
        net.succeed(alice, Request::refresh().lifetime(lifetime));
        net.advance_secs(250);
    }
    net.succeed(alice, Request::refresh().lifetime(600));
    net.advance(Duration::from_secs(600) - INSTANT);
    assert_eq!(net.server.allocations(), 1);
    net.advance(INSTANT);
    assert_eq!(net.server.allocations(), 0);
    net.advance_secs(3600);
    assert_eq!(net.server.poll_timeout(), None, "no deadline is left over");
    assert_eq!(net.endings(), [EndReason::Expired]);
}

#[test]
fn an_ended_allocation_is_not_revived_while_its_deadline_waits() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.advance_secs(400);
    net.bind(alice, 0x4000, peer);
    net.advance_unnoticed(Duration::from_secs(200) - INSTANT);
    assert!(net.send(alice, peer, b"last").is_some());
    net.advance_unnoticed(INSTANT);
    assert_eq!(net.send(alice, peer, b"late"), None);
    assert_eq!(net.send_on(alice, 0x4000, b"late"), None);
    assert_eq!(net.send_from_peer(peer, alice, b"late"), Delivery::Dropped);
    assert_eq!(net.refusal(alice, Request::refresh()), 437);
    assert_eq!(net.refusal(alice, Request::create_permission(&[peer])), 437);
    assert_eq!(net.refusal(alice, Request::channel_bind(0x4000, peer)), 437);
    net.succeed(alice, Request::allocate());
    assert_eq!(net.endings(), [EndReason::Expired]);
}

#[test]
fn a_refresh_to_zero_deletes_at_once() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    net.bind(alice, 0x4000, peer);
    assert_eq!(
        net.succeed(alice, Request::refresh().lifetime(0))
            .lifetime(),
        0
    );
    assert_eq!(net.send(alice, peer, b"zombie"), None);
    assert_eq!(net.send_on(alice, 0x4000, b"zombie"), None);
    assert_eq!(
        net.send_from_peer(peer, alice, b"zombie"),
        Delivery::PortClosed
    );
    assert_eq!(net.endings(), [EndReason::Deleted]);
    assert_eq!(net.refusal(alice, Request::refresh()), 437);
}

#[test]
fn the_same_five_tuple_allocates_again_right_after_a_delete() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    for _ in 0..5 {
        net.succeed(alice, Request::refresh().lifetime(0));
        assert_eq!(net.succeed(alice, Request::allocate()).lifetime(), 600);
    }
    // The deadline of a deleted allocation does not touch its successor in the same place.
    net.advance_secs(300);
    net.succeed(alice, Request::refresh().lifetime(0));
    net.succeed(alice, Request::allocate());
    net.advance(Duration::from_secs(600) - INSTANT);
    assert_eq!(net.server.allocations(), 1);
}

#[test]
fn a_deleted_relay_is_closed_before_its_client_hears_of_it() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut net = Net::new();
        let alice = net.client_at(transport, at("192.0.2.1:7"), "alice");
        net.succeed(alice, Request::allocate());
        net.journal.clear();
        net.succeed(alice, Request::refresh().lifetime(0));
        assert_eq!(net.journal, [Step::Closed, Step::Replied]);
    }
}

#[test]
fn a_retransmitted_delete_finds_nothing() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let delete = net.sign(alice, &Request::refresh().lifetime(0));
    assert_eq!(net.exchange(alice, &delete).unwrap().error(), None);
    assert_eq!(net.exchange(alice, &delete).unwrap().error(), Some(437));
}

#[test]
fn a_retransmitted_allocate_is_answered_alike_and_allocates_once() {
    let mut net = Net::new();
    let alice = net.client("alice");
    let request = net.sign(
        alice,
        &Request::allocate().lifetime(1800).with(0x0018, [0x80]),
    );
    let first = net.exchange(alice, &request).unwrap();
    assert_eq!(first.error(), None);
    for _ in 0..4 {
        let again = net.exchange(alice, &request).unwrap();
        assert_eq!(again.bytes, first.bytes);
        net.advance_secs(5);
    }
    assert_eq!(
        net.server
            .realm_counters()
            .map(|(_, realm)| realm.opened_in_all())
            .sum::<u64>(),
        1
    );
    assert_eq!(net.server.allocations(), 1);
}

#[test]
fn a_second_allocate_with_another_transaction_is_a_mismatch() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    assert_eq!(net.refusal(alice, Request::allocate()), 437);
    net.log_in(alice, "bob");
    assert_eq!(net.refusal(alice, Request::allocate()), 437);
    assert_eq!(net.server.allocations(), 1);
}

#[test]
fn another_user_does_not_get_the_answer_to_an_allocate() {
    let mut net = Net::new();
    let alice = net.client("alice");
    let id = *b"same for two";
    let request = Request::allocate();
    let signature = net.signature(alice);
    let response = net.exchange(alice, &request.encode(id, Some(&signature)));
    assert_eq!(response.unwrap().error(), None);
    net.log_in(alice, "bob");
    let signature = net.signature(alice);
    let response = net.exchange(alice, &request.encode(id, Some(&signature)));
    assert_eq!(response.unwrap().error(), Some(437));
}

#[test]
fn transports_of_one_address_are_five_tuples_of_their_own() {
    let mut net = Net::new();
    let clients = [
        Transport::Udp,
        Transport::Tcp,
        Transport::Tls,
        Transport::Dtls,
    ]
    .map(|transport| net.client_at(transport, at("192.0.2.1:7"), "alice"));
    let relayed = clients.map(|client| {
        net.succeed(client, Request::allocate());
        net.relayed(client)
    });
    assert_eq!(net.server.allocations(), 4);
    net.succeed(clients[1], Request::refresh().lifetime(0));
    assert!(net.relayed.open_behind(relayed[0], Protocol::Udp).is_some());
    assert!(net.relayed.open_behind(relayed[1], Protocol::Udp).is_none());
    assert!(net.relayed.open_behind(relayed[2], Protocol::Udp).is_some());
    assert!(net.relayed.open_behind(relayed[3], Protocol::Udp).is_some());
}

#[test]
fn an_allocation_ends_with_its_connection() {
    let mut net = Net::new();
    let alice = net.client_at(Transport::Tcp, at("192.0.2.1:7"), "alice");
    net.succeed(alice, Request::allocate());
    let peer = net.peer();
    net.permit(alice, peer);
    net.disconnect(alice);
    assert_eq!(net.endings(), [EndReason::Disconnected]);
    assert_eq!(
        net.send_from_peer(peer, alice, b"late"),
        Delivery::PortClosed
    );
    net.disconnect(alice);
    assert_eq!(net.endings().len(), 1, "there is nothing to end twice");
}

#[test]
fn the_end_of_an_older_connection_leaves_a_newer_one_alone() {
    let mut net = Net::new();
    let older = net.client_at(Transport::Tcp, at("192.0.2.1:7"), "alice");
    let newer = net.client_at(Transport::Tcp, at("192.0.2.1:7"), "alice");
    net.succeed(newer, Request::allocate());
    net.disconnect(older);
    assert_eq!(net.server.allocations(), 1);
}

#[test]
fn another_address_cannot_delete_an_allocation() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let elsewhere = net.client("alice");
    assert_eq!(net.refusal(elsewhere, Request::refresh().lifetime(0)), 437);
    assert!(
        net.relayed
            .open_behind(net.relayed(alice), Protocol::Udp)
            .is_some()
    );
}

#[test]
fn all_end_when_the_server_stops() {
    let mut net = Net::new();
    for name in ["alice", "bob", "alice"] {
        net.allocate(name);
    }
    net.server.handle_stop(net.now);
    net.do_outputs();
    assert_eq!(net.endings(), [EndReason::ServerStopped; 3]);
    assert_eq!(net.relayed.open_ports(), 0);
}

#[test]
fn a_relay_socket_that_cannot_be_opened_leaves_nothing_behind() {
    let mut net = Net::new();
    let alice = net.client("alice");
    // A system that has no more descriptors makes a server without capacity.
    for (error, code) in [(OpenError::System, 500), (OpenError::Exhausted, 508)] {
        net.shell.fails_with = Some(error);
        assert_eq!(net.refusal(alice, Request::allocate()), code);
        assert_eq!(net.quotas.allocations(), 0);
    }
    net.succeed(alice, Request::allocate());
}

#[test]
fn relay_ports_are_spread() {
    let mut net = Net::new();
    let ports: Vec<u16> = (0..12)
        .map(|_| {
            let alice = net.allocate("alice");
            net.relayed(alice).port()
        })
        .collect();
    assert!(
        ports.windows(2).all(|pair| pair[0].abs_diff(pair[1]) > 1),
        "{ports:?}"
    );
}

#[test]
fn clients_that_come_and_go_leave_no_deadlines_behind() {
    let mut net = Net::new();
    let steady = net.allocate("bob");
    let alice = net.client("alice");
    for _ in 0..5000 {
        net.succeed(alice, Request::allocate().lifetime(3600));
        net.succeed(alice, Request::refresh().lifetime(0));
    }
    assert!(net.server.deadlines() < 2000, "{}", net.server.deadlines());
    net.succeed(alice, Request::allocate());
    net.advance(Duration::from_secs(600) - INSTANT);
    assert_eq!(net.server.allocations(), 2);
    net.advance(INSTANT);
    assert_eq!(net.server.allocations(), 0);
    assert_eq!(net.refusal(steady, Request::refresh()), 437);
}

#[test]
fn no_two_workers_give_an_allocation_the_same_number() {
    let numbers = |worker| {
        let mut net = Net::with(|setup| setup.worker = worker);
        for _ in 0..3 {
            net.allocate("alice");
        }
        let opened = |event: &Event| match event {
            Event::Opened(opened) => Some(opened.serial),
            Event::Ended(_) | Event::Moved(_) | Event::Refused(_) => None,
        };
        net.events.iter().filter_map(opened).collect::<Vec<u64>>()
    };
    assert_eq!(numbers((0, 2)), [1, 3, 5]);
    assert_eq!(numbers((1, 2)), [2, 4, 6]);
}
