//! ChannelBind and ChannelData (RFC 8656 §12).

use std::net::SocketAddr;

use crate::client::attribute::{CHANNEL_NUMBER, XOR_PEER_ADDRESS};
use crate::client::{Client, Draft, Peer, channel_data, method};
use crate::target::Target;

/// RFC 8656 §12: the first and the last channel number bind, in a signed success.
#[test]
fn chn_01_first_and_last_number_bind() {
    let mut client = allocated();
    for (number, ip) in [(0x4000, "127.0.0.2"), (0x4FFF, "127.0.0.3")] {
        let answer = client
            .channel_bind(number, Peer::at(ip).address())
            .success();
        assert!(answer.is_signed_with(&client.key()), "{answer:?}");
    }
}

/// RFC 8656 §12: no other number does.
#[test]
fn chn_02_numbers_outside_the_range_get_400() {
    let mut client = allocated();
    let peer = Peer::at("127.0.0.2").address();
    for number in [0, 0x3FFF, 0x5000, 0x7FFF, 0x8000, 0xFFFF] {
        client.channel_bind(number, peer).error(400);
    }
}

/// RFC 8656 §12.2: a number that is bound to another peer: 400, and the binding stays.
#[test]
fn chn_03_bound_number_does_not_change_its_peer() {
    let (mut client, _, peer) = bound();
    client
        .channel_bind(0x4000, Peer::at("127.0.0.3").address())
        .error(400);
    client.channel_data(0x4000, b"to the first peer");
    peer.expect(b"to the first peer");
}

/// RFC 8656 §12.2: a peer that is bound to another number: 400.
#[test]
fn chn_04_bound_peer_does_not_change_its_number() {
    let (mut client, relay, peer) = bound();
    client.channel_bind(0x4001, peer.address()).error(400);
    peer.send(relay, b"through the first number");
    client.expect_channel_data(0x4000, b"through the first number");
}

/// RFC 8656 §12: binding the same pair again refreshes it.
#[test]
fn chn_05_same_pair_is_refreshed() {
    let (mut client, _, peer) = bound();
    client.channel_bind(0x4000, peer.address()).success();
    expect_marker(&mut client, &peer);
}

/// RFC 8656 §12.2: CHANNEL-NUMBER or XOR-PEER-ADDRESS missing or malformed: 400.
#[test]
fn chn_06_incomplete_or_malformed_request_gets_400() {
    let mut client = allocated();
    let peer = Peer::at("127.0.0.2").address();
    let request = || Draft::request(method::CHANNEL_BIND);
    client
        .call(request().put_address(XOR_PEER_ADDRESS, peer))
        .error(400);
    client
        .call(request().put(CHANNEL_NUMBER, [0x40, 0, 0, 0]))
        .error(400);
    client
        .call(
            request()
                .put(CHANNEL_NUMBER, [0x40, 0])
                .put_address(XOR_PEER_ADDRESS, peer),
        )
        .error(400);
    client
        .call(
            request()
                .put(CHANNEL_NUMBER, [0x40, 0, 0, 0])
                .put(XOR_PEER_ADDRESS, [0, 1, 2, 3]),
        )
        .error(400);
}

/// RFC 8656 §12.2: a peer of another family than the relay: 443.
#[test]
fn chn_07_peer_of_the_other_family_gets_443() {
    let mut client = allocated();
    client
        .channel_bind(0x4000, "[::1]:9".parse().expect("an address"))
        .error(443);
}

/// RFC 8656 §12.2: a peer that the server refuses: 403, and nothing is bound.
#[test]
fn chn_08_refused_peer_gets_403() {
    let mut client = allocated();
    client
        .channel_bind(0x4000, (Target::shared().denied_peer, 9).into())
        .error(403);
    client
        .channel_bind(0x4000, Peer::at("127.0.0.2").address())
        .success();
}

/// RFC 8656 §12.2: a ChannelBind brings a permission, for every port of the address.
#[test]
fn chn_09_channel_bind_permits_the_whole_address() {
    let (mut client, relay, peer) = bound();
    let other = Peer::at("127.0.0.2");
    assert_ne!(peer.address().port(), other.address().port());
    client.send_indication(other.address(), b"to another port");
    other.expect(b"to another port");
    other.send(relay, b"from another port");
    client.expect_data(other.address(), b"from another port");
}

/// RFC 8656 §12.6: ChannelData becomes a datagram from the relayed address.
#[test]
fn chn_10_channel_data_reaches_the_peer_from_the_relayed_address() {
    let (mut client, relay, peer) = bound();
    client.channel_data(0x4000, b"to the peer");
    assert_eq!(peer.receive(), (b"to the peer".to_vec(), relay));
}

/// RFC 8656 §12.6: ChannelData on an unbound number is dropped.
#[test]
fn chn_11_unbound_number_is_dropped() {
    let (mut client, _, peer) = bound();
    client.expect_silence_after(&channel_data(0x4777, b"unbound", false));
    expect_marker(&mut client, &peer);
}

