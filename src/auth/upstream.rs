//! Our authenticator as the `turn` crate's [`AuthHandler`], for its server and whoever else speaks that trait.

use std::net::SocketAddr;
use std::sync::Arc;

use ::turn::auth::AuthHandler;

use super::{Authenticator, PasswordAlgorithm, UnixTime};

/// Answers the `turn` crate's server with the key of a user.
///
/// The trait asks for one key and checks the message itself, so only the first shared secret counts
/// here: while a secret is rotated, credentials signed with an older one are refused.
pub struct UpstreamHandler {
    /// Knows the users.
    pub authenticator: Arc<Authenticator>,
    /// Tells the time that expiries are compared with.
    pub clock: fn() -> UnixTime,
}

impl AuthHandler for UpstreamHandler {
    /// The long-term key of `username`; an error for unknown users, expired names and foreign realms.
    fn auth_handle(
        &self,
        username: &str,
        realm: &str,
        _client: SocketAddr,
    ) -> Result<Vec<u8>, ::turn::Error> {
        // The crate passes the client's REALM on. Our keys are made with ours alone.
        if realm != self.authenticator.realm() {
            let expected = self.authenticator.realm();
            return Err(::turn::Error::Other(format!("the realm is not {expected}")));
        }
        self.authenticator
            .authenticate(
                username,
                PasswordAlgorithm::Md5,
                (self.clock)(),
                &mut |_| true,
            )
            .map(|credential| credential.key.as_bytes().to_vec())
            .map_err(|refused| ::turn::Error::Other(refused.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ::turn::auth::{LongTermAuthHandler, generate_auth_key, generate_long_term_credentials};

    use super::super::{
        AfterExpiry, Secret, Settings, StaticPassword, StaticUser, TokenKeys, mint,
    };
    use super::*;

    const REALM: &str = "example.org";
    /// 2096: the `turn` crate compares with the real clock.
    const FAR: UnixTime = UnixTime(4_000_000_000);

    fn handler() -> UpstreamHandler {
        let authenticator = Authenticator::new(Settings {
            realm: REALM.to_owned(),
            shared_secrets: vec![Secret::new("first"), Secret::new("second")],
            static_users: vec![StaticUser {
                name: "alice".to_owned(),
                password: StaticPassword::Plain(Secret::new("wonderland")),
            }],
            separator: ':',
            after_expiry: AfterExpiry::End,
            tokens: TokenKeys::default(),
        });
        UpstreamHandler {
            authenticator: Arc::new(authenticator),
            clock: || UnixTime(1_700_000_000),
        }
    }

    fn key_of(username: &str, realm: &str) -> Result<Vec<u8>, ::turn::Error> {
        handler().auth_handle(username, realm, SocketAddr::from(([192, 0, 2, 1], 5000)))
    }

    #[test]
    fn a_static_user_has_the_key_of_its_password() {
        let expected = generate_auth_key("alice", REALM, "wonderland");
        assert_eq!(key_of("alice", REALM), Ok(expected));
    }

    #[test]
    fn a_time_limited_name_has_the_key_of_the_first_secret() {
        let ttl = Duration::from_secs(600);
        let now = UnixTime(1_700_000_000);
        let minted = mint(&Secret::new("first"), ':', Some("dave"), ttl, now);
        let expected = generate_auth_key(&minted.username, REALM, &minted.password);
        assert_eq!(key_of(&minted.username, REALM), Ok(expected));
    }

    #[test]
    fn unknown_and_expired_names_and_foreign_realms_are_errors() {
        assert!(key_of("nobody", REALM).is_err());
        assert!(key_of("1600000000:dave", REALM).is_err());
        assert!(key_of("alice", "example.com").is_err());
    }

    #[test]
    fn the_turn_crate_accepts_a_minted_bare_expiry() {
        let minted = mint(&Secret::new("first"), ':', None, Duration::ZERO, FAR);
        let upstream = LongTermAuthHandler::new("first".to_owned());
        let client = SocketAddr::from(([192, 0, 2, 1], 5000));
        let theirs = upstream.auth_handle(&minted.username, REALM, client);
        let password = &minted.password;
        assert_eq!(
            theirs,
            Ok(generate_auth_key(&minted.username, REALM, password))
        );
        assert_eq!(theirs, key_of(&minted.username, REALM));
    }

    #[test]
    fn a_credential_of_the_turn_crate_is_accepted() {
        let ttl = Duration::from_secs(600);
        let (username, password) =
            generate_long_term_credentials("first", ttl).expect("the clock is past 1970");
        let expected = generate_auth_key(&username, REALM, &password);
        assert_eq!(key_of(&username, REALM), Ok(expected));
    }
}
