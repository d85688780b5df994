//! Self-contained access tokens (RFC 7635 §6.2), sealed as an authorization server would.

use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::credentials::unix_time;

/// A token before it is sealed.
#[derive(Clone)]
pub struct Token {
    /// In base64.
    pub key: &'static str,
    pub server_name: &'static str,
    pub mac_key: Vec<u8>,
    /// In seconds since 1970.
    pub issued: i64,
    pub lifetime: u32,
}

impl Token {
    /// With a mac_key of 160 bits, good for 900 seconds from now.
    pub fn new(key: &'static str, server_name: &'static str) -> Self {
        Self {
            key,
            server_name,
            mac_key: rand::random::<[u8; 20]>().to_vec(),
            issued: unix_time(0),
            lifetime: 900,
        }
    }

    /// The value of ACCESS-TOKEN: nonce_length, nonce, and the encrypted block with its tag.
    pub fn seal(&self) -> Vec<u8> {
        let length = u16::try_from(self.mac_key.len()).expect("a length has 16 bits");
        let mut block = length.to_be_bytes().to_vec();
        block.extend(&self.mac_key);
        // 48 bits of seconds, and 16 of 1/64000 of a second.
        block.extend((self.issued << 16).to_be_bytes());
        block.extend(self.lifetime.to_be_bytes());
        let key = BASE64_STANDARD.decode(self.key).expect("base64");
        let nonce: [u8; 12] = rand::random();
        let (name, text) = (self.server_name.as_bytes(), &mut block[..]);
        let tag = match key.len() {
            16 => Aes128Gcm::new_from_slice(&key)
                .expect("16 bytes")
                .encrypt_inout_detached(&nonce.into(), name, text.into()),
            _ => Aes256Gcm::new_from_slice(&key)
                .expect("32 bytes")
                .encrypt_inout_detached(&nonce.into(), name, text.into()),
        };
        let tag = tag.expect("a short text");
        [&[0, 12][..], &nonce, &block, &tag[..]].concat()
    }
}
