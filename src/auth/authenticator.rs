//! Finds the key that a request was signed with.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use super::opaque_string::prepared;
use super::time_limited::TimeLimited;
use super::token_keys::{Authorized, Tokens};
use super::{
    AfterExpiry, Key, PasswordAlgorithm, Secret, Settings, StaticPassword, StaticUser, UnixTime,
    password_for,
};

/// Knows the users, and judges who signed a request.
///
/// Holds no state that a request changes, so threads share it as it is.
pub struct Authenticator {
    pub(super) realm: String,
    pub(super) separator: char,
    after_expiry: AfterExpiry,
    shared_secrets: Vec<Secret>,
    pub(super) static_users: HashMap<String, StaticKeys>,
    /// Their names, and the key ids of access tokens, by USERHASH.
    names: HashMap<[u8; 32], String>,
    /// The most keys that any static user has for one algorithm.
    static_checks: usize,
    has_every_algorithm: bool,
    pub(super) tokens: Tokens,
}

/// The keys of a static user: one for each spelling of the password that clients may sign with.
pub(super) struct StaticKeys {
    md5: Vec<Key>,
    sha256: Vec<Key>,
}

/// Who signed a request.
#[derive(Clone)]
pub struct Credential {
    /// Whom quotas count: the static user's name, or the id within a time-limited username.
    pub user_id: String,
    /// What the request was signed with, and its response will be.
    pub key: Key,
    /// When the credential ends; never, for static users.
    pub expires: Option<UnixTime>,
}

/// Why a request is not authenticated. The client must not learn which of these it was
/// (RFC 8489 §9.2.4 answers each with 401); the operator's log may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthError {
    /// Neither a static user nor a time-limited username.
    #[error("the username is neither a static user's nor time-limited")]
    UnknownUser,
    /// The request was signed with another password.
    #[error("wrong password")]
    WrongPassword,
    /// The credential is genuine, and its time is over.
    #[error("the credential expired at {} (seconds since 1970)", at.0)]
    Expired {
        /// The expiry in its username.
        at: UnixTime,
    },
    /// An access token's key id is nobody's, or of a key that is not used at this time.
    #[error("the username is no key id that access tokens are taken from at this time")]
    UnknownTokenKey,
    /// An access token does not open: it was sealed with another key, for another server, or not at all.
    #[error("the access token was not sealed for this server with the key of that id")]
    WrongToken,
    /// An access token is genuine, and its time is over or has not come.
    #[error("the access token of {} (seconds since 1970) was good for {lifetime} s", issued.0)]
    StaleToken {
        /// Its timestamp.
        issued: UnixTime,
        /// Its lifetime in seconds.
        lifetime: u32,
    },
}

impl Authenticator {
    /// Prepares the keys of the static users. Where a name is given twice, the first one counts.
    pub fn new(settings: Settings) -> Self {
        let realm = prepared(&settings.realm).unwrap_or(settings.realm);
        let mut static_users = HashMap::new();
        for user in settings.static_users {
            let keys = StaticKeys::of(&user, &realm);
            static_users.entry(user.name).or_insert(keys);
        }
        let tokens = Tokens::new(settings.tokens);
        let named = static_users.keys().chain(tokens.key_ids());
        let most = static_users.values().map(|keys| keys.md5.len()).max();
        Self {
            names: named
                .map(|name| (userhash(name, &realm), name.clone()))
                .collect(),
            static_checks: most.unwrap_or(0).max(1),
            has_every_algorithm: static_users.values().all(|keys| !keys.sha256.is_empty()),
            realm,
            separator: settings.separator,
            after_expiry: settings.after_expiry,
            shared_secrets: settings.shared_secrets,
            static_users,
            tokens,
        }
    }

    /// The REALM of every challenge, and a part of every key.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// What the end of a credential means for a running allocation.
    pub fn after_expiry(&self) -> AfterExpiry {
        self.after_expiry
    }

    /// Whether every user can be authenticated by every [`PasswordAlgorithm`]: not those of whom only an MD5 is stored.
    pub fn has_every_algorithm(&self) -> bool {
        self.has_every_algorithm
    }

    /// Whether every user can be known by USERHASH: time-limited names are not known before they come.
    pub fn knows_hashes(&self) -> bool {
        self.shared_secrets.is_empty()
    }

    /// Finds out who signed a request: the first candidate key that `verify` accepts.
    ///
    /// `verify` checks the request's integrity with a key, in constant time. It is also called
    /// with keys that cannot succeed: every refused request costs the checks of a static user and
    /// one for each shared secret, so that the time it took does not tell which names exist.
    pub fn authenticate(
        &self,
        username: &str,
        algorithm: PasswordAlgorithm,
        now: UnixTime,
        verify: &mut dyn FnMut(&Key) -> bool,
    ) -> Result<Credential, AuthError> {
        match self.static_users.get(username) {
            Some(keys) => self.authenticate_static(username, keys.by(algorithm), algorithm, verify),
            None => self.authenticate_time_limited(username, algorithm, now, verify),
        }
    }

