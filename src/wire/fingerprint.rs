//! FINGERPRINT (RFC 8489 §14.7).

use crc::{CRC_32_ISO_HDLC, Crc};
use stun::fingerprint::FINGERPRINT_XOR_VALUE;

/// A table made once: the `stun` crate makes its own for each message, which costs more than all else about a Binding.
static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// The value for a message that ends before the attribute, with the attribute in its length.
pub(super) fn of(message: &[u8]) -> u32 {
    CRC.checksum(message) ^ FINGERPRINT_XOR_VALUE
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_what_the_stun_crate_computes() {
        for message in [&b""[..], b"a", &[7; 100]] {
            let expected = stun::fingerprint::fingerprint_value(message);
            assert_eq!(super::of(message), expected);
        }
    }
}
