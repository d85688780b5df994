//! ICMP errors about relayed data, told to the client (RFC 8656 §11.5, §18.13).

use std::net::SocketAddr;

use crate::client::attribute::{
    self, DONT_FRAGMENT, ICMP, REQUESTED_ADDRESS_FAMILY, XOR_PEER_ADDRESS,
};
use crate::client::{Class, Client, Draft, Incoming, Message, Peer, allocate, method};
use crate::namespace::{self, BEYOND, BEYOND_MTU, NEAR_MTU, ROUTER};
use crate::target::{Flavour, Target};

/// Port unreachable, of either family.
const CLOSED_V4: Icmp = Icmp(3, 3, 0);
const CLOSED_V6: Icmp = Icmp(1, 4, 0);

/// RFC 8656 §11.5: an ICMP error about a relayed datagram becomes a Data indication with the peer's address and ICMP, and
/// without DATA.
#[test]
fn icm_01_icmp_error_becomes_a_data_indication() {
    let server = Target::shared();
    for mut client in std::iter::once(server.udp()).chain(server.streams()) {
        let gone = closed_port("127.0.0.77");
        client.allocate();
        client.permit(gone);
        client.send_indication(gone, b"anyone?");
        expect_icmp(&mut client, gone, CLOSED_V4);
    }
    let mut client = server.udp();
    let gone = closed_port("::1");
    allocate_of_family(&mut client, 2);
    client.permit(gone);
    client.send_indication(gone, b"anyone?");
    expect_icmp(&mut client, gone, CLOSED_V6);
}

/// RFC 8656 §12.5: a channel changes nothing in that.
#[test]
fn icm_02_icmp_error_is_no_channel_data() {
    let server = Target::shared();
    for mut client in std::iter::once(server.udp()).chain(server.streams()) {
        let gone = closed_port("127.0.0.78");
        client.allocate();
        client.bind(0x4000, gone);
        client.channel_data(0x4000, b"anyone?");
        expect_icmp(&mut client, gone, CLOSED_V4);
    }
}

/// RFC 8656 §11.5: an ICMP error ends nothing, and costs no other datagram in either direction.
#[test]
fn icm_03_icmp_error_disturbs_nothing() {
    let mut client = Target::shared().udp();
    let (gone, peer) = (closed_port("127.0.0.79"), Peer::at("127.0.0.79"));
    let relay = client.allocate();
    client.bind(0x4000, gone);
    client.bind(0x4001, peer.address());
    for n in 0..200_u32 {
        client.channel_data(0x4000, b"anyone?");
        // Between and behind what is refused; then single ones and many at a time.
        client.channel_data(0x4001, &n.to_be_bytes());
        client.channel_data(0x4001, &n.to_be_bytes());
        peer.send(relay, &n.to_be_bytes());
        if n % 20 == 19 {
            let last = n - 19..=n;
            for n in last.clone() {
                peer.expect(&n.to_be_bytes());
                peer.expect(&n.to_be_bytes());
            }
            let data = last.map(u32::to_be_bytes).collect();
            expect_among_errors(&mut client, gone, data);
        }
    }
    client.refresh(None).success();
}

/// RFC 8656 §18.13: the error data is the MTU of the next hop where the datagram was too large for it, whether that is the
/// server's own link or one further on; and only DONT-FRAGMENT has an IPv4 datagram refused for that.
#[test]
fn icm_05_too_large_comes_with_the_mtu() {
    let name = "rfc8656_icmp::icm_05_too_large_comes_with_the_mtu";
    namespace::within(name, || {
        let server = Target::with(Flavour::Routed).expect("a server of its own");
        let mut over_v4 = server.udp();
        let mut over_v6 = server.udp_over_ipv6().expect("an IPv6 listener");
        expect_mtu(&mut over_v4, 0, |mtu| Icmp(3, 4, mtu), CLOSED_V4);
        expect_mtu(&mut over_v6, 1, |mtu| Icmp(2, 0, mtu), CLOSED_V6);
    });
}

