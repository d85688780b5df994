//! The self-contained access token of RFC 7635 §6.2: what ACCESS-TOKEN holds.
//!
//! An authorization server seals it with a key that this server has, too, and gives it to a client together with the
//! `mac_key` in it; whoever signs with that key has been authorized. Randomness and time are arguments.

use std::time::Duration;

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use zeroize::Zeroizing;

use super::{Key, Secret, UnixTime};

/// Seals and opens access tokens: AEAD_AES_128_GCM or AEAD_AES_256_GCM, by the key's length (RFC 7635 §4.1.1, §6.2).
pub struct AccessTokenCipher(Cipher);

enum Cipher {
    Aes128(Box<Aes128Gcm>),
    Aes256(Box<Aes256Gcm>),
}

/// What an access token says.
#[derive(Clone)]
pub struct AccessToken {
    /// The session key, 20 or 32 bytes long: for HMAC-SHA-1, which is all that RFC 7635 §6.2 demands, and for HMAC-SHA-256
    /// with a key as long as its output. No STUN of today has a use for another length.
    pub mac_key: Key,
    /// When it was sealed.
    pub timestamp: TokenTimestamp,
    /// How long it is good, in seconds.
    pub lifetime: u32,
}

/// Seconds since 1970 in the first 48 bits, 1/64000 of a second in the last 16 (RFC 7635 §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenTimestamp(pub u64);

impl TokenTimestamp {
    /// The beginning of a second; what 48 bits cannot hold is cut.
    pub fn of(time: UnixTime) -> Self {
        Self(time.0 << FRACTION_BITS)
    }

    /// The second that it lies in.
    pub fn second(self) -> UnixTime {
        UnixTime(self.0 >> FRACTION_BITS)
    }
}

impl AccessTokenCipher {
    /// Takes a key of 16 bytes for AES-128, or of 32 for AES-256; there is no other.
    pub fn new(key: &Secret) -> Option<Self> {
        let key = key.expose();
        match key.len() {
            16 => Some(Cipher::Aes128(Box::new(
                Aes128Gcm::new_from_slice(key).ok()?,
            ))),
            32 => Some(Cipher::Aes256(Box::new(
                Aes256Gcm::new_from_slice(key).ok()?,
            ))),
            _ => None,
        }
        .map(Self)
    }

    /// Seals a token for the server of this name. A `nonce` must never serve the same key twice.
    pub fn seal(
        &self,
        token: &AccessToken,
        server_name: &str,
        nonce: [u8; NONCE_LENGTH],
    ) -> Vec<u8> {
        let mac_key = token.mac_key.as_bytes();
        let mut sealed = Vec::with_capacity(MOST);
        sealed.extend((NONCE_LENGTH as u16).to_be_bytes());
        sealed.extend(nonce);
        sealed.extend((mac_key.len() as u16).to_be_bytes());
        sealed.extend(mac_key);
        sealed.extend(token.timestamp.0.to_be_bytes());
        sealed.extend(token.lifetime.to_be_bytes());
        let block = &mut sealed[HEAD..];
        let (nonce, name) = (nonce.into(), server_name.as_bytes());
        let tag = match &self.0 {
            Cipher::Aes128(aes) => aes.encrypt_inout_detached(&nonce, name, block.into()),
            Cipher::Aes256(aes) => aes.encrypt_inout_detached(&nonce, name, block.into()),
        };
        sealed.extend(tag.expect("AES-GCM takes 64 GiB, and a token is smaller"));
        sealed
    }

