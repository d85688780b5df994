//! CreatePermission, and Send and Data indications. The second peer has a permission throughout.

use super::{Row, UNSIGNED_ERROR, row};
use crate::codec::{DATA, Request};
use crate::side::{Side, id};

const PERMITTED: &str = "success: MESSAGE-INTEGRITY";

pub const PERMISSIONS: &[Row] = &[
    row(
        "a permission",
        "RFC 8656 §10.2",
        |side| {
            side.client.request(&Request::allocate());
            let request = Request::create_permission(&[side.peer(1)]);
            side.client.request(&request)
        },
        PERMITTED,
    ),
    row(
        "data to a peer without a permission",
        "RFC 8656 §11.2",
        |side| sends(side, b"data"),
        "nothing",
    ),
    row(
        "data from a peer without a permission",
        "RFC 8656 §11.3",
        Side::reaches_client,
        "nothing",
    ),
    row(
        "a permission for nobody",
        "RFC 8656 §10.2",
        |side| side.client.request(&Request::create_permission(&[])),
        "400: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs(
        "an error without ERROR-CODE: MESSAGE-INTEGRITY",
        "it does not say what is wrong (RFC 8489 §6.3.1.1: an error response has ERROR-CODE)",
    ),
    row(
        "a permission for a peer of another family",
        "RFC 8656 §10.2",
        |side| {
            let peer = "[2001:db8::1]:9".parse().unwrap();
            side.client.request(&Request::create_permission(&[peer]))
        },
        "443: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs("443", UNSIGNED_ERROR),
    row(
        "a permission for a peer that an operator does not want reached",
        "RFC 8656 §10.2",
        |side| {
            let peer = "10.0.0.1:9".parse().unwrap();
            side.client.request(&Request::create_permission(&[peer]))
        },
        "403: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs(PERMITTED, "it cannot deny a peer (RFC 8656 §10.2 lets a server forbid some)"),
    row(
        "permissions for two peers at once, the second of which is heard",
        "RFC 8656 §10.2",
        |side| {
            let elsewhere = "127.0.0.1:9".parse().unwrap();
            let mut other = side.another();
            other.request(&Request::allocate());
            std::mem::swap(&mut side.client, &mut other);
            let peers = [elsewhere, side.peer(1)];
            side.client.request(&Request::create_permission(&peers));
            let heard = second_is_heard(side);
            std::mem::swap(&mut side.client, &mut other);
            heard
        },
        "heard",
    )
    .but_webrtc_rs(
        "not heard",
        "it takes the first XOR-PEER-ADDRESS for all of them (RFC 8656 §10.2)",
    ),
    row(
        "a permission for the first peer, too",
        "RFC 8656 §10.2",
        |side| {
            let request = Request::create_permission(&[side.peer(0)]);
            side.client.request(&request)
        },
        PERMITTED,
    ),
    row(
        "data to a peer",
        "RFC 8656 §11.2",
        |side| sends(side, b"data"),
        "4 bytes",
    ),
    row(
        "empty data to a peer",
        "RFC 8656 §11.2",
        |side| sends(side, b""),
        "0 bytes",
    ),
    row(
        "data of 1,400 bytes",
        "RFC 8656 §11.2",
        |side| sends(side, &[7; 1400]),
        "1400 bytes",
    ),
    row(
        "data of 1,600 bytes",
        "RFC 8656 §11.2",
        |side| sends(side, &[7; 1600]),
        "1600 bytes",
    )
    .but_webrtc_rs("nothing", "it reads 1,500 bytes of a datagram"),
    row(
        "data in an indication with an attribute that nobody knows",
        "RFC 8489 §6.3.2",
        |side| {
            let request = Request::send(side.peer(0), b"data").with(0x7F00, b"");
            let packet = request.encode(id(), None);
            reaches_peer(side, &packet)
        },
        "nothing",
    )
    .but_webrtc_rs(
        "4 bytes",
        "it knows no comprehension-required attributes (RFC 8489 §6.3.2 has it discard the indication)",
    ),
    row(
        "an indication without DATA",
        "RFC 8656 §11.2",
        |side| {
            let packet = Request::new(0x0016).peer(side.peer(0)).encode(id(), None);
            reaches_peer(side, &packet)
        },
        "nothing",
    ),
    row(
        "an indication without a peer",
        "RFC 8656 §11.2",
        |side| {
            let packet = Request::new(0x0016).with(DATA, b"data").encode(id(), None);
            reaches_peer(side, &packet)
        },
        "nothing",
    ),
    row(
        "data from a peer",
        "RFC 8656 §11.3",
        Side::reaches_client,
        "a Data indication",
    ),
];

fn sends(side: &mut Side, data: &[u8]) -> String {
    let packet = Request::send(side.peer(0), data).encode(id(), None);
    reaches_peer(side, &packet)
}

fn reaches_peer(side: &mut Side, packet: &[u8]) -> String {
    let marker = Request::send(side.peer(1), b"marker").encode(id(), None);
    side.reaches_peer(packet, &marker)
}

/// Whether data of the second peer arrives ahead of the first one's, which the next request permits.
fn second_is_heard(side: &mut Side) -> String {
    let relayed = side.client.relayed.expect("an allocation");
    side.peers[1].send_to(b"early", relayed).unwrap();
    let first = side.peer(0);
    side.client.request(&Request::create_permission(&[first]));
    side.peers[0].send_to(b"late", relayed).unwrap();
    match side.client.data().1.as_slice() {
        b"early" => {
            assert_eq!(side.client.data().1, b"late");
            "heard".to_owned()
        }
        _ => "not heard".to_owned(),
    }
}
