//! What an operator is told: counters, sessions, and the end of one.

use std::collections::HashSet;
use std::time::Duration;

use uturn::admission::bandwidth::Direction;
use uturn::turn::{
    AllocationKind, Amount, Challenges, DropReason, EndReason, Families, Family, Limit, MAX_PAGE,
    Protocol, RealmCounters, Transport,
};
use uturn::wire::Method;

use crate::net::codec::{MOBILITY_TICKET, REQUESTED_TRANSPORT, Request, Signature, channel_data};
use crate::net::{ClientId, Delivery, Net, at};

/// What the default realm has counted.
fn realm(net: &Net) -> &RealmCounters {
    let (name, counters) = net.server.realm_counters().next().expect("a realm");
    assert_eq!(&**name, "example.org");
    counters
}

fn refusals(net: &Net, label: &str) -> u64 {
    let mut found = realm(net).refusals().filter(|(known, _)| *known == label);
    found.next().expect("a label").1
}

fn live(net: &Net, transport: Transport, protocol: Protocol, families: Families) -> u64 {
    realm(net).live(AllocationKind {
        transport,
        protocol,
        families,
    })
}

fn live_in_all(net: &Net) -> u64 {
    let mut sum = 0;
    for transport in Transport::ALL {
        for protocol in Protocol::ALL {
            for families in Families::ALL {
                sum += live(net, transport, protocol, families);
            }
        }
    }
    sum
}

/// A request of somebody whose password is wrong.
fn forged(net: &mut Net, client: ClientId) -> Vec<u8> {
    let signature = Signature {
        key: vec![0; 16],
        ..net.signature(client)
    };
    Request::allocate().encode(net.transaction(), Some(&signature))
}

#[test]
fn requests_and_responses_are_counted_by_method_and_code() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    net.bind(alice, 0x4000, peer);
    net.refusal(alice, Request::channel_bind(0x4001, peer));
    net.refusal(alice, Request::allocate());
    let binding = Request::binding().encode(net.transaction(), None);
    net.exchange(alice, &binding).expect("a response");
    let strange = Request::binding().with(0x7FFF, []);
    let strange = strange.encode(net.transaction(), None);
    net.exchange(alice, &strange).expect("a response");
    let counters = net.server.counters();
    for (method, requests, successes, errors) in [
        (Method::Binding, 2, 1, &[(420, 1)][..]),
        (Method::Allocate, 2, 1, &[(437, 1)][..]),
        // The challenge that a client asks for first.
        (Method::Refresh, 1, 0, &[(401, 1)][..]),
        (Method::CreatePermission, 1, 1, &[][..]),
        (Method::ChannelBind, 2, 1, &[(400, 1)][..]),
        (Method::Connect, 0, 0, &[][..]),
    ] {
        assert_eq!(counters.requests(method), requests, "{method:?}");
        assert_eq!(counters.successes(method), successes, "{method:?}");
        for (code, count) in errors {
            assert_eq!(counters.errors(method, *code), *count, "{method:?}");
        }
        let sum: u64 = (300..600).map(|code| counters.errors(method, code)).sum();
        assert_eq!(sum, errors.len() as u64, "{method:?}");
    }
    assert_eq!(refusals(&net, "no_credentials"), 1);
    assert_eq!(refusals(&net, "allocation_exists"), 1);
    assert_eq!(refusals(&net, "peer_has_channel"), 1);
}

#[test]
fn each_way_to_fail_is_counted_by_itself() {
    let mut net = Net::new();
    let alice = net.client("alice");
    for _ in 0..3 {
        let request = forged(&mut net, alice);
        assert_eq!(net.exchange(alice, &request).unwrap().error(), Some(401));
    }
    let nobody = net.client("nobody");
    assert_eq!(net.refusal(nobody, Request::allocate()), 401);
    let late = net.client(&crate::net::name_until(10, "late"));
    net.advance(Duration::from_secs(20));
    assert_eq!(net.refusal(late, Request::allocate()), 401);
    net.advance(Duration::from_secs(4000));
    assert_eq!(net.refusal(alice, Request::allocate()), 438);
    assert_eq!(refusals(&net, "wrong_password"), 3);
    assert_eq!(refusals(&net, "unknown_user"), 1);
    assert_eq!(refusals(&net, "expired_credential"), 1);
    assert_eq!(refusals(&net, "stale_nonce"), 1);
    assert_eq!(net.server.counters().errors(Method::Allocate, 401), 5);
    assert_eq!(net.server.counters().errors(Method::Allocate, 438), 1);
}

