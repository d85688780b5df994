//! What becomes of a name, for whoever asks why.

use subtle::ConstantTimeEq;

use super::time_limited::TimeLimited;
use super::{AuthError, Authenticator, Key, PasswordAlgorithm, UnixTime};

/// What the authenticator says of a name, and by what. The verdict is that of [`Authenticator::authenticate`].
pub struct NameDecision {
    /// What the name is taken for.
    pub kind: NameKind,
    /// Whom quotas count, or why the request is refused; where no password was given, with the right one.
    pub verdict: Result<String, AuthError>,
    /// The shared secret that the password was made from, counted from 0; `None` without a password, and where none was.
    pub secret: Option<usize>,
}

/// What a name is taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// A user with a fixed password.
    StaticUser,
    /// A name that carries its own expiry.
    TimeLimited {
        /// The last second at which it opens an allocation.
        expires: UnixTime,
        /// Whom quotas count.
        user_id: String,
    },
    /// The id of a key of access tokens (RFC 7635).
    TokenKey {
        /// Whether tokens that it has sealed are taken at this time.
        is_used: bool,
    },
    /// None of these.
    Unknown,
}

impl Authenticator {
    /// What becomes of a request with this name, signed with this password.
    pub fn explain(&self, username: &str, password: Option<&[u8]>, now: UnixTime) -> NameDecision {
        let algorithm = PasswordAlgorithm::Md5;
        let given =
            password.map(|password| Key::long_term(algorithm, username, &self.realm, password));
        let mut verify = |key: &Key| match &given {
            Some(given) => key.as_bytes().ct_eq(given.as_bytes()).into(),
            None => true,
        };
        let is_static = self.static_users.contains_key(username);
        let secret = match (&given, is_static) {
            (Some(_), false) => self.signing_key(username, algorithm, &mut verify),
            _ => None,
        };
        let verdict = self.authenticate(username, algorithm, now, &mut verify);
        let kind = if is_static {
            NameKind::StaticUser
        } else if let Some(key) = self.tokens.key(username) {
            NameKind::TokenKey {
                is_used: key.is_used_at(now),
            }
        } else if let Some(name) = TimeLimited::parse(username, self.separator) {
            NameKind::TimeLimited {
                expires: name.expires,
                user_id: name.user_id.to_owned(),
            }
        } else {
            NameKind::Unknown
        };
        NameDecision {
            kind,
            verdict: verdict.map(|credential| credential.user_id),
            secret: secret.map(|(number, _)| number),
        }
    }
}
