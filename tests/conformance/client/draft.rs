//! Messages on their way out, byte by byte: nothing stops a test from writing a wrong one.

use std::net::SocketAddr;

use super::address::{self, COOKIE};
use super::attribute::{FINGERPRINT, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256};
use super::credentials::{hmac_sha1, hmac_sha256};

/// The two bits that say what a message is (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Request,
    Indication,
    Success,
    Error,
}

/// A message being written. Its length field is right after every step, unless a test changes it.
#[derive(Clone)]
pub struct Draft {
    bytes: Vec<u8>,
    padding: u8,
}

impl Draft {
    pub fn new(method: u16, class: Class) -> Self {
        let mut bytes = message_type(method, class).to_be_bytes().to_vec();
        bytes.extend([0, 0]);
        bytes.extend(COOKIE.to_be_bytes());
        bytes.extend(rand::random::<[u8; 12]>());
        Self { bytes, padding: 0 }
    }

    pub fn request(method: u16) -> Self {
        Self::new(method, Class::Request)
    }

    pub fn indication(method: u16) -> Self {
        Self::new(method, Class::Indication)
    }

    pub fn id(&self) -> [u8; 12] {
        self.bytes[8..20].try_into().expect("a header has 20 bytes")
    }

    /// Replaces the magic cookie.
    pub fn cookie(mut self, cookie: u32) -> Self {
        self.bytes[4..8].copy_from_slice(&cookie.to_be_bytes());
        self
    }

    /// Pads the attributes that follow with this byte.
    pub fn padding(mut self, byte: u8) -> Self {
        self.padding = byte;
        self
    }

    /// Appends an attribute.
    pub fn put(mut self, kind: u16, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        let length = u16::try_from(value.len()).expect("an attribute length has 16 bits");
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(value);
        let padded = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(padded, self.padding);
        let body = self.bytes.len() - 20;
        self.claim_length(body)
    }

    /// Appends an XORed address.
    pub fn put_address(self, kind: u16, address: SocketAddr) -> Self {
        let value = address::encode(address, self.id());
        self.put(kind, value)
    }

    /// Appends MESSAGE-INTEGRITY: an HMAC under a length field that counts it (RFC 8489 §14.5).
    pub fn sign(self, key: &[u8]) -> Self {
        let body = self.bytes.len() - 20;
        let covered = self.claim_length(body + 24);
        let hmac = hmac_sha1(key, &covered.bytes);
        covered.put(MESSAGE_INTEGRITY, hmac)
    }

    /// Appends MESSAGE-INTEGRITY-SHA256 (RFC 8489 §14.6).
    pub fn sign_sha256(self, key: &[u8]) -> Self {
        let body = self.bytes.len() - 20;
        let covered = self.claim_length(body + 36);
        let hmac = hmac_sha256(key, &covered.bytes);
        covered.put(MESSAGE_INTEGRITY_SHA256, hmac)
    }

    /// Appends FINGERPRINT (RFC 8489 §14.7).
    pub fn fingerprint(self) -> Self {
        let body = self.bytes.len() - 20;
        let covered = self.claim_length(body + 8);
        let value = fingerprint(&covered.bytes);
        covered.put(FINGERPRINT, value.to_be_bytes())
    }

    /// Writes the header's length field, right or wrong.
    pub fn claim_length(mut self, body: usize) -> Self {
        let length = u16::try_from(body).expect("a message length has 16 bits");
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }
}

/// A ChannelData message (RFC 8656 §12.4), padded to a multiple of four where `padded` says so.
pub fn channel_data(number: u16, payload: &[u8], padded: bool) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a ChannelData length has 16 bits");
    let mut frame = number.to_be_bytes().to_vec();
    frame.extend(length.to_be_bytes());
    frame.extend(payload);
    if padded {
        frame.resize(frame.len().next_multiple_of(4), 0);
    }
    frame
}

/// FINGERPRINT's value over `covered` (RFC 8489 §14.7): CRC-32 of ITU V.42, XORed with "STUN".
pub(super) fn fingerprint(covered: &[u8]) -> u32 {
    let crc = covered.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    });
    !crc ^ 0x5354_554E
}

/// Method bits and class bits interleave (RFC 8489 §5, figure 3).
fn message_type(method: u16, class: Class) -> u16 {
    let class = match class {
        Class::Request => 0x000,
        Class::Indication => 0x010,
        Class::Success => 0x100,
        Class::Error => 0x110,
    };
    (method & 0xF80) << 2 | (method & 0x070) << 1 | (method & 0x00F) | class
}
