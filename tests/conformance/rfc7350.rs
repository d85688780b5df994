//! TURN over DTLS (RFC 7350).

use std::net::UdpSocket;

use crate::client::attribute::{REQUESTED_TRANSPORT, XOR_MAPPED_ADDRESS};
use crate::client::{ANSWER_TIME, Draft, Peer, allocate, is_refused, method};
use crate::target::{Flavour, Target};

/// RFC 7350 §4.6: whatever TURN does over UDP it does over DTLS.
#[test]
fn dtl_01_allocation_channel_and_data_over_dtls() {
    let Some(mut client) = Target::shared().dtls() else {
        return;
    };
    let answer = client.exchange(&Draft::request(method::BINDING)).success();
    assert_eq!(answer.address(XOR_MAPPED_ADDRESS), Some(client.local()));
    let relayed = client.allocate();
    let peer = Peer::at("127.0.0.2");
    client.permit(peer.address());
    client.send_indication(peer.address(), b"by an indication");
    peer.expect(b"by an indication");
    peer.send(relayed, b"and back");
    client.expect_data(peer.address(), b"and back");
    client.bind(0x4000, peer.address());
    for payload in [&b"12345"[..], b"", &[7; 1300]] {
        client.channel_data(0x4000, payload);
        peer.expect(payload);
        peer.send(relayed, payload);
        // RFC 8656 §12.5: over datagrams it need not be padded.
        assert_eq!(
            client.expect_channel_data(0x4000, payload),
            4 + payload.len()
        );
    }
    client.refresh(Some(0)).success();
}

/// RFC 7350 §4.6, RFC 6347 §4.2.1: the server answers the first ClientHello with a HelloVerifyRequest, and no cookie is good from
/// another address.
#[test]
fn dtl_02_cookie_comes_before_anything_else() {
    let Some(server) = Target::shared().dtls_address() else {
        return;
    };
    let [first, second] = ["127.0.0.1:0"; 2].map(|local| UdpSocket::bind(local).expect("a port"));
    let cookie = cookie_for(&first, server, &client_hello(&[]));
    // With another client's cookie: at best it is asked for its own.
    let stolen = client_hello(&cookie);
    second.send_to(&stolen, server).expect("loopback");
    let own = cookie_for(&second, server, &client_hello(&[]));
    assert_ne!(own, cookie);
}

/// RFC 7350 §4.6: "TCP allocations cannot be created" over DTLS; RFC 6062 §5.1: 400.
#[test]
fn dtl_03_tcp_allocation_is_refused() {
    if let Some(mut client) = Target::shared().dtls() {
        let request = Draft::request(method::ALLOCATE).put(REQUESTED_TRANSPORT, [6, 0, 0, 0]);
        client.call(request).error(400);
        client.call(allocate()).success();
    }
}

/// RFC 8489 §11: classic STUN is refused over DTLS.
#[test]
fn dtl_04_classic_request_gets_500_and_an_indication_nothing() {
    if let Some(mut client) = Target::shared().dtls() {
        client.expect_silence_after(&Draft::indication(method::BINDING).cookie(7).bytes());
        let request = Draft::request(method::BINDING).cookie(7).bytes();
        client.send(&request);
        let answer = client.next_bytes();
        assert_eq!(answer[..2], [0x01, 0x11], "{answer:02x?}");
        assert_eq!(answer[4..20], request[4..20], "the transaction's 128 bits");
        assert_eq!(answer[20..22], [0, 9], "ERROR-CODE: {answer:02x?}");
        assert_eq!(answer[26..28], [5, 0], "{answer:02x?}");
    }
}

/// Not from an RFC: coturn serves whoever speaks plain STUN to its DTLS port, and clients may rely on it.
#[test]
fn dtl_05_plain_stun_on_the_dtls_port_is_served_if_allowed() {
    let server = Target::shared();
    if let Some(mut client) = server.udp_to_the_dtls_port() {
        let peer = Peer::at("127.0.0.2");
        client.allocate();
        client.bind(0x4000, peer.address());
        client.channel_data(0x4000, b"in the clear");
        peer.expect(b"in the clear");
    }
    let Some(strict) = Target::with(Flavour::Strict) else {
        return;
    };
    if let (Some(mut plain), Some(mut client)) = (strict.udp_to_the_dtls_port(), strict.dtls()) {
        plain.send(&Draft::request(method::BINDING).bytes());
        client.allocate();
        plain.expect_nothing();
    }
}

