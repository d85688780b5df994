//! Records (RFC 6347 §4.1): what each begins with, and several of them in one datagram.

/// Bytes before what a record carries.
pub(super) const HEADER: usize = 13;
/// The most that a record may carry before it is encrypted (RFC 5246 §6.2.1).
pub(super) const MAX_PLAINTEXT: usize = 1 << 14;

/// Content types (RFC 5246 §6.2.1).
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

/// DTLS 1.2 as records and hellos name it.
pub(super) const DTLS_1_2: [u8; 2] = [0xFE, 0xFD];
/// DTLS 1.0: what a HelloVerifyRequest is sent with, before any version is agreed upon (RFC 6347 §4.2.1).
pub(super) const DTLS_1_0: [u8; 2] = [0xFE, 0xFF];

const SEQUENCE_BITS: u32 = 48;
const SEQUENCE: u64 = (1 << SEQUENCE_BITS) - 1;

/// What a record begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) typ: u8,
    pub(super) number: Number,
    /// Bytes that follow.
    pub(super) len: usize,
}

/// Epoch and sequence number of a record, as the one number that they are authenticated as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(u64);

impl Number {
    pub(super) fn new(epoch: u16, sequence: u64) -> Self {
        Self(u64::from(epoch) << SEQUENCE_BITS | sequence & SEQUENCE)
    }

    pub(super) fn epoch(self) -> u16 {
        (self.0 >> SEQUENCE_BITS) as u16
    }

    pub(super) fn sequence(self) -> u64 {
        self.0 & SEQUENCE
    }

    pub(super) fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl Header {
    /// Reads the first record of a datagram, if it is whole.
    pub(super) fn read(datagram: &[u8]) -> Option<Self> {
        let (header, body) = datagram.split_first_chunk::<HEADER>()?;
        let [typ, major, _minor, number @ .., high, low] = *header;
        let len = usize::from(u16::from_be_bytes([high, low]));
        (major == DTLS_1_2[0] && len <= body.len()).then_some(Self {
            typ,
            number: Number(u64::from_be_bytes(number)),
            len,
        })
    }

    pub(super) fn to_bytes(self, version: [u8; 2]) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0] = self.typ;
        bytes[1..3].copy_from_slice(&version);
        bytes[3..11].copy_from_slice(&self.number.to_bytes());
        bytes[11..].copy_from_slice(&(self.len as u16).to_be_bytes());
        bytes
    }
}

/// The most that a datagram of the handshake carries: so much passes wherever IPv6 does, tunnels included.
pub(super) const MAX_DATAGRAM: usize = 1200;

/// Datagrams that a session has to send, one behind the other.
#[derive(Default)]
pub(in crate::net) struct Said {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Said {
    /// Where what is written is added; [`end_datagram`](Self::end_datagram) follows.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// How much the datagram that is being written may still hold.
    pub(super) fn room(&self) -> usize {
        let start = self.ends.last().copied().unwrap_or(0);
        MAX_DATAGRAM.saturating_sub(self.bytes.len() - start)
    }

    /// Lets the next record begin a datagram.
    pub(super) fn end_datagram(&mut self) {
        let start = self.ends.last().copied().unwrap_or(0);
        if self.bytes.len() > start {
            self.ends.push(self.bytes.len());
        }
    }

    /// Adds a record in the clear, to the datagram that is being written.
    pub(super) fn add_plain(&mut self, typ: u8, number: Number, pieces: &[&[u8]]) {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        let header = Header { typ, number, len };
        self.bytes.extend_from_slice(&header.to_bytes(DTLS_1_2));
        for piece in pieces {
            self.bytes.extend_from_slice(piece);
        }
    }

    /// The datagrams that are whole.
    pub(in crate::net) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.bytes[start..*end])
    }

    pub(in crate::net) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets them all and keeps the memory.
    pub(in crate::net) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}
