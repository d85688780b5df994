//! Transport addresses in attributes: XOR-MAPPED-ADDRESS and its kin (RFC 8489 §14.2).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use stun::message::MAGIC_COOKIE;

use super::TransactionId;

/// The transport address of a peer, as clients name it. Never mixes with a client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddr(pub SocketAddr);

impl PeerAddr {
    /// Its IP address: what permissions are for (RFC 8656 §9).
    pub fn ip(&self) -> IpAddr {
        self.0.ip()
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An address attribute that is not one: unknown family, or a length that does not fit the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadAddress;

const FAMILY_IPV4: u8 = 1;
const FAMILY_IPV6: u8 = 2;

/// Decodes the value of an XORed address attribute.
pub fn decode_xor(value: &[u8], id: TransactionId) -> Result<SocketAddr, BadAddress> {
    let [_, family, p0, p1, address @ ..] = value else {
        return Err(BadAddress);
    };
    let key = xor_key(id);
    let port = u16::from_be_bytes([p0 ^ key[0], p1 ^ key[1]]);
    match *family {
        FAMILY_IPV4 => {
            let bytes: [u8; 4] = address.try_into().map_err(|_| BadAddress)?;
            let ip = Ipv4Addr::from(u32::from_be_bytes(bytes) ^ MAGIC_COOKIE);
            Ok(SocketAddr::new(ip.into(), port))
        }
        FAMILY_IPV6 => {
            let bytes: [u8; 16] = address.try_into().map_err(|_| BadAddress)?;
            let ip = Ipv6Addr::from(u128::from_be_bytes(bytes) ^ u128::from_be_bytes(key));
            Ok(SocketAddr::new(ip.into(), port))
        }
        _ => Err(BadAddress),
    }
}

/// The longest value that [`encode_xor`] writes.
pub const MAX_VALUE: usize = 20;

/// Encodes `address` as the value of an XORed address attribute and returns its length: 8 or 20 bytes.
pub fn encode_xor(address: SocketAddr, id: TransactionId, out: &mut [u8; MAX_VALUE]) -> usize {
    let key = xor_key(id);
    let port = address.port().to_be_bytes();
    out[0] = 0;
    out[2] = port[0] ^ key[0];
    out[3] = port[1] ^ key[1];
    match address.ip() {
        IpAddr::V4(ip) => {
            out[1] = FAMILY_IPV4;
            out[4..8].copy_from_slice(&(u32::from(ip) ^ MAGIC_COOKIE).to_be_bytes());
            8
        }
        IpAddr::V6(ip) => {
            out[1] = FAMILY_IPV6;
            out[4..20].copy_from_slice(&(u128::from(ip) ^ u128::from_be_bytes(key)).to_be_bytes());
            20
        }
    }
}

/// Magic cookie and transaction id, in that order.
fn xor_key(id: TransactionId) -> [u8; 16] {
    let mut key = [0; 16];
    key[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    key[4..].copy_from_slice(&id.0);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TransactionId = TransactionId(*b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae");

    #[test]
    fn the_addresses_of_rfc5769_decode() {
        let v4 = [0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        assert_eq!(decode_xor(&v4, ID), Ok("192.0.2.1:32853".parse().unwrap()));
        let v6 = [
            0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4,
            0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        let address = "[2001:db8:1234:5678:11:2233:4455:6677]:32853";
        assert_eq!(decode_xor(&v6, ID), Ok(address.parse().unwrap()));
    }

    #[test]
    fn what_is_encoded_decodes() {
        for text in ["192.0.2.1:1", "[2001:db8::1]:65535", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            let mut out = [0; MAX_VALUE];
            let n = encode_xor(address, ID, &mut out);
            assert_eq!(decode_xor(&out[..n], ID), Ok(address));
        }
    }

    #[test]
    fn lengths_that_do_not_fit_the_family_are_refused() {
        for value in [&[][..], &[0, 1, 0, 0], &[0, 1, 0, 0, 1, 2, 3], &[0; 8]] {
            assert_eq!(decode_xor(value, ID), Err(BadAddress));
        }
        let mut long_v4 = [0; 20];
        long_v4[1] = FAMILY_IPV4;
        assert_eq!(decode_xor(&long_v4, ID), Err(BadAddress));
        assert_eq!(decode_xor(&[0, 7, 0, 0, 1, 2, 3, 4], ID), Err(BadAddress));
    }
}
