//! What is not answered (RFC 8489 §6.3, RFC 8656 §12.6).

use uturn::turn::{DropReason, Transport};
use uturn::wire::Method;

use crate::net::codec::{DATA, Request, XOR_PEER_ADDRESS, channel_data};
use crate::net::{Net, at};

#[test]
fn garbage_is_dropped_in_silence() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.bind(alice, 0x4000, peer);
    let binding = Request::binding().encode(net.transaction(), None);
    let mut packets: Vec<Vec<u8>> = vec![vec![], vec![0], vec![0x40], b"\x40\0\0".to_vec()];
    packets.push(b"GET / HTTP/1.1\r\n\r\n".to_vec());
    packets.extend((4..64).chain(80..=255).map(|first| vec![first; 24]));
    packets.extend((1..binding.len()).map(|length| binding[..length].to_vec()));
    packets.push([&binding[..], &[0; 8]].concat());
    for (at, value) in [(3, 3), (4, 1), (0, 0xC0), (0, 0x3F), (1, 0x0D)] {
        let mut changed = binding.clone();
        changed[at] = value;
        packets.push(changed);
    }
    for packet in &packets {
        assert!(net.exchange(alice, packet).is_none(), "{packet:?}");
    }
    assert!(net.send_on(alice, 0x4000, b"still there").is_some());
}

#[test]
fn classic_stun_is_refused_over_dtls_and_dropped_elsewhere() {
    use Transport::{Dtls, Tcp, Tls, Udp};
    let mut net = Net::new();
    let mut request = Request::binding().encode(net.transaction(), None);
    request[4..8].copy_from_slice(&[1, 2, 3, 4]);
    let mut indication = request.clone();
    indication[1] |= 0x10;
    for transport in [Udp, Tcp, Tls, Dtls] {
        let client = net.client_at(transport, at("192.0.2.77:7"), "alice");
        let flow = net.flow(client);
        for (packet, is_answered) in [(&request, transport == Dtls), (&indication, false)] {
            net.server.handle_client(flow, packet, net.now);
            let answer = net.server.poll_output();
            assert_eq!(answer.is_some(), is_answered, "{transport}: {answer:?}");
        }
    }
    assert_eq!(net.drops(DropReason::Malformed), 7);
}

#[test]
fn a_class_that_a_method_does_not_have_is_dropped_in_silence() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    net.advance_secs(1);
    let responses = |net: &Net| -> u64 {
        let counters = net.server.counters();
        let errors = |method| (300..600).map(move |code| counters.errors(method, code));
        let all = Method::ALL.into_iter();
        all.map(|method| counters.successes(method) + errors(method).sum::<u64>())
            .sum()
    };
    let before = responses(&net);
    for typ in [
        0x0011, 0x0013, 0x0014, 0x0018, 0x0019, 0x0017, 0x0006, 0x0007, 0x0101, 0x0111, 0x0103,
        0x0113, 0x0104, 0x0108, 0x0118, 0x0109,
    ] {
        let packet = net.sign(alice, &Request::new(typ).lifetime(0));
        assert!(net.exchange(alice, &packet).is_none(), "{typ:#06x}");
    }
    assert_eq!(responses(&net), before);
    assert_eq!(net.drops(DropReason::Malformed), 16);
    assert_eq!(net.server.allocations(), 1);
}

#[test]
fn an_attribute_that_runs_past_the_end_is_dropped_in_silence() {
    let mut net = Net::new();
    let alice = net.client("alice");
    let mut packet = Request::binding()
        .with(0x8022, b"text")
        .encode(net.transaction(), None);
    packet[22..24].copy_from_slice(&200u16.to_be_bytes());
    assert!(net.exchange(alice, &packet).is_none());
}

#[test]
fn an_address_that_is_too_short_is_not_read() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    for value in [
        &[][..],
        &[0, 1, 0x21],
        &[0, 1, 0x21, 0x12, 0x21, 0x12, 0xA4],
    ] {
        let short = Request::new(0x0016).with(XOR_PEER_ADDRESS, value);
        let packet = short.with(DATA, b"lost").encode(net.transaction(), None);
        assert_eq!(net.send_bytes(alice, &packet), None);
        let short = Request::create_permission(&[]).with(XOR_PEER_ADDRESS, value);
        assert_eq!(net.refusal(alice, short), 400);
    }
    assert!(net.send(alice, peer, b"still there").is_some());
}

/// RFC 8489 §14: only the first attribute of a type counts.
#[test]
fn a_second_peer_of_an_indication_is_ignored_whatever_it_is() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    let second = Request::send(peer, b"data").with(XOR_PEER_ADDRESS, b"");
    let packet = second.encode(net.transaction(), None);
    assert_eq!(
        net.send_bytes(alice, &packet).map(|sent| sent.to),
        Some(peer)
    );
}

/// RFC 8489 §14.1: the byte before the family is zero, and ignored.
#[test]
fn the_byte_before_the_family_of_an_address_is_ignored() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = at("9.9.9.9:9");
    net.permit(alice, peer);
    let mut packet = Request::send(peer, b"data").encode(net.transaction(), None);
    assert_eq!(packet[24..26], [0, 1]);
    packet[24] = 6;
    assert_eq!(
        net.send_bytes(alice, &packet).map(|sent| sent.to),
        Some(peer)
    );
}

#[test]
fn what_claims_to_be_the_longest_message_is_dropped_in_silence() {
    let mut net = Net::new();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.bind(alice, 0x4000, peer);
    let binding = Request::binding().encode(net.transaction(), None);
    for mut packet in [binding, channel_data(0x4000, b"")] {
        packet[2..4].copy_from_slice(&u16::MAX.to_be_bytes());
        for length in [25, 1500, 65_535] {
            packet.resize(length, 0);
            // Of ChannelData, 65,535 bytes and the header would be whole.
            assert!(net.exchange(alice, &packet).is_none(), "{length} bytes");
        }
    }
    assert!(net.send_on(alice, 0x4000, b"still there").is_some());
}
