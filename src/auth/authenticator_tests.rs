//! Tests of [`Authenticator`].

use std::time::Duration;

use super::super::{
    AccessToken, AccessTokenCipher, TokenIntegrity, TokenKey, TokenKeys, TokenTimestamp, mint,
};
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
        tokens: TokenKeys::default(),
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
            let credential = Client::by(algorithm, "zoe", spelling).ask(&authenticator, "zoe", NOW);
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

const SERVER: &str = "turn.example.org";
const TOKEN_KEY: [u8; 32] = [7; 32];
const MAC_KEY: [u8; 20] = *b"a key of 160 bits...";

fn with_tokens(integrity: TokenIntegrity) -> Authenticator {
    let key = |id: &str, key: &[u8], not_before, not_after| TokenKey {
        id: id.to_owned(),
        key: Secret::new(key),
        not_before: Some(UnixTime(not_before)),
        not_after: Some(UnixTime(not_after)),
    };
    let mut settings = settings();
    settings.tokens = TokenKeys {
        server_name: SERVER.to_owned(),
        keys: vec![
            key("kid", &TOKEN_KEY, NOW.0 - 10, NOW.0 + 10),
            key("other", &[8; 16], 0, u64::MAX),
            key("short", &[8; 15], 0, u64::MAX),
        ],
        integrity,
    };
    Authenticator::new(settings)
}

fn sealed(server: &str, lifetime: u32) -> Vec<u8> {
    let cipher = AccessTokenCipher::new(&Secret::new(TOKEN_KEY)).expect("32 bytes");
    let token = AccessToken {
        mac_key: Key::of_token(&MAC_KEY).expect("20 bytes"),
        timestamp: TokenTimestamp::of(NOW),
        lifetime,
    };
    cipher.seal(&token, server, [3; 12])
}

/// What becomes of a request that carries `token` and is signed with `key`.
fn authorize(
    authenticator: &Authenticator,
    id: &str,
    token: &[u8],
    key: &[u8],
    now: UnixTime,
) -> Result<Authorized, AuthError> {
    authenticator.authorize(id, token, now, &mut |tried| tried.as_bytes() == key)
}

#[test]
fn who_signs_with_the_mac_key_of_a_token_is_authorized() {
    let authenticator = with_tokens(TokenIntegrity::Rfc7635);
    assert_eq!(authenticator.token_server_name(), Some(SERVER));
    let token = sealed(SERVER, 900);
    let authorized = authorize(&authenticator, "kid", &token, &MAC_KEY, NOW).expect("authorized");
    assert_eq!(authorized.key.as_bytes(), MAC_KEY);
    assert_eq!(authorized.left, Duration::from_secs(905));
    assert!(authorized.user_id.starts_with("kid#"));
    assert_eq!(authorized.user_id.len(), "kid#".len() + 16);
    let hash = userhash("kid", REALM);
    assert_eq!(authenticator.name_of(&hash), Some("kid"));
}

#[test]
fn every_way_in_which_a_token_fails_has_its_word() {
    let authenticator = with_tokens(TokenIntegrity::Rfc7635);
    let refusal = |id, token: &[u8], key: &[u8], now| {
        authorize(&authenticator, id, token, key, UnixTime(now))
            .err()
            .expect("a refusal")
    };
    let (token, now) = (sealed(SERVER, 2), NOW.0);
    for id in ["nobody", "alice", "short", ""] {
        assert_eq!(
            refusal(id, &token, &MAC_KEY, now),
            AuthError::UnknownTokenKey
        );
    }
    for outside in [now - 11, now + 11] {
        assert_eq!(
            refusal("kid", &token, &MAC_KEY, outside),
            AuthError::UnknownTokenKey
        );
    }
    assert_eq!(
        refusal("other", &token, &MAC_KEY, now),
        AuthError::WrongToken
    );
    let elsewhere = sealed("turn.example.com", 2);
    assert_eq!(
        refusal("kid", &elsewhere, &MAC_KEY, now),
        AuthError::WrongToken
    );
    assert_eq!(refusal("kid", b"", &MAC_KEY, now), AuthError::WrongToken);
    let stale = AuthError::StaleToken {
        issued: NOW,
        lifetime: 2,
    };
    assert_eq!(refusal("kid", &token, &MAC_KEY, now + 7), stale);
    assert_eq!(refusal("kid", &token, &MAC_KEY, now - 7), stale);
    assert_eq!(
        refusal("kid", &token, &MAC_KEY[..16], now),
        AuthError::WrongPassword
    );
    assert_eq!(
        refusal("kid", &token, &[0; 20], now),
        AuthError::WrongPassword
    );
}

#[test]
fn the_first_16_bytes_of_a_mac_key_sign_where_coturn_is_imitated() {
    let authenticator = with_tokens(TokenIntegrity::Coturn);
    let token = sealed(SERVER, 900);
    for key in [&MAC_KEY[..], &MAC_KEY[..16]] {
        let authorized = authorize(&authenticator, "kid", &token, key, NOW).expect("authorized");
        assert_eq!(authorized.key.as_bytes(), key);
    }
    assert!(authorize(&authenticator, "kid", &token, &MAC_KEY[..15], NOW).is_err());
}

#[test]
fn without_keys_no_token_is_taken() {
    let authenticator = Authenticator::new(settings());
    assert_eq!(authenticator.token_server_name(), None);
    let refused = authorize(&authenticator, "kid", &sealed(SERVER, 900), &MAC_KEY, NOW);
    assert_eq!(refused.err(), Some(AuthError::UnknownTokenKey));
}
