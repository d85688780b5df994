//! What an operator is told of an allocation that is watched, and how little of it there can be.

use std::time::Duration;

use uturn::admission::bandwidth::Direction;
use uturn::turn::{
    DropReason, EndReason, FIRST_PACKETS, IcmpErrors, MAX_WATCHES, NotWatched, Outcome, Seen,
    Transport,
};
use uturn::wire::{Icmp, Method};

use crate::net::codec::{MOBILITY_TICKET, Request};
use crate::net::{ClientId, Net, at};

/// The number of a client's allocation.
fn serial(net: &Net, client: ClientId) -> u64 {
    let all = net.server.sessions(0, 256, net.now).sessions;
    let five_tuple = net.flow(client).five_tuple;
    let mut mine = all
        .iter()
        .filter(|session| session.five_tuple == five_tuple);
    mine.next().expect("an allocation").serial
}

fn watch(net: &mut Net, client: ClientId) -> u64 {
    let serial = serial(net, client);
    net.server
        .handle_watch(serial, net.now)
        .expect("it is watched");
    serial
}

fn seen(net: &mut Net) -> Vec<Seen> {
    std::iter::from_fn(|| net.server.poll_trace())
        .map(|line| line.what)
        .collect()
}

fn request(method: Method, outcome: Outcome) -> Seen {
    Seen::Request {
        method,
        outcome,
        lifetime: None,
        peers: Vec::new(),
        channel: None,
    }
}

#[test]
fn each_request_is_told_with_what_came_of_it() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let (peer, other) = (net.peer(), net.peer());
    watch(&mut net, alice);
    net.bind(alice, 0x4000, peer);
    net.refusal(alice, Request::channel_bind(0x4000, other));
    net.succeed(alice, Request::create_permission(&[peer, other]));
    net.refusal(alice, Request::create_permission(&[at("127.0.0.1:9")]));
    let binding = Request::binding().encode(net.transaction(), None);
    net.exchange(alice, &binding).expect("a response");
    let strange = Request::binding().with(0x7FFF, []);
    let strange = strange.encode(net.transaction(), None);
    net.exchange(alice, &strange).expect("a response");
    net.succeed(alice, Request::refresh().lifetime(1200));
    net.succeed(alice, Request::refresh().lifetime(0));
    let about = |method, outcome, peers: &[_], channel| Seen::Request {
        method,
        outcome,
        lifetime: None,
        peers: peers.to_vec(),
        channel,
    };
    let refused = |code, reason| Outcome::Refused { code, reason };
    let lasts = |seconds| Seen::Request {
        method: Method::Refresh,
        outcome: Outcome::Success,
        lifetime: Some(Duration::from_secs(seconds)),
        peers: Vec::new(),
        channel: None,
    };
    let told = seen(&mut net);
    let denied = about(
        Method::CreatePermission,
        refused(403, "peer_denied"),
        &[at("127.0.0.1:9")],
        None,
    );
    let expected = [
        about(Method::ChannelBind, Outcome::Success, &[peer], Some(0x4000)),
        about(
            Method::ChannelBind,
            refused(400, "channel_in_use"),
            &[other],
            Some(0x4000),
        ),
        about(
            Method::CreatePermission,
            Outcome::Success,
            &[peer, other],
            None,
        ),
        denied,
        request(Method::Binding, Outcome::Success),
        request(Method::Binding, refused(420, "unknown_attributes")),
        lasts(1200),
        lasts(0),
        Seen::Ended(EndReason::Deleted),
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_first_packets_with_each_peer_are_told_and_no_more() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let bob = net.allocate("bob");
    let (peer, other) = (net.peer(), net.peer());
    for client in [alice, bob] {
        net.bind(client, 0x4000, peer);
        net.permit(client, other);
    }
    watch(&mut net, alice);
    for _ in 0..2 * FIRST_PACKETS {
        for client in [alice, bob] {
            net.send_on(client, 0x4000, &[7; 100])
                .expect("it is relayed");
            net.send(client, other, &[7; 50]).expect("it is relayed");
            assert!(net.send_from_peer(peer, client, &[7; 10]).arrived());
            assert!(net.send_from_peer(other, client, &[7; 20]).arrived());
        }
    }
    let told = seen(&mut net);
    for (direction, peer, len, channel) in [
        (Direction::ToPeer, peer, 100, Some(0x4000)),
        (Direction::ToPeer, other, 50, None),
        (Direction::ToClient, peer, 10, Some(0x4000)),
        (Direction::ToClient, other, 20, None),
    ] {
        let packet = Seen::Packet {
            direction,
            peer,
            len,
            channel,
        };
        let count = told.iter().filter(|seen| **seen == packet).count();
        assert_eq!(count, usize::from(FIRST_PACKETS), "{packet:?}");
    }
    assert_eq!(told.len(), 4 * usize::from(FIRST_PACKETS));
}