fn expect_mtu(client: &mut Client, family: usize, too_large: fn(u32) -> Icmp, closed: Icmp) {
    let (near, beyond) = (at(ROUTER[family], 9000), at(BEYOND[family], 9001));
    allocate_of_family(client, family as u8 + 1);
    client.permit(near);
    client.permit(beyond);
    for _ in 0..2 {
        // Longer than the server's own link takes, than the next one takes, and not too long.
        client.send(&unfragmented(near, 1600).bytes());
        expect_icmp(client, near, too_large(NEAR_MTU));
        client.send(&unfragmented(beyond, 1400).bytes());
        expect_icmp(client, beyond, too_large(BEYOND_MTU));
        client.send(&unfragmented(near, 1400).bytes());
        expect_icmp(client, near, closed);
        // Without DONT-FRAGMENT it arrives in fragments.
        client.send_indication(near, &[7; 1600]);
        expect_icmp(client, near, closed);
    }
}

/// RFC 8656 §13: DONT-FRAGMENT is ignored between families.
#[test]
fn iph_09_dont_fragment_is_ignored_between_families() {
    let name = "rfc8656_icmp::iph_09_dont_fragment_is_ignored_between_families";
    namespace::within(name, || {
        let server = Target::with(Flavour::Routed).expect("a server of its own");
        let over_v4 = server.udp();
        let over_v6 = server.udp_over_ipv6().expect("an IPv6 listener");
        for (mut client, family, closed) in [(over_v4, 1, CLOSED_V6), (over_v6, 0, CLOSED_V4)] {
            let near = at(ROUTER[family], 9000);
            allocate_of_family(&mut client, family as u8 + 1);
            client.permit(near);
            // It arrives although it does not fit the link: the peer's host says that nobody listens there.
            client.send(&unfragmented(near, 1600).bytes());
            expect_icmp(&mut client, near, closed);
        }
    });
}

/// The ICMP attribute: type, code and error data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Icmp(u32, u32, u32);

#[track_caller]
fn expect_icmp(client: &mut Client, peer: SocketAddr, expected: Icmp) {
    match client.next() {
        Incoming::Message(message) => assert_eq!(read_icmp(&message), (peer, expected)),
        other => panic!("expected a Data indication with ICMP, got {other:?}"),
    }
}

/// Fails the test unless the client gets this data of one peer through a channel, in order, and of another one nothing but
/// that its port is closed, at least once.
#[track_caller]
fn expect_among_errors(client: &mut Client, gone: SocketAddr, mut data: Vec<[u8; 4]>) {
    data.reverse();
    let mut errors = 0;
    while !data.is_empty() || errors == 0 {
        match client.next() {
            Incoming::Message(message) => {
                assert_eq!(read_icmp(&message), (gone, CLOSED_V4));
                errors += 1;
            }
            Incoming::ChannelData(arrived) => {
                assert_eq!(arrived.payload, data.pop().expect("no more than was sent"));
            }
        }
    }
}

#[track_caller]
fn read_icmp(message: &Message) -> (SocketAddr, Icmp) {
    let kind = (message.method, message.class);
    assert_eq!(kind, (method::DATA, Class::Indication), "{message:?}");
    assert!(!message.has(attribute::DATA), "{message:?}");
    let value: [u8; 8] = match message.get(ICMP) {
        Some(value) => value.try_into().expect("8 bytes of ICMP"),
        None => panic!("no ICMP in {message:?}"),
    };
    let [first, data] = [&value[..4], &value[4..]]
        .map(|half| u32::from_be_bytes(half.try_into().expect("4 bytes")));
    assert_eq!(first >> 16, 0, "reserved bits");
    let peer = message.address(XOR_PEER_ADDRESS);
    (
        peer.expect("XOR-PEER-ADDRESS"),
        Icmp(first >> 8, first & 0xFF, data),
    )
}

fn unfragmented(peer: SocketAddr, length: usize) -> Draft {
    Draft::indication(method::SEND)
        .put_address(XOR_PEER_ADDRESS, peer)
        .put(attribute::DATA, vec![7; length])
        .put(DONT_FRAGMENT, [])
}

#[track_caller]
fn allocate_of_family(client: &mut Client, family: u8) {
    client
        .call(allocate().put(REQUESTED_ADDRESS_FAMILY, [family, 0, 0, 0]))
        .success();
}

/// Where nobody listens any more.
fn closed_port(ip: &str) -> SocketAddr {
    Peer::at(ip).address()
}

fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an IP address"), port)
}
