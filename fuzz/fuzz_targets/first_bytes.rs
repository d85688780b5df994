//! What a connection speaks: wherever its first bytes are cut, the same is decided, as soon as it can be and for good.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use uturn::wire::first_bytes::{FirstBytes, MAX_UNDECIDED, first_bytes};
use uturn::wire::stream::{Frame, next_frame};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    begins: Option<Beginning>,
    bytes: &'a [u8],
    /// How many bytes arrive at a time, over and over.
    reads: Vec<u8>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Beginning {
    Tls,
    Stun,
    Get,
    Options,
    Proxy,
}

fuzz_target!(|input: Input<'_>| {
    let beginning: &[u8] = match input.begins {
        None => b"",
        Some(Beginning::Tls) => b"\x16\x03",
        Some(Beginning::Stun) => b"\x00\x01\x00\x00\x21\x12\xA4\x42",
        Some(Beginning::Get) => b"GET ",
        Some(Beginning::Options) => b"OPTION",
        Some(Beginning::Proxy) => b"PROXY ",
    };
    let bytes = [beginning, input.bytes].concat();
    let whole = first_bytes(&bytes);
    assert_eq!(whole, in_pieces(&bytes, &input.reads));
    match whole {
        FirstBytes::Undecided => assert!(bytes.len() <= MAX_UNDECIDED),
        FirstBytes::Tls => assert_eq!(bytes[..2], [22, 3]),
        FirstBytes::Stun => assert!(bytes[0] < 4),
        FirstBytes::Http => {
            assert!(bytes[0].is_ascii_uppercase() && bytes[..9.min(bytes.len())].contains(&b' '));
        }
        // What could be served is not turned away.
        FirstBytes::Unknown => assert!(bytes[0] >= 4 || next_frame(&bytes) == Frame::Garbage),
    }
});

/// What a connection makes of bytes that arrive in pieces: it looks at all that has come until it knows.
fn in_pieces(bytes: &[u8], sizes: &[u8]) -> FirstBytes {
    let mut sizes = sizes.iter().map(|size| usize::from(*size).max(1)).cycle();
    let mut come = 0;
    while come < bytes.len() {
        come += sizes.next().unwrap_or(1).min(bytes.len() - come);
        let first = first_bytes(&bytes[..come]);
        if first != FirstBytes::Undecided {
            return first;
        }
    }
    first_bytes(bytes)
}