#[test]
fn traffic_is_counted_by_direction_transport_and_family() {
    let mut net = Net::new();
    let alice = net.client_at(Transport::Tls, at("192.0.2.70:1"), "alice");
    let additional_family = Request::allocate().with(0x8000, [2, 0, 0, 0]);
    net.succeed(alice, additional_family);
    let (v4, v6) = (net.peer(), net.peer_v6());
    net.permit(alice, v4);
    net.permit(alice, v6);
    for _ in 0..3 {
        net.send(alice, v4, &[7; 100]).expect("it is relayed");
    }
    net.send(alice, v6, &[7; 50]).expect("it is relayed");
    assert!(net.send_from_peer(v4, alice, &[7; 10]).arrived());
    let relayed = |direction, family| realm(&net).relayed(direction, Transport::Tls, family);
    let amount = |packets, bytes| Amount { packets, bytes };
    assert_eq!(relayed(Direction::ToPeer, Family::V4), amount(3, 300));
    assert_eq!(relayed(Direction::ToPeer, Family::V6), amount(1, 50));
    assert_eq!(relayed(Direction::ToClient, Family::V4), amount(1, 10));
    assert_eq!(relayed(Direction::ToClient, Family::V6), amount(0, 0));
    let in_all = realm(&net).relayed_in_all(Direction::ToPeer);
    assert_eq!(in_all, amount(4, 350));
    // A slow reader's loss is taken back.
    let relay = net.shell.relay_at(net.relayed(alice)).unwrap();
    net.server.handle_no_room(relay, 10);
    let relayed = realm(&net).relayed(Direction::ToClient, Transport::Tls, Family::V4);
    assert_eq!(relayed, amount(0, 0));
    let received = net.server.counters().received(Transport::Tls);
    assert_eq!(received.packets, 4 + 4, "requests and data");
}

#[test]
fn a_session_says_why_it_drops() {
    let mut net = Net::with(|setup| setup.bandwidth.per_allocation = 1);
    let alice = net.allocate("alice");
    let (peer, stranger) = (net.peer(), net.peer());
    net.bind(alice, 0x4000, peer);
    assert!(net.send(alice, stranger, b"no permission").is_none());
    assert!(net.send_on(alice, 0x4001, b"no channel").is_none());
    assert_eq!(
        net.send_from_peer(stranger, alice, b"no permission"),
        Delivery::Dropped
    );
    // The least burst that there is, and no more.
    let sent = (0..20).filter(|_| net.send_on(alice, 0x4000, &[7; 10_000]).is_some());
    let passed = sent.count() as u64;
    let serial = net.server.sessions(0, 1, net.now).sessions[0].serial;
    let session = net.server.session(serial, net.now).expect("a session");
    let drops = session.traffic.drops;
    assert_eq!(drops.of(DropReason::NoPermission), 2);
    assert_eq!(drops.of(DropReason::NoChannel), 1);
    assert_eq!(u64::from(drops.of(DropReason::Bandwidth)), 20 - passed);
    assert_eq!(drops.total(), 3 + 20 - passed);
    let counters = net.server.counters();
    let limit = counters.limit(Limit::BandwidthPerAllocation);
    assert_eq!(limit, 20 - passed);
    let no_permission = |direction| counters.drops(direction, DropReason::NoPermission);
    assert_eq!(no_permission(Direction::ToPeer), 1);
    assert_eq!(no_permission(Direction::ToClient), 1);
}

