//! Why this server decides as it does: about a peer, about a user's name, about an error code.
//!
//! Decides nothing itself: it asks the relay's own [`PeerFilter`](crate::admission::peer_filter::PeerFilter) and
//! [`Authenticator`](crate::auth::Authenticator), and the table of refusals, and puts into words what they say. Knows no
//! file and no clock. What it returns can be serialised, as one explanation serves the command line and programs.

mod code;
mod peer;
mod time;
mod username;

pub use code::{CodeExplanation, Reason, codes};
pub use peer::{Carries, Deciders, PeerExplanation, peer};
pub use time::{Moment, in_words, utc};
pub use username::{Limit, UsernameExplanation, username};

use crate::admission::{peer_filter, quota};
use crate::auth;

/// One realm's rules, and where they stand.
#[derive(Clone, Copy)]
pub struct RealmRules<'a> {
    /// Who is known.
    pub auth: &'a auth::Settings,
    /// Which peers may be reached.
    pub peers: &'a peer_filter::Settings,
    /// How many allocations there may be.
    pub quotas: &'a quota::Settings,
    /// Where they stand.
    pub places: &'a RealmPlaces,
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
