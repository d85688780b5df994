//! Streams (RFC 8489 §6.2.2, RFC 8656 §12.5): every test runs over TCP, and over TLS where the server has it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::client::attribute::XOR_MAPPED_ADDRESS;
use crate::client::{
    ANSWER_TIME, Client, Draft, Peer, QUIET_TIME, attribute, channel_data, is_refused, method,
};
use crate::target::{Flavour, Target};

/// RFC 8489 §12: a Binding over a stream is answered with the stream's source address.
#[test]
fn frm_01_binding_over_a_stream_is_answered() {
    for mut client in Target::shared().streams() {
        let answer = client.exchange(&binding()).success();
        assert_eq!(answer.address(XOR_MAPPED_ADDRESS), Some(client.local()));
    }
}

/// RFC 8489 §6.2.2: requests that arrive together are all answered.
#[test]
fn frm_02_two_requests_in_one_write_are_both_answered() {
    for mut client in Target::shared().streams() {
        let (first, second) = (binding(), binding());
        client.send(&[first.bytes(), second.bytes()].concat());
        client.answer_to(&first).success();
        client.answer_to(&second).success();
    }
}

/// RFC 8489 §6.2.2: a message in pieces is put together.
#[test]
fn frm_03_request_sent_byte_by_byte_is_answered_once() {
    for mut client in Target::shared().streams() {
        let request = binding();
        request
            .bytes()
            .iter()
            .for_each(|byte| client.send(&[*byte]));
        client.answer_to(&request).success();
        client.expect_silence();
    }
}

/// RFC 8489 §6.2.2: the server leaves the connection open after an answer.
#[test]
fn frm_04_connection_stays_open_between_requests() {
    let mut clients = Target::shared().streams();
    for client in &mut clients {
        client.exchange(&binding()).success();
    }
    for client in &mut clients {
        assert!(
            !client.is_closed_within(Duration::from_secs(1)),
            "closed after one answer"
        );
        client.exchange(&binding()).success();
    }
}

/// RFC 8489 §6.3: bytes that start neither STUN nor ChannelData end their connection, and no other. Text may look like
/// the beginning of a long ChannelData message ("GE" is a channel number), so it may also be waited on; it is never
/// answered.
#[test]
fn frm_05_foreign_bytes_end_their_connection_alone() {
    let server = Target::shared();
    for mut client in server.streams() {
        client.send(&[0xFF; 64]);
        assert!(client.is_closed_within(Duration::from_secs(2)), "left open");
    }
    for mut client in server.streams() {
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        // Fails the test if anything comes back.
        client.is_closed_within(QUIET_TIME);
    }
    for mut other in server.streams() {
        other.exchange(&binding()).success();
    }
}

/// RFC 8656 §12.5: ChannelData on a stream is padded; the padding is not relayed.
#[test]
fn frm_06_padding_of_channel_data_is_not_relayed() {
    for mut client in Target::shared().streams() {
        let (_, peer) = channel(&mut client);
        for length in 1..=5 {
            client.channel_data(0x4000, &b"abcde"[..length]);
            peer.expect(&b"abcde"[..length]);
        }
    }
}

/// RFC 8656 §12.5: the server pads its ChannelData on a stream; its length field does not count the padding.
#[test]
fn frm_07_server_pads_channel_data_on_a_stream() {
    for mut client in Target::shared().streams() {
        let (relay, peer) = channel(&mut client);
        for (length, frame) in [(1, 8), (2, 8), (3, 8), (4, 8), (5, 12)] {
            peer.send(relay, &b"abcde"[..length]);
            assert_eq!(
                client.expect_channel_data(0x4000, &b"abcde"[..length]),
                frame
            );
        }
    }
}

/// RFC 8656 §12.6: STUN and ChannelData, also of length 0, may follow each other in one segment.
#[test]
fn frm_08_stun_and_channel_data_share_a_segment() {
    for mut client in Target::shared().streams() {
        let (_, peer) = channel(&mut client);
        let indication = Draft::indication(method::SEND)
            .put_address(attribute::XOR_PEER_ADDRESS, peer.address());
        let request = binding();
        let segment = [
            channel_data(0x4000, b"one", true),
            indication.put(attribute::DATA, b"two").bytes(),
            request.bytes(),
            channel_data(0x4000, b"", true),
            channel_data(0x4000, b"four", true),
        ];
        client.send(&segment.concat());
        client.answer_to(&request).success();
        for payload in [&b"one"[..], b"two", b"", b"four"] {
            peer.expect(payload);
        }
    }
}

/// RFC 8656 §6: an allocation belongs to its 5-tuple, and ends with the connection.
#[test]
fn frm_09_closing_the_connection_ends_its_allocation() {
    for mut client in Target::shared().streams() {
        let relay = client.allocate();
        drop(client);
        assert!(
            is_refused(relay, Duration::from_secs(2)),
            "the relay port stays open"
        );
    }
}

/// A message that never ends stalls its own connection only.
#[test]
fn frm_10_half_a_message_stalls_nobody_else() {
    let server = Target::shared();
    for mut client in server.streams() {
        client.send(&binding().bytes()[..10]);
        for mut other in server.streams() {
            other.exchange(&binding()).success();
        }
    }
}

/// RFC 8656 §12.5: large payloads cross a stream whole, both ways.
#[test]
fn frm_11_large_payloads_cross_whole() {
    let payload: Vec<u8> = (0..12_000_u32).map(|index| (index % 251) as u8).collect();
    for mut client in Target::shared().streams() {
        let (relay, peer) = channel(&mut client);
        client.channel_data(0x4000, &payload);
        peer.expect(&payload);
        peer.send(relay, &payload);
        client.expect_channel_data(0x4000, &payload);
    }
}

fn binding() -> Draft {
    Draft::request(method::BINDING)
}

/// Allocates and binds 0x4000 to a new peer.
fn channel(client: &mut Client) -> (SocketAddr, Peer) {
    let peer = Peer::at("127.0.0.2");
    let relay = client.allocate();
    client.bind(0x4000, peer.address());
    (relay, peer)
}

/// A client that sends plain STUN to the TLS port is served, as libnice needs for `turns:`; and not where that is off.
#[test]
fn frm_12_plain_stun_on_the_tls_port_is_served_if_allowed() {
    let server = Target::shared();
    if let Some(mut client) = server.tcp_to_the_tls_port() {
        let peer = Peer::at("127.0.0.2");
        client.allocate();
        client.bind(0x4000, peer.address());
        client.channel_data(0x4000, b"in the clear");
        peer.expect(b"in the clear");
        // Others go on with TLS.
        if let Some(mut client) = server.tls() {
            client.allocate();
        }
    }
    let Some(strict) = Target::with(Flavour::Strict) else {
        return;
    };
    if let Some(mut client) = strict.tcp_to_the_tls_port() {
        client.send(&Draft::request(method::BINDING).bytes());
        assert!(client.is_closed_within(ANSWER_TIME));
    }
}
