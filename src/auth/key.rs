//! What messages are signed with: the long-term key (RFC 8489 §9.2.2), or the mac_key of an access token (RFC 7635 §6.2).

use md5::{Digest, Md5};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What turns a password into a key (RFC 8489 §18.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PasswordAlgorithm {
    /// What a client uses that does not name any.
    Md5,
    /// What a client uses that knows RFC 8489.
    Sha256,
}

/// What messages are signed with: a hash of username ":" realm ":" password (RFC 8489 §9.2.2), or a token's mac_key.
///
/// Whoever has it can act as the user: no `Debug`, wiped when dropped.
#[derive(Clone)]
pub struct Key {
    bytes: Zeroizing<[u8; 32]>,
    length: usize,
}

impl Key {
    /// Computes the key of a user. The parts are taken as they are, without string preparation.
    pub fn long_term(
        algorithm: PasswordAlgorithm,
        username: &str,
        realm: &str,
        password: impl AsRef<[u8]>,
    ) -> Self {
        let parts = [username.as_bytes(), realm.as_bytes(), password.as_ref()];
        match algorithm {
            PasswordAlgorithm::Md5 => Self::of(&joined::<Md5>(parts)),
            PasswordAlgorithm::Sha256 => Self::of(&joined::<Sha256>(parts)),
        }
    }

    /// Takes a mac_key, which has 20 or 32 bytes.
    pub fn of_token(mac_key: &[u8]) -> Option<Self> {
        matches!(mac_key.len(), 20 | 32).then(|| Self::of(mac_key))
    }

    /// Its first 16 bytes: what coturn takes for a whole mac_key.
    pub(super) fn as_coturn_cuts_it(&self) -> Self {
        Self::of(&self.bytes[..16])
    }

    /// Takes 32 bytes at most.
    fn of(key: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        bytes[..key.len()].copy_from_slice(key);
        Self {
            bytes,
            length: key.len(),
        }
    }

    /// Lends the bytes to a computation: 16 or 32, or a mac_key's 20. Never log them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Hashed piece by piece, so that no copy of the password is left behind in a joined string.
fn joined<D: Digest>([username, realm, password]: [&[u8]; 3]) -> md5::digest::Output<D> {
    let mut hash = D::new();
    hash.update(username);
    hash.update(b":");
    hash.update(realm);
    hash.update(b":");
    hash.update(password);
    hash.finalize()
}

/// A key by SHA-256 that was computed elsewhere.
impl From<[u8; 32]> for Key {
    fn from(sha256: [u8; 32]) -> Self {
        Self::of(&sha256)
    }
}

/// A key by MD5 that was computed elsewhere, such as by `turnadmin -k`.
impl From<[u8; 16]> for Key {
    fn from(md5: [u8; 16]) -> Self {
        Self::of(&md5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_what_md5sum_computes() {
        // The user of RFC 5769 §2.4, with the password as prepared.
        let key = Key::long_term(
            PasswordAlgorithm::Md5,
            "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}",
            "example.org",
            "TheMatrIX",
        );
        // printf マトリックス:example.org:TheMatrIX | md5sum
        let expected = 0xe8ca_7ad5_9d5e_b051_8e31_2911_d2da_b2a9_u128;
        assert_eq!(key.as_bytes(), expected.to_be_bytes());
    }

    #[test]
    fn the_key_is_what_the_turn_crate_computes() {
        for (user, realm, password) in [
            ("alice", "example.org", "s3cret"),
            ("1700000000:a:b", "r:e:alm", "pass:word"),
            ("", "", ""),
        ] {
            let upstream = ::turn::auth::generate_auth_key(user, realm, password);
            let ours = Key::long_term(PasswordAlgorithm::Md5, user, realm, password);
            assert_eq!(ours.as_bytes(), upstream);
        }
    }

    #[test]
    fn the_key_by_sha256_is_what_sha256sum_computes() {
        let key = Key::long_term(PasswordAlgorithm::Sha256, "alice", "example.org", "s3cret");
        // printf alice:example.org:s3cret | sha256sum
        let hex: String = key
            .as_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "f22052fea8541d9a84dc48aa41b20e65023c376e463bc39e716fac6e0f0f7a5f"
        );
    }
}
