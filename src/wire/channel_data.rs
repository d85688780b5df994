//! ChannelData messages (RFC 8656 §12.4).

use std::fmt;
use std::ops::Range;

/// Bytes before the application data.
pub const HEADER_LEN: usize = 4;

/// A channel number that can stand at the start of a ChannelData message.
///
/// Which of them may be bound is the relay's decision; here the wider range of RFC 5766 counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelNumber(u16);

impl ChannelNumber {
    /// Accepts 0x4000 to 0x7FFF.
    pub fn new(number: u16) -> Option<Self> {
        (0x4000..=0x7FFF).contains(&number).then_some(Self(number))
    }

    /// The number as sent.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for ChannelNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// Finds channel and application data in a packet, without its padding; `None` if it is not whole.
pub fn parse(packet: &[u8]) -> Option<(ChannelNumber, Range<usize>)> {
    let &[n0, n1, l0, l1, ..] = packet else {
        return None;
    };
    let number = ChannelNumber::new(u16::from_be_bytes([n0, n1]))?;
    let end = HEADER_LEN + usize::from(u16::from_be_bytes([l0, l1]));
    (end <= packet.len()).then_some((number, HEADER_LEN..end))
}

/// The header of a ChannelData message that carries `len` bytes.
pub fn header(number: ChannelNumber, len: u16) -> [u8; HEADER_LEN] {
    let ([n0, n1], [l0, l1]) = (number.0.to_be_bytes(), len.to_be_bytes());
    [n0, n1, l0, l1]
}

/// Zero bytes that follow `len` bytes of data up to the next multiple of four.
pub fn padding(len: usize) -> usize {
    len.wrapping_neg() & 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_not_part_of_the_data() {
        let (number, data) = parse(b"\x40\x01\0\x05hello\0\0\0").unwrap();
        assert_eq!((number.get(), data), (0x4001, 4..9));
    }

    #[test]
    fn a_claim_of_more_than_there_is_is_refused() {
        assert_eq!(parse(b"\x40\x01\0\x06hello"), None);
        assert_eq!(parse(b"\x40\x01\0"), None);
        assert_eq!(parse(b"\x3f\xff\0\0"), None);
        assert_eq!(parse(b"\x80\x00\0\0"), None);
    }

    #[test]
    fn empty_data_is_data() {
        assert_eq!(parse(b"\x7f\xff\0\0").unwrap().1, 4..4);
    }
}
