//! TCP allocations (RFC 6062): what waits for how long, and what is forgotten.

use std::net::SocketAddr;
use std::time::Duration;

use uturn::admission::bandwidth::Direction;
use uturn::turn::{CONNECTION_TIMEOUT, ConnectionId, DropReason, FromClient, Transport};

use crate::net::codec::{CONNECTION_ID, Message, REQUESTED_TRANSPORT, Request};
use crate::net::{ClientId, Net, at};

const CONNECT: u16 = 0x000A;
const CONNECTION_BIND: u16 = 0x000B;
const CONNECTION_ATTEMPT: u16 = 0x001C;
const INSTANT: Duration = Duration::from_nanos(1);

fn net() -> Net {
    Net::with(|setup| setup.turn.max_peer_connections = Some(3))
}

fn allocate_tcp() -> Request {
    Request::new(0x0003).with(REQUESTED_TRANSPORT, [6, 0, 0, 0])
}

fn connect(peer: SocketAddr) -> Request {
    Request::new(CONNECT).peer(peer)
}

fn bind(connection: ConnectionId) -> Request {
    Request::new(CONNECTION_BIND).with(CONNECTION_ID, connection.0.to_be_bytes())
}

/// A client over TCP with a TCP allocation.
fn control(net: &mut Net) -> ClientId {
    let alice = net.client_at(Transport::Tcp, at("192.0.2.77:5000"), "alice");
    net.succeed(alice, allocate_tcp());
    alice
}

/// Another connection of the same user.
fn data(net: &mut Net, port: u16) -> ClientId {
    net.client_at(
        Transport::Tcp,
        SocketAddr::from(([192, 0, 2, 77], port)),
        "alice",
    )
}

/// Asks for a connection, which the peer has not accepted yet.
fn connecting(net: &mut Net, alice: ClientId, peer: SocketAddr) -> ConnectionId {
    let request = net.sign(alice, &connect(peer));
    assert!(net.exchange(alice, &request).is_none(), "not answered yet");
    let wish = net.shell.connecting.pop().expect("a connection to make");
    assert_eq!(wish.target, peer);
    wish.connection
}

fn answer(net: &mut Net) -> Message {
    net.do_outputs();
    let (_, bytes) = net.take_replies().pop().expect("a response");
    Message::decode(&bytes)
}

/// A connection that the peer has accepted.
fn connected(net: &mut Net, alice: ClientId, peer: SocketAddr) -> ConnectionId {
    let connection = connecting(net, alice, peer);
    net.server.handle_connected(connection, true, net.now);
    let response = answer(net);
    assert_eq!(response.error(), None);
    assert_eq!(
        response.get(CONNECTION_ID),
        Some(&connection.0.to_be_bytes()[..])
    );
    connection
}

/// The relay of the client's allocation.
fn accept(net: &mut Net, alice: ClientId, peer: SocketAddr) -> Option<ConnectionId> {
    let relay = net
        .shell
        .relay_at(net.relayed(alice))
        .expect("an open relay");
    net.server.handle_accepted(relay, peer, net.now)
}

#[test]
fn tcp_06_a_peer_that_says_nothing_has_30_seconds() {
    let mut net = net();
    let alice = control(&mut net);
    let peer = net.peer();
    let connection = connecting(&mut net, alice, peer);
    net.advance(CONNECTION_TIMEOUT - INSTANT);
    assert!(net.take_replies().is_empty());
    net.advance(INSTANT);
    assert_eq!(answer(&mut net).error(), Some(447));
    assert_eq!(net.shell.closed, [connection]);
    assert_eq!(net.server.peer_connections(), 0);
    // Whatever the socket says after that comes too late, and the client may try again.
    net.server.handle_connected(connection, true, net.now);
    net.do_outputs();
    assert!(net.take_replies().is_empty());
    connected(&mut net, alice, peer);
}

#[test]
fn tcp_15_a_connection_that_nobody_binds_is_closed_after_30_seconds() {
    for by_peer in [false, true] {
        let mut net = net();
        let alice = control(&mut net);
        let peer = net.peer();
        net.permit(alice, peer);
        let connection = if by_peer {
            let connection = accept(&mut net, alice, peer).expect("admitted");
            let indication = answer(&mut net);
            assert_eq!(indication.typ, CONNECTION_ATTEMPT);
            connection
        } else {
            let connection = connecting(&mut net, alice, peer);
            net.advance_secs(29);
            net.server.handle_connected(connection, true, net.now);
            net.do_outputs();
            net.take_replies();
            connection
        };
        net.advance(CONNECTION_TIMEOUT - INSTANT);
        assert_eq!(net.shell.closed, []);
        net.advance(INSTANT);
        assert_eq!(net.shell.closed, [connection]);
        let late = data(&mut net, 5001);
        assert_eq!(net.refusal(late, bind(connection)), 400);
    }
}

