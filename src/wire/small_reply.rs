//! The response to a Binding request: the one message that is made for every packet of a flood, so it is made in place.

use std::net::SocketAddr;

use stun::attributes::{ATTR_FINGERPRINT, ATTR_XORMAPPED_ADDRESS};
use stun::message::MAGIC_COOKIE;

use super::Message;
use super::address::{self, encode_xor};
use super::fingerprint;

const HEADER: usize = 20;
const ATTRIBUTE_HEADER: usize = 4;
const FINGERPRINT: usize = 4;
/// With an IPv6 address and a FINGERPRINT.
const MAX: usize = HEADER + ATTRIBUTE_HEADER + address::MAX_VALUE + ATTRIBUTE_HEADER + FINGERPRINT;

const BINDING_SUCCESS: u16 = 0x0101;

/// A Binding success response (RFC 8489 §7.3.1), by value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmallReply {
    bytes: [u8; MAX],
    len: u8,
}

impl SmallReply {
    /// Answers a Binding request with the address that it came from, and with a FINGERPRINT if it had one.
    pub fn mapped(request: &Message<'_>, client: SocketAddr) -> Self {
        let id = request.transaction_id();
        let mut reply = Self {
            bytes: [0; MAX],
            len: HEADER as u8,
        };
        reply.bytes[..2].copy_from_slice(&BINDING_SUCCESS.to_be_bytes());
        reply.bytes[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
        reply.bytes[8..20].copy_from_slice(&id.0);
        let mut value = [0; address::MAX_VALUE];
        let len = encode_xor(client, id, &mut value);
        reply.add(ATTR_XORMAPPED_ADDRESS.0, &value[..len]);
        reply.set_length(0);
        if request.has_fingerprint() {
            // RFC 8489 §14.7: computed with itself in the length.
            reply.set_length(ATTRIBUTE_HEADER + FINGERPRINT);
            let value = fingerprint::of(reply.as_bytes());
            reply.add(ATTR_FINGERPRINT.0, &value.to_be_bytes());
        }
        reply
    }

    /// The whole message.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn add(&mut self, typ: u16, value: &[u8]) {
        let start = usize::from(self.len);
        let data = start + ATTRIBUTE_HEADER;
        self.bytes[start..start + 2].copy_from_slice(&typ.to_be_bytes());
        self.bytes[start + 2..data].copy_from_slice(&(value.len() as u16).to_be_bytes());
        self.bytes[data..data + value.len()].copy_from_slice(value);
        self.len = (data + value.len()) as u8;
    }

    /// Writes the length of what follows the header, `more` of which is still to come.
    fn set_length(&mut self, more: usize) {
        let length = usize::from(self.len) - HEADER + more;
        self.bytes[2..4].copy_from_slice(&(length as u16).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use stun::fingerprint::FINGERPRINT;
    use stun::message::Setter;

    use super::*;
    use crate::wire::reply::Reply;

    #[test]
    fn it_is_what_the_stun_crate_would_have_written() {
        for client in ["192.0.2.1:5", "[2001:db8::7]:65000"] {
            for with_fingerprint in [false, true] {
                let client = client.parse().unwrap();
                let mut request = stun::message::Message::new();
                request.set_type(stun::message::BINDING_REQUEST);
                request.transaction_id.0 = *b"transaction!";
                request.write_header();
                if with_fingerprint {
                    FINGERPRINT.add_to(&mut request).unwrap();
                }
                let request = Message::parse(&request.raw).unwrap();
                let reply = SmallReply::mapped(&request, client);
                let expected = Reply::success(&request).mapped(client).finish();
                assert_eq!(reply.as_bytes(), expected);
            }
        }
    }
}
