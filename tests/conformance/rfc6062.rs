//! TCP allocations (RFC 6062): Connect, ConnectionAttempt, ConnectionBind, and what passes behind them.
//!
//! The 30 seconds that a peer has to accept a connection, and a client to bind one (TCP-06, TCP-15), pass in `tests/sim`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::client::attribute::*;
use crate::client::{ANSWER_TIME, Bytes, Class, Client, Draft, Incoming, method};
use crate::target::{Flavour, Target};

/// REQUESTED-TRANSPORT for TCP (RFC 6062 §6.2).
const TCP: [u8; 4] = [6, 0, 0, 0];

fn server() -> Option<Target> {
    Target::with(Flavour::TcpRelaying)
}

/// What clients connect with: TCP and, where the server has it, TLS.
fn kinds(server: &Target) -> Vec<fn(&Target) -> Client> {
    let tls = server.tls_address().is_some();
    let all: [fn(&Target) -> Client; 2] = [
        |server| server.tcp(),
        |server| server.tls().expect("a TLS address"),
    ];
    all.into_iter().take(1 + usize::from(tls)).collect()
}

fn allocate_tcp() -> Draft {
    Draft::request(method::ALLOCATE).put(REQUESTED_TRANSPORT, TCP)
}

/// A TCP allocation's relayed transport address.
fn allocated(client: &mut Client) -> SocketAddr {
    let reply = client.call(allocate_tcp()).success();
    reply
        .address(XOR_RELAYED_ADDRESS)
        .expect("a relayed address")
}

fn connect(peer: SocketAddr) -> Draft {
    Draft::request(method::CONNECT).put_address(XOR_PEER_ADDRESS, peer)
}

fn connection_bind(id: &[u8]) -> Draft {
    Draft::request(method::CONNECTION_BIND).put(CONNECTION_ID, id)
}

/// A listening peer at an address of its own.
fn listener(ip: [u8; 4]) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::from(ip), 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    (listener, address)
}

/// CONNECTION-ID of a connection that the client has made.
fn connected(client: &mut Client, peer: SocketAddr) -> Vec<u8> {
    let reply = client.call(connect(peer)).success();
    let id = reply.get(CONNECTION_ID).expect("CONNECTION-ID").to_vec();
    assert_eq!(id.len(), 4, "CONNECTION-ID");
    id
}

/// A client's connection that is bound.
///
/// It uses the control connection's NONCE, which saves a round trip; coturn takes no other.
fn bound(mut data: Client, control: &Client, id: &[u8]) -> Bytes {
    data.share_challenge_of(control);
    data.call(connection_bind(id)).success();
    data.into_bytes()
}

fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let (stream, source) = listener.accept().expect("a connection");
    stream
        .set_read_timeout(Some(ANSWER_TIME))
        .expect("a timeout above zero");
    (stream, source)
}

#[track_caller]
fn expect(stream: &mut TcpStream, expected: &[u8]) {
    let mut read = vec![0; expected.len()];
    stream.read_exact(&mut read).expect("bytes at the peer");
    assert_eq!(read, expected);
}

