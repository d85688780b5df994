//! Finds the key that a request was signed with.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use super::opaque_string::prepared;
use super::time_limited::TimeLimited;
use super::{
    AfterExpiry, Key, PasswordAlgorithm, Secret, Settings, StaticPassword, StaticUser, UnixTime,
    password_for,
};

/// Knows the users, and judges who signed a request.
///
/// Holds no state that a request changes, so threads share it as it is.
pub struct Authenticator {
    realm: String,
    separator: char,
    after_expiry: AfterExpiry,
    shared_secrets: Vec<Secret>,
    static_users: HashMap<String, StaticKeys>,
    /// Their names by USERHASH.
    names: HashMap<[u8; 32], String>,
    /// The most keys that any static user has for one algorithm.
    static_checks: usize,
    has_every_algorithm: bool,
}

/// The keys of a static user: one for each spelling of the password that clients may sign with.
struct StaticKeys {
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
        let most = static_users.values().map(|keys| keys.md5.len()).max();
        Self {
            names: static_users
                .keys()
                .map(|name| (userhash(name, &realm), name.clone()))
                .collect(),
            static_checks: most.unwrap_or(0).max(1),
            has_every_algorithm: static_users.values().all(|keys| !keys.sha256.is_empty()),
            realm,
            separator: settings.separator,
            after_expiry: settings.after_expiry,
            shared_secrets: settings.shared_secrets,
            static_users,
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

    /// The static user with this USERHASH: SHA-256(username ":" realm) (RFC 8489 §14.4).
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
        let _ = self.find_signing_key(username, algorithm, verify);
        Err(AuthError::WrongPassword)
    }

