//! Relaying between address families, and the IP header of what is relayed (RFC 8656 §13 to §16).
//!
//! For DSCP and ECN the RFC prefers that they are copied, and lets a server leave both at best effort and Not-ECT: of a foreign
//! server that is accepted.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};

use crate::client::attribute::{
    self, DONT_FRAGMENT, REQUESTED_ADDRESS_FAMILY, XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS,
};
use crate::client::{
    Client, Draft, Incoming, Link, Peer, Sniffer, allocate, channel_data, method, tos,
};
use crate::target::{Target, is_foreign};

/// DSCP EF (46), Not-ECT.
const EXPEDITED: u8 = 0xB8;
/// The ECN codepoints (RFC 3168 §5).
const ECT_0: u8 = 2;
const ECT_1: u8 = 1;
const CE: u8 = 3;

/// RFC 8656 §14: the DSCP of what a client sends is that of what reaches the peer.
#[test]
fn iph_01_dscp_is_copied_to_the_peer() {
    for mut pair in Pair::of_each_family() {
        for (dscp, number) in [(EXPEDITED, 1), (0x28, 2), (0, 3), (0, 4), (EXPEDITED, 5)] {
            pair.expect_at_peer(dscp, number);
        }
    }
}

/// RFC 8656 §14: and the DSCP of what a peer sends that of what reaches the client.
#[test]
fn iph_02_dscp_is_copied_to_the_client() {
    for mut pair in Pair::of_each_family() {
        for (dscp, number) in [(EXPEDITED, 1), (0x28, 2), (0, 3), (0, 4), (EXPEDITED, 5)] {
            pair.expect_at_client(dscp, number);
        }
    }
}

/// RFC 8656 §14: ECN likewise, both ways.
#[test]
fn iph_03_ecn_is_copied() {
    for mut pair in Pair::of_each_family() {
        for (ecn, number) in [(ECT_0, 1), (ECT_1, 2), (CE, 3), (EXPEDITED | CE, 4), (0, 5)] {
            pair.expect_at_peer(ecn, number);
            pair.expect_at_client(ecn, number);
        }
    }
}

/// RFC 8656 §14: each datagram keeps its own fields, however many the server handles at a time.
#[test]
fn iph_03_datagrams_of_one_batch_keep_their_own_fields() {
    for pair in Pair::of_each_family() {
        let marks = [0, 0, ECT_0, ECT_0, ECT_0, CE, ECT_0, EXPEDITED, 0, 0];
        for tos in marks {
            tos::mark(&pair.socket, tos);
            pair.socket
                .send_to(&channel_data(0x4000, b"one of many", false), pair.server)
                .expect("sending on loopback");
        }
        for tos in marks {
            let arrived = tos::receive(pair.peer.socket());
            assert_eq!(
                (arrived.tos, &arrived.payload[..]),
                (allowed(tos, arrived.tos), &b"one of many"[..])
            );
        }
        for tos in marks {
            tos::mark(pair.peer.socket(), tos);
            pair.peer.send(pair.relay, b"one of many");
        }
        for tos in marks {
            let arrived = tos::receive(&pair.socket);
            assert_eq!(arrived.tos, allowed(tos, arrived.tos));
        }
    }
}

/// RFC 8656 §15: what came over TCP leaves as Not-ECT, and as best effort.
#[test]
fn iph_04_tcp_to_udp_is_not_ect() {
    let server = Target::shared();
    let peer = Peer::at("127.0.0.73");
    for mut client in server.streams() {
        client.allocate();
        client.permit(peer.address());
        client.mark(EXPEDITED | ECT_0);
        client.send_indication(peer.address(), b"over a stream");
        let arrived = tos::receive(peer.socket());
        assert_eq!(
            (arrived.tos, &arrived.payload[..]),
            (0, &b"over a stream"[..])
        );
    }
}

