//! A borrowed view of one STUN message (RFC 8489 §5, §14).

use std::fmt;

use stun::attributes as attr;
use stun::attributes::AttrType;
use stun::message::MAGIC_COOKIE;

use super::address::{BadAddress, PeerAddr, decode_xor};
use super::fingerprint;
use super::integrity::{Hash, Integrity};

/// Length of the header.
pub const HEADER_LEN: usize = 20;
/// MESSAGE-INTEGRITY-SHA256 (RFC 8489 §14.6).
pub const ATTR_MESSAGE_INTEGRITY_SHA256: AttrType = AttrType(0x001C);
/// PASSWORD-ALGORITHM (RFC 8489 §14.12).
pub const ATTR_PASSWORD_ALGORITHM: AttrType = AttrType(0x001D);
/// ACCESS-TOKEN (RFC 7635 §6.2).
pub const ATTR_ACCESS_TOKEN: AttrType = AttrType(0x001B);
/// THIRD-PARTY-AUTHORIZATION (RFC 7635 §6.1).
pub const ATTR_THIRD_PARTY_AUTHORIZATION: AttrType = AttrType(0x802E);
/// ORIGIN (draft-johnston-tram-stun-origin, with coturn's number).
pub const ATTR_ORIGIN: AttrType = AttrType(0x802F);
/// USERHASH (RFC 8489 §14.4).
pub const ATTR_USERHASH: AttrType = AttrType(0x001E);
/// PASSWORD-ALGORITHMS (RFC 8489 §14.11).
pub const ATTR_PASSWORD_ALGORITHMS: AttrType = AttrType(0x8002);
/// ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §18.11).
pub const ATTR_ADDITIONAL_ADDRESS_FAMILY: AttrType = AttrType(0x8000);
/// ADDRESS-ERROR-CODE (RFC 8656 §18.12).
pub const ATTR_ADDRESS_ERROR_CODE: AttrType = AttrType(0x8001);
/// ADDITIONAL-ADDRESS-FAMILY as the drafts before RFC 8656 numbered it, and coturn 4.6 with its `turnutils_uclient`.
pub const ATTR_DRAFT_ADDITIONAL_ADDRESS_FAMILY: AttrType = AttrType(0x8032);
/// MOBILITY-TICKET (RFC 8016 §4.1).
pub const ATTR_MOBILITY_TICKET: AttrType = AttrType(0x8030);
/// ADDRESS-ERROR-CODE as the drafts before RFC 8656 numbered it.
pub const ATTR_DRAFT_ADDRESS_ERROR_CODE: AttrType = AttrType(0x8033);

/// ALTERNATE-DOMAIN (RFC 8489 §14.16).
pub const ATTR_ALTERNATE_DOMAIN: AttrType = AttrType(0x8003);

/// Unknown attributes listed in one 420 at most: bounds the reply to a request that names thousands.
const MAX_UNKNOWN_LISTED: usize = 64;

/// 96 bits that tie a response to its request.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The methods that this server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// RFC 8489 §2.
    Binding,
    /// RFC 8656 §7.
    Allocate,
    /// RFC 8656 §8.
    Refresh,
    /// RFC 8656 §11.
    Send,
    /// RFC 8656 §11.
    Data,
    /// RFC 8656 §10.
    CreatePermission,
    /// RFC 8656 §12.
    ChannelBind,
    /// RFC 6062 §4.3.
    Connect,
    /// RFC 6062 §4.3.
    ConnectionBind,
    /// RFC 6062 §4.4.
    ConnectionAttempt,
}

