//! ChannelBind and ChannelData. The second peer has a permission throughout.

use super::{Row, UNSIGNED_ERROR, row};
use crate::codec::{Request, channel_data};
use crate::side::{Side, id};

const BOUND: &str = "success: MESSAGE-INTEGRITY";
const REFUSED: &str = "400: MESSAGE-INTEGRITY";

pub const CHANNELS: &[Row] = &[
    row(
        "ChannelData on a channel that is not bound",
        "RFC 8656 §12.6",
        |side| {
            side.client.request(&Request::allocate());
            let request = Request::create_permission(&[side.peer(1)]);
            side.client.request(&request);
            sends(side, 0x4000)
        },
        "nothing",
    ),
    row(
        "a ChannelBind without CHANNEL-NUMBER",
        "RFC 8656 §12.2",
        |side| {
            let request = Request::new(0x0009).peer(side.peer(0));
            side.client.request(&request)
        },
        REFUSED,
    )
    .but_webrtc_rs("400", UNSIGNED_ERROR),
    row(
        "a ChannelBind without a peer",
        "RFC 8656 §12.2",
        |side| side.client.request(&Request::new(0x0009).channel(0x4000)),
        REFUSED,
    )
    .but_webrtc_rs("400", UNSIGNED_ERROR),
    row(
        "a channel below the range",
        "RFC 8656 §12.2",
        |side| binds_elsewhere(side, 0x3FFF),
        REFUSED,
    )
    .but_webrtc_rs(BOUND, "it does not check the number (RFC 8656 §12.2)"),
    row(
        "a channel above the range",
        "RFC 8656 §12.2",
        |side| binds_elsewhere(side, 0x5000),
        REFUSED,
    )
    .but_webrtc_rs(
        BOUND,
        "it does not check the number (RFC 8656 §12.2; RFC 5766 went up to 0x7FFF)",
    ),
    row(
        "a channel to a peer of another family",
        "RFC 8656 §12.2",
        |side| {
            let peer = "[2001:db8::1]:9".parse().unwrap();
            side.client.request(&Request::channel_bind(0x4000, peer))
        },
        "443: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs("443", UNSIGNED_ERROR),
    row(
        "a channel to a peer that an operator does not want reached",
        "RFC 8656 §12.2",
        |side| {
            let peer = "10.0.0.1:9".parse().unwrap();
            side.client.request(&Request::channel_bind(0x4FFF, peer))
        },
        "403: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs(
        BOUND,
        "it cannot deny a peer (RFC 8656 §12.2 lets a server forbid some)",
    ),
    row(
        "a channel",
        "RFC 8656 §12.2",
        |side| binds(side, 0x4000, 0),
        BOUND,
    ),
    row(
        "the same channel again",
        "RFC 8656 §12.2",
        |side| binds(side, 0x4000, 0),
        BOUND,
    ),
    row(
        "the channel to another peer",
        "RFC 8656 §12.2",
        |side| binds(side, 0x4000, 1),
        REFUSED,
    )
    .but_webrtc_rs("400", UNSIGNED_ERROR),
    row(
        "another channel to the peer",
        "RFC 8656 §12.2",
        |side| binds(side, 0x4001, 0),
        REFUSED,
    )
    .but_webrtc_rs("400", UNSIGNED_ERROR),
    row(
        "ChannelData to a peer",
        "RFC 8656 §12.6",
        |side| sends(side, 0x4000),
        "4 bytes",
    ),
    row(
        "ChannelData shorter than it claims",
        "RFC 8656 §12.6",
        |side| {
            let mut packet = channel_data(0x4000, b"data");
            packet[3] = 9;
            reaches_peer(side, &packet)
        },
        "nothing",
    ),
    row(
        "an indication to the peer of a channel",
        "RFC 8656 §12",
        |side| {
            let packet = Request::send(side.peer(0), b"data").encode(id(), None);
            reaches_peer(side, &packet)
        },
        "4 bytes",
    ),
    row(
        "data from the peer of a channel",
        "RFC 8656 §12.7",
        Side::reaches_client,
        "ChannelData on 0x4000",
    ),
    row(
        "ChannelData after a deletion",
        "RFC 8656 §8.2",
        |side| {
            side.client.request(&Request::refresh().lifetime(0));
            // The marker needs an allocation, a new one, which has no channel.
            side.client.request(&Request::allocate());
            let request = Request::create_permission(&[side.peer(1)]);
            side.client.request(&request);
            sends(side, 0x4000)
        },
        "nothing",
    ),
];

fn binds(side: &mut Side, number: u16, peer: usize) -> String {
    let request = Request::channel_bind(number, side.peer(peer));
    side.client.request(&request)
}

/// To a peer that no other exchange is about.
fn binds_elsewhere(side: &mut Side, number: u16) -> String {
    let peer = std::net::SocketAddr::from(([127, 0, 0, 1], number));
    side.client.request(&Request::channel_bind(number, peer))
}

fn sends(side: &mut Side, number: u16) -> String {
    reaches_peer(side, &channel_data(number, b"data"))
}

fn reaches_peer(side: &mut Side, packet: &[u8]) -> String {
    let marker = Request::send(side.peer(1), b"marker").encode(id(), None);
    side.reaches_peer(packet, &marker)
}