    /// Opens a token that was sealed for the server of this name; `None` for anything else.
    ///
    /// Lengths are checked before anything is decrypted, and nothing that was decrypted is looked at before its tag has been
    /// verified, which takes constant time for a given length. Nothing is stored on the heap.
    pub fn open(&self, sealed: &[u8], server_name: &str) -> Option<AccessToken> {
        let (length, rest) = sealed.split_first_chunk::<2>()?;
        // RFC 5116 §5.1, §5.2: the nonce of AES-GCM has 12 octets.
        if usize::from(u16::from_be_bytes(*length)) != NONCE_LENGTH {
            return None;
        }
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LENGTH>()?;
        let (encrypted, tag) = rest.split_last_chunk::<TAG_LENGTH>()?;
        let mut block = Zeroizing::new([0; MOST_BLOCK]);
        let block = block.get_mut(..encrypted.len())?;
        block.copy_from_slice(encrypted);
        let (nonce, tag) = ((*nonce).into(), (*tag).into());
        let (name, text) = (server_name.as_bytes(), &mut *block);
        match &self.0 {
            Cipher::Aes128(aes) => aes.decrypt_inout_detached(&nonce, name, text.into(), &tag),
            Cipher::Aes256(aes) => aes.decrypt_inout_detached(&nonce, name, text.into(), &tag),
        }
        .ok()?;
        AccessToken::read(block)
    }
}

impl AccessToken {
    /// Reads a decrypted block, which is filled to its end: key_length, mac_key, timestamp, lifetime.
    fn read(block: &[u8]) -> Option<Self> {
        let (key_length, rest) = block.split_first_chunk::<2>()?;
        let key_length = usize::from(u16::from_be_bytes(*key_length));
        let (mac_key, rest) = rest.split_at_checked(key_length)?;
        let (timestamp, rest) = rest.split_first_chunk::<8>()?;
        let lifetime: &[u8; 4] = rest.try_into().ok()?;
        Some(Self {
            mac_key: Key::of_token(mac_key)?,
            timestamp: TokenTimestamp(u64::from_be_bytes(*timestamp)),
            lifetime: u32::from_be_bytes(*lifetime),
        })
    }

    /// How much longer it is good: lifetime + Δ − |now − timestamp|, with a Δ of 5 seconds (RFC 7635 §7, §9); `None` once
    /// nothing is left. In whole seconds, as all credentials are counted.
    pub fn left(&self, now: UnixTime) -> Option<Duration> {
        let allowed = u64::from(self.lifetime) + DELTA;
        let apart = now.0.abs_diff(self.timestamp.second().0);
        let left = allowed.checked_sub(apart).filter(|left| *left > 0)?;
        Some(Duration::from_secs(left))
    }
}

