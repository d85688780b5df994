//! The long-term key (RFC 8489 §9.2.2).

use md5::{Digest, Md5};
use zeroize::Zeroizing;

/// What MESSAGE-INTEGRITY is computed with: MD5(username ":" realm ":" password) (RFC 8489 §9.2.2).
///
/// Whoever has it can act as the user: no `Debug`, wiped when dropped.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 16]>);

impl Key {
    /// Computes the key of a user. The parts are taken as they are, without string preparation.
    pub fn long_term(username: &str, realm: &str, password: impl AsRef<[u8]>) -> Self {
        // Hashed piece by piece, so that no copy of the password is left behind in a joined string.
        let mut md5 = Md5::new();
        md5.update(username.as_bytes());
        md5.update(b":");
        md5.update(realm.as_bytes());
        md5.update(b":");
        md5.update(password.as_ref());
        Self(Zeroizing::new(md5.finalize().into()))
    }

    /// Lends the bytes to a computation. Never log them.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A key that was computed elsewhere, such as by `turnadmin -k`.
impl From<[u8; 16]> for Key {
    fn from(bytes: [u8; 16]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_what_md5sum_computes() {
        // The user of RFC 5769 §2.4, with the password as prepared.
        let key = Key::long_term(
            "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}",
            "example.org",
            "TheMatrIX",
        );
        // printf マトリックス:example.org:TheMatrIX | md5sum
        let expected = 0xe8ca_7ad5_9d5e_b051_8e31_2911_d2da_b2a9_u128;
        assert_eq!(u128::from_be_bytes(*key.as_bytes()), expected);
    }

    #[test]
    fn the_key_is_what_the_turn_crate_computes() {
        for (user, realm, password) in [
            ("alice", "example.org", "s3cret"),
            ("1700000000:a:b", "r:e:alm", "pass:word"),
            ("", "", ""),
        ] {
            let upstream = ::turn::auth::generate_auth_key(user, realm, password);
            let ours = Key::long_term(user, realm, password);
            assert_eq!(ours.as_bytes().as_slice(), upstream.as_slice());
        }
    }
}
