//! The configurations that servers are started with.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

pub const ALICE: (&str, &str) = ("alice", "a password");
pub const BOB: (&str, &str) = ("bob", "another password");
pub const CAROL: (&str, &str) = ("carol", "a third password");
pub const ZOE: (&str, &str) = ("zoe", "pass\u{a0}cafe\u{301}");
pub const SECRET: &str = "5f0e31c8a7d94b6290c4e1b7a3d8f2566a1e9b0c";
pub const SECOND_SECRET: &str = "b8d1a0473c6ef925a1c7e38d5f6b0294e7c8d1a3";
pub const REALM: &str = "turn.example.org";
/// MD5("carol:turn.example.org:a third password").
pub const CAROL_HA1: &str = "a679cbee3db19eeb6c2b00749070f385";
/// The same by SHA-256.
const CAROL_SHA256: &str = "d9ef28bda5bbfbfbfa3cd59f3d1327f3ac6809f3fba10ecf31c99dc7a8bf0b90";

/// Peers on loopback, which is denied by default, are allowed up to 127.0.0.99; this one stays denied.
pub fn denied_peer() -> IpAddr {
    Ipv4Addr::new(127, 0, 0, 200).into()
}

/// How a server is configured.
#[derive(Clone, Copy, Debug)]
pub enum Flavour {
    /// Loopback peers allowed; everything else at its default, but limits that many parallel tests would meet.
    Plain,
    /// Allocations last two seconds at most.
    ShortLifetime,
    /// A nonce is fresh for two seconds.
    ShortNonce,
    /// Two allocations per user.
    Quota,
    /// One relay port.
    OnePort,
    /// Listens on 0.0.0.0.
    Wildcard,
    /// Peers and clients see another relayed address than the one bound.
    External,
    /// No peer is allowed that is denied by default.
    Guarded,
    /// 80 kbit/s per allocation.
    Slow,
    /// Ten replies to a source that has not authenticated, then one per second.
    Reticent,
    /// Idle connections and handshakes end after a second.
    Impatient,
    /// No SOFTWARE.
    Nameless,
    /// An allocation ends with its credential, and a TLS port takes nothing but TLS.
    Strict,
    /// Users alone, and no shared secret.
    UsersOnly,
    /// New clients are sent elsewhere: to one of two servers over IPv4, to one over IPv6.
    Redirecting,
    /// Relays from an IPv4 address alone.
    Ipv4Only,
    /// Every switch for old clients is on.
    Compatible,
    /// Relays from the addresses of a network that a test has made; all of it is allowed.
    Routed,
    /// Of one user nothing is stored but an MD5.
    Ha1Only,
    /// Connections with peers are relayed, four for each allocation.
    TcpRelaying,
    /// Clients may keep an allocation when their address changes.
    Mobile,
    /// The same in a network that a test has made: listens on 0.0.0.0, and relays there.
    Roaming,
    /// Access tokens are taken that [`TOKEN_KEYS`] have sealed for [`TOKEN_SERVER_NAME`].
    Tokens,
    /// A second IPv4 address and a second port, from which clients can have their replies.
    NatDiscovery,
    /// A second realm, [`OTHER_REALM`], that ORIGIN, a server name or a second UDP port chooses. Each user may have two allocations
    /// in either, and the peers of the second one are not those of the first.
    Realms,
}

/// The ports that a server is started on.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// UDP and TCP.
    pub plain: u16,
    pub tls: u16,
    /// A port outside the default relay range.
    pub relay: u16,
}

impl Flavour {
    /// Each.
    #[allow(dead_code, reason = "for the program in ../table")]
    pub const ALL: [Self; 25] = [
        Self::Plain,
        Self::ShortLifetime,
        Self::ShortNonce,
        Self::Quota,
        Self::OnePort,
        Self::Wildcard,
        Self::External,
        Self::Guarded,
        Self::Slow,
        Self::Reticent,
        Self::Impatient,
        Self::Nameless,
        Self::Strict,
        Self::UsersOnly,
        Self::Redirecting,
        Self::Ipv4Only,
        Self::Compatible,
        Self::Routed,
        Self::Ha1Only,
        Self::TcpRelaying,
        Self::Mobile,
        Self::Roaming,
        Self::Tokens,
        Self::NatDiscovery,
        Self::Realms,
    ];