/// The nonce of AES-GCM.
pub const NONCE_LENGTH: usize = 12;
const TAG_LENGTH: usize = 16;
const FRACTION_BITS: u32 = 16;
/// How much clocks may differ, and a token be late: what RFC 7635 §7 recommends.
const DELTA: u64 = 5;
/// nonce_length and nonce.
const HEAD: usize = 2 + NONCE_LENGTH;
/// The longest block that is read, with a mac_key of 32 bytes.
const MOST_BLOCK: usize = 2 + 32 + 8 + 4;
/// The longest token.
const MOST: usize = HEAD + MOST_BLOCK + TAG_LENGTH;

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    const NAME: &str = "turn.example.org";
    const NOW: UnixTime = UnixTime(1_700_000_000);

    fn cipher(key: &[u8]) -> AccessTokenCipher {
        AccessTokenCipher::new(&Secret::new(key)).expect("16 or 32 bytes")
    }

    fn token(mac_key: &[u8], lifetime: u32) -> AccessToken {
        AccessToken {
            mac_key: Key::of_token(mac_key).expect("20 or 32 bytes"),
            timestamp: TokenTimestamp(NOW.0 << 16 | 63_999),
            lifetime,
        }
    }

    #[test]
    fn a_token_opens_to_what_was_sealed() {
        for key in [&[7; 16][..], &[7; 32]] {
            for mac_key in [&[9; 20][..], &[9; 32]] {
                let cipher = cipher(key);
                let sealed = cipher.seal(&token(mac_key, 900), NAME, [1; 12]);
                assert_eq!(sealed.len(), 44 + mac_key.len());
                assert_eq!(sealed[..3], [0, 12, 1]);
                let opened = cipher.open(&sealed, NAME).expect("our own");
                assert_eq!(opened.mac_key.as_bytes(), mac_key);
                assert_eq!(opened.timestamp, TokenTimestamp(NOW.0 << 16 | 63_999));
                assert_eq!(opened.timestamp.second(), NOW);
                assert_eq!(opened.lifetime, 900);
            }
        }
    }

    /// What `turnutils_oauth -e` of coturn 4.6.1 prints for these values.
    #[test]
    fn a_token_of_coturn_opens_and_is_what_is_sealed_here() {
        for (key, expected) in COTURN {
            let cipher = cipher(key);
            let token = AccessToken {
                mac_key: Key::of_token(b"01234567890123456789").expect("20 bytes"),
                timestamp: TokenTimestamp::of(UnixTime(1_700_000_000)),
                lifetime: 3600,
            };
            let expected = BASE64_STANDARD.decode(expected).expect("base64");
            assert_eq!(cipher.seal(&token, NAME, *b"a nonce of12"), expected);
            assert!(cipher.open(&expected, NAME).is_some());
        }
    }

    #[test]
    fn what_is_changed_cut_or_lengthened_does_not_open() {
        let cipher = cipher(&[7; 32]);
        let sealed = cipher.seal(&token(&[9; 20], 900), NAME, [1; 12]);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(cipher.open(&changed, NAME).is_none(), "byte {at}");
            assert!(cipher.open(&sealed[..at], NAME).is_none(), "{at} bytes");
        }
        let longer = |more: usize| [&sealed[..], &vec![0; more]].concat();
        assert!(cipher.open(&longer(1), NAME).is_none());
        assert!(cipher.open(&longer(65_000), NAME).is_none());
    }

    #[test]
    fn another_key_another_name_or_another_length_does_not_open() {
        let sealed = cipher(&[7; 32]).seal(&token(&[9; 20], 900), NAME, [1; 12]);
        assert!(cipher(&[8; 32]).open(&sealed, NAME).is_none());
        assert!(cipher(&[7; 16]).open(&sealed, NAME).is_none());
        assert!(cipher(&[7; 32]).open(&sealed, "turn.example.com").is_none());
        for length in [0, 15, 17, 24, 33] {
            assert!(AccessTokenCipher::new(&Secret::new(vec![7; length])).is_none());
        }
    }

    /// Sealed by who has the key, and all the same not to be believed.
    #[test]
    fn blocks_of_other_lengths_are_refused() {
        let block =
            |key_length: u16, rest: usize| [&key_length.to_be_bytes()[..], &vec![0; rest]].concat();
        assert!(AccessToken::read(&block(20, 32)).is_some());
        assert!(AccessToken::read(&block(32, 44)).is_some());
        for (key_length, rest) in [
            (20, 31),
            (20, 33),
            (0, 12),
            (16, 28),
            (24, 36),
            (64, 76),
            (0xFFFF, 44),
            (20, 0),
        ] {
            assert!(AccessToken::read(&block(key_length, rest)).is_none());
        }
        assert!(AccessToken::read(&[0]).is_none());
    }

    #[test]
    fn a_token_is_good_for_its_lifetime_and_five_seconds_from_when_it_was_sealed() {
        let left = |lifetime, now| {
            let token = token(&[9; 20], lifetime);
            token.left(UnixTime(now)).map(|left| left.as_secs())
        };
        assert_eq!(left(900, NOW.0), Some(905));
        assert_eq!(left(900, NOW.0 + 904), Some(1));
        assert_eq!(left(900, NOW.0 + 905), None);
        assert_eq!(left(900, NOW.0 - 904), Some(1));
        assert_eq!(left(900, NOW.0 - 905), None);
        assert_eq!(left(0, NOW.0), Some(5));
        assert_eq!(left(0, NOW.0 + 5), None);
        assert_eq!(left(u32::MAX, 0), Some(u64::from(u32::MAX) + 5 - NOW.0));
        assert_eq!(left(900, u64::MAX), None);
    }

    const COTURN: [(&[u8], &str); 2] = [
        (
            b"0123456789abcdef",
            "AAxhIG5vbmNlIG9mMTLynJ0aZK0Qi8NF44C4oN0oDOUf9DStavHenSGZrv83ebtKNYUNEasSmZDfGw8DynnXLw==",
        ),
        (
            b"0123456789abcdef0123456789abcdef",
            "AAxhIG5vbmNlIG9mMTLMnKU0Nz6sjqPVgg24x/lWqZizfqxy3WbDc6Yy0MP97UcC7eUxD+ztf2k7wvUVNMlcHg==",
        ),
    ];
}