impl Method {
    /// Each of them, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Binding,
        Self::Allocate,
        Self::Refresh,
        Self::Send,
        Self::Data,
        Self::CreatePermission,
        Self::ChannelBind,
        Self::Connect,
        Self::ConnectionBind,
        Self::ConnectionAttempt,
    ];

    /// Those that have requests.
    pub const OF_REQUESTS: [Self; 7] = [
        Self::Binding,
        Self::Allocate,
        Self::Refresh,
        Self::CreatePermission,
        Self::ChannelBind,
        Self::Connect,
        Self::ConnectionBind,
    ];

    /// A word for metrics. It does not change from version to version.
    pub fn label(self) -> &'static str {
        match self {
            Self::Binding => "binding",
            Self::Allocate => "allocate",
            Self::Refresh => "refresh",
            Self::Send => "send",
            Self::Data => "data",
            Self::CreatePermission => "create_permission",
            Self::ChannelBind => "channel_bind",
            Self::Connect => "connect",
            Self::ConnectionBind => "connection_bind",
            Self::ConnectionAttempt => "connection_attempt",
        }
    }
}

/// The class of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Wants a response.
    Request,
    /// Wants none.
    Indication,
    /// Answers a request.
    SuccessResponse,
    /// Refuses a request.
    ErrorResponse,
}

/// Which comprehension-required attributes are understood beside those of RFC 8489 and RFC 8656.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extensions {
    /// ACCESS-TOKEN (RFC 7635).
    pub access_tokens: bool,
}

/// Why bytes are not a STUN message that this server could answer: all of them are dropped in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than the header, or than the header says.
    Truncated,
    /// Longer than the header says.
    TrailingBytes,
    /// The length is not a multiple of four.
    UnalignedLength,
    /// No magic cookie (RFC 3489 is not spoken).
    NoCookie,
    /// A method that this server does not know.
    UnknownMethod,
    /// An attribute runs past the end of the message.
    AttributeOverrun,
    /// MESSAGE-INTEGRITY of another length than 20 bytes, or MESSAGE-INTEGRITY-SHA256 of another than 32: TURN truncates none.
    IntegrityLength,
    /// FINGERPRINT is not last, not four bytes, or not right.
    Fingerprint,
}

/// One whole STUN message whose structure has been checked.
///
/// Attributes behind MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 cannot be seen through it (RFC 8489 §14.5, §14.6).
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    method: Method,
    class: Class,
    /// Where the visible attributes end: at the first that protects them, at FINGERPRINT or at the end.
    end: usize,
    integrity: Option<Integrity>,
    fingerprint: bool,
}

