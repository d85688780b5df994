//! With what clients authenticate.

use std::time::{Duration, SystemTime};

use crate::auth::{self, Secret, UnixTime};

/// A user and the password.
#[derive(Clone)]
pub struct Credential {
    /// What the user is called.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// Where clients have their credentials from.
#[derive(Clone)]
pub enum Credentials {
    /// All clients are one user.
    One(Credential),
    /// Each client is a user of its own, with a time-limited credential made from the server's secret. So are the users of
    /// a real server, and what one user may have does not limit the load.
    Minted {
        /// The shared secret.
        secret: Secret,
        /// What user ids begin with.
        user: String,
    },
}

impl Credentials {
    /// That of a client.
    pub(crate) fn of(&self, client: u32) -> Credential {
        match self {
            Self::One(credential) => credential.clone(),
            Self::Minted { secret, user } => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let now = UnixTime(now.unwrap_or_default().as_secs());
                let user = format!("{user}-{client}");
                let minted = auth::mint(secret, ':', Some(&user), LIFETIME, now);
                Credential {
                    username: minted.username,
                    password: Secret::new(minted.password),
                }
            }
        }
    }
}

impl Credential {
    /// Of somebody who never has to show one.
    pub(crate) fn nobody() -> Self {
        Self {
            username: String::new(),
            password: Secret::new(""),
        }
    }
}

/// Of a credential made for a load: longer than any.
const LIFETIME: Duration = Duration::from_secs(48 * 60 * 60);