#[test]
fn live_allocations_are_counted_as_what_they_are() {
    let mut net = Net::with(|setup| {
        setup.turn.max_peer_connections = Some(3);
        setup.turn.mobility = true;
    });
    let udp = net.allocate("alice");
    let both = net.client("bob");
    net.succeed(both, Request::allocate().with(0x8000, [2, 0, 0, 0]));
    let tcp = net.client_at(Transport::Tcp, at("192.0.2.77:5000"), "alice");
    net.succeed(
        tcp,
        Request::new(0x0003).with(REQUESTED_TRANSPORT, [6, 0, 0, 0]),
    );
    assert_eq!(live(&net, Transport::Udp, Protocol::Udp, Families::V4), 1);
    assert_eq!(live(&net, Transport::Udp, Protocol::Udp, Families::Both), 1);
    assert_eq!(live(&net, Transport::Tcp, Protocol::Tcp, Families::V4), 1);
    assert_eq!(live_in_all(&net), 3);
    // One of two families is deleted.
    net.succeed(both, Request::refresh().lifetime(0).family(1));
    assert_eq!(live(&net, Transport::Udp, Protocol::Udp, Families::Both), 0);
    assert_eq!(live(&net, Transport::Udp, Protocol::Udp, Families::V6), 1);
    // A client moves from UDP to TCP.
    let mobile = net.client("carol");
    let ticket = net.succeed(mobile, Request::allocate().with(MOBILITY_TICKET, []));
    let ticket = ticket.get(MOBILITY_TICKET).expect("a ticket").to_vec();
    let moved = net.client_at(Transport::Tcp, at("198.51.100.1:9"), "carol");
    net.succeed(moved, Request::refresh().with(MOBILITY_TICKET, ticket));
    net.succeed(moved, Request::refresh());
    assert_eq!(live(&net, Transport::Tcp, Protocol::Udp, Families::V4), 1);
    assert_eq!(live_in_all(&net), 4);
    net.succeed(udp, Request::refresh().lifetime(0));
    net.advance(Duration::from_secs(4000));
    assert_eq!(live_in_all(&net), 0);
    assert_eq!(net.server.allocations(), 0);
    let counters = realm(&net);
    assert_eq!(counters.opened(Transport::Udp, Families::V4), 2);
    assert_eq!(counters.opened(Transport::Udp, Families::Both), 1);
    assert_eq!(counters.opened_in_all(), 4);
    let ended = |transport, families, reason| counters.ended(transport, families, reason);
    assert_eq!(ended(Transport::Udp, Families::V4, EndReason::Deleted), 1);
    assert_eq!(ended(Transport::Udp, Families::V6, EndReason::Expired), 1);
    assert_eq!(ended(Transport::Tcp, Families::V4, EndReason::Expired), 2);
}

#[test]
fn what_reaches_a_limit_is_counted_by_the_limit() {
    let mut net = Net::with(|setup| {
        setup.quotas.per_user = 1;
        setup.quotas.total = 2;
        setup.replies.burst = 1;
        setup.replies.per_second = 1;
    });
    net.allocate("alice");
    let again = net.client("alice");
    assert_eq!(net.refusal(again, Request::allocate()), 486);
    net.allocate("bob");
    let carol = net.client("carol");
    assert_eq!(net.refusal(carol, Request::allocate()), 508);
    let stranger = net.client("nobody");
    let binding = Request::binding().encode(net.transaction(), None);
    assert!(net.exchange(stranger, &binding).is_some());
    assert!(net.exchange(stranger, &binding).is_none());
    let challenge = Request::allocate().encode(net.transaction(), None);
    assert!(net.exchange(stranger, &challenge).is_none());
    let counters = net.server.counters();
    let Challenges { sent, withheld } = counters.challenges();
    assert_eq!((sent, withheld), (4, 1));
    assert_eq!(counters.limit(Limit::AllocationsPerUser), 1);
    assert_eq!(counters.limit(Limit::AllocationsTotal), 1);
    assert_eq!(counters.limit(Limit::UnauthenticatedReplies), 2);
    assert_eq!(counters.limit(Limit::AllocationsOfRealm), 0);
}

