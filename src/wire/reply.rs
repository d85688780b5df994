//! Building responses from the setters of `stun` and `turn::proto`.

use std::net::SocketAddr;

use stun::addr::MappedAddress;
use stun::attributes::{
    ATTR_ALTERNATE_SERVER, ATTR_NONCE, ATTR_REALM, ATTR_SOFTWARE, ATTR_XOR_PEER_ADDRESS, AttrType,
};
use stun::error_code::{ErrorCode, ErrorCodeAttribute};
use stun::message::{
    CLASS_ERROR_RESPONSE, CLASS_INDICATION, CLASS_SUCCESS_RESPONSE, METHOD_ALLOCATE,
    METHOD_BINDING, METHOD_CHANNEL_BIND, METHOD_CONNECT, METHOD_CONNECTION_ATTEMPT,
    METHOD_CONNECTION_BIND, METHOD_CREATE_PERMISSION, METHOD_DATA, METHOD_REFRESH, METHOD_SEND,
    MessageClass, MessageType, Setter,
};
use stun::uattrs::UnknownAttributes;
use stun::xoraddr::XorMappedAddress;

use super::integrity::Hash;
use super::message::{ATTR_PASSWORD_ALGORITHMS, ATTR_THIRD_PARTY_AUTHORIZATION};
pub use super::small_reply::SmallReply;
use super::{Message, Method, PeerAddr, TransactionId, address, fingerprint, integrity};

/// A response or an indication under construction. Attributes appear in the order in which they are added.
pub struct Reply {
    message: stun::message::Message,
    /// What it is signed with.
    hash: Hash,
    fingerprint: bool,
}

impl Reply {
    /// Begins a success response to `request`.
    pub fn success(request: &Message<'_>) -> Self {
        Self::begin(request, CLASS_SUCCESS_RESPONSE)
    }

    /// Begins an error response to `request`. A reason is cut at 127 characters (RFC 8489 §14.8).
    pub fn error(request: &Message<'_>, code: ErrorCode, reason: &str) -> Self {
        let reason: String = reason.chars().take(127).collect();
        Self::begin(request, CLASS_ERROR_RESPONSE).with(&ErrorCodeAttribute {
            code,
            reason: reason.into_bytes(),
        })
    }

    /// Begins an indication, which is neither signed nor answered.
    pub fn indication(indicated: Method, id: TransactionId) -> Self {
        let mut message = stun::message::Message::new();
        message.transaction_id.0 = id.0;
        message.set_type(MessageType::new(method(indicated), CLASS_INDICATION));
        message.write_header();
        Self {
            message,
            hash: Hash::Sha1,
            fingerprint: false,
        }
    }

    fn begin(request: &Message<'_>, class: MessageClass) -> Self {
        let mut message = stun::message::Message::new();
        message.transaction_id.0 = request.transaction_id().0;
        message.set_type(MessageType::new(method(request.method()), class));
        message.write_header();
        Self {
            message,
            hash: Hash::of_response_to(request),
            // A client that sends FINGERPRINT tells protocols apart by it (RFC 8489 §7).
            fingerprint: request.has_fingerprint(),
        }
    }

    /// Adds an attribute. Our own values are within the limits of every setter; one that is not is left out.
    pub fn with(mut self, attribute: &dyn Setter) -> Self {
        let added = attribute.add_to(&mut self.message);
        debug_assert!(added.is_ok(), "{added:?}");
        self
    }

    /// Adds an attribute by its bytes.
    pub fn with_raw(mut self, typ: AttrType, value: &[u8]) -> Self {
        self.message.add(typ, value);
        self
    }

    /// Adds XOR-MAPPED-ADDRESS.
    pub fn mapped(self, address: SocketAddr) -> Self {
        self.with(&XorMappedAddress {
            ip: address.ip(),
            port: address.port(),
        })
    }

    /// Adds XOR-PEER-ADDRESS.
    pub fn peer(mut self, peer: PeerAddr) -> Self {
        let id = TransactionId(self.message.transaction_id.0);
        let mut value = [0; address::MAX_VALUE];
        let len = address::encode_xor(peer.0, id, &mut value);
        self.message.add(ATTR_XOR_PEER_ADDRESS, &value[..len]);
        self
    }

    /// Adds ALTERNATE-SERVER.
    pub fn alternate_server(self, address: SocketAddr) -> Self {
        self.plain_address(ATTR_ALTERNATE_SERVER, address)
    }

    /// Adds an address that is not XORed: MAPPED-ADDRESS and its kin (RFC 8489 §14.1).
    pub fn plain_address(mut self, typ: AttrType, address: SocketAddr) -> Self {
        let attribute = MappedAddress {
            ip: address.ip(),
            port: address.port(),
        };
        let added = attribute.add_to_as(&mut self.message, typ);
        debug_assert!(added.is_ok(), "{added:?}");
        self
    }

