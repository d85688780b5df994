//! XORed transport addresses (RFC 8489 §14.2).

use std::net::{IpAddr, SocketAddr};

pub const COOKIE: u32 = 0x2112_A442;

/// The attribute value for `address` in the message with transaction id `id`.
pub fn encode(address: SocketAddr, id: [u8; 12]) -> Vec<u8> {
    let (family, mut octets) = match address.ip() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    xor(&mut octets, id);
    let port = address.port() ^ (COOKIE >> 16) as u16;
    [vec![0, family], port.to_be_bytes().to_vec(), octets].concat()
}

/// The address in `value`; panics on anything but a well-formed one.
pub fn decode(value: &[u8], id: [u8; 12]) -> SocketAddr {
    let expected = match value.get(1) {
        Some(1) => 8,
        Some(2) => 20,
        _ => panic!("no address family in {value:02x?}"),
    };
    assert_eq!(value.len(), expected, "length of address {value:02x?}");
    let port = u16::from_be_bytes([value[2], value[3]]) ^ (COOKIE >> 16) as u16;
    let mut octets = value[4..].to_vec();
    xor(&mut octets, id);
    let ip = match <[u8; 4]>::try_from(octets.as_slice()) {
        Ok(four) => IpAddr::from(four),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(octets).expect("20 bytes less 4")),
    };
    SocketAddr::new(ip, port)
}

/// The address in a `value` that is not XORed (RFC 8489 §14.1); panics on anything but a well-formed one.
pub fn decode_plain(value: &[u8]) -> SocketAddr {
    let ip: IpAddr = match (value[1], value.len()) {
        (1, 8) => <[u8; 4]>::try_from(&value[4..]).expect("4 bytes").into(),
        (2, 20) => <[u8; 16]>::try_from(&value[4..]).expect("16 bytes").into(),
        _ => panic!("no address in {value:02x?}"),
    };
    SocketAddr::new(ip, u16::from_be_bytes([value[2], value[3]]))
}

/// IPv4 meets the cookie alone; IPv6 the cookie and then the transaction id.
fn xor(octets: &mut [u8], id: [u8; 12]) {
    let key = COOKIE.to_be_bytes().into_iter().chain(id);
    octets
        .iter_mut()
        .zip(key)
        .for_each(|(octet, key)| *octet ^= key);
}
