//! Which request is refused with which code. That each refusal is signed as it should be, [`Net::exchange`] checks.
//!
//! [`Net::exchange`]: crate::net::Net::exchange

use uturn::turn::{DropReason, Event, RelayAddress, Transport};

use crate::net::codec::{
    Integrity, LIFETIME, REQUESTED_TRANSPORT, Request, SOFTWARE, UNKNOWN_ATTRIBUTES,
    XOR_MAPPED_ADDRESS,
};
use crate::net::setup::SERVER_V4;
use crate::net::{Net, at, name_until};

#[test]
fn every_refusal_of_an_authenticated_request_is_signed() {
    let mut net = Net::with(|setup| {
        setup.quotas.per_user = 1;
        setup.quotas.total = 3;
    });
    let (alice, peer) = (net.allocate("alice"), net.peer());
    let (second, bob) = (net.client("alice"), net.allocate("bob"));
    let (carol, dave) = (net.allocate("carol"), net.client(&name_until(900, "dave")));
    net.log_in(carol, "bob");
    let v6 = net.peer_v6();
    for (client, request, code) in [
        (alice, Request::create_permission(&[]), 400),
        (alice, Request::create_permission(&[at("10.0.0.1:1")]), 403),
        (alice, Request::refresh().with(0x7F00, b""), 420),
        (alice, Request::allocate(), 437),
        (second, Request::refresh(), 437),
        (dave, Request::allocate().family(9), 440),
        (carol, Request::refresh(), 441),
        (
            dave,
            Request::allocate()
                .without(REQUESTED_TRANSPORT)
                .with(REQUESTED_TRANSPORT, [6, 0, 0, 0]),
            442,
        ),
        (bob, Request::channel_bind(0x4000, v6), 443),
        (second, Request::allocate(), 486),
        (dave, Request::allocate(), 508),
    ] {
        let response = net.request(client, request);
        assert_eq!(response.error(), Some(code));
        assert_eq!(
            response.integrity(&net.key(client)),
            Integrity::Right,
            "{code}"
        );
        assert!(response.reason().chars().count() < 128);
    }
    assert_eq!(net.send(alice, peer, b"?"), None);
}

#[test]
fn unknown_attributes_are_all_listed() {
    let mut net = Net::new();
    let alice = net.client("alice");
    for base in [Request::binding(), Request::allocate()] {
        let request = base
            .with(0x7F00, b"x")
            .with(0x7F01, b"")
            .with(0x0002, b"")
            .with(0xBF00, b"");
        let response = net.request(alice, request);
        assert_eq!(response.error(), Some(420));
        let listed = response.get(UNKNOWN_ATTRIBUTES).unwrap();
        assert_eq!(listed, [0x7F, 0, 0x7F, 1, 0, 2]);
    }
    net.succeed(alice, Request::allocate().with(0xBF00, [0; 1372]));
}

#[test]
fn a_known_attribute_in_an_unexpected_place_is_ignored() {
    let mut net = Net::new();
    let alice = net.client("alice");
    let bytes = Request::binding()
        .channel(0x4000)
        .lifetime(0)
        .encode(net.transaction(), None);
    let response = net.exchange(alice, &bytes).unwrap();
    assert_eq!(response.address(XOR_MAPPED_ADDRESS), net.address(alice));
    assert!(
        !response.has(SOFTWARE),
        "an unauthenticated reply stays small"
    );
}

#[test]
fn a_transport_is_required_and_only_udp_is_relayed() {
    let mut net = Net::new();
    let alice = net.client("alice");
    let without = Request::allocate().without(REQUESTED_TRANSPORT);
    assert_eq!(net.refusal(alice, without.clone()), 400);
    for value in [&[][..], &[17], &[17, 0, 0, 0, 0, 0, 0, 0]] {
        let request = without.clone().with(REQUESTED_TRANSPORT, value);
        assert_eq!(net.refusal(alice, request), 400);
    }
    for protocol in [0, 1, 6, 132] {
        let request = without
            .clone()
            .with(REQUESTED_TRANSPORT, [protocol, 0, 0, 0]);
        assert_eq!(net.refusal(alice, request), 442);
    }
    net.succeed(
        alice,
        without.with(REQUESTED_TRANSPORT, [17, 255, 255, 255]),
    );
}

#[test]
fn the_first_of_several_attributes_counts() {
    let mut net = Net::new();
    let alice = net.client("alice");
    let request = Request::allocate()
        .with(REQUESTED_TRANSPORT, [1, 0, 0, 0])
        .lifetime(900)
        .lifetime(3600);
    assert_eq!(net.succeed(alice, request).lifetime(), 900);
}

#[test]
fn a_family_without_relayed_addresses_is_refused() {
    let mut net = Net::with(|setup| {
        setup.relay = vec![RelayAddress {
            bind: SERVER_V4,
            external: None,
        }];
    });
    let alice = net.client("alice");
    assert_eq!(net.refusal(alice, Request::allocate().family(2)), 440);
    assert_eq!(net.refusal(alice, Request::allocate().family(0)), 440);
    assert_eq!(
        net.refusal(alice, Request::allocate().with(0x0017, [1])),
        400
    );
    net.succeed(alice, Request::allocate().family(1));
}

#[test]
fn two_ways_to_ask_for_a_family_exclude_each_other() {
    let mut net = Net::new();
    let alice = net.client("alice");
    let request = Request::allocate().family(1).with(0x8000, [2, 0, 0, 0]);
    assert_eq!(net.refusal(alice, request), 400);
}

