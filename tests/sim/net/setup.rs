//! What a simulated relay is made from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use uturn::admission::bandwidth::{self, Total, TotalLease};
use uturn::admission::peer_filter::{self, PeerFilter};
use uturn::admission::quota::{self, Quotas};
use uturn::admission::rate_limit::{self, SourceLimiter};
use uturn::auth::{self, AfterExpiry, Authenticator, Secret, StaticPassword, StaticUser};
use uturn::turn::{
    self, ChosenBy, NonceKey, Parts, RealmParts, RelayAddress, RelayedAddresses, TicketKey,
};

pub const REALM: &str = "example.org";
/// Users with a fixed password.
pub const STATIC_USERS: [&str; 3] = ["alice", "bob", "carol"];
/// Signed names are accepted with either.
pub const SECRETS: [&str; 2] = ["the new secret", "the old secret"];
/// Where the server listens, and where its IPv4 relay sockets are.
pub const SERVER: SocketAddr = SocketAddr::new(SERVER_V4, 3478);
pub const SERVER_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(9, 1, 1, 5));
pub const SERVER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2600, 1, 1, 0, 0, 0, 0, 5));
/// How long a running allocation may be refreshed past its credential's end.
pub const GRACE: Duration = Duration::from_secs(2000);

/// Everything that a scenario may set; each part begins with the program's defaults.
pub struct Setup {
    pub turn: turn::Settings,
    pub auth: auth::Settings,
    pub peers: peer_filter::Settings,
    pub quotas: quota::Settings,
    pub bandwidth: bandwidth::Settings,
    pub replies: rate_limit::Settings,
    pub relay: Vec<RelayAddress>,
    pub ports: RangeInclusive<u16>,
    pub worker: (u64, u64),
    pub name_rule_in_reply: bool,
    /// Realms beside the default one.
    pub realms: Vec<SetupRealm>,
}

/// One more realm; each part begins with the program's defaults.
pub struct SetupRealm {
    pub chosen_by: ChosenBy,
    pub auth: auth::Settings,
    pub peers: peer_filter::Settings,
    pub quotas: quota::Settings,
    pub bandwidth: bandwidth::Settings,
}

impl Default for Setup {
    fn default() -> Self {
        let relay = [SERVER_V4, SERVER_V6].map(|bind| RelayAddress {
            bind,
            external: None,
        });
        Self {
            turn: turn::Settings::default(),
            auth: auth::Settings {
                realm: REALM.to_owned(),
                shared_secrets: SECRETS.map(Secret::new).to_vec(),
                static_users: STATIC_USERS.map(static_user).to_vec(),
                separator: ':',
                after_expiry: AfterExpiry::RefreshFor(GRACE),
                tokens: auth::TokenKeys::default(),
            },
            peers: peer_filter::Settings {
                own_addresses: vec![SERVER_V4, SERVER_V6],
                ..peer_filter::Settings::default()
            },
            quotas: quota::Settings::default(),
            bandwidth: bandwidth::Settings::default(),
            replies: rate_limit::Settings::default(),
            relay: relay.to_vec(),
            ports: 49_152..=65_535,
            worker: (0, 1),
            name_rule_in_reply: false,
            realms: Vec::new(),
        }
    }
}

impl Setup {
    pub fn into_parts(self) -> Parts {
        let quotas = Quotas::new(self.quotas, &self.bandwidth);
        let more_realms = self.realms.into_iter().map(|realm| RealmParts {
            chosen_by: realm.chosen_by,
            auth: Arc::new(Authenticator::new(realm.auth)),
            peers: Arc::new(PeerFilter::new(&realm.peers)),
            quotas: quotas.beside(realm.quotas, &realm.bandwidth),
            total_bandwidth: Some(TotalLease::new(Total::new(&realm.bandwidth))),
            bandwidth: realm.bandwidth,
            name_rule_in_reply: false,
        });
        Parts {
            more_realms: more_realms.collect(),
            total_bandwidth: TotalLease::new(Total::new(&self.bandwidth)),
            realm: RealmParts {
                chosen_by: ChosenBy::default(),
                auth: Arc::new(Authenticator::new(self.auth)),
                peers: Arc::new(PeerFilter::new(&self.peers)),
                quotas,
                bandwidth: self.bandwidth,
                total_bandwidth: None,
                name_rule_in_reply: self.name_rule_in_reply,
            },
            reply_limiter: SourceLimiter::new(&self.replies, 7),
            relayed: Arc::new(RelayedAddresses::new(&self.relay, self.ports)),
            nonce_key: NonceKey::new([7; 32]),
            ticket_key: TicketKey::new([7; 32]),
            worker: self.worker,
            seed: [7; 32],
            settings: self.turn,
        }
    }
}

fn static_user(name: &str) -> StaticUser {
    StaticUser {
        name: name.to_owned(),
        password: StaticPassword::Plain(Secret::new(static_password(name))),
    }
}

pub fn static_password(name: &str) -> String {
    format!("the password of {name}")
}
