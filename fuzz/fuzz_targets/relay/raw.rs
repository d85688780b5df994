//! A message as the checks read it: by a reader of its own, up to what protects it.

use std::net::{IpAddr, SocketAddr};

/// MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256, FINGERPRINT.
const PROTECTING: [u16; 3] = [0x0008, 0x001C, 0x8028];
const XOR_PEER_ADDRESS: u16 = 0x0012;
const HEADER: usize = 20;

/// The attributes of a well-formed message.
pub fn attributes(message: &[u8]) -> Vec<(u16, &[u8])> {
    let number = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let (mut found, mut at) = (Vec::new(), HEADER);
    while at < message.len() {
        let (typ, len) = (number(at), usize::from(number(at + 2)));
        if PROTECTING.contains(&typ) {
            break;
        }
        found.push((typ, &message[at + 4..at + 4 + len]));
        at += 4 + len.next_multiple_of(4);
    }
    found
}

/// The first attribute that protects a message, and where it begins.
pub fn protection(message: &[u8]) -> Option<(u16, usize)> {
    let seen = attributes(message).into_iter();
    let at = seen.fold(HEADER, |at, (_, value)| {
        at + 4 + value.len().next_multiple_of(4)
    });
    let typ = message.get(at..at + 2)?;
    Some((u16::from_be_bytes([typ[0], typ[1]]), at))
}

pub fn first(message: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut found = attributes(message).into_iter();
    found.find_map(|(typ, value)| (typ == wanted).then_some(value))
}

/// Every XOR-PEER-ADDRESS.
pub fn peers(message: &[u8]) -> impl Iterator<Item = SocketAddr> {
    addresses(message, XOR_PEER_ADDRESS)
}

/// Every XORed address of a type; panics when it comes to one that is malformed.
pub fn addresses(message: &[u8], wanted: u16) -> impl Iterator<Item = SocketAddr> {
    let all = attributes(message).into_iter();
    all.filter(move |(typ, _)| *typ == wanted)
        .map(|(_, value)| address(value, &message[4..HEADER]))
}

fn address(value: &[u8], key: &[u8]) -> SocketAddr {
    let xored = |value: &[u8]| -> Vec<u8> { value.iter().zip(key).map(|(b, k)| b ^ k).collect() };
    let (port, ip) = (xored(&value[2..4]), xored(&value[4..]));
    let ip = match value[1] {
        1 => IpAddr::from(<[u8; 4]>::try_from(ip).expect("four bytes")),
        _ => IpAddr::from(<[u8; 16]>::try_from(ip).expect("sixteen bytes")),
    };
    SocketAddr::new(ip, u16::from_be_bytes([port[0], port[1]]))
}