#[test]
fn a_bound_connection_lasts_as_long_as_its_allocation() {
    let mut net = net();
    let alice = control(&mut net);
    let peer = net.peer();
    let connection = connected(&mut net, alice, peer);
    let data = data(&mut net, 5001);
    net.succeed(data, bind(connection));
    assert_eq!(net.shell.bound, [(connection, net.flow(data))]);
    for _ in 0..10 {
        net.advance_secs(500);
        net.insist(alice, Request::refresh());
    }
    assert_eq!(net.shell.closed, []);
    net.advance_secs(600);
    assert_eq!(net.shell.closed, [connection]);
    assert_eq!(net.server.peer_connections(), 0);
}

#[test]
fn it_ends_with_the_control_connection() {
    let mut net = net();
    let alice = control(&mut net);
    let (one, two) = (net.peer(), net.peer());
    let first = connected(&mut net, alice, one);
    let second = connecting(&mut net, alice, two);
    net.disconnect(alice);
    assert_eq!(net.shell.closed, [first, second]);
    net.server.handle_connected(second, true, net.now);
    net.do_outputs();
    assert!(net.take_replies().is_empty());
}

#[test]
fn places_come_back_and_are_bounded_for_both_sides_together() {
    let mut net = net();
    let alice = control(&mut net);
    let peers: Vec<_> = (0..5).map(|_| net.peer()).collect();
    for peer in &peers {
        net.permit(alice, *peer);
    }
    let first = connected(&mut net, alice, peers[0]);
    connecting(&mut net, alice, peers[1]);
    assert!(accept(&mut net, alice, peers[2]).is_some());
    answer(&mut net);
    assert_eq!(accept(&mut net, alice, peers[3]), None);
    assert_eq!(net.drops(DropReason::TooManyConnections), 1);
    assert_eq!(net.refusal(alice, connect(peers[3])), 508);
    net.server.handle_connection_closed(first);
    connecting(&mut net, alice, peers[3]);
    assert_eq!(net.refusal(alice, connect(peers[4])), 508);
}

#[test]
fn a_peer_needs_a_permission_that_holds_and_an_address_that_may_be_heard() {
    let mut net = net();
    let alice = control(&mut net);
    let peer = net.peer();
    assert_eq!(accept(&mut net, alice, peer), None);
    net.permit(alice, peer);
    assert_eq!(accept(&mut net, alice, at("10.0.0.1:80")), None);
    assert_eq!(net.drops(DropReason::PeerDenied), 1);
    net.advance_secs(300);
    assert_eq!(accept(&mut net, alice, peer), None);
    assert_eq!(net.drops(DropReason::NoPermission), 2);
}

#[test]
fn a_datagram_relay_of_this_server_is_no_peer_for_connections() {
    let mut net = net();
    let alice = control(&mut net);
    let bob = net.allocate("bob");
    let udp = net.relayed(bob);
    assert_eq!(net.refusal(alice, connect(udp)), 403);
    assert_eq!(accept(&mut net, alice, udp), None);
    // And the other way round: no datagrams to a relay for connections.
    assert_eq!(
        net.refusal(bob, Request::create_permission(&[net.relayed(alice)])),
        403
    );
    let carol = net.client_at(Transport::Tcp, at("192.0.2.78:5000"), "carol");
    net.succeed(carol, allocate_tcp());
    let to_carol = net.relayed(carol);
    connecting(&mut net, alice, to_carol);
}

#[test]
fn a_connection_id_tells_which_worker_has_it() {
    let mut net = Net::with(|setup| {
        setup.turn.max_peer_connections = Some(3);
        setup.worker = (1, 3);
    });
    let alice = control(&mut net);
    for _ in 0..3 {
        let peer = net.peer();
        let connection = connecting(&mut net, alice, peer);
        assert_eq!(connection.0 % 3, 1);
    }
    let other = data(&mut net, 5001);
    for id in 0..12_u32 {
        let request = bind(ConnectionId(id)).encode(net.transaction(), None);
        let handled = net.server.handle_client(net.flow(other), &request, net.now);
        let expected = match id % 3 {
            1 => FromClient::Control,
            worker => FromClient::Elsewhere {
                worker: worker as usize,
            },
        };
        assert_eq!(handled, expected, "{id}");
    }
}

#[test]
fn bytes_beyond_the_bandwidth_wait() {
    let mut net = Net::with(|setup| {
        setup.turn.max_peer_connections = Some(3);
        setup.bandwidth.per_allocation = 1_000_000;
    });
    let alice = control(&mut net);
    let peer = net.peer();
    let connection = connected(&mut net, alice, peer);
    let mut passed = 0_u64;
    for _ in 0..1000 {
        for _ in 0..100 {
            if net
                .server
                .handle_stream_data(connection, Direction::ToPeer, 10_000, net.now)
            {
                passed += 10_000;
            }
        }
        net.advance(Duration::from_millis(10));
    }
    assert!((9_500_000..=11_500_000).contains(&passed), "{passed}");
    assert_eq!(net.moved(Direction::ToPeer).bytes, passed);
}
