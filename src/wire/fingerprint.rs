//! FINGERPRINT (RFC 8489 §14.7).

use crc::{CRC_32_ISO_HDLC, Crc};
use stun::attributes::ATTR_FINGERPRINT;
use stun::fingerprint::FINGERPRINT_XOR_VALUE;

use super::message::HEADER_LEN;

/// A table made once: the `stun` crate makes its own for each message, which costs more than all else about a Binding.
static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// The value for a message that ends before the attribute, with the attribute in its length.
pub(super) fn of(message: &[u8]) -> u32 {
    CRC.checksum(message) ^ FINGERPRINT_XOR_VALUE
}

/// Ends a message with it.
pub(super) fn add(message: &mut stun::message::Message) {
    // The length in the header counts the attribute already.
    let length = (message.raw.len() - HEADER_LEN + 8) as u16;
    message.raw[2..4].copy_from_slice(&length.to_be_bytes());
    let value = of(&message.raw);
    message.add(ATTR_FINGERPRINT, &value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use stun::fingerprint::FINGERPRINT;
    use stun::message::{BINDING_REQUEST, Message, Setter};

    #[test]
    fn a_message_ends_as_the_stun_crate_ends_it() {
        let mut message = Message::new();
        message.set_type(BINDING_REQUEST);
        message.write_header();
        let mut theirs = message.clone();
        FINGERPRINT.add_to(&mut theirs).unwrap();
        super::add(&mut message);
        assert_eq!(message.raw, theirs.raw);
    }

    #[test]
    fn it_is_what_the_stun_crate_computes() {
        for message in [&b""[..], b"a", &[7; 100]] {
            let expected = stun::fingerprint::fingerprint_value(message);
            assert_eq!(super::of(message), expected);
        }
    }
}