/// RFC 7983 §7: by the first byte.
#[test]
fn dtl_06_first_byte_tells_what_a_datagram_is() {
    let server = Target::shared();
    let (Some(address), Some(mut dtls)) = (server.dtls_address(), server.dtls()) else {
        return;
    };
    dtls.allocate();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for first in 0..=255 {
        // Long enough for anything, and the beginning of nothing.
        socket.send_to(&[first; 100], address).expect("loopback");
    }
    // Whatever had been answered would come before this.
    let binding = Draft::request(method::BINDING).bytes();
    socket.send_to(&binding, address).expect("loopback");
    let answer = receive(&socket);
    assert_eq!(answer[8..20], binding[8..20], "{answer:02x?}");
    dtls.refresh(None).success();
}

/// RFC 5246 §7.2.1: close_notify is answered with close_notify; RFC 8656 §6: the allocation belongs to the five-tuple.
#[test]
fn dtl_07_end_of_a_session_ends_its_allocation() {
    let Some(mut client) = Target::shared().dtls() else {
        return;
    };
    let relayed = client.allocate();
    client.close();
    assert!(client.is_closed_within(ANSWER_TIME));
    assert!(is_refused(relayed, ANSWER_TIME), "it is still there");
}

/// RFC 5246 §6.2.1: a record carries 2^14 bytes at most.
#[test]
fn dtl_08_data_that_no_record_holds_is_dropped() {
    let Some(mut client) = Target::shared().dtls() else {
        return;
    };
    let relayed = client.allocate();
    let peer = Peer::at("127.0.0.2");
    client.bind(0x4000, peer.address());
    let most = vec![7; (1 << 14) - 4];
    peer.send(relayed, &[most.as_slice(), b"x"].concat());
    peer.send(relayed, &most);
    client.expect_channel_data(0x4000, &most);
}

/// RFC 6347 §4.2.4: a timer, and not the client, has it sent again.
#[test]
fn dtl_09_unanswered_flight_is_sent_again() {
    let Some(server) = Target::shared().dtls_address() else {
        return;
    };
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let cookie = cookie_for(&socket, server, &client_hello(&[]));
    socket
        .send_to(&client_hello(&cookie), server)
        .expect("loopback");
    let mut records = Vec::new();
    while records.len() < 2 {
        let flight = receive(&socket);
        let is_server_hello = (flight[0], flight[13]) == (22, 2);
        if is_server_hello {
            // The same message in another record.
            records.push(flight[..13].to_vec());
        }
    }
    assert_ne!(records[0], records[1]);
}

/// The cookie that the server asks for, whose request is no longer than the hello.
fn cookie_for(socket: &UdpSocket, server: std::net::SocketAddr, hello: &[u8]) -> Vec<u8> {
    socket.send_to(hello, server).expect("loopback");
    let answer = receive(socket);
    assert_eq!(
        (answer[0], answer[13]),
        (22, 3),
        "HelloVerifyRequest: {answer:02x?}"
    );
    assert!(answer.len() <= hello.len(), "no amplification");
    let cookie = answer[28..].to_vec();
    assert_eq!(cookie.len(), usize::from(answer[27]));
    cookie
}

/// A ClientHello that offers one cipher suite, and as little else as can be.
pub fn client_hello(cookie: &[u8]) -> Vec<u8> {
    let mut body = vec![0xFE, 0xFD];
    body.extend([7; 32]);
    body.push(0);
    body.push(cookie.len() as u8);
    body.extend(cookie);
    body.extend([0, 2, 0xC0, 0x2B, 1, 0]);
    // supported_groups: X25519 and secp256r1; signature_algorithms: ecdsa_secp256r1_sha256.
    let extensions = [
        &[0, 10, 0, 6, 0, 4, 0, 29, 0, 23][..],
        &[0, 13, 0, 4, 0, 2, 4, 3],
    ];
    let extensions = extensions.concat();
    body.extend([0, extensions.len() as u8]);
    body.extend(extensions);
    let seq = u8::from(!cookie.is_empty());
    let len = (body.len() as u32).to_be_bytes();
    let mut message = vec![
        1, len[1], len[2], len[3], 0, seq, 0, 0, 0, len[1], len[2], len[3],
    ];
    message.append(&mut body);
    let len = (message.len() as u16).to_be_bytes();
    let mut record = vec![22, 0xFE, 0xFF, 0, 0, 0, 0, 0, 0, 0, seq, len[0], len[1]];
    record.append(&mut message);
    record
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    socket
        .set_read_timeout(Some(ANSWER_TIME))
        .expect("above zero");
    let mut buffer = vec![0; 2048];
    let len = socket.recv(&mut buffer).expect("an answer");
    buffer.truncate(len);
    buffer
}
