//! Attribute numbers (RFC 8489 §18.3, RFC 8656 §18, RFC 6062 §6.2).

pub const MAPPED_ADDRESS: u16 = 0x0001;
pub const CHANGE_REQUEST: u16 = 0x0003;
pub const USERNAME: u16 = 0x0006;
pub const MESSAGE_INTEGRITY: u16 = 0x0008;
pub const ERROR_CODE: u16 = 0x0009;
pub const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
pub const CHANNEL_NUMBER: u16 = 0x000C;
pub const LIFETIME: u16 = 0x000D;
pub const XOR_PEER_ADDRESS: u16 = 0x0012;
pub const DATA: u16 = 0x0013;
pub const REALM: u16 = 0x0014;
pub const NONCE: u16 = 0x0015;
pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
pub const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
pub const EVEN_PORT: u16 = 0x0018;
pub const REQUESTED_TRANSPORT: u16 = 0x0019;
pub const DONT_FRAGMENT: u16 = 0x001A;
pub const ACCESS_TOKEN: u16 = 0x001B;
pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
pub const PASSWORD_ALGORITHM: u16 = 0x001D;
pub const ORIGIN: u16 = 0x802F;
pub const USERHASH: u16 = 0x001E;
pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
pub const RESERVATION_TOKEN: u16 = 0x0022;
pub const CONNECTION_ID: u16 = 0x002A;
pub const PADDING: u16 = 0x0026;
pub const RESPONSE_PORT: u16 = 0x0027;
pub const ADDITIONAL_ADDRESS_FAMILY: u16 = 0x8000;
pub const ALTERNATE_DOMAIN: u16 = 0x8003;
pub const ADDRESS_ERROR_CODE: u16 = 0x8001;
pub const PASSWORD_ALGORITHMS: u16 = 0x8002;
pub const ICMP: u16 = 0x8004;
pub const SOFTWARE: u16 = 0x8022;
pub const MOBILITY_TICKET: u16 = 0x8030;
pub const ALTERNATE_SERVER: u16 = 0x8023;
/// ADDITIONAL-ADDRESS-FAMILY in the drafts before RFC 8656.
pub const DRAFT_ADDITIONAL_ADDRESS_FAMILY: u16 = 0x8032;
pub const FINGERPRINT: u16 = 0x8028;
pub const THIRD_PARTY_AUTHORIZATION: u16 = 0x802E;
pub const RESPONSE_ORIGIN: u16 = 0x802B;
pub const OTHER_ADDRESS: u16 = 0x802C;

/// Comprehension-required numbers that nobody has assigned.
pub const UNKNOWN_REQUIRED: [u16; 3] = [0x7F00, 0x7F01, 0x7F02];
/// A comprehension-optional number that nobody has assigned.
pub const UNKNOWN_OPTIONAL: u16 = 0xBF00;
