//! Long-term credentials (RFC 8489 §9.2) and the time-limited ones of draft-uberti-behave-turn-rest-00.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;

/// A name and what proves it.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub name: String,
    pub password: String,
}

impl Credentials {
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            password: password.into(),
        }
    }

    /// The password that `secret` gives to `name` (draft §2.2).
    pub fn signed(secret: &str, name: impl Into<String>) -> Self {
        let name = name.into();
        let password = BASE64_STANDARD.encode(hmac_sha1(secret.as_bytes(), name.as_bytes()));
        Self { name, password }
    }

    /// The usual time-limited name, `expiry:id`, ending `seconds` from now.
    pub fn expiring(secret: &str, seconds: i64, id: &str) -> Self {
        Self::signed(secret, format!("{}:{id}", unix_time(seconds)))
    }
}

/// The key of MESSAGE-INTEGRITY: MD5(name ":" realm ":" password) (RFC 8489 §9.2.2).
pub fn long_term_key(name: &str, realm: &str, password: &str) -> Vec<u8> {
    Md5::digest(format!("{name}:{realm}:{password}")).to_vec()
}

/// The key by SHA-256 (RFC 8489 §18.5.1.2).
pub fn sha256_key(name: &str, realm: &str, password: &str) -> Vec<u8> {
    Sha256::digest(format!("{name}:{realm}:{password}")).to_vec()
}

/// USERHASH (RFC 8489 §14.4).
pub fn userhash(name: &str, realm: &str) -> Vec<u8> {
    Sha256::digest(format!("{name}:{realm}")).to_vec()
}

/// Seconds since 1970 at `offset` seconds from now.
pub fn unix_time(offset: i64) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock past 1970");
    i64::try_from(now.as_secs()).expect("a clock before the year 292 billion") + offset
}

pub(super) fn hmac_sha1(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

pub(super) fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}
