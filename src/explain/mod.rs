//! Why this server decides as it does: about a peer, about a user's name, about an error code.
//!
//! Decides nothing itself: it asks the relay's own [`PeerFilter`](crate::admission::peer_filter::PeerFilter) and
//! [`Authenticator`](crate::auth::Authenticator), and the table of refusals, and puts into words what they say. Knows no
//! file and no clock. What it returns can be written as JSON and read back: one explanation serves the command line and programs.

mod code;
mod peer;
mod time;
mod username;

pub use code::{CodeExplanation, Reason, codes};
pub use peer::{Carries, Deciders, PeerExplanation, peer, peer_address};
pub use time::{Moment, in_words, utc};
pub use username::{Limit, UsernameExplanation, Users, username};

use crate::admission::{peer_filter, quota};
use crate::auth::{self, AfterExpiry, StaticPassword, StaticUser};

/// What is to be told of one realm's rules, and where they stand. It holds no secret.
#[derive(Clone)]
pub struct RealmRules {
    realm: String,
    users: Vec<String>,
    /// Whether a user has a hash of their password for MD5 alone.
    is_for_md5: bool,
    shared_secrets: usize,
    separator: char,
    after_expiry: AfterExpiry,
    peers: peer_filter::Settings,
    quotas: quota::Settings,
    places: RealmPlaces,
}

impl RealmRules {
    /// Takes what it needs from a realm's settings.
    pub fn new(
        auth: &auth::Settings,
        peers: &peer_filter::Settings,
        quotas: &quota::Settings,
        places: RealmPlaces,
    ) -> Self {
        let users = auth.static_users.iter();
        let is_for_md5 =
            |user: &StaticUser| matches!(user.password, StaticPassword::Ha1 { sha256: None, .. });
        Self {
            realm: auth.realm.clone(),
            is_for_md5: users.clone().any(is_for_md5),
            users: users.map(|user| user.name.clone()).collect(),
            shared_secrets: auth.shared_secrets.len(),
            separator: auth.separator,
            after_expiry: auth.after_expiry,
            peers: peers.clone(),
            quotas: quotas.clone(),
            places,
        }
    }

    /// The name of the realm.
    pub fn realm(&self) -> &str {
        &self.realm
    }
}

/// Where one realm's rules stand, in words such as "`deny` in \[peers\], line 12". Lists are in the order of the settings; what is
/// missing is not told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RealmPlaces {
    /// Of each shared secret.
    pub secrets: Vec<String>,
    /// Of each static user.
    pub users: Vec<String>,
    /// Of each denied range.
    pub denied: Vec<String>,
    /// Of each allowed range.
    pub allowed: Vec<String>,
    /// Of what denies the special-purpose ranges.
    pub deny_special_purpose: String,
    /// Of what denies the host's own addresses.
    pub deny_own_addresses: String,
    /// Of the limit for each user.
    pub allocations_per_user: String,
    /// Of the limit for each client address.
    pub allocations_per_client_address: String,
    /// Of the limit for all.
    pub allocations_total: String,
}
