//! Send and Data indications (RFC 8656 §11).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::client::attribute::{
    self, DONT_FRAGMENT, MESSAGE_INTEGRITY, UNKNOWN_REQUIRED, XOR_PEER_ADDRESS,
};
use crate::client::{Client, Draft, Incoming, Peer, QUIET_TIME, Sniffer, method};
use crate::target::{EXTERNAL_ADDRESS, Flavour, Target};

/// RFC 8656 §11.2: a Send indication becomes a datagram from the relayed address.
#[test]
fn snd_01_send_reaches_the_peer_from_the_relayed_address() {
    let (mut client, relay, peer) = permitted();
    client.send_indication(peer.address(), b"to the peer");
    assert_eq!(peer.receive(), (b"to the peer".to_vec(), relay));
}

/// RFC 8656 §11.2: without a permission it is dropped, and no error comes back.
#[test]
fn snd_02_send_without_permission_is_dropped() {
    let mut client = Target::shared().udp();
    let peer = Peer::at("127.0.0.2");
    client.allocate();
    client.send_indication(peer.address(), b"too early");
    client.expect_silence();
    client.permit(peer.address());
    expect_next_marker(&mut client, &peer);
}

/// RFC 8656 §11.2: without DATA or XOR-PEER-ADDRESS it is dropped.
#[test]
fn snd_03_incomplete_send_is_dropped() {
    let (mut client, _, peer) = permitted();
    let send = || Draft::indication(method::SEND);
    client.expect_silence_after(&send().put_address(XOR_PEER_ADDRESS, peer.address()).bytes());
    client.expect_silence_after(&send().put(attribute::DATA, b"to nobody").bytes());
    expect_next_marker(&mut client, &peer);
}

/// RFC 8656 §11.2: DATA of length 0 becomes an empty datagram.
#[test]
fn snd_04_empty_data_becomes_an_empty_datagram() {
    let (mut client, _, peer) = permitted();
    client.send_indication(peer.address(), b"");
    peer.expect(b"");
}

/// RFC 8656 §11.3: a peer's datagram becomes a Data indication, unsigned, with a transaction id of its own.
#[test]
fn snd_05_datagram_becomes_a_data_indication() {
    let (mut client, relay, peer) = permitted();
    peer.send(relay, b"first");
    let first = client.expect_data(peer.address(), b"first");
    peer.send(relay, b"again");
    let again = client.expect_data(peer.address(), b"again");
    assert_ne!(first.id, again.id);
    assert!(!first.has(MESSAGE_INTEGRITY), "{first:?}");
}

/// RFC 8656 §11.3: an empty datagram becomes DATA of length 0.
#[test]
fn snd_06_empty_datagram_becomes_empty_data() {
    let (mut client, relay, peer) = permitted();
    peer.send(relay, b"");
    client.expect_data(peer.address(), b"");
}

/// RFC 8656 §11.2, §14: DONT-FRAGMENT sets DF on the way to the peer, or the indication is dropped.
#[test]
fn snd_07_dont_fragment_sets_df() {
    let mut client = Target::shared().udp();
    let peer = Peer::at("127.0.0.71");
    let mut sniffer = Sniffer::at(Ipv4Addr::new(127, 0, 0, 71));
    client.allocate();
    client.permit(peer.address());
    let send = Draft::indication(method::SEND).put_address(XOR_PEER_ADDRESS, peer.address());
    client.send(
        &send
            .put(attribute::DATA, b"whole")
            .put(DONT_FRAGMENT, [])
            .bytes(),
    );
    client.send_indication(peer.address(), b"marker");
    if peer.receive().0 == b"whole" {
        assert!(
            sniffer.next(peer.address().port()).dont_fragment,
            "relayed without DF"
        );
    }
}

/// RFC 8656 §11: payloads up to an Ethernet frame arrive intact, larger ones intact or not at all.
#[test]
fn snd_08_payloads_arrive_intact() {
    let (mut client, _, peer) = permitted();
    for (length, must_arrive) in [(1200, true), (1472, true), (9000, false), (60_000, false)] {
        let payload = pattern(length);
        client.send_indication(peer.address(), &payload);
        client.send_indication(peer.address(), b"marker");
        let (first, _) = peer.receive();
        if must_arrive || first != b"marker" {
            assert!(first == payload, "{length} bytes became {}", first.len());
            peer.expect(b"marker");
        }
    }
}

/// RFC 8489 §6.3.2: an indication with an unknown comprehension-required attribute is dropped.
#[test]
fn snd_09_send_with_unknown_required_attribute_is_dropped() {
    let (mut client, _, peer) = permitted();
    let send = Draft::indication(method::SEND).put_address(XOR_PEER_ADDRESS, peer.address());
    let send = send
        .put(attribute::DATA, b"not understood")
        .put(UNKNOWN_REQUIRED[0], []);
    client.expect_silence_after(&send.bytes());
    expect_next_marker(&mut client, &peer);
}

/// RFC 8656 §12.5: once a channel is bound, the peer's datagrams arrive as ChannelData.
#[test]
fn snd_10_bound_peer_is_heard_through_the_channel() {
    let (mut client, relay, peer) = permitted();
    client.bind(0x4000, peer.address());
    peer.send(relay, b"bound");
    client.expect_channel_data(0x4000, b"bound");
}

/// RFC 8656 §12.5: a Send indication serves for a bound peer too.
#[test]
fn snd_11_send_serves_for_a_bound_peer() {
    let (mut client, _, peer) = permitted();
    client.bind(0x4000, peer.address());
    expect_next_marker(&mut client, &peer);
}