/// RFC 8656 §13, §14: the TTL is the incoming one less one, or the system's default. Here it is the default: a copy would need
/// another message beside each datagram, and a relay is a host to both its sides.
#[test]
fn iph_05_ttl_is_decremented_or_the_default() {
    let default: u8 = std::fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl")
        .map_or(64, |text| text.trim().parse().expect("a number"));
    let mut client = Target::shared().udp_from("127.0.0.75");
    let peer = Peer::at("127.0.0.74");
    let relay = client.allocate();
    client.permit(peer.address());
    let mut at_peer = Sniffer::at(Ipv4Addr::new(127, 0, 0, 74));
    client.socket().set_ttl(20).expect("an IPv4 option");
    client.send_indication(peer.address(), b"a datagram");
    let ttl = at_peer.next(peer.address().port()).ttl;
    assert!([19, default].contains(&ttl), "{ttl}");
    let mut at_client = Sniffer::at(Ipv4Addr::new(127, 0, 0, 75));
    peer.socket().set_ttl(20).expect("an IPv4 option");
    peer.send(relay, b"a datagram");
    let ttl = at_client.next(client.local().port()).ttl;
    assert!([19, default].contains(&ttl), "{ttl}");
}

/// RFC 8656 §13.1, §13.2: an IPv6 flow label is not copied: it is one for each flow of the relay, or 0.
#[test]
fn iph_07_flow_label_is_not_copied() {
    let Some(mut client) = Target::shared().udp_over_ipv6() else {
        return;
    };
    let peer = Peer::at("::1");
    client
        .call(allocate().put(REQUESTED_ADDRESS_FAMILY, [2, 0, 0, 0]))
        .success();
    client.bind(0x4000, peer.address());
    tos::report_flow_label(peer.socket());
    let socket = client.socket();
    tos::choose_flow_label(&socket);
    let SocketAddr::V6(server) = client.server() else {
        panic!("an IPv6 listener");
    };
    let labels = [0, 0x12345, 0x54321].map(|label: u32| {
        let server = SocketAddrV6::new(*server.ip(), server.port(), label.to_be(), 0);
        socket
            .send_to(&channel_data(0x4000, b"a flow", false), server)
            .expect("a free flow label");
        tos::receive(peer.socket()).flow_label
    });
    assert!(
        labels.iter().all(|label| *label == labels[0]),
        "{labels:x?}"
    );
}

/// RFC 8656 §16: what a connection carries has the connection's DSCP and ECN, whatever the peer's datagrams have.
#[test]
fn iph_10_udp_to_tcp_has_the_fields_of_the_connection() {
    let server = Target::shared();
    let local = Ipv4Addr::new(127, 0, 0, 76);
    let link = Link::tcp_from(SocketAddr::from((local, 0)), server.address);
    let mut client = Client::new(link, &server.alice);
    let peer = Peer::at("127.0.0.73");
    let relay = client.allocate();
    client.permit(peer.address());
    let mut sniffer = Sniffer::of_tcp_at(local);
    for (n, tos) in [0, EXPEDITED, ECT_0, CE].into_iter().enumerate() {
        let data = [n as u8; 100];
        tos::mark(peer.socket(), tos);
        peer.send(relay, &data);
        client.expect_data(peer.address(), &data);
        // Segments without data only acknowledge.
        let segment = loop {
            let segment = sniffer.next(client.local().port());
            if segment.length > data.len() {
                break segment;
            }
        };
        assert_eq!(segment.tos, 0, "{n}");
    }
}

/// RFC 8656 §13: client and peer may be of different families, or both of IPv6.
#[test]
fn iph_06_families_of_client_and_peer_may_differ() {
    let server = Target::shared();
    let Some(over_ipv6) = server.udp_over_ipv6() else {
        return;
    };
    let Some(also_over_ipv6) = server.udp_over_ipv6() else {
        return;
    };
    expect_relaying(server.udp(), 2, "::1");
    expect_relaying(over_ipv6, 1, "127.0.0.2");
    expect_relaying(also_over_ipv6, 2, "::1");
}