    /// As it appears in a variable's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::ShortLifetime => "short_lifetime",
            Self::ShortNonce => "short_nonce",
            Self::Quota => "quota",
            Self::OnePort => "one_port",
            Self::Wildcard => "wildcard",
            Self::External => "external",
            Self::Guarded => "guarded",
            Self::Slow => "slow",
            Self::Reticent => "reticent",
            Self::Impatient => "impatient",
            Self::Nameless => "nameless",
            Self::Strict => "strict",
            Self::UsersOnly => "users_only",
            Self::Redirecting => "redirecting",
            Self::Ipv4Only => "ipv4_only",
            Self::Compatible => "compatible",
            Self::Routed => "routed",
            Self::Ha1Only => "ha1_only",
            Self::TcpRelaying => "tcp_relaying",
            Self::Mobile => "mobile",
            Self::Roaming => "roaming",
            Self::Tokens => "tokens",
            Self::NatDiscovery => "nat_discovery",
            Self::Realms => "realms",
        }
    }

    /// The configuration file.
    pub fn config(self, ports: Ports, certificate: &str, key: &str) -> String {
        let mut config = Config::plain(ports, certificate, key);
        match self {
            Self::Plain => {}
            Self::ShortLifetime => {
                config.set("turn", "default_lifetime", "\"2s\"");
                config.set("turn", "max_lifetime", "\"2s\"");
            }
            Self::ShortNonce => config.set("turn", "nonce_lifetime", "\"2s\""),
            Self::Quota => config.set("limits", "allocations_per_user", 2),
            Self::OnePort => config.set("relay", "ports", format!("\"{0}-{0}\"", ports.relay)),
            Self::Wildcard => {
                config.set("listen", "udp", format!("[\"0.0.0.0:{}\"]", ports.plain));
                config.set("relay", "addresses", "[\"127.0.0.1\"]");
            }
            Self::External => {
                config.set("relay", "addresses", "[\"127.0.0.1\"]");
                config.set("relay", "external", format!("[\"{EXTERNAL_ADDRESS}\"]"));
                config.set(
                    "peers",
                    "allow",
                    format!("[\"127.0.0.1-127.0.0.99\", \"{EXTERNAL_ADDRESS}\"]"),
                );
            }
            Self::Guarded => config.set("peers", "allow", "[]"),
            Self::Slow => config.set("limits", "bandwidth_per_allocation", "\"80 kbit/s\""),
            Self::Reticent => {
                config.set("limits", "unauthenticated_replies_per_second", 1);
                config.set("limits", "unauthenticated_replies_burst", 10);
                config.set("limits", "new_connections_per_second", 1);
                config.set("limits", "new_connections_burst", 10);
            }
            Self::Impatient => {
                config.set("limits", "idle_timeout", "\"1s\"");
                config.set("limits", "handshake_timeout", "\"1s\"");
            }
            Self::Nameless => config.set("turn", "software", false),
            Self::Strict => {
                config.set("auth", "after_expiry", "\"end\"");
                config.set("tls", "accept_plain", false);
            }
            Self::UsersOnly => config.set("auth", "shared_secrets", "[]"),
            Self::Redirecting => {
                let servers = ALTERNATES.map(|server| format!("{server:?}")).join(", ");
                config.set("turn", "alternate_servers", format!("[{servers}]"));
                config.set("turn", "alternate_domain", format!("{ALTERNATE_DOMAIN:?}"));
            }
            Self::Ipv4Only => config.set("relay", "addresses", "[\"127.0.0.1\"]"),
            Self::Compatible => {
                config.set("turn", "channel_numbers", "\"rfc5766\"");
                config.set("turn", "draft_address_families", true);
            }
            Self::Routed => {
                let [v4, v6] = ROUTED_ADDRESSES;
                config.set("relay", "addresses", format!("[{v4:?}, {v6:?}]"));
                config.set("peers", "allow", "[\"10.76.0.0/14\", \"fd00::/8\"]");
            }
            Self::Ha1Only => {}
            Self::TcpRelaying => {
                config.set("relay", "tcp", true);
                config.set("turn", "max_peer_connections", 4);
            }
            Self::Mobile => config.set("turn", "mobility", true),
            Self::Roaming => {
                config.set("turn", "mobility", true);
                config.set("listen", "udp", format!("[\"0.0.0.0:{}\"]", ports.plain));
                config.set("relay", "addresses", format!("[{:?}]", ROUTED_ADDRESSES[0]));
                config.set("peers", "allow", "[\"10.76.0.0/14\"]");
            }
            Self::Tokens => config.set(
                "auth",
                "token_server_name",
                format!("{TOKEN_SERVER_NAME:?}"),
            ),
            Self::NatDiscovery => {
                config.set("nat_discovery", "alternate_addresses", "[\"127.0.0.2\"]");
                config.set("nat_discovery", "alternate_port", ports.relay);
                config.set("nat_discovery", "response_port", true);
            }
            Self::Realms => {
                let (plain, relay) = (ports.plain, ports.relay);
                let udp = format!("[\"127.0.0.1:{plain}\", \"127.0.0.1:{relay}\"]");
                config.set("listen", "udp", udp);
                config.set("limits", "allocations_per_user", 2);
            }
        }
        let text = match self {
            Self::Ha1Only => config.text(),
            _ => config.text() + &format!("ha1_sha256 = {CAROL_SHA256:?}\n"),
        };
        match self {
            Self::Tokens => text + &token_keys(),
            Self::Realms => text + &other_realm(ports),
            _ => text,
        }
    }
}

