//! Long-term credentials.

use super::{Row, row};
use crate::codec::{Request, Signature};
use crate::servers::key_of;
use crate::side::{Side, id};

pub const CREDENTIALS: &[Row] = &[
    row(
        "no credentials",
        "RFC 8489 §9.2.4",
        |side| {
            let packet = Request::allocate().encode(id(), None);
            side.client.exchange(&packet)
        },
        "401: NONCE, REALM",
    ),
    row(
        "no USERNAME",
        "RFC 8489 §9.2.4",
        |side| with(side, |signature| signature.username = None),
        "400",
    ),
    row(
        "no REALM",
        "RFC 8489 §9.2.4",
        |side| with(side, |signature| signature.realm = None),
        "400",
    ),
    row(
        "no NONCE",
        "RFC 8489 §9.2.4",
        |side| with(side, |signature| signature.nonce = None),
        "400",
    ),
    row(
        "a wrong password",
        "RFC 8489 §9.2.4",
        |side| with(side, |signature| signature.key = vec![0; 16]),
        "401: NONCE, REALM",
    )
    .but_webrtc_rs(
        "400",
        "it answers wrong credentials with 400 and no challenge (RFC 8489 §9.2.4 says 401)",
    ),
    row(
        "a user that nobody knows",
        "RFC 8489 §9.2.4",
        |side| with(side, |signature| signature.username = Some("eve".to_owned())),
        "401: NONCE, REALM",
    )
    .but_webrtc_rs(
        "400",
        "it answers unknown users with 400 and no challenge (RFC 8489 §9.2.4 says 401)",
    ),
    row(
        "a nonce that is made up",
        "RFC 8489 §9.2.4",
        |side| with(side, |signature| signature.nonce = Some("made up".to_owned())),
        "438: NONCE, REALM",
    ),
    row(
        "a wrong password and a nonce that is made up",
        "RFC 8489 §9.2.4",
        |side| {
            with(side, |signature| {
                signature.key = vec![0; 16];
                signature.nonce = Some("made up".to_owned());
            })
        },
        "401: NONCE, REALM",
    )
    .but_webrtc_rs(
        "438: NONCE, REALM",
        "it looks at the nonce before the password (RFC 8489 §9.2.4 has the password first)",
    ),
    row(
        "the nonce of another five-tuple",
        "RFC 8489 §9.2.4",
        |side| {
            let mut other = side.another();
            other.sign(&Request::refresh());
            with(side, |signature| signature.nonce = other.signature.nonce.clone())
        },
        "438: NONCE, REALM",
    )
    .but_webrtc_rs(
        "success: LIFETIME, MESSAGE-INTEGRITY, XOR-MAPPED-ADDRESS, XOR-RELAYED-ADDRESS",
        "its nonces serve every client, which RFC 8489 §9.2 leaves to the server",
    ),
    row(
        "right credentials",
        "RFC 8489 §9.2.4",
        |side| side.another().request(&Request::allocate()),
        "success: LIFETIME, MESSAGE-INTEGRITY, XOR-MAPPED-ADDRESS, XOR-RELAYED-ADDRESS",
    ),
    row(
        "a refresh by another user",
        "RFC 8656 §5",
        |side| {
            let mut client = side.another();
            client.request(&Request::allocate());
            client.signature.username = Some("bob".to_owned());
            client.signature.key = key_of("bob");
            client.request(&Request::refresh())
        },
        "441: MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs(
        "success: LIFETIME, MESSAGE-INTEGRITY",
        "it forgets whose an allocation is (RFC 8656 §5 says 441)",
    ),
    row(
        "a deletion behind MESSAGE-INTEGRITY",
        "RFC 8489 §14.5",
        |side| {
            let mut client = side.another();
            client.request(&Request::allocate());
            client.request(&Request::refresh().behind(0x000D, [0; 4]));
            client.request(&Request::refresh())
        },
        "success: LIFETIME, MESSAGE-INTEGRITY",
    )
    .but_webrtc_rs(
        "silence",
        "it obeys what follows MESSAGE-INTEGRITY (RFC 8489 §14.5 has it ignored), and the allocation is gone",
    ),
];

/// An Allocate with credentials that are changed for this once.
fn with(side: &mut Side, change: impl FnOnce(&mut Signature)) -> String {
    let client = &mut side.client;
    client.sign(&Request::refresh());
    let mut signature = client.signature.clone();
    change(&mut signature);
    client.exchange(&Request::allocate().encode(id(), Some(&signature)))
}