    /// Its length so far, with the FINGERPRINT that it may end with.
    pub fn size(&self) -> usize {
        let fingerprint = if self.fingerprint { 8 } else { 0 };
        self.message.raw.len() + fingerprint
    }

    /// Adds REALM, NONCE and PASSWORD-ALGORITHMS: a challenge (RFC 8489 §9.2.4).
    pub fn challenge(self, realm: &str, nonce: &str, algorithms: Option<&[u8]>) -> Self {
        let reply = self
            .with_raw(ATTR_REALM, realm.as_bytes())
            .with_raw(ATTR_NONCE, nonce.as_bytes());
        match algorithms {
            Some(list) => reply.with_raw(ATTR_PASSWORD_ALGORITHMS, list),
            None => reply,
        }
    }

    /// Adds THIRD-PARTY-AUTHORIZATION where access tokens are taken (RFC 7635 §6.1).
    pub fn third_party_authorization(self, server_name: Option<&str>) -> Self {
        match server_name {
            Some(name) => self.with_raw(ATTR_THIRD_PARTY_AUTHORIZATION, name.as_bytes()),
            None => self,
        }
    }

    /// Adds SOFTWARE where there is one to tell.
    pub fn software(self, software: Option<&str>) -> Self {
        match software {
            Some(text) => self.with_raw(ATTR_SOFTWARE, text.as_bytes()),
            None => self,
        }
    }

    /// Adds UNKNOWN-ATTRIBUTES.
    pub fn unknown(self, types: Vec<AttrType>) -> Self {
        self.with(&UnknownAttributes(types))
    }

    /// Ends the response with MESSAGE-INTEGRITY, or MESSAGE-INTEGRITY-SHA256 if the request wants it.
    pub fn sign(mut self, key: &[u8]) -> Vec<u8> {
        integrity::add(&mut self.message, key, self.hash);
        self.finish()
    }

    /// Ends the response, with a FINGERPRINT if the request had one.
    pub fn finish(mut self) -> Vec<u8> {
        if self.fingerprint {
            fingerprint::add(&mut self.message);
        }
        self.message.raw
    }
}

fn method(method: Method) -> stun::message::Method {
    match method {
        Method::Binding => METHOD_BINDING,
        Method::Allocate => METHOD_ALLOCATE,
        Method::Refresh => METHOD_REFRESH,
        Method::Send => METHOD_SEND,
        Method::Data => METHOD_DATA,
        Method::CreatePermission => METHOD_CREATE_PERMISSION,
        Method::ChannelBind => METHOD_CHANNEL_BIND,
        Method::Connect => METHOD_CONNECT,
        Method::ConnectionBind => METHOD_CONNECTION_BIND,
        Method::ConnectionAttempt => METHOD_CONNECTION_ATTEMPT,
    }
}

#[cfg(test)]
mod tests {
    use stun::error_code::CODE_UNAUTHORIZED;

    use stun::fingerprint::FINGERPRINT;
    use stun::message::Setter;

    use super::*;
    use crate::wire::integrity;

    const REQUEST: [u8; 20] = [
        0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ];

    #[test]
    fn a_binding_reply_for_ipv4_is_32_bytes() {
        let request = Message::parse(&REQUEST).unwrap();
        let reply = Reply::success(&request)
            .mapped("192.0.2.1:5".parse().unwrap())
            .finish();
        assert_eq!(reply.len(), 32);
        assert_eq!(reply[..2], [1, 1]);
        assert_eq!(reply[8..20], REQUEST[8..]);
    }

    #[test]
    fn a_signed_reply_verifies() {
        let request = Message::parse(&REQUEST).unwrap();
        let reply = Reply::error(&request, CODE_UNAUTHORIZED, "Unauthorized").sign(b"key");
        assert!(integrity::verify(&Message::parse(&reply).unwrap(), b"key"));
    }

    #[test]
    fn a_fingerprint_is_answered_with_one() {
        let mut with_fingerprint = stun::message::Message::new();
        with_fingerprint.write(&REQUEST).unwrap();
        FINGERPRINT.add_to(&mut with_fingerprint).unwrap();
        let request = Message::parse(&with_fingerprint.raw).unwrap();
        let reply = Reply::success(&request).finish();
        assert!(Message::parse(&reply).unwrap().has_fingerprint());
    }

    #[test]
    fn a_reason_is_cut_at_127_characters() {
        let request = Message::parse(&REQUEST).unwrap();
        let reply = Reply::error(&request, CODE_UNAUTHORIZED, &"ü".repeat(200)).finish();
        let value = Message::parse(&reply)
            .unwrap()
            .get(stun::attributes::ATTR_ERROR_CODE)
            .unwrap();
        assert_eq!(value.len(), 4 + 2 * 127);
    }
}