#[test]
fn an_ipv4_relay_is_the_default_for_ipv6_clients_too() {
    let mut net = Net::new();
    let alice = net.client_at(Transport::Udp, at("[2001:db8::1]:7"), "alice");
    net.succeed(alice, Request::allocate());
    assert!(net.relayed(alice).is_ipv4());
}

#[test]
fn peers_and_refreshes_of_the_other_family_are_mismatches() {
    for (family, other) in [(1, 2), (2, 1)] {
        let mut net = Net::new();
        let alice = net.client("alice");
        net.succeed(alice, Request::allocate().family(family));
        let (v4, v6) = (net.peer(), net.peer_v6());
        let (same, peer) = if family == 1 { (v4, v6) } else { (v6, v4) };
        let both = Request::create_permission(&[same, peer]);
        assert_eq!(net.refusal(alice, both), 443);
        assert_eq!(net.send(alice, same, b"?"), None);
        assert_eq!(net.refusal(alice, Request::channel_bind(0x4000, peer)), 443);
        assert_eq!(net.refusal(alice, Request::refresh().family(other)), 443);
        assert_eq!(
            net.refusal(alice, Request::refresh().family(other).lifetime(0)),
            443
        );
        net.succeed(alice, Request::refresh().family(family));
    }
}

#[test]
fn a_malformed_lifetime_deletes_nothing() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    for value in [&[][..], &[0], &[0, 0], &[0; 8]] {
        let request = Request::refresh().with(LIFETIME, value);
        assert_eq!(net.refusal(alice, request), 400);
    }
    assert_eq!(net.server.allocations(), 1);
}

#[test]
fn without_an_allocation_there_is_nothing_to_work_on() {
    let mut net = Net::new();
    let (alice, peer) = (net.client("alice"), net.peer());
    assert_eq!(net.refusal(alice, Request::refresh()), 437);
    assert_eq!(net.refusal(alice, Request::refresh().lifetime(0)), 437);
    assert_eq!(net.refusal(alice, Request::create_permission(&[peer])), 437);
    assert_eq!(net.refusal(alice, Request::create_permission(&[])), 437);
    assert_eq!(net.refusal(alice, Request::channel_bind(0x4000, peer)), 437);
}

#[test]
fn nothing_behind_message_integrity_is_obeyed() {
    let mut net = Net::new();
    let alice = net.client("alice");
    let (peer, smuggled) = (net.peer(), net.peer());
    let allocate = Request::allocate()
        .behind(0x7F00, b"")
        .behind(LIFETIME, [0, 0, 14, 16]);
    assert_eq!(net.succeed(alice, allocate).lifetime(), 600);
    let refresh = Request::refresh().behind(LIFETIME, [0; 4]);
    assert_eq!(net.succeed(alice, refresh).lifetime(), 600);
    assert_eq!(net.server.allocations(), 1);
    net.succeed(
        alice,
        Request::create_permission(&[peer]).peer_behind(smuggled),
    );
    assert_eq!(net.send(alice, smuggled, b"?"), None);
    assert!(net.send(alice, peer, b"!").is_some());
    let only_behind = Request::create_permission(&[]).peer_behind(smuggled);
    assert_eq!(net.refusal(alice, only_behind), 400);
    let bind = Request::channel_bind(0x4000, peer)
        .without(0x0012)
        .peer_behind(smuggled);
    assert_eq!(net.refusal(alice, bind), 400);
    let transport = Request::allocate().without(REQUESTED_TRANSPORT);
    let bob = net.client("bob");
    assert_eq!(
        net.refusal(bob, transport.behind(REQUESTED_TRANSPORT, [17, 0, 0, 0])),
        400
    );
}

#[test]
fn unauthenticated_replies_to_one_source_are_limited() {
    let mut net = Net::with(|setup| {
        setup.replies.per_second = 10;
        setup.replies.burst = 20;
    });
    let alice = net.allocate("alice");
    net.advance_secs(60);
    let victim = net.client_at(Transport::Udp, at("192.0.2.99:9"), "alice");
    let answers = |net: &mut Net, request: &Request| {
        (0..100)
            .filter(|_| {
                let bytes = request.encode(net.transaction(), None);
                net.exchange(victim, &bytes).is_some()
            })
            .count()
    };
    assert_eq!(answers(&mut net, &Request::binding()), 20);
    assert_eq!(answers(&mut net, &Request::allocate()), 0);
    assert_eq!(net.drops(DropReason::ReplyLimit), 180);
    net.advance_secs(1);
    assert_eq!(answers(&mut net, &Request::allocate()), 10);
    // Who is authenticated is answered, and so is who has proved its address: over a stream, or by the cookie of DTLS.
    for _ in 0..100 {
        net.succeed(alice, Request::refresh());
    }
    for transport in [Transport::Tcp, Transport::Dtls] {
        let proved = net.client_at(transport, at("192.0.2.99:9"), "alice");
        for _ in 0..100 {
            let bytes = Request::binding().encode(net.transaction(), None);
            assert!(net.exchange(proved, &bytes).is_some());
        }
    }
}

#[test]
fn a_name_that_is_too_long_is_refused_and_not_repeated_in_full() {
    let mut net = Net::new();
    for (length, code) in [(508, 401), (509, 400), (60_000, 400)] {
        let mallory = net.client(&"\u{1b}".repeat(length));
        let request = net.sign(mallory, &Request::allocate());
        let response = net.exchange(mallory, &request).expect("a response");
        assert_eq!(response.error(), Some(code), "{length}");
        let told = net.events.iter().rev().find_map(|event| match event {
            Event::Refused(refused) => refused.username.clone(),
            Event::Opened(_) | Event::Moved(_) | Event::Ended(_) => None,
        });
        assert_eq!(told.map(|name| name.chars().count()), Some(64));
    }
}