/// RFC 8656 §12: a channel is bound to an address and a port; another port arrives in a Data indication.
#[test]
fn snd_12_other_port_of_a_bound_peer_arrives_as_data_indication() {
    let (mut client, relay, peer) = permitted();
    let other = Peer::at("127.0.0.2");
    client.bind(0x4000, peer.address());
    other.send(relay, b"another port");
    client.expect_data(other.address(), b"another port");
}

/// RFC 8656 §5: a Send indication without an allocation is ignored.
#[test]
fn snd_13_send_without_allocation_meets_silence() {
    let mut client = Target::shared().udp();
    let peer = Peer::at("127.0.0.2");
    client.send_indication(peer.address(), b"no allocation");
    client.expect_silence();
    client.allocate();
    client.permit(peer.address());
    expect_next_marker(&mut client, &peer);
}

/// A peer with port 0 cannot be reached; nothing breaks.
#[test]
fn snd_14_send_to_port_0_breaks_nothing() {
    let (mut client, _, peer) = permitted();
    let mut nowhere = peer.address();
    nowhere.set_port(0);
    client.send_indication(nowhere, b"to port 0");
    client.expect_silence();
    expect_next_marker(&mut client, &peer);
}

/// RFC 8656 §3: two clients of one server reach each other through their relayed addresses, on any transports.
#[test]
fn snd_15_relay_to_relay_works() {
    let server = Target::shared();
    for mut second in server.streams().into_iter().chain([server.udp()]) {
        expect_conversation(&mut server.udp(), &mut second);
    }
}

/// RFC 8656 §3: the same behind a 1:1 NAT, by the addresses that the clients know.
#[test]
fn snd_15_relay_to_relay_works_by_external_addresses() {
    if let Some(server) = Target::with(Flavour::External) {
        let mut first = server.udp();
        let (relay, _) = expect_conversation(&mut first, &mut server.udp());
        assert_eq!(relay.ip().to_string(), EXTERNAL_ADDRESS);
    }
}

/// RFC 8656 §3: the same where the server's addresses are refused as peers otherwise.
#[test]
fn snd_15_relay_to_relay_works_on_a_guarded_server() {
    if let Some(server) = Target::with(Flavour::Guarded) {
        expect_conversation(&mut server.udp(), &mut server.udp());
    }
}

/// RFC 8656 §11.3: a datagram is relayed whole or not at all.
#[test]
fn snd_16_datagram_from_the_peer_is_never_truncated() {
    let server = Target::shared();
    for mut client in server.streams().into_iter().chain([server.udp()]) {
        let peer = Peer::at("127.0.0.2");
        let relay = client.allocate();
        client.permit(peer.address());
        for length in [17_000, 40_000, 65_000, 65_500] {
            let payload = pattern(length);
            peer.send(relay, &payload);
            peer.send(relay, b"marker");
            let first = next_data(&mut client);
            if first != b"marker" {
                assert!(first == payload, "{length} bytes became {}", first.len());
                assert_eq!(next_data(&mut client), b"marker");
            }
        }
    }
}

/// RFC 8656 §5: what exceeds the bandwidth of an allocation is discarded without a word, and the allocation lives.
#[test]
fn snd_17_excess_bandwidth_is_discarded_silently() {
    let Some(server) = Target::with(Flavour::Slow) else {
        return;
    };
    let mut client = server.udp();
    let peer = Peer::at("127.0.0.2");
    client.allocate();
    client.permit(peer.address());
    // At 80 kbit/s these take 20 seconds. Rounds of them fit into any receive buffer.
    let payload = pattern(1000);
    let mut relayed = 0;
    for _ in 0..20 {
        (0..10).for_each(|_| client.send_indication(peer.address(), &payload));
        client.expect_silence();
        relayed += peer.drain(Duration::from_millis(5));
    }
    relayed += peer.drain(QUIET_TIME);
    assert!((1..200).contains(&relayed), "{relayed} of 200 were relayed");
    client.refresh(None).success();
}

/// A client with an allocation and a permission for a new peer.
fn permitted() -> (Client, SocketAddr, Peer) {
    let mut client = Target::shared().udp();
    let peer = Peer::at("127.0.0.2");
    let relay = client.allocate();
    client.permit(peer.address());
    (client, relay, peer)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

/// Fails the test unless what the client sends next is the next thing that the peer receives.
#[track_caller]
fn expect_next_marker(client: &mut Client, peer: &Peer) {
    client.send_indication(peer.address(), b"marker");
    peer.expect(b"marker");
}

/// Fails the test unless both clients reach each other, by Send and by channel; returns their relayed addresses.
#[track_caller]
fn expect_conversation(first: &mut Client, second: &mut Client) -> (SocketAddr, SocketAddr) {
    let (one, two) = (first.allocate(), second.allocate());
    first.permit(two);
    second.permit(one);
    first.send_indication(two, b"by Send");
    second.expect_data(one, b"by Send");
    second.send_indication(one, b"and back");
    first.expect_data(two, b"and back");
    first.bind(0x4000, two);
    second.bind(0x4001, one);
    first.channel_data(0x4000, b"by channel");
    second.expect_channel_data(0x4001, b"by channel");
    second.channel_data(0x4001, b"and back again");
    first.expect_channel_data(0x4000, b"and back again");
    (one, two)
}

/// The payload of the next Data indication.
#[track_caller]
fn next_data(client: &mut Client) -> Vec<u8> {
    match client.next() {
        Incoming::Message(message) => message.get(attribute::DATA).expect("DATA").to_vec(),
        other => panic!("expected a Data indication, got {other:?}"),
    }
}