impl<'a> Message<'a> {
    /// Checks structure and FINGERPRINT of exactly one message.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() < HEADER_LEN {
            return Err(Malformed::Truncated);
        }
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        if bytes[4..8] != MAGIC_COOKIE.to_be_bytes() {
            return Err(Malformed::NoCookie);
        }
        if !length.is_multiple_of(4) {
            return Err(Malformed::UnalignedLength);
        }
        match bytes.len() - HEADER_LEN {
            present if present < length => return Err(Malformed::Truncated),
            present if present > length => return Err(Malformed::TrailingBytes),
            _ => {}
        }
        let (method, class) = split_type(u16::from_be_bytes([bytes[0], bytes[1]]))?;
        let mut message = Self {
            bytes,
            method,
            class,
            end: bytes.len(),
            integrity: None,
            fingerprint: false,
        };
        message.walk()?;
        Ok(message)
    }

    /// The code in ERROR-CODE (RFC 8489 §14.8), if there is one.
    pub fn error_code(&self) -> Option<u16> {
        match *self.get(attr::ATTR_ERROR_CODE)? {
            [_, _, class, number, ..] => Some(u16::from(class & 7) * 100 + u16::from(number)),
            _ => None,
        }
    }

    /// Finds what protects the message, and checks that every attribute lies within it.
    fn walk(&mut self) -> Result<(), Malformed> {
        let mut offset = HEADER_LEN;
        while offset < self.bytes.len() {
            let (typ, value, next) =
                attribute_at(self.bytes, offset).ok_or(Malformed::AttributeOverrun)?;
            if let Some(hash) = self.integrity_hash(typ) {
                if value.len() != hash.len() {
                    return Err(Malformed::IntegrityLength);
                }
                self.integrity = Some(Integrity { hash, offset });
                self.end = self.end.min(offset);
            } else if typ == attr::ATTR_FINGERPRINT {
                let expected = fingerprint::of(&self.bytes[..offset]).to_be_bytes();
                if next != self.bytes.len() || value != expected {
                    return Err(Malformed::Fingerprint);
                }
                self.fingerprint = true;
                self.end = self.end.min(offset);
            }
            offset = next;
        }
        Ok(())
    }

    /// The hash of an attribute that protects what is before it: the first of its kind, and nothing counts behind
    /// MESSAGE-INTEGRITY-SHA256 but FINGERPRINT (RFC 8489 §14.6).
    fn integrity_hash(&self, typ: AttrType) -> Option<Hash> {
        match self.integrity.map(|integrity| integrity.hash) {
            None if typ == attr::ATTR_MESSAGE_INTEGRITY => Some(Hash::Sha1),
            None | Some(Hash::Sha1) if typ == ATTR_MESSAGE_INTEGRITY_SHA256 => Some(Hash::Sha256),
            _ => None,
        }
    }

    /// Its method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Its class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Its transaction id.
    pub fn transaction_id(&self) -> TransactionId {
        let mut id = [0; 12];
        id.copy_from_slice(&self.bytes[8..HEADER_LEN]);
        TransactionId(id)
    }

    /// Whether it ends with a FINGERPRINT (a right one: others do not parse).
    pub fn has_fingerprint(&self) -> bool {
        self.fingerprint
    }

    /// What protects it: MESSAGE-INTEGRITY-SHA256 where both are there (RFC 8489 §9.2.4).
    pub(super) fn integrity(&self) -> Option<Integrity> {
        self.integrity
    }

    /// Whether it carries MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256.
    pub fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// The whole message.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The attributes in order, up to the first that protects them.
    pub fn attributes(&self) -> impl Iterator<Item = (AttrType, &'a [u8])> + use<'a> {
        let (visible, mut offset) = (&self.bytes[..self.end], HEADER_LEN);
        std::iter::from_fn(move || {
            let (typ, value, next) = attribute_at(visible, offset)?;
            offset = next;
            Some((typ, value))
        })
    }

    /// The first attribute of a type: RFC 8489 §14 has any further one ignored.
    pub fn get(&self, wanted: AttrType) -> Option<&'a [u8]> {
        self.attributes()
            .find_map(|(typ, value)| (typ == wanted).then_some(value))
    }

    /// Whether an attribute of a type is there.
    pub fn contains(&self, wanted: AttrType) -> bool {
        self.get(wanted).is_some()
    }

    /// The value of a text attribute; `None` if it is absent or not UTF-8.
    pub fn text(&self, wanted: AttrType) -> Option<&'a str> {
        std::str::from_utf8(self.get(wanted)?).ok()
    }

    /// Every XOR-PEER-ADDRESS, in order.
    pub fn peer_addresses(&self) -> impl Iterator<Item = Result<PeerAddr, BadAddress>> + use<'a> {
        let id = self.transaction_id();
        self.attributes()
            .filter(|(typ, _)| *typ == attr::ATTR_XOR_PEER_ADDRESS)
            .map(move |(_, value)| decode_xor(value, id).map(PeerAddr))
    }

    /// Whether there is a comprehension-required attribute that this server does not understand.
    pub fn has_unknown(&self, extensions: Extensions) -> bool {
        self.attributes()
            .any(|(typ, _)| is_unknown(typ, extensions))
    }

    /// The comprehension-required attributes that this server does not understand, for a 420.
    pub fn unknown(&self, extensions: Extensions) -> Vec<AttrType> {
        self.unknown_but(&[], extensions)
    }

    /// The same, where a usage of STUN gives a meaning to `known`.
    pub fn unknown_but(&self, known: &[AttrType], extensions: Extensions) -> Vec<AttrType> {
        self.attributes()
            .map(|(typ, _)| typ)
            .filter(|typ| is_unknown(*typ, extensions) && !known.contains(typ))
            .take(MAX_UNKNOWN_LISTED)
            .collect()
    }

    /// Decodes the visible attributes for the getters of `stun` and `turn::proto`.
    pub fn to_stun(&self) -> stun::message::Message {
        let mut decoded = stun::message::Message::new();
        let mut visible = self.bytes[..self.end].to_vec();
        let length = (self.end - HEADER_LEN) as u16;
        visible[2..4].copy_from_slice(&length.to_be_bytes());
        decoded
            .write(&visible)
            .expect("the structure has been checked");
        decoded
    }
}

