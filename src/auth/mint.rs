//! Making time-limited credentials (draft-uberti-behave-turn-rest-00 §2.2).

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::{Secret, UnixTime};

/// A credential that a client can use until it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// The USERNAME: the expiry, and the user id where there is one.
    pub username: String,
    /// The password that belongs to it.
    pub password: String,
    /// When it ends.
    pub expires: UnixTime,
}

/// Makes a credential for `user_id` that lasts for `ttl` from `now`, signed with `secret`.
pub fn mint(
    secret: &Secret,
    separator: char,
    user_id: Option<&str>,
    ttl: Duration,
    now: UnixTime,
) -> Minted {
    let expires = now.saturating_add(ttl);
    let username = match user_id {
        Some(id) => format!("{}{separator}{id}", expires.0),
        None => expires.0.to_string(),
    };
    let password = password_for(secret, &username);
    Minted {
        username,
        password,
        expires,
    }
}

/// The password of a time-limited username: base64 of HMAC-SHA1 over it.
pub fn password_for(secret: &Secret, username: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.expose()).expect("HMAC takes any key length");
    mac.update(username.as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_what_coturn_and_openssl_compute() {
        // printf 1700000000:alice | openssl dgst -sha1 -hmac s3cret -binary | base64
        let minted = mint(
            &Secret::new("s3cret"),
            ':',
            Some("alice"),
            Duration::from_secs(600),
            UnixTime(1_699_999_400),
        );
        assert_eq!(minted.username, "1700000000:alice");
        assert_eq!(minted.password, "TtElzSjT0GdnTQ9xdcRNxx96yQs=");
    }
}
