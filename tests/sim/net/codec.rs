//! A small STUN codec of the tests' own, so that a mistake in the server's cannot hide in both.

use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;

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
pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
pub const RESERVATION_TOKEN: u16 = 0x0022;
pub const CONNECTION_ID: u16 = 0x002A;
pub const ICMP: u16 = 0x8004;
pub const SOFTWARE: u16 = 0x8022;
pub const ORIGIN: u16 = 0x802F;
pub const MOBILITY_TICKET: u16 = 0x8030;
pub const THIRD_PARTY_AUTHORIZATION: u16 = 0x802E;

pub const BINDING: u16 = 0x0001;
const ALLOCATE: u16 = 0x0003;
const REFRESH: u16 = 0x0004;
const CREATE_PERMISSION: u16 = 0x0008;
const CHANNEL_BIND: u16 = 0x0009;
const SEND_INDICATION: u16 = 0x0016;
pub const DATA_INDICATION: u16 = 0x0017;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const HEADER: usize = 20;

pub type Id = [u8; 12];

/// A request or an indication under construction.
#[derive(Clone, Debug)]
pub struct Request {
    typ: u16,
    attributes: Vec<(u16, Value)>,
    /// What follows MESSAGE-INTEGRITY.
    behind: Vec<(u16, Value)>,
}

#[derive(Clone, Debug)]
enum Value {
    Bytes(Vec<u8>),
    Address(SocketAddr),
}

/// What a request is signed with; what is `None` is left out.
#[derive(Clone, Debug)]
pub struct Signature {
    pub username: Option<String>,
    pub realm: Option<String>,
    pub nonce: Option<String>,
    pub key: Vec<u8>,
}

impl Request {
    pub fn new(typ: u16) -> Self {
        Self {
            typ,
            attributes: Vec::new(),
            behind: Vec::new(),
        }
    }

    pub fn binding() -> Self {
        Self::new(BINDING)
    }

    /// For a UDP relay.
    pub fn allocate() -> Self {
        Self::new(ALLOCATE).with(REQUESTED_TRANSPORT, [17, 0, 0, 0])
    }

    pub fn refresh() -> Self {
        Self::new(REFRESH)
    }

    pub fn create_permission(peers: &[SocketAddr]) -> Self {
        let empty = Self::new(CREATE_PERMISSION);
        peers
            .iter()
            .fold(empty, |request, peer| request.peer(*peer))
    }

    pub fn channel_bind(number: u16, peer: SocketAddr) -> Self {
        Self::new(CHANNEL_BIND).channel(number).peer(peer)
    }

    pub fn send(peer: SocketAddr, data: &[u8]) -> Self {
        Self::new(SEND_INDICATION).peer(peer).with(DATA, data)
    }

    pub fn with(mut self, typ: u16, value: impl AsRef<[u8]>) -> Self {
        let value = Value::Bytes(value.as_ref().to_vec());
        self.attributes.push((typ, value));
        self
    }

    pub fn without(mut self, typ: u16) -> Self {
        self.attributes.retain(|(present, _)| *present != typ);
        self
    }

    pub fn lifetime(self, seconds: u32) -> Self {
        self.with(LIFETIME, seconds.to_be_bytes())
    }

    pub fn family(self, number: u8) -> Self {
        self.with(REQUESTED_ADDRESS_FAMILY, [number, 0, 0, 0])
    }

    pub fn channel(self, number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        self.with(CHANNEL_NUMBER, [high, low, 0, 0])
    }

    pub fn peer(mut self, peer: SocketAddr) -> Self {
        let value = Value::Address(peer);
        self.attributes.push((XOR_PEER_ADDRESS, value));
        self
    }

    /// Adds an attribute behind MESSAGE-INTEGRITY, where anybody on the way could have put it.
    pub fn behind(mut self, typ: u16, value: impl AsRef<[u8]>) -> Self {
        let value = Value::Bytes(value.as_ref().to_vec());
        self.behind.push((typ, value));
        self
    }

    pub fn peer_behind(mut self, peer: SocketAddr) -> Self {
        self.behind.push((XOR_PEER_ADDRESS, Value::Address(peer)));
        self
    }

    pub fn encode(&self, id: Id, signature: Option<&Signature>) -> Vec<u8> {
        let mut bytes = self.typ.to_be_bytes().to_vec();
        bytes.extend([0, 0]);
        bytes.extend(COOKIE);
        bytes.extend(id);
        for (typ, value) in &self.attributes {
            append_value(&mut bytes, *typ, value, id);
        }
        if let Some(signature) = signature {
            sign(&mut bytes, signature);
        }
        for (typ, value) in &self.behind {
            append_value(&mut bytes, *typ, value, id);
        }
        set_length(&mut bytes);
        bytes
    }
}

fn sign(bytes: &mut Vec<u8>, signature: &Signature) {
    for (typ, text) in [
        (USERNAME, &signature.username),
        (REALM, &signature.realm),
        (NONCE, &signature.nonce),
    ] {
        if let Some(text) = text {
            append(bytes, typ, text.as_bytes());
        }
    }
    let end = bytes.len();
    append(bytes, MESSAGE_INTEGRITY, &[0; 20]);
    set_length(bytes);
    let mac = hmac(&signature.key, &bytes[..end]);
    bytes[end + 4..].copy_from_slice(&mac);
}