/// Reads the attribute at `offset`: type, value, and where the next one begins.
fn attribute_at(bytes: &[u8], offset: usize) -> Option<(AttrType, &[u8], usize)> {
    let header = bytes.get(offset..offset + 4)?;
    let typ = AttrType(u16::from_be_bytes([header[0], header[1]]));
    let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let value = bytes.get(offset + 4..offset + 4 + len)?;
    let next = offset + 4 + len.next_multiple_of(4);
    (next <= bytes.len()).then_some((typ, value, next))
}

/// Splits the message type field (RFC 8489 §5, figure 3).
fn split_type(value: u16) -> Result<(Method, Class), Malformed> {
    let method = (value & 0x000F) | (value & 0x00E0) >> 1 | (value & 0x3E00) >> 2;
    let class = match ((value >> 7) & 2) | ((value >> 4) & 1) {
        0 => Class::Request,
        1 => Class::Indication,
        2 => Class::SuccessResponse,
        _ => Class::ErrorResponse,
    };
    let method = match method {
        _ if value & 0xC000 != 0 => return Err(Malformed::UnknownMethod),
        0x001 => Method::Binding,
        0x003 => Method::Allocate,
        0x004 => Method::Refresh,
        0x006 => Method::Send,
        0x007 => Method::Data,
        0x008 => Method::CreatePermission,
        0x009 => Method::ChannelBind,
        0x00A => Method::Connect,
        0x00B => Method::ConnectionBind,
        0x00C => Method::ConnectionAttempt,
        _ => return Err(Malformed::UnknownMethod),
    };
    Ok((method, class))
}

/// Comprehension-required and not among those that RFC 8489, RFC 8656 and RFC 6062 let a server ignore or obey.
///
/// Numbers that RFC 8489 §18.3.1 only reserves are unknown, and so are those of extensions that are not built in or not used.
fn is_unknown(typ: AttrType, extensions: Extensions) -> bool {
    typ.0 < 0x8000
        && !(extensions.access_tokens && typ == ATTR_ACCESS_TOKEN)
        && !matches!(
            typ,
            attr::ATTR_MAPPED_ADDRESS
                | attr::ATTR_USERNAME
                | attr::ATTR_MESSAGE_INTEGRITY
                | attr::ATTR_ERROR_CODE
                | attr::ATTR_UNKNOWN_ATTRIBUTES
                | attr::ATTR_CHANNEL_NUMBER
                | attr::ATTR_LIFETIME
                | attr::ATTR_XOR_PEER_ADDRESS
                | attr::ATTR_DATA
                | attr::ATTR_REALM
                | attr::ATTR_NONCE
                | attr::ATTR_XOR_RELAYED_ADDRESS
                | attr::ATTR_REQUESTED_ADDRESS_FAMILY
                | attr::ATTR_EVEN_PORT
                | attr::ATTR_REQUESTED_TRANSPORT
                | attr::ATTR_DONT_FRAGMENT
                | attr::ATTR_XORMAPPED_ADDRESS
                | attr::ATTR_RESERVATION_TOKEN
                | attr::ATTR_CONNECTION_ID
                | ATTR_MESSAGE_INTEGRITY_SHA256
                | ATTR_PASSWORD_ALGORITHM
                | ATTR_USERHASH
        )
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