#[test]
fn a_session_shows_its_client_its_peers_and_how_long_they_last() {
    let mut net = Net::new();
    let (alice, bob) = (net.allocate("alice"), net.allocate("bob"));
    let (first, second) = (net.peer(), net.relayed(bob));
    net.permit(alice, first);
    net.advance_secs(100);
    net.bind(alice, 0x4000, second);
    let page = net.server.sessions(0, MAX_PAGE, net.now);
    assert_eq!(page.next, None);
    let of_alice = |session: &&uturn::turn::Session| session.user == "alice";
    let listed = page.sessions.iter().find(of_alice).expect("a session");
    let session = net.server.session(listed.serial, net.now).unwrap();
    assert_eq!(&*session.realm, "example.org");
    assert_eq!(session.five_tuple, net.flow(alice).five_tuple);
    assert_eq!(session.relayed, [net.relayed(alice)]);
    assert_eq!(session.protocol, Protocol::Udp);
    assert!(session.is_connected && !session.is_mobile);
    assert_eq!(session.age, Duration::from_secs(100));
    assert_eq!(session.expires_in, Duration::from_secs(500));
    assert_eq!(session.permissions.total, 2);
    let permission = session.permissions.first.iter();
    let permission: Vec<_> = permission.filter(|at| at.peer == first.ip()).collect();
    assert_eq!(permission[0].expires_in, Duration::from_secs(200));
    assert!(!permission[0].is_inside);
    let [channel] = session.channels.first[..] else {
        panic!("{:?}", session.channels);
    };
    assert_eq!((channel.number, channel.peer), (0x4000, second));
    assert_eq!(channel.expires_in, Duration::from_secs(600));
    assert!(channel.is_inside, "it is a client of this server");
    assert_eq!(net.server.session(99, net.now).map(|s| s.serial), None);
}

#[test]
fn pages_have_every_session_once() {
    let mut net = Net::with(|setup| {
        setup.quotas.per_user = 1000;
        setup.quotas.per_client_address = 1000;
        setup.replies.burst = 100_000;
    });
    let mut clients = Vec::new();
    for n in 0..700_u16 {
        let address = ([203, 0, 113, 5], 10_000 + n).into();
        let client = net.client_at(Transport::Udp, address, "alice");
        net.succeed(client, Request::allocate());
        clients.push(client);
    }
    for client in clients.iter().step_by(7) {
        net.succeed(*client, Request::refresh().lifetime(0));
    }
    for limit in [1, 100, MAX_PAGE, usize::MAX] {
        let (mut found, mut from, mut pages) = (HashSet::new(), Some(0), 0);
        while let Some(place) = from {
            let page = net.server.sessions(place, limit, net.now);
            assert!(page.sessions.len() <= limit.min(MAX_PAGE));
            for session in page.sessions {
                assert!(found.insert(session.serial), "twice");
            }
            (from, pages) = (page.next, pages + 1);
        }
        assert_eq!(found.len(), 600);
        assert!(pages >= 600_usize.div_ceil(limit.min(MAX_PAGE)));
    }
}

#[test]
fn a_list_of_peers_is_bounded_and_says_how_many_there_are() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    for n in 0..100 {
        net.permit(alice, ([9, 9, 8, n], 1).into());
    }
    let listed = &net.server.sessions(0, 1, net.now).sessions[0];
    assert_eq!(listed.permissions.total, 100);
    assert_eq!(listed.permissions.first.len(), 16);
    let session = net.server.session(listed.serial, net.now).unwrap();
    assert_eq!(session.permissions.first.len(), 100);
}

#[test]
fn the_operator_ends_a_session_at_once() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.bind(alice, 0x4000, peer);
    let serial = net.server.sessions(0, 1, net.now).sessions[0].serial;
    assert!(!net.server.handle_end(serial + 1, net.now));
    assert!(net.server.handle_end(serial, net.now));
    net.do_outputs();
    assert_eq!(net.endings(), [EndReason::EndedByOperator]);
    assert_eq!((net.server.allocations(), net.shell.open_relays()), (0, 0));
    assert!(
        net.send_bytes(alice, &channel_data(0x4000, b"late"))
            .is_none()
    );
    assert_eq!(net.refusal(alice, Request::refresh()), 437);
    assert!(!net.server.handle_end(serial, net.now));
    net.succeed(alice, Request::allocate());
}