fn append_value(bytes: &mut Vec<u8>, typ: u16, value: &Value, id: Id) {
    match value {
        Value::Bytes(value) => append(bytes, typ, value),
        Value::Address(address) => append(bytes, typ, &xored(*address, id)),
    }
}

fn append(bytes: &mut Vec<u8>, typ: u16, value: &[u8]) {
    bytes.extend(typ.to_be_bytes());
    bytes.extend((value.len() as u16).to_be_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn set_length(bytes: &mut [u8]) {
    let length = (bytes.len() - HEADER) as u16;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
}

fn hmac(key: &[u8], bytes: &[u8]) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("any length");
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

/// The key of long-term credentials.
pub fn long_term_key(username: &str, realm: &str, password: &str) -> Vec<u8> {
    Md5::digest(format!("{username}:{realm}:{password}")).to_vec()
}

fn pad(id: Id) -> [u8; 16] {
    let mut pad = [0; 16];
    pad[..4].copy_from_slice(&COOKIE);
    pad[4..].copy_from_slice(&id);
    pad
}

fn xored(address: SocketAddr, id: Id) -> Vec<u8> {
    let pad = pad(id);
    let (family, ip) = match address.ip() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let port = address.port().to_be_bytes();
    let mut value = vec![0, family, port[0] ^ pad[0], port[1] ^ pad[1]];
    value.extend(ip.iter().zip(pad).map(|(byte, pad)| byte ^ pad));
    value
}

/// A message from the server.
#[derive(Clone, Debug)]
pub struct Message {
    pub typ: u16,
    pub id: Id,
    pub bytes: Vec<u8>,
    attributes: Vec<(u16, Vec<u8>)>,
    /// Where MESSAGE-INTEGRITY begins.
    integrity: Option<usize>,
}

/// Whether and how a message is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    Absent,
    Right,
    Wrong,
}

impl Message {
    /// Panics unless the bytes are one well-formed message.
    pub fn decode(bytes: &[u8]) -> Self {
        assert_eq!(bytes[4..8], COOKIE);
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        assert_eq!((length % 4, HEADER + length), (0, bytes.len()));
        let mut message = Self {
            typ: u16::from_be_bytes([bytes[0], bytes[1]]),
            id: bytes[8..HEADER].try_into().unwrap(),
            bytes: bytes.to_vec(),
            attributes: Vec::new(),
            integrity: None,
        };
        let mut at = HEADER;
        while at < bytes.len() {
            let typ = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            let length = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
            let value = bytes[at + 4..at + 4 + length].to_vec();
            if typ == MESSAGE_INTEGRITY {
                message.integrity = Some(at);
            }
            message.attributes.push((typ, value));
            at += 4 + length.next_multiple_of(4);
        }
        message
    }

    pub fn get(&self, wanted: u16) -> Option<&[u8]> {
        let found = self.attributes.iter().find(|(typ, _)| *typ == wanted)?;
        Some(&found.1)
    }

    pub fn has(&self, wanted: u16) -> bool {
        self.get(wanted).is_some()
    }

    pub fn text(&self, wanted: u16) -> Option<String> {
        Some(String::from_utf8(self.get(wanted)?.to_vec()).unwrap())
    }

    /// The error code; `None` for a success response.
    pub fn error(&self) -> Option<u16> {
        let value = self.get(ERROR_CODE)?;
        Some(u16::from(value[2]) * 100 + u16::from(value[3]))
    }

    /// The words behind the error code.
    pub fn reason(&self) -> String {
        let value = self.get(ERROR_CODE).expect("an error response");
        String::from_utf8(value[4..].to_vec()).unwrap()
    }

    /// LIFETIME in seconds; panics if there is none.
    pub fn lifetime(&self) -> u32 {
        let value = self.get(LIFETIME).expect("LIFETIME");
        u32::from_be_bytes(value.try_into().unwrap())
    }

    /// An address that is XORed; panics if it is absent.
    pub fn address(&self, typ: u16) -> SocketAddr {
        let value = self.get(typ).expect("an address");
        let pad = pad(self.id);
        let port = u16::from_be_bytes([value[2] ^ pad[0], value[3] ^ pad[1]]);
        let ip: Vec<u8> = value[4..].iter().zip(pad).map(|(b, p)| b ^ p).collect();
        let ip = match value[1] {
            1 => IpAddr::from(<[u8; 4]>::try_from(ip).unwrap()),
            2 => IpAddr::from(<[u8; 16]>::try_from(ip).unwrap()),
            family => panic!("family {family}"),
        };
        SocketAddr::new(ip, port)
    }

    pub fn integrity(&self, key: &[u8]) -> Integrity {
        let Some(at) = self.integrity else {
            return Integrity::Absent;
        };
        let mut signed = self.bytes[..at].to_vec();
        let length = (at + 24 - HEADER) as u16;
        signed[2..4].copy_from_slice(&length.to_be_bytes());
        if self.get(MESSAGE_INTEGRITY) == Some(&hmac(key, &signed)) {
            Integrity::Right
        } else {
            Integrity::Wrong
        }
    }
}

/// ChannelData without padding, as over UDP.
pub fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}
