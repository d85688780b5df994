//! What a connection speaks, by its first bytes, where several protocols share a port.

use super::{Kind, classify};

/// What the first bytes of a connection say that it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBytes {
    /// There are too few of them.
    Undecided,
    /// A TLS record of a handshake (RFC 8446 §5.1).
    Tls,
    /// STUN, and so TURN: messages begin with STUN's, as there is no channel before there is an allocation.
    Stun,
    /// A request of HTTP/1.1 (RFC 9112 §3).
    Http,
    /// None of these.
    Unknown,
}

/// Tells what `bytes` are the beginning of. More bytes never change an answer other than [`FirstBytes::Undecided`], which no more
/// than [`MAX_UNDECIDED`] bytes get.
pub fn first_bytes(bytes: &[u8]) -> FirstBytes {
    match bytes {
        [] | [HANDSHAKE] => FirstBytes::Undecided,
        [HANDSHAKE, MAJOR_VERSION, ..] => FirstBytes::Tls,
        _ if classify(bytes) == Some(Kind::Stun) => FirstBytes::Stun,
        _ => METHODS
            .iter()
            .map(|method| begins_with(bytes, method))
            .find(|begun| *begun != FirstBytes::Unknown)
            .unwrap_or(FirstBytes::Unknown),
    }
}

/// No method is the beginning of another, as each ends with a space.
fn begins_with(bytes: &[u8], method: &[u8]) -> FirstBytes {
    if bytes.starts_with(method) {
        FirstBytes::Http
    } else if method.starts_with(bytes) {
        FirstBytes::Undecided
    } else {
        FirstBytes::Unknown
    }
}

/// As many bytes may leave open what they are the beginning of.
pub const MAX_UNDECIDED: usize = 7;

const HANDSHAKE: u8 = 22;
const MAJOR_VERSION: u8 = 3;
/// The methods of RFC 9110 §9, and PATCH (RFC 5789).
const METHODS: [&[u8]; 9] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"TRACE ",
    b"PATCH ",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_protocol_is_told_by_what_it_begins_with() {
        for (bytes, expected) in [
            (&b"\x16\x03\x01\x02\x00\x01"[..], FirstBytes::Tls),
            (b"\x16\x03", FirstBytes::Tls),
            (b"\x16\x02", FirstBytes::Unknown),
            (b"\x00", FirstBytes::Stun),
            (b"\x00\x01\x00\x00\x21\x12\xA4\x42", FirstBytes::Stun),
            (b"\x40\x00\x00\x04", FirstBytes::Unknown),
            (b"GET / HTTP/1.1\r\n", FirstBytes::Http),
            (b"OPTIONS * HTTP/1.1\r\n", FirstBytes::Http),
            (b"OPTIONS", FirstBytes::Undecided),
            (b"P", FirstBytes::Undecided),
            (b"PROXY TCP4 ", FirstBytes::Unknown),
            (b"PRI * HTTP/2.0\r\n", FirstBytes::Unknown),
            (b"get / HTTP/1.1\r\n", FirstBytes::Unknown),
            (b"SSH-2.0-", FirstBytes::Unknown),
            (b"\r\n\r\n\0\r\nQUIT\n", FirstBytes::Unknown),
        ] {
            assert_eq!(first_bytes(bytes), expected, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn the_answer_is_the_same_for_every_longer_beginning(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..20),
                "(GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH|PRI) ?.{0,5}".prop_map(String::into_bytes),
            ]
        ) {
            let answers: Vec<_> = (0..=bytes.len()).map(|cut| first_bytes(&bytes[..cut])).collect();
            let open = answers.iter().take_while(|answer| **answer == FirstBytes::Undecided).count();
            prop_assert!(open <= MAX_UNDECIDED + 1);
            prop_assert!(answers[open..].windows(2).all(|pair| pair[0] == pair[1]));
        }
    }
}
