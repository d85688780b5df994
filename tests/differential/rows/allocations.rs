//! Allocate and Refresh.

use super::{Row, UNSIGNED_ERROR, row};
use crate::codec::{EVEN_PORT, RESERVATION_TOKEN, Request, XOR_RELAYED_ADDRESS};
use crate::side::Side;

const ALLOCATED: &str =
    "success: LIFETIME, MESSAGE-INTEGRITY, XOR-MAPPED-ADDRESS, XOR-RELAYED-ADDRESS";
const WITH_TOKEN: &str = "success: LIFETIME, MESSAGE-INTEGRITY, RESERVATION-TOKEN, \
    XOR-MAPPED-ADDRESS, XOR-RELAYED-ADDRESS";
const REFRESHED: &str = "success: LIFETIME, MESSAGE-INTEGRITY";

pub const ALLOCATIONS: &[Row] = &[
    row(
        "an Allocate without REQUESTED-TRANSPORT",
        "RFC 8656 §7.2",
        |side| side.client.request(&Request::allocate().without(0x0019)),
        "400: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs("400", UNSIGNED_ERROR),
    row(
        "an Allocate for TCP",
        "RFC 8656 §7.2",
        |side| {
            let request = Request::allocate().without(0x0019);
            side.client.request(&request.with(0x0019, [6, 0, 0, 0]))
        },
        "442: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs("442", UNSIGNED_ERROR),
    row(
        "an Allocate for a family that nobody knows",
        "RFC 8656 §7.2",
        |side| side.client.request(&Request::allocate().family(3)),
        "440: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs("440", UNSIGNED_ERROR),
    row(
        "a token with EVEN-PORT",
        "RFC 8656 §7.2",
        |side| {
            let request = Request::allocate().with(RESERVATION_TOKEN, [7; 8]);
            side.client.request(&request.with(EVEN_PORT, [0]))
        },
        "400: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs("400", UNSIGNED_ERROR),
    row(
        "a token with a family",
        "RFC 8656 §7.2",
        |side| {
            let request = Request::allocate().with(RESERVATION_TOKEN, [7; 8]);
            side.client.request(&request.family(1))
        },
        "400: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs("400", UNSIGNED_ERROR),
    row(
        "a token that stands for nothing",
        "RFC 8656 §7.2",
        |side| elsewhere(side, &Request::allocate().with(RESERVATION_TOKEN, [7; 8])),
        "508: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs(ALLOCATED, "it does not look tokens up (RFC 8656 §7.2 says 508)"),
    row(
        "an attribute that nobody knows",
        "RFC 8489 §6.3.1",
        |side| elsewhere(side, &Request::allocate().with(0x7F00, b"")),
        "420: MESSAGE-INTEGRITY, UNKNOWN-ATTRIBUTES",
    )
    .but_webrtc_rs(
        ALLOCATED,
        "it knows no comprehension-required attributes (RFC 8489 §6.3.1 has it refuse)",
    ),
    row(
        "an Allocate with DONT-FRAGMENT",
        "RFC 8656 §7.2",
        |side| elsewhere(side, &Request::allocate().with(0x001A, b"")),
        ALLOCATED,
    )
    .but_webrtc_rs(
        "420: UNKNOWN-ATTRIBUTES",
        "it cannot set the DF bit, which RFC 8656 §7.2 allows",
    ),
    row(
        "an even port",
        "RFC 8656 §7.2",
        |side| elsewhere(side, &Request::allocate().with(EVEN_PORT, [0])),
        ALLOCATED,
    )
    .but_webrtc_rs(
        WITH_TOKEN,
        "it hands out a token without having been asked for one (RFC 8656 §7.2: only with the R bit)",
    ),
    row(
        "an even port, and the next one reserved",
        "RFC 8656 §7.2",
        |side| elsewhere(side, &Request::allocate().with(EVEN_PORT, [0x80])),
        WITH_TOKEN,
    ),
    row(
        "the port of a token",
        "RFC 8656 §7.2",
        port_of_a_token,
        "the next port",
    )
    .but_webrtc_rs("some port", "it does not hold ports for tokens (RFC 8656 §7.2)"),
    row(
        "an Allocate",
        "RFC 8656 §7.2",
        |side| side.client.request(&Request::allocate()),
        ALLOCATED,
    ),
    row(
        "the same Allocate again",
        "RFC 8656 §7.2",
        |side| {
            let mut client = side.another();
            let packet = client.sign(&Request::allocate());
            client.exchange(&packet);
            client.exchange(&packet)
        },
        ALLOCATED,
    )
    .but_webrtc_rs(
        "437",
        "it takes a retransmission for another request (RFC 8656 §7.2 has it answered alike)",
    ),
    row(
        "another Allocate on the five-tuple",
        "RFC 8656 §7.2",
        |side| side.client.request(&Request::allocate()),
        "437: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs("437", UNSIGNED_ERROR),
    row(
        "a Refresh",
        "RFC 8656 §8.2",
        |side| side.client.request(&Request::refresh().lifetime(900)),
        REFRESHED,
    ),
    row(
        "a Refresh of the allocation's family",
        "RFC 8656 §8.2",
        |side| side.client.request(&Request::refresh().family(1)),
        REFRESHED,
    ),
    row(
        "a Refresh of another family",
        "RFC 8656 §8.2",
        |side| side.client.request(&Request::refresh().family(2)),
        "443: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs("443", UNSIGNED_ERROR),
    row(
        "a deletion",
        "RFC 8656 §8.2",
        |side| side.client.request(&Request::refresh().lifetime(0)),
        REFRESHED,
    ),
    row(
        "a Refresh after the deletion",
        "RFC 8656 §5",
        |side| side.client.request(&Request::refresh()),
        "437: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs("silence", "it says nothing where there is no allocation (RFC 8656 §5 says 437)"),
    row(
        "an Allocate after the deletion",
        "RFC 8656 §7.2",
        |side| side.client.request(&Request::allocate()),
        ALLOCATED,
    ),
];

/// A request on a five-tuple of its own.
fn elsewhere(side: &mut Side, request: &Request) -> String {
    side.another().request(request)
}

/// Which port a token stands for; three times, as any port may be the next one by chance.
fn port_of_a_token(side: &mut Side) -> String {
    let is_next = |_| {
        let mut first = side.another();
        first.request(&Request::allocate().with(EVEN_PORT, [0x80]));
        let response = first.latest.expect("a response");
        let token = response.get(RESERVATION_TOKEN).expect("a token");
        let port = response.address(XOR_RELAYED_ADDRESS).port();
        let mut second = side.another();
        second.request(&Request::allocate().with(RESERVATION_TOKEN, token));
        second.relayed.expect("an allocation").port() == port + 1
    };
    match (0..3).all(is_next) {
        true => "the next port".to_owned(),
        false => "some port".to_owned(),
    }
}
