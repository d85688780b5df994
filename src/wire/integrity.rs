//! MESSAGE-INTEGRITY: HMAC-SHA1 over the message up to itself (RFC 8489 §14.5).

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use stun::attributes::ATTR_MESSAGE_INTEGRITY;

use super::message::{HEADER_LEN, INTEGRITY_LEN, Message};

/// Whether MESSAGE-INTEGRITY was made with `key`. Takes constant time for a given message length.
pub fn verify(message: &Message<'_>, key: &[u8]) -> bool {
    let Some(offset) = message.integrity_offset() else {
        return false;
    };
    let bytes = message.bytes();
    // The length in the header counts up to the end of MESSAGE-INTEGRITY, whatever follows it.
    let end = offset + 4 + INTEGRITY_LEN;
    let length = (end - HEADER_LEN) as u16;
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes any key length");
    mac.update(&bytes[..2]);
    mac.update(&length.to_be_bytes());
    mac.update(&bytes[4..offset]);
    mac.verify_slice(&bytes[offset + 4..end]).is_ok()
}

/// Ends a message with a MESSAGE-INTEGRITY made with `key`.
pub(super) fn add(message: &mut stun::message::Message, key: &[u8]) {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes any key length");
    // The length in the header counts MESSAGE-INTEGRITY already.
    let length = (message.raw.len() - HEADER_LEN + 4 + INTEGRITY_LEN) as u16;
    mac.update(&message.raw[..2]);
    mac.update(&length.to_be_bytes());
    mac.update(&message.raw[4..]);
    message.add(ATTR_MESSAGE_INTEGRITY, &mac.finalize().into_bytes());
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
        add(&mut message, b"key");
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
