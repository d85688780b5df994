//! MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256: HMACs over the message up to themselves (RFC 8489 §14.5, §14.6).

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use stun::attributes::{ATTR_MESSAGE_INTEGRITY, AttrType};

use super::message::{
    ATTR_MESSAGE_INTEGRITY_SHA256, ATTR_PASSWORD_ALGORITHM, ATTR_PASSWORD_ALGORITHMS, HEADER_LEN,
    Message,
};

/// What the HMAC is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// MESSAGE-INTEGRITY.
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256. TURN uses it whole, 32 bytes long.
    Sha256,
}

/// The attribute that protects a message, and where it begins.
#[derive(Clone, Copy)]
pub(super) struct Integrity {
    pub(super) hash: Hash,
    pub(super) offset: usize,
}

impl Hash {
    /// What a response is signed with (RFC 8489 §9.2.4): SHA-256 if the request names a password algorithm, whichever one it is.
    ///
    /// By the letter that holds for a request that is signed by SHA-1 all the same. Such a client (turn-client-proto, limited
    /// to SHA-1) does not know the response to be its server's, so it gets the hash that it has used.
    pub(super) fn of_response_to(request: &Message<'_>) -> Self {
        let names = [ATTR_PASSWORD_ALGORITHM, ATTR_PASSWORD_ALGORITHMS];
        let is_named = names.iter().any(|name| request.contains(*name));
        match request.integrity() {
            Some(integrity) if is_named => integrity.hash,
            Some(_) | None => Self::Sha1,
        }
    }

    /// The length of the attribute's value.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    fn attribute(self) -> AttrType {
        match self {
            Self::Sha1 => ATTR_MESSAGE_INTEGRITY,
            Self::Sha256 => ATTR_MESSAGE_INTEGRITY_SHA256,
        }
    }
}

/// Whether a message was signed with `key`. Takes constant time for a given message length.
///
/// Where both attributes are there, only MESSAGE-INTEGRITY-SHA256 counts (RFC 8489 §9.2.4).
pub fn verify(message: &Message<'_>, key: &[u8]) -> bool {
    let Some(Integrity { hash, offset }) = message.integrity() else {
        return false;
    };
    let bytes = message.bytes();
    let value = &bytes[offset + 4..offset + 4 + hash.len()];
    match hash {
        Hash::Sha1 => mac::<Hmac<Sha1>>(key, &bytes[..offset], hash)
            .verify_slice(value)
            .is_ok(),
        Hash::Sha256 => mac::<Hmac<Sha256>>(key, &bytes[..offset], hash)
            .verify_slice(value)
            .is_ok(),
    }
}

/// Ends a message with an HMAC made with `key`.
pub(super) fn add(message: &mut stun::message::Message, key: &[u8], hash: Hash) {
    let covered = &message.raw;
    match hash {
        Hash::Sha1 => {
            let value = mac::<Hmac<Sha1>>(key, covered, hash).finalize();
            message.add(hash.attribute(), &value.into_bytes());
        }
        Hash::Sha256 => {
            let value = mac::<Hmac<Sha256>>(key, covered, hash).finalize();
            message.add(hash.attribute(), &value.into_bytes());
        }
    }
}

/// The HMAC over what is before the attribute. The length in the header counts up to the attribute's end, whatever follows it.
fn mac<M: Mac + KeyInit>(key: &[u8], covered: &[u8], hash: Hash) -> M {
    let length = (covered.len() - HEADER_LEN + 4 + hash.len()) as u16;
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes any key length");
    mac.update(&covered[..2]);
    mac.update(&length.to_be_bytes());
    mac.update(&covered[4..]);
    mac
}

#[cfg(test)]
mod tests {
    use stun::attributes::{ATTR_SOFTWARE, ATTR_USERNAME};
    use stun::fingerprint::FINGERPRINT;
    use stun::integrity::MessageIntegrity;
    use stun::message::{BINDING_REQUEST, Message as StunMessage, Setter};

    use super::*;

    fn signed(key: &[u8], behind: bool) -> Vec<u8> {
        let mut message = StunMessage::new();
        message.set_type(BINDING_REQUEST);
        message.new_transaction_id().unwrap();
        message.write_header();
        message.add(ATTR_USERNAME, b"alice");
        MessageIntegrity(key.to_vec()).add_to(&mut message).unwrap();
        if behind {
            message.add(ATTR_SOFTWARE, b"behind");
            FINGERPRINT.add_to(&mut message).unwrap();
        }
        message.raw
    }

    #[test]
    fn what_the_stun_crate_signs_verifies() {
        for behind in [false, true] {
            let bytes = signed(b"0123456789abcdef", behind);
            let message = Message::parse(&bytes).unwrap();
            assert!(verify(&message, b"0123456789abcdef"));
            assert!(!verify(&message, b"0123456789abcdeg"));
        }
    }

    #[test]
    fn it_signs_as_the_stun_crate_does() {
        let mut message = StunMessage::new();
        message.set_type(BINDING_REQUEST);
        message.new_transaction_id().unwrap();
        message.write_header();
        message.add(ATTR_USERNAME, b"alice");
        let mut theirs = message.clone();
        MessageIntegrity(b"key".to_vec())
            .add_to(&mut theirs)
            .unwrap();
        add(&mut message, b"key", Hash::Sha1);
        assert_eq!(message.raw, theirs.raw);
    }

    #[test]
    fn any_changed_bit_before_it_is_noticed() {
        let bytes = signed(b"key", false);
        for bit in 8 * 8..(bytes.len() - 24) * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(message) = Message::parse(&changed) {
                assert!(!verify(&message, b"key"), "bit {bit}");
            }
        }
    }

    #[test]
    fn the_long_term_request_of_rfc5769_verifies() {
        let text = "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b90000\
            0015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f72670000\
            080014f67024656dd64a3e02b8e0712e85c9a28ca89666";
        let digits: Vec<u8> = text
            .bytes()
            .filter_map(|c| (c as char).to_digit(16).map(|d| d as u8))
            .collect();
        let bytes: Vec<u8> = digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect();
        let key = turn::auth::generate_auth_key("マトリックス", "example.org", "TheMatrIX");
        assert!(verify(&Message::parse(&bytes).unwrap(), &key));
    }
}
