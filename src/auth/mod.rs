//! Long-term credentials (RFC 8489 §9.2): shared secrets with expiring usernames, static users, and the access tokens of
//! third-party authorization (RFC 7635).
//!
//! Knows no socket and no clock: the time is an argument. Start at [`Authenticator`]; how a name that
//! carries its own expiry is read is in `time_limited.rs`, how one is made in `mint.rs`; what an access token is in
//! `access_token.rs`, and whom the server believes one in `token_keys.rs`.

use std::time::Duration;

mod access_token;
mod authenticator;
mod decision;
mod key;
mod mint;
mod opaque_string;
mod time_limited;
mod token_keys;
mod upstream;

pub use access_token::{AccessToken, AccessTokenCipher, NONCE_LENGTH, TokenTimestamp};
pub use authenticator::{AuthError, Authenticator, Credential};
pub use decision::{NameDecision, NameKind};
pub use key::{Key, PasswordAlgorithm};
pub use mint::{Minted, mint, password_for};
pub use token_keys::{Authorized, TokenIntegrity, TokenKey, TokenKeys};
pub use upstream::UpstreamHandler;
use zeroize::Zeroizing;

/// Seconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// This much later; what would overflow ends at the last second there is.
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }
}

/// Bytes that must not be shown: no `Debug`, wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes as they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// Lends the bytes to a computation. Never log them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// What authentication needs to know.
#[derive(Clone)]
pub struct Settings {
    /// The realm of every challenge (RFC 8489 §14.9).
    pub realm: String,
    /// Secrets that time-limited credentials may be signed with; all are tried, the first one signs new ones.
    pub shared_secrets: Vec<Secret>,
    /// Users with a fixed password. A name found here is never read as a time-limited one.
    pub static_users: Vec<StaticUser>,
    /// Stands between expiry and user id in a time-limited username (coturn: `rest-api-separator`).
    pub separator: char,
    /// What the end of a credential means for a running allocation.
    pub after_expiry: AfterExpiry,
    /// Whose access tokens are taken (RFC 7635); without keys, nobody's.
    pub tokens: TokenKeys,
}

/// A user with a fixed password.
#[derive(Clone)]
pub struct StaticUser {
    /// The USERNAME that the client sends.
    pub name: String,
    /// What the long-term key is made from.
    pub password: StaticPassword,
}

/// How a static user's password is stored.
#[derive(Clone)]
pub enum StaticPassword {
    /// The password itself.
    Plain(Secret),
    /// Hashes of username ":" realm ":" password.
    Ha1 {
        /// By MD5, as `turnadmin -k` prints it.
        md5: [u8; 16],
        /// By SHA-256; without it the user cannot sign by that.
        sha256: Option<[u8; 32]>,
    },
}

/// What the end of a credential means for an allocation that it opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterExpiry {
    /// The allocation may be refreshed, but not for longer than this past the credential's end.
    RefreshFor(Duration),
    /// The allocation ends with the credential.
    End,
}

impl AfterExpiry {
    /// The last moment at which an allocation may live that a credential with this expiry opened.
    pub fn allocation_end(self, expires: UnixTime) -> UnixTime {
        match self {
            Self::RefreshFor(past) => expires.saturating_add(past),
            Self::End => expires,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_outlives_its_credential_for_the_configured_time() {
        let day = Duration::from_secs(86_400);
        let expires = UnixTime(1_700_000_000);
        assert_eq!(
            AfterExpiry::RefreshFor(day).allocation_end(expires),
            UnixTime(1_700_086_400)
        );
        assert_eq!(AfterExpiry::End.allocation_end(expires), expires);
    }

    #[test]
    fn the_end_of_an_allocation_saturates() {
        let for_ever = AfterExpiry::RefreshFor(Duration::MAX);
        assert_eq!(
            for_ever.allocation_end(UnixTime(1_700_000_000)),
            UnixTime(u64::MAX)
        );
    }
}