    fn authenticate_time_limited(
        &self,
        username: &str,
        algorithm: PasswordAlgorithm,
        now: UnixTime,
        verify: &mut dyn FnMut(&Key) -> bool,
    ) -> Result<Credential, AuthError> {
        let signed_with = self.find_signing_key(username, algorithm, verify);
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

    /// The key made from the first shared secret that the request was signed with.
    fn find_signing_key(
        &self,
        username: &str,
        algorithm: PasswordAlgorithm,
        verify: &mut dyn FnMut(&Key) -> bool,
    ) -> Option<Key> {
        self.shared_secrets.iter().find_map(|secret| {
            let password = Zeroizing::new(password_for(secret, username));
            let key = Key::long_term(algorithm, username, &self.realm, password.as_bytes());
            verify(&key).then_some(key)
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
mod tests {
    use std::time::Duration;

    use super::super::mint;
    use super::*;

    const REALM: &str = "example.org";
    const NOW: UnixTime = UnixTime(1_700_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn settings() -> Settings {
        Settings {
            realm: REALM.to_owned(),
            shared_secrets: vec![Secret::new("new secret"), Secret::new("old secret")],
            static_users: vec![
                static_user("alice", StaticPassword::Plain(Secret::new("wonderland"))),
                static_user(
                    "4000000000:bob",
                    StaticPassword::Plain(Secret::new("builder")),
                ),
            ],
            separator: ':',
            after_expiry: AfterExpiry::RefreshFor(HOUR),
        }
    }

    fn static_user(name: &str, password: StaticPassword) -> StaticUser {
        StaticUser {
            name: name.to_owned(),
            password,
        }
    }

    const BOTH: [PasswordAlgorithm; 2] = [PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256];

    /// A client that signs with a password: tells how many keys were tried on its request.
    struct Client {
        key: Key,
        algorithm: PasswordAlgorithm,
        tried: usize,
    }

    impl Client {
        fn new(username: &str, password: &str) -> Self {
            Self::by(PasswordAlgorithm::Md5, username, password)
        }

        fn by(algorithm: PasswordAlgorithm, username: &str, password: &str) -> Self {
            Self {
                key: Key::long_term(algorithm, username, REALM, password),
                algorithm,
                tried: 0,
            }
        }

        fn ask(
            &mut self,
            authenticator: &Authenticator,
            username: &str,
            now: UnixTime,
        ) -> Result<Credential, AuthError> {
            authenticator.authenticate(username, self.algorithm, now, &mut |key| {
                self.tried += 1;
                key.as_bytes() == self.key.as_bytes()
            })
        }
    }

    fn ask(username: &str, password: &str, now: UnixTime) -> Result<Credential, AuthError> {
        Client::new(username, password).ask(&Authenticator::new(settings()), username, now)
    }

    fn refusal(username: &str, password: &str, now: UnixTime) -> AuthError {
        ask(username, password, now).err().expect("a refusal")
    }

    fn signed(secret: &str, username: &str) -> String {
        password_for(&Secret::new(secret), username)
    }

    #[test]
    fn a_static_user_is_known_by_its_password_and_does_not_expire() {
        let credential = ask("alice", "wonderland", NOW).expect("known");
        assert_eq!(credential.user_id, "alice");
        assert_eq!(credential.expires, None);
        assert_eq!(refusal("alice", "rabbit", NOW), AuthError::WrongPassword);
    }

    #[test]
    fn a_static_user_may_be_stored_as_a_key_alone() {
        let key = Key::long_term(PasswordAlgorithm::Md5, "carol", REALM, "christmas");
        let ha1: [u8; 16] = key.as_bytes().try_into().expect("MD5 has 16 bytes");
        let mut settings = settings();
        settings.static_users = vec![static_user(
            "carol",
            StaticPassword::Ha1 {
                md5: ha1,
                sha256: None,
            },
        )];
        let authenticator = Authenticator::new(settings.clone());
        let credential = Client::new("carol", "christmas").ask(&authenticator, "carol", NOW);
        assert_eq!(credential.expect("known").key.as_bytes(), ha1);
        assert!(!authenticator.has_every_algorithm());
        let mut client = Client::by(PasswordAlgorithm::Sha256, "carol", "christmas");
        assert!(client.ask(&authenticator, "carol", NOW).is_err());
        settings.static_users = vec![static_user(
            "carol",
            StaticPassword::Ha1 {
                md5: ha1,
                sha256: Some(client.key.as_bytes().try_into().expect("32 bytes")),
            },
        )];
        let authenticator = Authenticator::new(settings);
        assert!(authenticator.has_every_algorithm());
        assert!(client.ask(&authenticator, "carol", NOW).is_ok());
    }

    #[test]
    fn names_are_compared_exactly() {
        assert_eq!(refusal("Alice", "wonderland", NOW), AuthError::UnknownUser);
        assert_eq!(refusal("alice ", "wonderland", NOW), AuthError::UnknownUser);
    }

    #[test]
    fn a_static_name_is_never_read_as_a_time_limited_one() {
        let username = "4000000000:bob";
        assert!(ask(username, "builder", NOW).is_ok());
        let password = signed("new secret", username);
        assert_eq!(refusal(username, &password, NOW), AuthError::WrongPassword);
    }

    #[test]
    fn minted_credentials_are_accepted_with_every_shared_secret() {
        for secret in ["new secret", "old secret"] {
            let minted = mint(&Secret::new(secret), ':', Some("dave"), HOUR, NOW);
            let credential = ask(&minted.username, &minted.password, NOW).expect("accepted");
            assert_eq!(credential.user_id, "dave");
            assert_eq!(credential.expires, Some(minted.expires));
            let expected = Key::long_term(
                PasswordAlgorithm::Md5,
                &minted.username,
                REALM,
                &minted.password,
            );
            assert_eq!(credential.key.as_bytes(), expected.as_bytes());
        }
    }

    #[test]
    fn the_usernames_of_known_applications_authenticate() {
        for (username, user_id) in [
            ("1700003600:@alice:matrix.org", "@alice:matrix.org"),
            ("1700003600", "1700003600"),
            ("1700003600:x8Jq2/+=", "x8Jq2/+="),
            ("1700003600:w_ab12cd", "w_ab12cd"),
            ("erin:1700003600", "erin"),
            ("1700003600:a:b c/ü", "a:b c/ü"),
        ] {
            let credential = ask(username, &signed("new secret", username), NOW);
            assert_eq!(credential.expect("accepted").user_id, user_id);
        }
    }

    #[test]
    fn a_name_changed_after_signing_is_refused() {
        let password = signed("new secret", "1700003600:dave");
        let refused = refusal("1700003600:eve", &password, NOW);
        assert_eq!(refused, AuthError::WrongPassword);
    }

    #[test]
    fn a_credential_is_good_through_the_second_it_names() {
        let password = signed("old secret", "1700000000:dave");
        assert!(ask("1700000000:dave", &password, NOW).is_ok());
        assert_eq!(
            refusal("1700000000:dave", &password, UnixTime(NOW.0 + 1)),
            AuthError::Expired { at: NOW }
        );
    }

    #[test]
    fn expiry_is_only_reported_of_a_genuine_credential() {
        let refused = refusal("1600000000:dave", "guessed", NOW);
        assert_eq!(refused, AuthError::WrongPassword);
    }

    #[test]
    fn a_name_without_an_expiry_is_unknown_even_when_signed() {
        for username in ["dave", "dave:soon", "", "99999999999999999999:dave"] {
            let password = signed("new secret", username);
            assert_eq!(refusal(username, &password, NOW), AuthError::UnknownUser);
        }
    }

    #[test]
    fn without_shared_secrets_only_static_users_are_known() {
        let mut settings = settings();
        settings.shared_secrets.clear();
        let authenticator = Authenticator::new(settings);
        let password = signed("", "1700003600:dave");
        let refused =
            Client::new("1700003600:dave", &password).ask(&authenticator, "1700003600:dave", NOW);
        assert_eq!(refused.err(), Some(AuthError::UnknownUser));
    }

    #[test]
    fn every_refusal_costs_the_same_checks() {
        let authenticator = Authenticator::new(settings());
        for username in [
            "alice",
            "4000000000:bob",
            "nobody",
            "",
            "1700003600:dave",
            "1600000000:dave",
        ] {
            let mut client = Client::new(username, "wrong");
            assert!(client.ask(&authenticator, username, NOW).is_err());
            assert_eq!(client.tried, 3, "{username}");
        }
    }

    #[test]
    fn a_signature_with_the_stand_in_key_opens_nothing() {
        let authenticator = Authenticator::new(settings());
        for username in ["nobody", "1700003600:dave"] {
            let mut verify = |key: &Key| key.as_bytes() == [0; 16];
            for algorithm in BOTH {
                let refused = authenticator.authenticate(username, algorithm, NOW, &mut verify);
                assert!(refused.is_err(), "{username}");
            }
        }
    }

    #[test]
    fn a_name_configured_twice_keeps_its_first_password() {
        let mut settings = settings();
        let second = StaticPassword::Plain(Secret::new("second"));
        settings.static_users.push(static_user("alice", second));
        let authenticator = Authenticator::new(settings);
        let first = Client::new("alice", "wonderland").ask(&authenticator, "alice", NOW);
        assert!(first.is_ok());
    }

    #[test]
    fn sha256_authenticates_static_and_time_limited_users() {
        let authenticator = Authenticator::new(settings());
        assert!(authenticator.has_every_algorithm());
        let password = signed("old secret", "1700003600:dave");
        for (username, password) in [("alice", "wonderland"), ("1700003600:dave", &password)] {
            let mut client = Client::by(PasswordAlgorithm::Sha256, username, password);
            let credential = client.ask(&authenticator, username, NOW).expect("known");
            assert_eq!(credential.key.as_bytes().len(), 32);
            // Signed by one algorithm and named as the other.
            client.algorithm = PasswordAlgorithm::Md5;
            assert!(client.ask(&authenticator, username, NOW).is_err());
        }
    }

    #[test]
    fn a_static_user_is_known_by_its_hash() {
        let mut settings = settings();
        settings.shared_secrets.clear();
        let authenticator = Authenticator::new(settings);
        assert!(authenticator.knows_hashes());
        let hash = Sha256::digest(format!("alice:{REALM}"));
        assert_eq!(authenticator.name_of(&hash), Some("alice"));
        for wrong in [&hash[..31], &[0; 32], &[]] {
            assert_eq!(authenticator.name_of(wrong), None);
        }
    }

    #[test]
    fn hashes_do_not_name_everybody_where_names_are_time_limited() {
        assert!(!Authenticator::new(settings()).knows_hashes());
    }

    #[test]
    fn a_password_authenticates_as_written_and_as_prepared() {
        // An ideographic space, and a letter with its accent apart.
        let (written, opaque) = ("pass\u{3000}cafe\u{301}", "pass caf\u{e9}");
        let mut settings = settings();
        let password = StaticPassword::Plain(Secret::new(written));
        settings.static_users.push(static_user("zoe", password));
        let authenticator = Authenticator::new(settings);
        for algorithm in BOTH {
            for spelling in [written, opaque] {
                let credential =
                    Client::by(algorithm, "zoe", spelling).ask(&authenticator, "zoe", NOW);
                assert!(credential.is_ok(), "{spelling}");
            }
        }
        // One more check for her is one more for everybody.
        for username in ["zoe", "alice", "nobody"] {
            let mut client = Client::new(username, "wrong");
            assert!(client.ask(&authenticator, username, NOW).is_err());
            assert_eq!(client.tried, 4, "{username}");
        }
    }

    #[test]
    fn the_realm_is_prepared() {
        let mut settings = settings();
        settings.realm = "cafe\u{301}".to_owned();
        assert_eq!(Authenticator::new(settings).realm(), "caf\u{e9}");
    }

    #[test]
    fn threads_share_one_authenticator() {
        fn shared<T: Send + Sync>() {}
        shared::<Authenticator>();
    }
}