fn token_keys() -> String {
    let table = |(id, secret): (&str, &str)| {
        format!("[[auth.token_keys]]\nid = {id:?}\nsecret = {secret:?}\n")
    };
    TOKEN_KEYS.map(table).concat()
}

fn other_realm(ports: Ports) -> String {
    let (name, password) = OTHER_ALICE;
    format!(
        "[[realms]]\nname = {OTHER_REALM:?}\norigins = [{OTHER_ORIGIN:?}]\n\
         server_names = [{OTHER_SERVER_NAME:?}]\nlisten = [\"127.0.0.1:{}\"]\n\
         [[realms.auth.users]]\nname = {name:?}\npassword = {password:?}\n\
         [realms.peers]\ndeny = [\"127.0.0.1\"]\nallow = [\"127.0.0.200\"]\n",
        ports.relay
    )
}

/// The second realm of a server of [`Flavour::Realms`], and what chooses it.
pub const OTHER_REALM: &str = "other.example.org";
pub const OTHER_ORIGIN: &str = "https://app.example.org";
pub const OTHER_SERVER_NAME: &str = "other.turn.example.org";
/// Its user.
pub const OTHER_ALICE: (&str, &str) = (ALICE.0, "a password of the other realm");
/// What a server of [`Flavour::Tokens`] shares with an authorization server: key ids, and keys of AES-256 and AES-128 in base64.
pub const TOKEN_KEYS: [(&str, &str); 2] = [
    ("kid-256", "6yEmyhSZ9BqGEv9WuZ9qNeFO1qzU8xVLE7yQVfz2Nn8="),
    ("kid-128", "cTdKdjBhWHpxN0p2MGFYeg=="),
];
/// What it is called in tokens.
pub const TOKEN_SERVER_NAME: &str = "relay.example.org";
/// Where a server of [`Flavour::Redirecting`] sends new clients.
pub const ALTERNATES: [&str; 3] = ["192.0.2.9:3478", "192.0.2.10:5349", "[2001:db8::9]:3478"];
/// The name in their certificates.
pub const ALTERNATE_DOMAIN: &str = "turn2.example.org";
/// What a server of [`Flavour::Routed`] relays from.
pub const ROUTED_ADDRESSES: [&str; 2] = ["10.77.0.1", "fd77::1"];
/// What a server of [`Flavour::External`] shows.
pub const EXTERNAL_ADDRESS: &str = "198.51.100.7";

/// Tables of keys, so that a flavour can replace one.
struct Config(BTreeMap<&'static str, BTreeMap<&'static str, String>>);

impl Config {
    fn plain(Ports { plain, tls, .. }: Ports, certificate: &str, key: &str) -> Self {
        let mut config = Self(BTreeMap::new());
        config.set(
            "listen",
            "udp",
            format!("[\"127.0.0.1:{plain}\", \"[::1]:{plain}\"]"),
        );
        config.set(
            "listen",
            "tcp",
            format!("[\"127.0.0.1:{plain}\", \"[::1]:{plain}\"]"),
        );
        config.set(
            "listen",
            "tls",
            format!("[\"127.0.0.1:{tls}\", \"[::1]:{tls}\"]"),
        );
        config.set(
            "listen",
            "dtls",
            format!("[\"127.0.0.1:{tls}\", \"[::1]:{tls}\"]"),
        );
        // All clients have one address here.
        config.set("limits", "new_connections_per_second", 100_000);
        config.set("limits", "new_connections_burst", 100_000);
        config.set("tls", "certificate", format!("{certificate:?}"));
        config.set("tls", "key", format!("{key:?}"));
        config.set("auth", "realm", format!("{REALM:?}"));
        config.set(
            "auth",
            "shared_secrets",
            format!("[{SECRET:?}, {SECOND_SECRET:?}]"),
        );
        config.set("relay", "addresses", "[\"127.0.0.1\", \"::1\"]");
        config.set("relay", "icmp_errors", "\"all\"");
        config.set("peers", "deny_special_purpose", true);
        config.set("peers", "allow", "[\"127.0.0.1-127.0.0.99\", \"::1\"]");
        config.set("limits", "allocations_per_user", 10_000);
        config.set("limits", "allocations_per_client_address", 10_000);
        config.set("limits", "unauthenticated_replies_per_second", 1_000_000);
        config.set("limits", "unauthenticated_replies_burst", 1_000_000);
        config
    }

    fn set(&mut self, table: &'static str, key: &'static str, value: impl ToString) {
        self.0
            .entry(table)
            .or_default()
            .insert(key, value.to_string());
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (table, keys) in &self.0 {
            text += &format!("[{table}]\n");
            for (key, value) in keys {
                text += &format!("{key} = {value}\n");
            }
        }
        for (name, password) in [ALICE, BOB, ZOE] {
            text += &format!("[[auth.users]]\nname = \"{name}\"\npassword = \"{password}\"\n");
        }
        text + &format!(
            "[[auth.users]]\nname = {:?}\nha1 = {CAROL_HA1:?}\n",
            CAROL.0
        )
    }
}
