//! Binding, and what is not answered.

use super::{Row, row};
use crate::codec::Request;
use crate::side::{Side, id};

pub const BINDING: &[Row] = &[
    row(
        "a Binding",
        "RFC 8489 §6.3.1",
        |side| unsigned(side, &Request::binding()),
        "success: XOR-MAPPED-ADDRESS",
    )
    .but_webrtc_rs(
        "success: FINGERPRINT, XOR-MAPPED-ADDRESS",
        "it sends FINGERPRINT to clients that send none, which RFC 8489 §7 leaves to the usage",
    ),
    row(
        "a Binding with an attribute that nobody knows",
        "RFC 8489 §6.3.1",
        |side| unsigned(side, &Request::binding().with(0x7F00, b"")),
        "420: UNKNOWN-ATTRIBUTES",
    )
    .but_webrtc_rs(
        "success: FINGERPRINT, XOR-MAPPED-ADDRESS",
        "it knows no comprehension-required attributes (RFC 8489 §6.3.1 has it refuse)",
    ),
    row(
        "a Binding with a wrong FINGERPRINT",
        "RFC 8489 §7",
        |side| unsigned(side, &Request::binding().with(0x8028, [0; 4])),
        "silence",
    )
    .but_webrtc_rs(
        "success: FINGERPRINT, XOR-MAPPED-ADDRESS",
        "it does not check FINGERPRINT (RFC 8489 §6.3 has it discard the message)",
    ),
    row(
        "a Binding indication",
        "RFC 8489 §6.3.2",
        |side| unsigned(side, &Request::new(0x0011)),
        "silence",
    ),
    row(
        "a Binding response",
        "RFC 8489 §6.3",
        |side| unsigned(side, &Request::new(0x0101)),
        "silence",
    ),
    row(
        "a Data indication",
        "RFC 8489 §6.3",
        |side| {
            let data = Request::new(0x0017).peer(side.peer(0));
            unsigned(side, &data)
        },
        "silence",
    ),
    row(
        "a method that nobody knows",
        "RFC 8489 §6.3",
        |side| unsigned(side, &Request::new(0x000E)),
        "silence",
    ),
    row(
        "a request without the cookie",
        "RFC 8489 §6.3",
        |side| {
            let mut packet = Request::binding().encode(id(), None);
            packet[4] = 0;
            side.client.exchange(&packet)
        },
        "silence",
    ),
    row(
        "a request that is cut off",
        "RFC 8489 §6.3",
        |side| {
            let packet = Request::allocate().encode(id(), None);
            side.client.exchange(&packet[..packet.len() - 4])
        },
        "silence",
    ),
];

fn unsigned(side: &mut Side, request: &Request) -> String {
    side.client.exchange(&request.encode(id(), None))
}
