//! What a server sends, read strictly.

use std::fmt;
use std::net::SocketAddr;

use super::address::{self, COOKIE};
use super::attribute::*;
use super::credentials::{hmac_sha1, hmac_sha256};
use super::draft::{Class, fingerprint};

/// One datagram or one frame of a stream.
#[derive(Debug)]
pub enum Incoming {
    Message(Message),
    ChannelData(ChannelData),
}

impl Incoming {
    /// Reads `bytes`; panics on anything that a server must not send.
    pub fn read(bytes: Vec<u8>) -> Self {
        match bytes.first() {
            Some(0x00..=0x03) => Self::Message(Message::read(bytes)),
            Some(0x40..=0x4F) => Self::ChannelData(ChannelData::read(&bytes)),
            _ => panic!("the server sent neither STUN nor ChannelData: {bytes:02x?}"),
        }
    }
}

/// A ChannelData message (RFC 8656 §12.4).
#[derive(Debug)]
pub struct ChannelData {
    pub number: u16,
    pub payload: Vec<u8>,
    /// Bytes on the wire, with header and padding.
    pub frame_length: usize,
}

impl ChannelData {
    fn read(bytes: &[u8]) -> Self {
        assert!(
            bytes.len() >= 4,
            "ChannelData without a header: {bytes:02x?}"
        );
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        assert!(
            bytes.len() >= 4 + length,
            "ChannelData shorter than its length {length}"
        );
        Self {
            number: u16::from_be_bytes([bytes[0], bytes[1]]),
            payload: bytes[4..4 + length].to_vec(),
            frame_length: bytes.len(),
        }
    }
}

/// A STUN message that was well-formed on arrival.
pub struct Message {
    pub method: u16,
    pub class: Class,
    pub id: [u8; 12],
    attributes: Vec<Attribute>,
    bytes: Vec<u8>,
}

struct Attribute {
    kind: u16,
    value: Vec<u8>,
    /// Where in the message its header begins.
    offset: usize,
}