#[test]
fn what_is_dropped_is_told_with_its_peer() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let (peer, stranger) = (net.peer(), net.peer());
    net.bind(alice, 0x4000, peer);
    watch(&mut net, alice);
    assert!(net.send(alice, stranger, b"no permission").is_none());
    assert!(net.send_on(alice, 0x4001, b"no channel").is_none());
    net.send_from_peer(stranger, alice, b"no permission");
    assert!(net.send_from_peer(peer, alice, b"slow").arrived());
    let relay = net.shell.relay_at(net.relayed(alice)).unwrap();
    net.server.handle_no_room(relay, 4);
    let dropped = |direction, reason, peer| Seen::Dropped {
        direction,
        reason,
        peer,
    };
    let (to_peer, to_client) = (Direction::ToPeer, Direction::ToClient);
    let told: Vec<_> = seen(&mut net)
        .into_iter()
        .filter(|seen| matches!(seen, Seen::Dropped { .. }))
        .collect();
    let expected = [
        dropped(to_peer, DropReason::NoPermission, Some(stranger)),
        dropped(to_peer, DropReason::NoChannel, None),
        dropped(to_client, DropReason::NoPermission, Some(stranger)),
        dropped(to_client, DropReason::SlowReader, None),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_flood_is_counted_and_not_told_line_by_line() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let stranger = net.peer();
    watch(&mut net, alice);
    for _ in 0..10_000 {
        net.send_from_peer(stranger, alice, b"no permission");
    }
    let told = seen(&mut net).len() as u64;
    assert!(told <= 50, "{told} lines");
    net.advance(Duration::from_secs(2));
    net.server.handle_timeout(net.now);
    assert_eq!(seen(&mut net), [Seen::Skipped(10_000 - told)]);
    // A shell that does not ask is told how much it has missed, once it does.
    for _ in 0..100 {
        net.advance(Duration::from_secs(1));
        for _ in 0..100 {
            net.send_from_peer(stranger, alice, b"no permission");
        }
    }
    let unread = seen(&mut net);
    assert!(unread.len() <= 512, "{} lines wait", unread.len());
    // From as many addresses as there are, too.
    for port in 1..10_000 {
        net.permit(alice, stranger);
        let peer = (stranger.ip(), port).into();
        assert!(net.send_from_peer(peer, alice, b"data").arrived());
    }
    assert!(seen(&mut net).len() <= 512);
}

#[test]
fn few_are_watched_at_a_time_and_each_by_one() {
    let mut net = Net::with(|setup| setup.quotas.per_user = 100);
    let all: Vec<_> = (0..=MAX_WATCHES).map(|_| net.allocate("alice")).collect();
    let serials: Vec<_> = all.iter().map(|client| serial(&net, *client)).collect();
    let now = net.now;
    for serial in &serials[..MAX_WATCHES] {
        assert_eq!(net.server.handle_watch(*serial, now), Ok(()));
    }
    let last = serials[MAX_WATCHES];
    assert_eq!(net.server.handle_watch(last, now), Err(NotWatched::TooMany));
    assert_eq!(
        net.server.handle_watch(serials[0], now),
        Err(NotWatched::Watched)
    );
    assert_eq!(
        net.server.handle_watch(1_000_000, now),
        Err(NotWatched::NoAllocation)
    );
    // Whose end is told, and who is watched no longer, makes room; and nothing more is told of either.
    net.succeed(all[0], Request::refresh().lifetime(0));
    net.server.handle_unwatch(serials[1]);
    net.succeed(all[1], Request::refresh());
    let told = seen(&mut net);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1], Seen::Ended(EndReason::Deleted));
    assert_eq!(net.server.handle_watch(last, now), Ok(()));
    assert_eq!(net.server.handle_watch(serials[1], now), Ok(()));
}

#[test]
fn every_end_is_told() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let bob = net.allocate("bob");
    watch(&mut net, alice);
    let bobs = watch(&mut net, bob);
    assert!(net.server.handle_end(bobs, net.now));
    assert_eq!(seen(&mut net), [Seen::Ended(EndReason::EndedByOperator)]);
    net.advance(Duration::from_secs(3600));
    assert_eq!(seen(&mut net), [Seen::Ended(EndReason::Expired)]);
}

#[test]
fn a_client_that_moves_is_still_watched() {
    let mut net = Net::with(|setup| setup.turn.mobility = true);
    let alice = net.client("alice");
    let opened = net.succeed(alice, Request::allocate().with(MOBILITY_TICKET, []));
    let ticket = opened.get(MOBILITY_TICKET).expect("a ticket").to_vec();
    watch(&mut net, alice);
    let elsewhere = net.client_at(Transport::Tcp, at("192.0.2.200:1"), "alice");
    net.succeed(
        elsewhere,
        Request::refresh()
            .lifetime(600)
            .with(MOBILITY_TICKET, &ticket),
    );
    let told = seen(&mut net);
    let refreshed = told.iter().any(|seen| {
        matches!(
            seen,
            Seen::Request {
                method: Method::Refresh,
                outcome: Outcome::Success,
                ..
            }
        )
    });
    assert!(refreshed, "{told:?}");
}

#[test]
fn icmp_errors_are_told_whether_the_client_is_told_or_not() {
    let unreachable = Icmp {
        typ: 3,
        code: 3,
        mtu: 0,
    };
    for errors in [IcmpErrors::All, IcmpErrors::None] {
        let mut net = Net::with(|setup| setup.turn.icmp_errors = errors);
        let alice = net.allocate("alice");
        let peer = net.peer();
        net.permit(alice, peer);
        watch(&mut net, alice);
        for _ in 0..2 * FIRST_PACKETS {
            let told = net.icmp_about(peer, alice, unreachable);
            assert_eq!(told.is_some(), errors == IcmpErrors::All);
        }
        let icmp = Seen::Icmp {
            peer,
            icmp: unreachable,
        };
        assert_eq!(seen(&mut net), vec![icmp; usize::from(FIRST_PACKETS)]);
    }
}