    /// What clients are told that access tokens have to be sealed for (RFC 7635 §6.1); `None` where none are taken.
    pub fn token_server_name(&self) -> Option<&str> {
        self.tokens.server_name()
    }

    /// Finds out whether a request was signed with the mac_key of its access token, and that token is to be believed (RFC 7635
    /// §7). `verify` is as for [`authenticate`](Self::authenticate).
    ///
    /// How long it takes tells whether a key id is known, which is no secret.
    pub fn authorize(
        &self,
        key_id: &str,
        token: &[u8],
        now: UnixTime,
        verify: &mut dyn FnMut(&Key) -> bool,
    ) -> Result<Authorized, AuthError> {
        self.tokens.authorize(key_id, token, now, verify)
    }

    /// The static user or key id with this USERHASH: SHA-256(username ":" realm) (RFC 8489 §14.4).
    pub fn name_of(&self, hash: &[u8]) -> Option<&str> {
        let hash: &[u8; 32] = hash.try_into().ok()?;
        self.names.get(hash).map(String::as_str)
    }

    fn authenticate_static(
        &self,
        username: &str,
        keys: &[Key],
        algorithm: PasswordAlgorithm,
        verify: &mut dyn FnMut(&Key) -> bool,
    ) -> Result<Credential, AuthError> {
        if let Some(key) = keys.iter().find(|key| verify(key)) {
            return Ok(Credential {
                user_id: username.to_owned(),
                key: key.clone(),
                expires: None,
            });
        }
        self.stand_in_for_static(keys.len(), verify);
        // A static user's name signed with a shared secret is refused all the same.
        let _ = self.signing_key(username, algorithm, verify);
        Err(AuthError::WrongPassword)
    }

    fn authenticate_time_limited(
        &self,
        username: &str,
        algorithm: PasswordAlgorithm,
        now: UnixTime,
        verify: &mut dyn FnMut(&Key) -> bool,
    ) -> Result<Credential, AuthError> {
        let signed_with = self.signing_key(username, algorithm, verify);
        let signed_with = signed_with.map(|(_, key)| key);
        let name = TimeLimited::parse(username, self.separator)
            .filter(|_| !self.shared_secrets.is_empty());
        let refused = match (name, signed_with) {
            (Some(name), Some(key)) if now <= name.expires => {
                return Ok(Credential {
                    user_id: name.user_id.to_owned(),
                    key,
                    expires: Some(name.expires),
                });
            }
            (Some(name), Some(_)) => AuthError::Expired { at: name.expires },
            (Some(_), None) => AuthError::WrongPassword,
            (None, _) => AuthError::UnknownUser,
        };
        self.stand_in_for_static(0, verify);
        Err(refused)
    }

    /// Stands for the checks that a static user costs, of which some are done.
    fn stand_in_for_static(&self, done: usize, verify: &mut dyn FnMut(&Key) -> bool) {
        for _ in done..self.static_checks {
            let _ = verify(&Key::from([0; 16]));
        }
    }

    /// The first shared secret that the request was signed with, counted from 0, and the key made from it.
    pub(super) fn signing_key(
        &self,
        username: &str,
        algorithm: PasswordAlgorithm,
        verify: &mut dyn FnMut(&Key) -> bool,
    ) -> Option<(usize, Key)> {
        let mut secrets = self.shared_secrets.iter().enumerate();
        secrets.find_map(|(number, secret)| {
            let password = Zeroizing::new(password_for(secret, username));
            let key = Key::long_term(algorithm, username, &self.realm, password.as_bytes());
            verify(&key).then_some((number, key))
        })
    }
}

impl StaticKeys {
    /// Of a password, the keys of how it is written and of how OpaqueString prepares it: clients do either.
    fn of(user: &StaticUser, realm: &str) -> Self {
        let password = match &user.password {
            StaticPassword::Ha1 { md5, sha256 } => {
                return Self {
                    md5: vec![Key::from(*md5)],
                    sha256: sha256.iter().map(|sha256| Key::from(*sha256)).collect(),
                };
            }
            StaticPassword::Plain(password) => password.expose(),
        };
        let text = std::str::from_utf8(password).ok();
        let opaque = text.and_then(prepared).map(Zeroizing::new);
        let opaque = opaque.as_ref().map(|text| text.as_bytes());
        let spellings = [Some(password), opaque.filter(|opaque| *opaque != password)];
        let keys = |algorithm| {
            let spellings = spellings.iter().flatten();
            spellings
                .map(|spelling| Key::long_term(algorithm, &user.name, realm, spelling))
                .collect()
        };
        Self {
            md5: keys(PasswordAlgorithm::Md5),
            sha256: keys(PasswordAlgorithm::Sha256),
        }
    }

    fn by(&self, algorithm: PasswordAlgorithm) -> &[Key] {
        match algorithm {
            PasswordAlgorithm::Md5 => &self.md5,
            PasswordAlgorithm::Sha256 => &self.sha256,
        }
    }
}

/// USERHASH (RFC 8489 §14.4).
fn userhash(username: &str, realm: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(username.as_bytes());
    hash.update(b":");
    hash.update(realm.as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
#[path = "authenticator_tests.rs"]
mod tests;
