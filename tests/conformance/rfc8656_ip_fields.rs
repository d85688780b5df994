//! Relaying between address families, and the IP header of what is relayed (RFC 8656 §13, §14).

use std::net::Ipv4Addr;

use crate::client::attribute::{
    self, DONT_FRAGMENT, REQUESTED_ADDRESS_FAMILY, XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS,
};
use crate::client::{Client, Draft, Peer, Sniffer, allocate, method};
use crate::target::Target;

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
        !sniffer.next_has_dont_fragment(port),
        "DF after a Send indication"
    );
    client.channel_data(0x4000, b"a datagram");
    assert!(
        !sniffer.next_has_dont_fragment(port),
        "DF after ChannelData"
    );
    client.send(&send().put(DONT_FRAGMENT, []).bytes());
    assert!(
        sniffer.next_has_dont_fragment(port),
        "no DF after a Send indication with DONT-FRAGMENT"
    );
    client.send(&send().bytes());
    assert!(
        !sniffer.next_has_dont_fragment(port),
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
