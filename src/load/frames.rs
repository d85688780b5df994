//! A batch of packets, one behind the other in memory that is written over and over.

use std::ops::Range;

use super::stamp::Stamp;
use crate::wire::channel_data;

/// What surrounds a payload.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Bytes of the header.
    pub(super) header: usize,
    /// Bytes of the payload, stamp included.
    pub(super) size: usize,
    /// Whether it is padded to a multiple of four bytes.
    pub(super) padded: bool,
}

impl Shape {
    fn len(self) -> usize {
        let padding = if self.padded {
            channel_data::padding(self.size)
        } else {
            0
        };
        self.header + self.size + padding
    }
}

/// Packets to be sent, all of one length, one behind the other.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) len: usize,
}

impl Batch<'_> {
    /// Where a packet lies.
    pub(super) fn range(&self, index: usize) -> Range<usize> {
        index * self.len..(index + 1) * self.len
    }
}

/// Packets of one shape. Only header and stamp are written for each; the rest stays as it is.
pub(super) struct Frames {
    bytes: Vec<u8>,
    shape: Shape,
    used: usize,
}

impl Frames {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            bytes: Vec::new(),
            shape,
            used: 0,
        }
    }

    /// Adds a packet.
    pub(super) fn push(&mut self, header: &[u8], stamp: &Stamp) {
        let Range { start, end } = self.batch().range(self.used);
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
            let filler = start + self.shape.header..start + self.shape.header + self.shape.size;
            self.bytes[filler].fill(FILLER);
        }
        self.bytes[start..start + self.shape.header].copy_from_slice(header);
        stamp.write(&mut self.bytes[start + self.shape.header..end]);
        self.used += 1;
    }

    /// Bytes of the header of each.
    pub(super) fn header(&self) -> usize {
        self.shape.header
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// Forgets them all and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    /// All of them.
    pub(super) fn batch(&self) -> Batch<'_> {
        Batch {
            bytes: &self.bytes,
            len: self.shape.len(),
        }
    }
}

const FILLER: u8 = 0xA5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_packet_has_its_header_its_stamp_and_its_padding() {
        let mut frames = Frames::new(Shape {
            header: 4,
            size: 27,
            padded: true,
        });
        let stamp = |sequence| Stamp {
            run: 1,
            client: 2,
            sequence,
            sent: 3,
        };
        for _ in 0..2 {
            frames.clear();
            frames.push(b"head", &stamp(0));
            frames.push(b"HEAD", &stamp(1));
        }
        assert_eq!(frames.len(), 2);
        let batch = frames.batch();
        assert_eq!(batch.range(1), 32..64);
        let second = &batch.bytes[batch.range(1)];
        assert_eq!(&second[..4], b"HEAD");
        assert_eq!(Stamp::read(&second[4..]), Some(stamp(1)));
        assert_eq!(second[28..], [FILLER, FILLER, FILLER, 0]);
    }
}
