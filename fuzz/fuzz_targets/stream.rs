//! Framing on a stream: wherever the bytes are cut, the same messages come out, and none is longer than its bound.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use uturn::wire::stream::{Frame, MAX_FRAME, next_frame};
use uturn::wire::{Kind, Message, channel_data, classify};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    pieces: Vec<Piece<'a>>,
    /// How many bytes arrive at a time, over and over.
    reads: Vec<u16>,
}

#[derive(Arbitrary, Debug)]
enum Piece<'a> {
    Bytes(&'a [u8]),
    /// The beginning of a STUN message.
    Header {
        typ: u16,
        length: u16,
    },
    /// The beginning of ChannelData.
    Channel {
        number: u16,
        length: u16,
    },
    /// What a header has announced, or a part of it.
    Body(u16),
}

/// Bytes of one input.
const MOST: usize = 4 * MAX_FRAME;

fuzz_target!(|input: Input<'_>| {
    let bytes = input.bytes();
    let whole = read(&bytes, &mut std::iter::repeat(bytes.len().max(1)));
    let mut sizes = input
        .reads
        .iter()
        .map(|size| usize::from(*size).max(1))
        .cycle();
    let cut = read(&bytes, &mut std::iter::from_fn(|| sizes.next().or(Some(7))));
    assert_eq!(whole, cut);
});

impl Input<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(piece) => bytes.extend_from_slice(piece),
                Piece::Header { typ, length } => {
                    bytes.extend((typ & 0x3FFF).to_be_bytes());
                    bytes.extend(length.to_be_bytes());
                    bytes.extend([0x21, 0x12, 0xA4, 0x42]);
                    bytes.extend([0; 12]);
                }
                Piece::Channel { number, length } => {
                    bytes.extend((number & 0x3FFF | 0x4000).to_be_bytes());
                    bytes.extend(length.to_be_bytes());
                }
                Piece::Body(length) => bytes.resize(bytes.len() + usize::from(*length), 0),
            }
            if bytes.len() > MOST {
                break;
            }
        }
        bytes.truncate(MOST);
        bytes
    }
}

/// What a connection makes of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    /// Where messages end.
    ends: Vec<usize>,
    garbage: bool,
}

/// Reads a stream that arrives in pieces of the given sizes.
fn read(bytes: &[u8], sizes: &mut dyn Iterator<Item = usize>) -> Read {
    let mut read = Read {
        ends: Vec::new(),
        garbage: false,
    };
    let (mut start, mut received) = (0, 0);
    while received < bytes.len() && !read.garbage {
        received += sizes.next().expect("endless").min(bytes.len() - received);
        loop {
            let waiting = &bytes[start..received];
            match next_frame(waiting) {
                Frame::Whole(len) => {
                    assert!(0 < len && len <= MAX_FRAME && len <= waiting.len());
                    check(&waiting[..len]);
                    start += len;
                    read.ends.push(start);
                }
                Frame::Partial => {
                    assert!(waiting.len() < MAX_FRAME, "a message has an end");
                    break;
                }
                Frame::Garbage => {
                    read.garbage = true;
                    break;
                }
            }
        }
    }
    read
}

fn check(frame: &[u8]) {
    match classify(frame).expect("a kind") {
        Kind::Stun => drop(Message::parse(frame).is_ok()),
        Kind::ChannelData => {
            let (_, data) = channel_data::parse(frame).expect("a frame is whole");
            assert_eq!(frame.len() - data.end, channel_data::padding(data.len()));
        }
    }
}
