//! Third-party authorization (RFC 7635): which access tokens are believed, and who has signed with one.

use std::collections::HashMap;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::access_token::{AccessToken, AccessTokenCipher};
use super::{AuthError, Key, Secret, UnixTime};

/// The keys that are shared with authorization servers.
#[derive(Clone, Default)]
pub struct TokenKeys {
    /// What this server is called in THIRD-PARTY-AUTHORIZATION, and what tokens are sealed for.
    pub server_name: String,
    /// Several at once, so that one can be replaced without a break. Where an id is given twice, the first one counts.
    pub keys: Vec<TokenKey>,
    /// How much of a mac_key signs.
    pub integrity: TokenIntegrity,
}

/// A key that is shared with an authorization server (RFC 7635 §4.1.1).
#[derive(Clone)]
pub struct TokenKey {
    /// The key id (kid), which clients send as USERNAME. It is no secret: it travels in the clear.
    pub id: String,
    /// 16 bytes for AES-128, or 32 for AES-256.
    pub key: Secret,
    /// From when on tokens are taken that it has sealed.
    pub not_before: Option<UnixTime>,
    /// Until when, that second included. An allocation that a token has opened lives on to the token's end.
    pub not_after: Option<UnixTime>,
}

impl TokenKey {
    /// Whether tokens that it has sealed are taken.
    pub fn is_used_at(&self, now: UnixTime) -> bool {
        self.not_before.is_none_or(|begin| begin <= now)
            && self.not_after.is_none_or(|end| now <= end)
    }
}

/// How much of a mac_key is the key of MESSAGE-INTEGRITY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenIntegrity {
    /// All of it (RFC 7635 §7).
    #[default]
    Rfc7635,
    /// All of it, or its first 16 bytes, as coturn and its `turnutils_uclient` have it.
    Coturn,
}

/// A client with an access token.
pub struct Authorized {
    /// Whom quotas count: each mac_key is a user of its own, as a token names none.
    ///
    /// The authorization server chooses mac_keys, and a client can change nothing in a sealed token: so a client has as many
    /// users' shares as it is given mac_keys, and no means of its own to get more. By the key id alone, all clients of
    /// an authorization server would share what is one user's.
    pub user_id: String,
    /// What the request was signed with, and its response will be.
    pub key: Key,
    /// How much longer the token is good: no allocation that it opens or refreshes may live longer (RFC 7635 §9).
    pub left: Duration,
}

/// The keys, ready for use.
pub(super) struct Tokens {
    server_name: String,
    integrity: TokenIntegrity,
    keys: HashMap<String, (TokenKey, AccessTokenCipher)>,
}

impl Tokens {
    /// Leaves out keys of a wrong length.
    pub(super) fn new(settings: TokenKeys) -> Self {
        let mut keys = HashMap::new();
        for key in settings.keys {
            if let Some(cipher) = AccessTokenCipher::new(&key.key) {
                keys.entry(key.id.clone()).or_insert((key, cipher));
            }
        }
        Self {
            server_name: settings.server_name,
            integrity: settings.integrity,
            keys,
        }
    }

    /// What THIRD-PARTY-AUTHORIZATION tells; `None` where no token is taken.
    pub(super) fn server_name(&self) -> Option<&str> {
        (!self.keys.is_empty()).then_some(&self.server_name)
    }

    /// The key of an id.
    pub(super) fn key(&self, id: &str) -> Option<&TokenKey> {
        self.keys.get(id).map(|(key, _)| key)
    }

    pub(super) fn key_ids(&self) -> impl Iterator<Item = &String> {
        self.keys.keys()
    }

    /// Judges a token and who signed with its mac_key, in the order of RFC 7635 §7.
    pub(super) fn authorize(
        &self,
        key_id: &str,
        token: &[u8],
        now: UnixTime,
        verify: &mut dyn FnMut(&Key) -> bool,
    ) -> Result<Authorized, AuthError> {
        let used = |(key, _): &&(TokenKey, _)| key.is_used_at(now);
        let found = self.keys.get(key_id).filter(used);
        let (_, cipher) = found.ok_or(AuthError::UnknownTokenKey)?;
        let token = cipher.open(token, &self.server_name);
        let token = token.ok_or(AuthError::WrongToken)?;
        let left = token.left(now).ok_or(AuthError::StaleToken {
            issued: token.timestamp.second(),
            lifetime: token.lifetime,
        })?;
        let key = self.signing_key(&token, verify);
        Ok(Authorized {
            user_id: user_id(key_id, &token),
            key: key.ok_or(AuthError::WrongPassword)?,
            left,
        })
    }

    fn signing_key(
        &self,
        token: &AccessToken,
        verify: &mut dyn FnMut(&Key) -> bool,
    ) -> Option<Key> {
        if verify(&token.mac_key) {
            return Some(token.mac_key.clone());
        }
        let cut = match self.integrity {
            TokenIntegrity::Rfc7635 => return None,
            TokenIntegrity::Coturn => token.mac_key.as_coturn_cuts_it(),
        };
        verify(&cut).then_some(cut)
    }
}

/// The key id, and 64 bits that tell mac_keys apart and nothing about them.
fn user_id(key_id: &str, token: &AccessToken) -> String {
    let mut hash = Sha256::new();
    hash.update(b"mac_key of RFC 7635:");
    hash.update(token.mac_key.as_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    let short = hash.iter().take(8).map(|byte| format!("{byte:02x}"));
    format!("{key_id}#{}", short.collect::<String>())
}