impl Message {
    /// Reads `bytes`; panics unless header, length and attributes are right (RFC 8489 §5, §14).
    pub fn read(bytes: Vec<u8>) -> Self {
        assert!(
            bytes.len() >= 20,
            "shorter than a STUN header: {bytes:02x?}"
        );
        let kind = u16::from_be_bytes([bytes[0], bytes[1]]);
        assert_eq!(kind & 0xC000, 0, "top bits of {bytes:02x?}");
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        assert_eq!(length, bytes.len() - 20, "length field of {bytes:02x?}");
        assert_eq!(length % 4, 0, "length field of {bytes:02x?}");
        assert_eq!(
            bytes[4..8],
            COOKIE.to_be_bytes(),
            "magic cookie of {bytes:02x?}"
        );
        Self {
            method: (kind & 0x3E00) >> 2 | (kind & 0x00E0) >> 1 | (kind & 0x000F),
            class: match kind & 0x0110 {
                0x000 => Class::Request,
                0x010 => Class::Indication,
                0x100 => Class::Success,
                _ => Class::Error,
            },
            id: bytes[8..20].try_into().expect("12 bytes"),
            attributes: Attribute::read_all(&bytes),
            bytes,
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn get(&self, kind: u16) -> Option<&[u8]> {
        self.all(kind).next()
    }

    pub fn all(&self, kind: u16) -> impl Iterator<Item = &[u8]> {
        let of_kind = self
            .attributes
            .iter()
            .filter(move |attribute| attribute.kind == kind);
        of_kind.map(|attribute| attribute.value.as_slice())
    }

    pub fn has(&self, kind: u16) -> bool {
        self.get(kind).is_some()
    }

    pub fn last_attribute(&self) -> Option<u16> {
        self.attributes.last().map(|attribute| attribute.kind)
    }

    /// The number in ERROR-CODE (RFC 8489 §14.8).
    pub fn code(&self) -> Option<u16> {
        let value = self.get(ERROR_CODE)?;
        assert!(value.len() >= 4, "ERROR-CODE of {value:02x?}");
        Some(u16::from(value[2] & 7) * 100 + u16::from(value[3]))
    }

    pub fn lifetime(&self) -> Option<u32> {
        let value = self.get(LIFETIME)?;
        Some(u32::from_be_bytes(
            value.try_into().expect("LIFETIME has 4 bytes"),
        ))
    }

    /// The XORed address in the attribute `kind`.
    pub fn address(&self, kind: u16) -> Option<SocketAddr> {
        self.get(kind).map(|value| address::decode(value, self.id))
    }

    /// Every XORed address in an attribute `kind`.
    pub fn addresses(&self, kind: u16) -> impl Iterator<Item = SocketAddr> {
        self.all(kind).map(|value| address::decode(value, self.id))
    }

    /// Every address in an attribute `kind` that is not XORed.
    pub fn plain_addresses(&self, kind: u16) -> impl Iterator<Item = SocketAddr> {
        self.all(kind).map(address::decode_plain)
    }

    pub fn text(&self, kind: u16) -> Option<&str> {
        self.get(kind)
            .map(|value| std::str::from_utf8(value).expect("UTF-8"))
    }

    /// The numbers in UNKNOWN-ATTRIBUTES (RFC 8489 §14.13).
    pub fn unknown_attributes(&self) -> Vec<u16> {
        let value = self.get(UNKNOWN_ATTRIBUTES).unwrap_or_default();
        assert_eq!(value.len() % 2, 0, "UNKNOWN-ATTRIBUTES of {value:02x?}");
        value
            .chunks(2)
            .map(|two| u16::from_be_bytes([two[0], two[1]]))
            .collect()
    }

    /// Whether MESSAGE-INTEGRITY is there and made with `key` (RFC 8489 §14.5).
    pub fn is_signed_with(&self, key: &[u8]) -> bool {
        let Some(integrity) = self.find(MESSAGE_INTEGRITY) else {
            return false;
        };
        let mut covered = self.bytes[..integrity.offset].to_vec();
        let length = u16::try_from(integrity.offset + 24 - 20).expect("within a message");
        covered[2..4].copy_from_slice(&length.to_be_bytes());
        integrity.value == hmac_sha1(key, &covered)
    }

    /// Whether MESSAGE-INTEGRITY-SHA256 is there, whole and made with `key`, and no MESSAGE-INTEGRITY (RFC 8489 §9.2.4).
    pub fn is_signed_by_sha256_with(&self, key: &[u8]) -> bool {
        let Some(integrity) = self.find(MESSAGE_INTEGRITY_SHA256) else {
            return false;
        };
        let mut covered = self.bytes[..integrity.offset].to_vec();
        let length = u16::try_from(integrity.offset + 36 - 20).expect("within a message");
        covered[2..4].copy_from_slice(&length.to_be_bytes());
        integrity.value == hmac_sha256(key, &covered) && !self.has(MESSAGE_INTEGRITY)
    }

    /// Whether FINGERPRINT is absent, or last and right (RFC 8489 §14.7).
    pub fn has_no_wrong_fingerprint(&self) -> bool {
        self.find(FINGERPRINT).is_none_or(|found| {
            let expected = fingerprint(&self.bytes[..found.offset]).to_be_bytes();
            found.value == expected && self.last_attribute() == Some(FINGERPRINT)
        })
    }

    /// Fails the test unless this is a success response.
    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(self.class, Class::Success, "{self:?}");
        self
    }

    /// Fails the test unless this is an error response with `code`.
    #[track_caller]
    pub fn error(self, code: u16) -> Self {
        self.error_among(&[code])
    }

    /// Fails the test unless this is an error response with one of `codes`.
    #[track_caller]
    pub fn error_among(self, codes: &[u16]) -> Self {
        let fits =
            self.class == Class::Error && self.code().is_some_and(|code| codes.contains(&code));
        assert!(fits, "expected an error {codes:?}, got {self:?}");
        self
    }

    fn find(&self, kind: u16) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.kind == kind)
    }
}

impl Attribute {
    fn read_all(bytes: &[u8]) -> Vec<Self> {
        let mut attributes = Vec::new();
        let mut offset = 20;
        while offset < bytes.len() {
            assert!(
                offset + 4 <= bytes.len(),
                "half an attribute header in {bytes:02x?}"
            );
            let kind = u16::from_be_bytes([bytes[offset], bytes[offset + 1]]);
            let length = usize::from(u16::from_be_bytes([bytes[offset + 2], bytes[offset + 3]]));
            let end = offset + 4 + length;
            assert!(
                end <= bytes.len(),
                "attribute {kind:#06x} runs past the end of {bytes:02x?}"
            );
            let value = bytes[offset + 4..end].to_vec();
            attributes.push(Self {
                kind,
                value,
                offset,
            });
            offset = end.next_multiple_of(4);
        }
        attributes
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "method {:#05x} {:?}", self.method, self.class)?;
        if let Some(code) = self.code() {
            write!(f, " {code}")?;
        }
        for attribute in &self.attributes {
            let value: String = attribute
                .value
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            write!(f, " {:#06x}={value}", attribute.kind)?;
        }
        Ok(())
    }
}
