//! Where messages end on a stream (RFC 8489 §6.2.2, RFC 8656 §12.5).

use stun::message::MAGIC_COOKIE;

use super::{Kind, channel_data, classify, message};

/// The longest message that a stream can carry: STUN, whose length is a multiple of four below 65,536.
pub const MAX_FRAME: usize = message::HEADER_LEN + 65_532;

/// What the bytes received so far begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message of this many bytes, padding included.
    Whole(usize),
    /// The beginning of one.
    Partial,
    /// Neither STUN nor ChannelData: the stream cannot be read any further.
    Garbage,
}

/// Finds the first message in what has been received.
pub fn next_frame(received: &[u8]) -> Frame {
    let Some(kind) = classify(received) else {
        return if received.is_empty() {
            Frame::Partial
        } else {
            Frame::Garbage
        };
    };
    if received.len() < channel_data::HEADER_LEN {
        return Frame::Partial;
    }
    let length = usize::from(u16::from_be_bytes([received[2], received[3]]));
    let total = match kind {
        Kind::ChannelData => channel_data::HEADER_LEN + length.next_multiple_of(4),
        Kind::Stun if !length.is_multiple_of(4) => return Frame::Garbage,
        Kind::Stun => {
            let cookie = MAGIC_COOKIE.to_be_bytes();
            let seen = &received[4..received.len().min(8)];
            if seen != &cookie[..seen.len()] {
                return Frame::Garbage;
            }
            message::HEADER_LEN + length
        }
    };
    if received.len() < total {
        Frame::Partial
    } else {
        Frame::Whole(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINDING: [u8; 20] = [
        0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ];

    #[test]
    fn a_message_is_whole_only_with_its_last_byte() {
        for n in 0..BINDING.len() {
            assert_eq!(next_frame(&BINDING[..n]), Frame::Partial);
        }
        assert_eq!(next_frame(&BINDING), Frame::Whole(20));
        assert_eq!(
            next_frame(&[&BINDING[..], &BINDING[..]].concat()),
            Frame::Whole(20)
        );
    }

    #[test]
    fn padding_belongs_to_the_frame() {
        assert_eq!(next_frame(b"\x40\0\0\x05hello\0\0"), Frame::Partial);
        assert_eq!(next_frame(b"\x40\0\0\x05hello\0\0\0\x40"), Frame::Whole(12));
        assert_eq!(next_frame(b"\x40\0\0\0"), Frame::Whole(4));
    }

    #[test]
    fn other_protocols_are_garbage_from_their_first_bytes() {
        // 'G' is 0x47 and could begin a channel number of RFC 8656, so HTTP is told apart by the relay, not here.
        assert_eq!(next_frame(b"\x16\x03\x01"), Frame::Garbage);
        assert_eq!(next_frame(b"\xff"), Frame::Garbage);
        assert_eq!(next_frame(b"\0\x01\0\0\0"), Frame::Garbage);
        assert_eq!(next_frame(b"\0\x01\0\x03"), Frame::Garbage);
    }

    #[test]
    fn the_longest_frame_is_within_the_bound() {
        let mut channel_data = vec![0x40; MAX_FRAME];
        channel_data[2..4].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(next_frame(&channel_data), Frame::Whole(65_540));
        let mut stun = vec![0; MAX_FRAME];
        stun[..8].copy_from_slice(&[0, 1, 0xff, 0xfc, 0x21, 0x12, 0xa4, 0x42]);
        assert_eq!(next_frame(&stun), Frame::Whole(MAX_FRAME));
        assert_eq!(next_frame(&stun[..MAX_FRAME - 1]), Frame::Partial);
    }
}