/// RFC 8656 §12.6: ChannelData that claims more than the datagram has is dropped.
#[test]
fn chn_12_truncated_channel_data_is_dropped() {
    let (mut client, _, peer) = bound();
    let frame = channel_data(0x4000, &[b'x'; 50], false);
    client.expect_silence_after(&frame[..9]);
    expect_marker(&mut client, &peer);
}

/// RFC 8656 §12.5: a client may pad ChannelData over UDP; the padding is not relayed.
#[test]
fn chn_13_padding_over_udp_is_not_relayed() {
    let (mut client, _, peer) = bound();
    client.send(&channel_data(0x4000, b"12345", true));
    peer.expect(b"12345");
}

/// RFC 8656 §12.4: ChannelData may be empty, both ways.
#[test]
fn chn_14_empty_payload_crosses_both_ways() {
    let (mut client, relay, peer) = bound();
    client.channel_data(0x4000, b"");
    peer.expect(b"");
    peer.send(relay, b"");
    assert_eq!(client.expect_channel_data(0x4000, b""), 4);
}

/// RFC 8656 §5: without an allocation, ChannelBind gets 437 and ChannelData nothing.
#[test]
fn chn_15_no_allocation_no_channel() {
    let mut client = Target::shared().udp();
    client.expect_silence_after(&channel_data(0x4000, b"no allocation", false));
    client
        .channel_bind(0x4000, Peer::at("127.0.0.2").address())
        .error(437);
}

/// RFC 8656 §12: two ports of one address are two peers, each with its channel.
#[test]
fn chn_16_two_ports_of_one_address_have_two_channels() {
    let (mut client, relay, first) = bound();
    let second = Peer::at("127.0.0.2");
    client.bind(0x4001, second.address());
    for (number, peer) in [(0x4000, &first), (0x4001, &second)] {
        let payload = number.to_string();
        client.channel_data(number, payload.as_bytes());
        peer.expect(payload.as_bytes());
        peer.send(relay, payload.as_bytes());
        client.expect_channel_data(number, payload.as_bytes());
    }
}

/// RFC 8656 §12.2: a retransmitted ChannelBind gets its success again.
#[test]
fn chn_18_retransmitted_bind_gets_success_again() {
    let mut client = allocated();
    let request = Draft::request(method::CHANNEL_BIND).put(CHANNEL_NUMBER, [0x40, 0, 0, 0]);
    let request =
        client.seal(request.put_address(XOR_PEER_ADDRESS, Peer::at("127.0.0.2").address()));
    client.exchange(&request).success();
    client.exchange(&request).success();
}

/// RFC 7983 §7, RFC 8656 §12.6: what is neither STUN nor ChannelData is dropped, and the allocation lives.
#[test]
fn chn_19_other_datagrams_are_dropped() {
    let (mut client, _, peer) = bound();
    for length in 1..=3 {
        client.expect_silence_after(&channel_data(0x4000, b"", false)[..length]);
    }
    for first in (80..=127).chain(192..=255) {
        client.expect_silence_after(&[&[first, 0, 0, 8][..], &[b'x'; 24]].concat());
    }
    expect_marker(&mut client, &peer);
}

/// RFC 8656 §18.1: the reserved bytes of CHANNEL-NUMBER are ignored.
#[test]
fn chn_20_reserved_bytes_of_channel_number_are_ignored() {
    let mut client = allocated();
    let peer = Peer::at("127.0.0.2");
    let request = Draft::request(method::CHANNEL_BIND).put(CHANNEL_NUMBER, [0x40, 0, 0xFF, 0xFF]);
    client
        .call(request.put_address(XOR_PEER_ADDRESS, peer.address()))
        .success();
    expect_marker(&mut client, &peer);
}

/// RFC 8656 §12.5: the server's ChannelData over UDP has no padding; clients compare lengths.
#[test]
fn chn_22_server_does_not_pad_over_udp() {
    let (mut client, relay, peer) = bound();
    peer.send(relay, b"12345");
    assert_eq!(client.expect_channel_data(0x4000, b"12345"), 9);
}

fn allocated() -> Client {
    let mut client = Target::shared().udp();
    client.allocate();
    client
}

/// A client with an allocation and 0x4000 bound to a new peer.
fn bound() -> (Client, SocketAddr, Peer) {
    let mut client = Target::shared().udp();
    let peer = Peer::at("127.0.0.2");
    let relay = client.allocate();
    client.bind(0x4000, peer.address());
    (client, relay, peer)
}

/// Fails the test unless what the client sends next through 0x4000 is the next thing that the peer receives.
#[track_caller]
fn expect_marker(client: &mut Client, peer: &Peer) {
    client.channel_data(0x4000, b"marker");
    peer.expect(b"marker");
}