/// RFC 8656 §14: DF is set for DONT-FRAGMENT alone; ChannelData and other Send indications may be fragmented.
#[test]
fn iph_08_df_is_set_for_dont_fragment_alone() {
    let mut client = Target::shared().udp();
    let peer = Peer::at("127.0.0.72");
    let port = peer.address().port();
    let mut sniffer = Sniffer::at(Ipv4Addr::new(127, 0, 0, 72));
    client.allocate();
    client.bind(0x4000, peer.address());
    let send = || {
        let indication =
            Draft::indication(method::SEND).put_address(XOR_PEER_ADDRESS, peer.address());
        indication.put(attribute::DATA, b"a datagram")
    };
    client.send(&send().bytes());
    assert!(
        !sniffer.next(port).dont_fragment,
        "DF after a Send indication"
    );
    client.channel_data(0x4000, b"a datagram");
    assert!(!sniffer.next(port).dont_fragment, "DF after ChannelData");
    client.send(&send().put(DONT_FRAGMENT, []).bytes());
    assert!(
        sniffer.next(port).dont_fragment,
        "no DF after a Send indication with DONT-FRAGMENT"
    );
    client.send(&send().bytes());
    assert!(
        !sniffer.next(port).dont_fragment,
        "DF stays after DONT-FRAGMENT"
    );
}

/// Fails the test unless a relay of `family` carries both ways, by indication and by channel.
#[track_caller]
fn expect_relaying(mut client: Client, family: u8, peer: &str) {
    let peer = Peer::at(peer);
    let answer = client
        .call(allocate().put(REQUESTED_ADDRESS_FAMILY, [family, 0, 0, 0]))
        .success();
    let relay = answer
        .address(XOR_RELAYED_ADDRESS)
        .expect("XOR-RELAYED-ADDRESS");
    client.permit(peer.address());
    client.send_indication(peer.address(), b"to the peer");
    assert_eq!(peer.receive(), (b"to the peer".to_vec(), relay));
    peer.send(relay, b"to the client");
    client.expect_data(peer.address(), b"to the client");
    client.bind(0x4000, peer.address());
    client.channel_data(0x4000, b"by channel");
    peer.expect(b"by channel");
    peer.send(relay, b"and back");
    client.expect_channel_data(0x4000, b"and back");
}

/// A client over UDP and a peer with a channel between them, each of which is marked by itself.
struct Pair {
    client: Client,
    socket: std::net::UdpSocket,
    server: SocketAddr,
    peer: Peer,
    relay: SocketAddr,
}

impl Pair {
    /// IPv4 and IPv6 at either side.
    fn of_each_family() -> Vec<Self> {
        let server = Target::shared();
        let over_v4 = [1, 2].map(|family| Self::new(server.udp(), family));
        let over_v6 = [1, 2].map(|family| Some(Self::new(server.udp_over_ipv6()?, family)));
        over_v4
            .into_iter()
            .chain(over_v6.into_iter().flatten())
            .collect()
    }

    fn new(mut client: Client, family: u8) -> Self {
        let peer = Peer::at(if family == 1 { "127.0.0.71" } else { "::1" });
        let answer = client
            .call(allocate().put(REQUESTED_ADDRESS_FAMILY, [family, 0, 0, 0]))
            .success();
        client.bind(0x4000, peer.address());
        Self {
            socket: client.socket(),
            server: client.server(),
            relay: answer
                .address(XOR_RELAYED_ADDRESS)
                .expect("XOR-RELAYED-ADDRESS"),
            client,
            peer,
        }
    }

    #[track_caller]
    fn expect_at_peer(&mut self, tos: u8, number: u8) {
        tos::mark(&self.socket, tos);
        self.client.channel_data(0x4000, &[number]);
        let arrived = tos::receive(self.peer.socket());
        assert_eq!(arrived.payload, [number]);
        assert_eq!(arrived.tos, allowed(tos, arrived.tos), "{number}");
    }

    #[track_caller]
    fn expect_at_client(&mut self, tos: u8, number: u8) {
        tos::mark(self.peer.socket(), tos);
        self.peer.send(self.relay, &[number]);
        let arrived = tos::receive(&self.socket);
        let Incoming::ChannelData(data) = Incoming::read(arrived.payload) else {
            panic!("expected ChannelData");
        };
        assert_eq!(data.payload, [number]);
        assert_eq!(arrived.tos, allowed(tos, arrived.tos), "{number}");
    }
}

/// What `sent` may have become, of a foreign server also `found` where that is best effort and Not-ECT.
fn allowed(sent: u8, found: u8) -> u8 {
    if is_foreign() && found == 0 { 0 } else { sent }
}