/// Whether the peer's connection has ended, one way or the other.
fn has_ended(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// RFC 6062 §5.1: an Allocate for TCP over TCP or TLS.
#[test]
fn tcp_01_allocate_for_tcp_over_a_stream() {
    let Some(server) = server() else { return };
    for client in kinds(&server) {
        let reply = client(&server).call(allocate_tcp()).success();
        assert!(reply.address(XOR_RELAYED_ADDRESS).is_some());
        assert!(!reply.has(RESERVATION_TOKEN));
    }
}

/// RFC 6062 §5.1: over UDP: 400, as it is where connections are relayed.
#[test]
fn tcp_02_allocate_for_tcp_over_udp_gets_400() {
    let Some(server) = server() else { return };
    server.udp().call(allocate_tcp()).error(400);
}

/// RFC 8656 §7.2: where connections are not relayed: 442.
#[test]
fn tcp_02_allocate_for_tcp_gets_442_where_it_is_off() {
    for mut client in Target::shared().streams() {
        client.call(allocate_tcp()).error(442);
    }
}

/// RFC 6062 §5.1: with attributes that are for datagrams: 400.
#[test]
fn tcp_03_what_is_for_datagrams_gets_400() {
    let Some(server) = server() else { return };
    let mut client = server.tcp();
    client
        .call(allocate_tcp().put(DONT_FRAGMENT, []))
        .error(400);
    client.call(allocate_tcp().put(EVEN_PORT, [0])).error(400);
    let token = allocate_tcp().put(RESERVATION_TOKEN, [0; 8]);
    client.call(token).error(400);
}

/// RFC 6062 §5.2 to §5.4: a connection leaves from the relayed transport address, and what a peer says before it is bound
/// arrives, unread by the server.
#[test]
fn tcp_04_connect_and_bind_pass_bytes_as_they_are() {
    let Some(server) = server() else { return };
    for client in kinds(&server) {
        for round in 0..4_u8 {
            let mut control = client(&server);
            let relayed = allocated(&mut control);
            let (listener, address) = listener([127, 0, 0, 2]);
            let id = connected(&mut control, address);
            let (mut peer, source) = accept(&listener);
            assert_eq!(source, relayed);
            // Looks like the beginning of a STUN message, and of ChannelData.
            let early = [0, 1, 0, 8, 0x40, 0, 0, 4, round];
            peer.write_all(&early).expect("writing to the relay");
            let mut data = bound(client(&server), &control, &id);
            assert_eq!(data.read(early.len()), early);
            for word in [&b"one"[..], b"two", &[0; 100_000]] {
                data.send(word);
                expect(&mut peer, word);
                peer.write_all(word).expect("writing to the relay");
                assert_eq!(data.read(word.len()), word);
            }
        }
    }
}

/// RFC 6062 §5.2: a second connection with the same peer: 446, whether the first is bound or not; after its end it may be.
#[test]
fn tcp_05_second_connection_with_a_peer_gets_446() {
    let Some(server) = server() else { return };
    let mut control = server.tcp();
    allocated(&mut control);
    let (listener, address) = listener([127, 0, 0, 2]);
    let id = connected(&mut control, address);
    let (_peer, _) = accept(&listener);
    control.call(connect(address)).error(446);
    let _data = bound(server.tcp(), &control, &id);
    control.call(connect(address)).error(446);
}

/// RFC 6062 §5.2: a peer that refuses: 447.
#[test]
fn tcp_06_refused_connection_gets_447() {
    let Some(server) = server() else { return };
    let mut control = server.tcp();
    allocated(&mut control);
    let (listener, address) = listener([127, 0, 0, 2]);
    drop(listener);
    control.call(connect(address)).error(447);
    control.refresh(None).success();
}

/// RFC 6062 §5.2: Connect without XOR-PEER-ADDRESS: 400; without an allocation: 437.
#[test]
fn tcp_07_connect_without_peer_or_allocation_is_refused() {
    let Some(server) = server() else { return };
    let mut control = server.tcp();
    let (_listener, address) = listener([127, 0, 0, 2]);
    control.call(connect(address)).error(437);
    allocated(&mut control);
    control.call(Draft::request(method::CONNECT)).error(400);
}

/// RFC 6062 §5.2: Connect on an allocation for UDP: refused.
#[test]
fn tcp_07_connect_on_a_udp_allocation_is_refused() {
    let Some(server) = server() else { return };
    let mut client = server.tcp();
    client.allocate();
    let (_listener, address) = listener([127, 0, 0, 2]);
    client
        .call(connect(address))
        .error_among(&[400, 403, 437, 442]);
}

/// CONNECTION-ID and the peer of the ConnectionAttempt that comes next.
fn attempt(control: &mut Client) -> (Vec<u8>, SocketAddr) {
    let Incoming::Message(message) = control.next() else {
        panic!("ChannelData for a ConnectionAttempt")
    };
    assert_eq!(
        (message.method, message.class),
        (method::CONNECTION_ATTEMPT, Class::Indication)
    );
    let id = message.get(CONNECTION_ID).expect("CONNECTION-ID").to_vec();
    let peer = message.address(XOR_PEER_ADDRESS).expect("the peer");
    (id, peer)
}

/// RFC 6062 §5.3: a peer with a permission connects: the client is told, and can bind.
#[test]
fn tcp_08_connection_of_a_peer_is_announced() {
    let Some(server) = server() else { return };
    for client in kinds(&server) {
        let mut control = client(&server);
        let relayed = allocated(&mut control);
        control.permit("127.0.0.1:1".parse().expect("an address"));
        let mut peer = TcpStream::connect(relayed).expect("connecting to the relay");
        peer.write_all(b"early").expect("writing to the relay");
        let (id, source) = attempt(&mut control);
        assert_eq!(Ok(source), peer.local_addr().map_err(|_| ()));
        let mut data = bound(client(&server), &control, &id);
        assert_eq!(data.read(5), b"early");
        data.send(b"answer");
        expect(&mut peer, b"answer");
    }
}

/// RFC 6062 §5.3: a peer without a permission is turned away, and nothing is said of it.
#[test]
fn tcp_09_connection_without_permission_is_closed() {
    let Some(server) = server() else { return };
    let mut control = server.tcp();
    let relayed = allocated(&mut control);
    control.permit("127.0.0.3:1".parse().expect("an address"));
    let mut peer = TcpStream::connect(relayed).expect("connecting to the relay");
    peer.set_read_timeout(Some(ANSWER_TIME)).expect("a timeout");
    assert!(has_ended(&mut peer));
    control.expect_silence();
}

/// RFC 6062 §5.4: ConnectionBind with an unknown CONNECTION-ID, without one, or over UDP: 400.
#[test]
fn tcp_10_connection_bind_without_a_connection_gets_400() {
    let Some(server) = server() else { return };
    for mut client in kinds(&server).into_iter().map(|client| client(&server)) {
        for id in [[0; 4], [0, 0, 0, 1], [0xFF; 4]] {
            let key = client.key();
            let reply = client.call(connection_bind(&id)).error(400);
            assert!(reply.is_signed_with(&key));
        }
        client
            .call(Draft::request(method::CONNECTION_BIND))
            .error(400);
        client.call(connection_bind(&[0; 3])).error(400);
    }
    let mut control = server.tcp();
    allocated(&mut control);
    let (listener, address) = listener([127, 0, 0, 2]);
    let id = connected(&mut control, address);
    let _peer = accept(&listener);
    server.udp().call(connection_bind(&id)).error(400);
    // A connection is bound once.
    let _data = bound(server.tcp(), &control, &id);
    server.tcp().call(connection_bind(&id)).error(400);
}

/// RFC 6062 §5.5: when one side ends, what it has said arrives, and then its end; the other way stays open until that side
/// ends, too.
#[test]
fn tcp_11_end_of_one_side_ends_the_other() {
    let Some(server) = server() else { return };
    for client in kinds(&server) {
        for client_first in [true, false] {
            let mut control = client(&server);
            allocated(&mut control);
            let (listener, address) = listener([127, 0, 0, 2]);
            let id = connected(&mut control, address);
            let (mut peer, _) = accept(&listener);
            let mut data = bound(client(&server), &control, &id);
            let last = vec![7; 200_000];
            if client_first {
                let writer = thread::spawn(move || data.send(&last));
                expect(&mut peer, &[7; 200_000]);
                writer.join().expect("all was written");
                assert!(has_ended(&mut peer));
            } else {
                peer.write_all(&last).expect("writing to the relay");
                drop(peer);
                assert!(data.read(last.len()) == last);
                assert!(data.ends_within(ANSWER_TIME));
            }
        }
    }
}

/// RFC 6062 §5.5: a client that has said everything still hears the answer.
#[test]
fn tcp_11_half_close_keeps_the_other_way_open() {
    let Some(server) = server() else { return };
    let mut control = server.tcp();
    allocated(&mut control);
    let (listener, address) = listener([127, 0, 0, 2]);
    let id = connected(&mut control, address);
    let (mut peer, _) = accept(&listener);
    let mut data = bound(server.tcp(), &control, &id);
    data.send(b"question");
    data.end();
    expect(&mut peer, b"question");
    assert!(has_ended(&mut peer));
    let answer = vec![3; 300_000];
    let written = answer.clone();
    let writer = thread::spawn(move || {
        peer.write_all(&written).expect("writing to the relay");
        peer.shutdown(Shutdown::Write).expect("a connected socket");
        peer
    });
    assert!(data.read(answer.len()) == answer);
    assert!(data.ends_within(ANSWER_TIME));
    writer.join().expect("all was written");
}

/// RFC 6062 §5.5: with the allocation its connections end, bound or not, and its port.
#[test]
fn tcp_12_connections_end_with_the_allocation() {
    let Some(server) = server() else { return };
    let mut control = server.tcp();
    let relayed = allocated(&mut control);
    let (first, first_address) = listener([127, 0, 0, 2]);
    let (second, second_address) = listener([127, 0, 0, 3]);
    let id = connected(&mut control, first_address);
    connected(&mut control, second_address);
    let (mut bound_peer, mut unbound_peer) = (accept(&first).0, accept(&second).0);
    let mut data = bound(server.tcp(), &control, &id);
    data.send(b"x");
    expect(&mut bound_peer, b"x");
    control.refresh(Some(0)).success();
    assert!(data.ends_within(ANSWER_TIME));
    assert!(has_ended(&mut bound_peer));
    assert!(has_ended(&mut unbound_peer));
    assert!(TcpStream::connect(relayed).is_err(), "the relay is open");
}

/// RFC 6062 §4.3: ConnectionBind with another user's credentials: 441, and the allocation's user still can.
#[test]
fn tcp_13_connection_bind_by_another_user_gets_441() {
    let Some(server) = server() else { return };
    let mut control = server.tcp();
    allocated(&mut control);
    let (listener, address) = listener([127, 0, 0, 2]);
    let id = connected(&mut control, address);
    let _peer = accept(&listener);
    let mut other = server.tcp();
    other.share_challenge_of(&control);
    let request = other.seal_as(&server.bob, connection_bind(&id));
    other.exchange(&request).error_among(&[401, 403, 441]);
    bound(server.tcp(), &control, &id);
}

/// RFC 8489 §9.2.4: a ConnectionBind that is not signed is challenged, and goes on from there.
#[test]
fn tcp_13_connection_bind_is_challenged() {
    let Some(server) = server() else { return };
    let mut control = server.tcp();
    allocated(&mut control);
    let (listener, address) = listener([127, 0, 0, 2]);
    let id = connected(&mut control, address);
    let (mut peer, _) = accept(&listener);
    let mut data = server.tcp();
    let challenge = data.exchange(&connection_bind(&id)).error(401);
    data.set_challenge(&challenge);
    data.call(connection_bind(&id)).success();
    data.into_bytes().send(b"bound");
    expect(&mut peer, b"bound");
}

/// RFC 6062 §5.4: nothing is lost where one side is slow, in either direction.
#[test]
fn tcp_14_slow_side_loses_nothing() {
    let Some(server) = server() else { return };
    let total = 8 << 20;
    let pattern: Vec<u8> = (0..total)
        .map(|at: u32| (at ^ at >> 8 ^ at >> 16) as u8)
        .collect();
    for client in kinds(&server) {
        let mut control = client(&server);
        allocated(&mut control);
        let (listener, address) = listener([127, 0, 0, 2]);
        let id = connected(&mut control, address);
        let (mut peer, _) = accept(&listener);
        let mut data = bound(client(&server), &control, &id);
        let sent = pattern.clone();
        let writer = thread::spawn(move || {
            peer.write_all(&sent).expect("writing to the relay");
            peer
        });
        // Whoever could write it all now would have filled every buffer on the way.
        thread::sleep(Duration::from_millis(100));
        assert!(!writer.is_finished(), "{total} bytes wait somewhere");
        assert!(data.read(pattern.len()) == pattern);
        let mut peer = writer.join().expect("all was written");
        let sent = pattern.clone();
        let writer = thread::spawn(move || {
            data.send(&sent);
            data
        });
        let mut read = vec![0; pattern.len()];
        for chunk in read.chunks_mut(1 << 20) {
            thread::sleep(Duration::from_millis(10));
            peer.read_exact(chunk).expect("bytes at the peer");
        }
        assert!(read == pattern);
        writer.join().expect("all was written");
    }
}

/// RFC 6062 §5.2: a peer that is denied: 403.
#[test]
fn tcp_16_denied_peer_gets_403() {
    let Some(server) = server() else { return };
    let mut control = server.tcp();
    allocated(&mut control);
    control
        .call(connect((server.denied_peer, 80).into()))
        .error(403);
    // This server's own port for clients, and its own UDP relays, are no peers.
    let mut other = server.udp();
    let udp_relay = other.allocate();
    let reply = control.call(connect(udp_relay));
    assert!(reply.code().is_some(), "connected to a relay for datagrams");
}

/// RFC 6062 §3: neither Send nor ChannelBind on such an allocation.
#[test]
fn tcp_17_datagrams_have_no_place_there() {
    let Some(server) = server() else { return };
    let mut control = server.tcp();
    allocated(&mut control);
    let (_listener, address) = listener([127, 0, 0, 2]);
    control.permit(address);
    control
        .channel_bind(0x4000, address)
        .error_among(&[400, 403]);
    control.send_indication(address, b"x");
    control.expect_silence();
}

/// An allocation has no more connections than are configured, whoever makes them.
#[test]
fn tcp_18_connections_of_an_allocation_are_bounded() {
    let Some(server) = server() else { return };
    let mut control = server.tcp();
    let relayed = allocated(&mut control);
    control.permit("127.0.0.1:1".parse().expect("an address"));
    let (listener, address) = listener([127, 0, 0, 2]);
    connected(&mut control, address);
    let _accepted = accept(&listener);
    let mut peers: Vec<TcpStream> = (0..1000)
        .map(|_| TcpStream::connect(relayed).expect("connecting to the relay"))
        .collect();
    for _ in 0..3 {
        attempt(&mut control);
    }
    for peer in &mut peers {
        peer.set_read_timeout(Some(Duration::from_millis(1000)))
            .expect("a timeout");
    }
    let refused = peers
        .iter_mut()
        .skip(3)
        .map(has_ended)
        .filter(|ended| *ended)
        .count();
    assert_eq!(refused, 997);
    control.expect_silence();
    let (_other, other_address) = self::listener([127, 0, 0, 3]);
    control
        .call(connect(other_address))
        .error_among(&[486, 508]);
}

/// What a client says right behind its ConnectionBind, before it has the answer, is the peer's.
#[test]
fn tcp_20_bytes_right_behind_connection_bind_arrive() {
    let Some(server) = server() else { return };
    for client in kinds(&server) {
        let mut control = client(&server);
        allocated(&mut control);
        let (listener, address) = listener([127, 0, 0, 2]);
        let id = connected(&mut control, address);
        let (mut peer, _) = accept(&listener);
        let mut data = client(&server);
        data.share_challenge_of(&control);
        let request = data.seal(connection_bind(&id));
        let said = b"GET / HTTP/1.1\r\n\r\n";
        data.send(&[&request.bytes()[..], said].concat());
        data.answer_to(&request).success();
        expect(&mut peer, said);
    }
}

/// Two clients of one server whose peers are each other's relayed transport addresses.
#[test]
fn tcp_19_relay_to_relay_works() {
    let Some(server) = server() else { return };
    let (mut alice, mut bob) = (server.tcp(), server.tcp());
    let (to_alice, to_bob) = (allocated(&mut alice), allocated(&mut bob));
    bob.permit(to_alice);
    let id = connected(&mut alice, to_bob);
    let (bobs_id, source) = attempt(&mut bob);
    assert_eq!(source, to_alice);
    let mut from_alice = bound(server.tcp(), &alice, &id);
    let mut from_bob = bound(server.tcp(), &bob, &bobs_id);
    from_alice.send(b"to bob");
    assert_eq!(from_bob.read(6), b"to bob");
    from_bob.send(b"to alice");
    assert_eq!(from_alice.read(8), b"to alice");
}
