//! As much of TURN as a client needs before it sends data, for the one user that there is.

use std::net::{SocketAddr, SocketAddrV4};

use stun::attributes::{
    ATTR_CHANNEL_NUMBER, ATTR_LIFETIME, ATTR_XOR_PEER_ADDRESS, ATTR_XOR_RELAYED_ADDRESS,
};
use stun::error_code::CODE_UNAUTHORIZED;
use uturn::auth::{Key, PasswordAlgorithm};
use uturn::wire::address::{MAX_VALUE, decode_xor, encode_xor};
use uturn::wire::reply::Reply;
use uturn::wire::{ChannelNumber, Message, Method, integrity};

use super::super::server::{PASSWORD, REALM, USER};

/// What a client asks for.
pub(super) enum Asked {
    Allocate,
    Bind(ChannelNumber, SocketAddrV4),
    Refresh,
    Release,
}

/// Knows the user's key.
pub(super) struct Challenger(Key);

impl Default for Challenger {
    fn default() -> Self {
        Self(Key::long_term(
            PasswordAlgorithm::Md5,
            USER,
            REALM,
            PASSWORD,
        ))
    }
}

impl Challenger {
    /// What a request asks for; the error is the answer to one that is not signed, or makes no sense.
    pub(super) fn examine(&self, request: &Message<'_>) -> Result<Asked, Vec<u8>> {
        if request.method() == Method::Binding {
            return Err(Reply::success(request).finish());
        }
        if !integrity::verify(request, self.0.as_bytes()) {
            return Err(Reply::error(request, CODE_UNAUTHORIZED, "Unauthorized")
                .challenge(REALM, "nonce", None)
                .finish());
        }
        let asked = match request.method() {
            Method::Allocate => Some(Asked::Allocate),
            Method::ChannelBind => bind(request),
            Method::Refresh => Some(match request.get(ATTR_LIFETIME) {
                Some([0, 0, 0, 0]) => Asked::Release,
                _ => Asked::Refresh,
            }),
            _ => None,
        };
        asked.ok_or_else(|| {
            Reply::error(request, stun::error_code::CODE_BAD_REQUEST, "Bad Request")
                .sign(self.0.as_bytes())
        })
    }

    /// That it has been done, and the relayed address if there is one.
    pub(super) fn success(&self, request: &Message<'_>, relayed: Option<SocketAddrV4>) -> Vec<u8> {
        let mut reply = Reply::success(request);
        if let Some(relayed) = relayed {
            let mut value = [0; MAX_VALUE];
            let id = request.transaction_id();
            let len = encode_xor(SocketAddr::V4(relayed), id, &mut value);
            reply = reply
                .with_raw(ATTR_XOR_RELAYED_ADDRESS, &value[..len])
                .with_raw(ATTR_LIFETIME, &600u32.to_be_bytes());
        }
        reply.sign(self.0.as_bytes())
    }
}

fn bind(request: &Message<'_>) -> Option<Asked> {
    let &[high, low, ..] = request.get(ATTR_CHANNEL_NUMBER)? else {
        return None;
    };
    let number = ChannelNumber::new(u16::from_be_bytes([high, low]))?;
    let peer = request.get(ATTR_XOR_PEER_ADDRESS)?;
    match decode_xor(peer, request.transaction_id()) {
        Ok(SocketAddr::V4(peer)) => Some(Asked::Bind(number, peer)),
        _ => None,
    }
}
