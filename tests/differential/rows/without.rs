//! Requests and data on a five-tuple without an allocation.

use super::{Row, row};
use crate::codec::{Request, channel_data};
use crate::side::id;

const SILENT: &str = "it says nothing where there is no allocation (RFC 8656 §5 says 437)";

pub const WITHOUT_AN_ALLOCATION: &[Row] = &[
    row(
        "a Refresh",
        "RFC 8656 §5",
        |side| side.client.request(&Request::refresh()),
        "437: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs("silence", SILENT),
    row(
        "a deletion",
        "RFC 8656 §5",
        |side| side.client.request(&Request::refresh().lifetime(0)),
        "437: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs(
        "success: LIFETIME, MESSAGE-INTEGRITY",
        "it deletes what is not there (RFC 8656 §5 says 437)",
    ),
    row(
        "a CreatePermission",
        "RFC 8656 §5",
        |side| {
            let request = Request::create_permission(&[side.peer(0)]);
            side.client.request(&request)
        },
        "437: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs("silence", SILENT),
    row(
        "a CreatePermission without credentials",
        "RFC 8489 §9.2.4",
        |side| {
            let request = Request::create_permission(&[side.peer(0)]);
            side.client.exchange(&request.encode(id(), None))
        },
        "401: NONCE, REALM",
    )
    .but_webrtc_rs(
        "silence",
        "it looks for the allocation before the credentials (RFC 8656 §5 has credentials first)",
    ),
    row(
        "a ChannelBind",
        "RFC 8656 §5",
        |side| {
            let request = Request::channel_bind(0x4000, side.peer(0));
            side.client.request(&request)
        },
        "437: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs("silence", SILENT),
    row(
        "a Send indication",
        "RFC 8656 §11.2",
        |side| {
            let packet = Request::send(side.peer(0), b"data").encode(id(), None);
            side.client.exchange(&packet)
        },
        "silence",
    ),
    row(
        "ChannelData",
        "RFC 8656 §12.6",
        |side| {
            let packet = channel_data(0x4000, b"sixteen bytes...");
            side.client.exchange(&packet)
        },
        "silence",
    ),
];
