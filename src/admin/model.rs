//! What the admin API says, and is told. Durations are seconds, moments are seconds since 1970, addresses are texts, and everything
//! that counts is a whole number.
//!
//! Fields may be added; none changes its meaning. Whoever reads it passes over what it does not know.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::auth::Secret;

/// The server as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// The version of the program.
    pub version: String,
    /// When the relay was started.
    pub started: u64,
    /// How long it has served.
    pub uptime: f64,
    /// Where clients are awaited.
    pub listeners: Vec<Listener>,
    /// Each worker, in order.
    pub workers: Vec<Worker>,
    /// Each realm, the default one first.
    pub realms: Vec<Realm>,
    /// How much there may be.
    pub limits: Limits,
    /// The ports of each relay address.
    pub ports: Vec<Ports>,
    /// The certificates that are served to clients.
    pub certificates: Vec<Certificate>,
    /// Allocations that there are.
    pub allocations: u64,
    /// Connections of clients and DTLS sessions that are open.
    pub connections: u64,
}

/// Where clients are awaited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// `udp`, `tcp`, `tls`, `dtls` or `shared`.
    pub transport: String,
    /// An IP address and a port.
    pub address: SocketAddr,
}

/// What one worker has done since the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// Counted from 0.
    pub number: u64,
    /// CPU time that its thread has used: what this grows by in a second is its load.
    pub cpu: f64,
    /// Turns of its loop.
    pub turns: u64,
    /// Allocations that it has.
    pub allocations: u64,
    /// Allocations that it has opened.
    pub opened: u64,
    /// Connections of clients that it has.
    pub connections: u64,
    /// DTLS sessions that it has.
    pub dtls_sessions: u64,
    /// Connections with peers that it has (RFC 6062).
    pub peer_connections: u64,
    /// Application data relayed to peers.
    pub to_peers: Amount,
    /// Application data relayed to clients.
    pub to_clients: Amount,
    /// What was not relayed or obeyed, by reason; without those that have not occurred.
    pub drops: BTreeMap<String, u64>,
    /// Requests refused, by reason; without those that have not occurred.
    pub refusals: BTreeMap<String, u64>,
    /// Datagrams that the kernel has dropped, as far as it was asked.
    pub kernel_drops: u64,
    /// Datagrams that the kernel did not take.
    pub not_sent: u64,
    /// Datagrams that another worker had no room for.
    pub lost_between_workers: u64,
}

/// What one realm has done since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Realm {
    /// Its name.
    pub name: String,
    /// Allocations that it has.
    pub allocations: u64,
    /// Allocations that it has opened.
    pub opened: u64,
    /// Application data relayed to peers.
    pub to_peers: Amount,
    /// Application data relayed to clients.
    pub to_clients: Amount,
}

/// Packets and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// How many.
    pub packets: u64,
    /// Of all of them together.
    pub bytes: u64,
}

/// How much there may be at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Allocations.
    pub allocations: u64,
    /// Connections of clients and DTLS sessions.
    pub connections: u64,
}

/// The ports of a relay address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// What relay sockets bind.
    pub address: IpAddr,
    /// Ports in use.
    pub claimed: u64,
    /// Ports that there are.
    pub total: u64,
}

/// A certificate that is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its file, or what it is for where it is in none.
    pub name: String,
    /// When it ends; null where it does not say so in a known way.
    pub not_after: Option<i64>,
}

/// Some of the sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sessions {
    /// In no order that means anything. It may be empty although more follow.
    pub sessions: Vec<Session>,
    /// What to ask for more with, as `cursor`; null at the end.
    pub next: Option<String>,
}

/// An allocation, with its client and its peers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// A number that no other session of this server has had since it started.
    pub id: u64,
    /// Its realm.
    pub realm: String,
    /// The user id, as the client has said it: it may have any character.
    pub user: String,
    /// Between client and server: `udp`, `tcp`, `tls` or `dtls`.
    pub transport: String,
    /// The client, as the server sees it.
    pub client: SocketAddr,
    /// The server's address that the client has come to.
    pub server: SocketAddr,
    /// False where a mobile client is away, and may come back.
    pub connected: bool,
    /// Whether the client may come back from another address (RFC 8016).
    pub mobile: bool,
    /// The relayed transport addresses, as peers see them.
    pub relayed: Vec<SocketAddr>,
    /// Between server and peers: `udp` or `tcp`.
    pub protocol: String,
    /// How many permissions there are. A page lists 16 of each session; a session asked for by itself has 1,024.
    pub permission_count: u64,
    /// Peers that may reach the client, and be reached.
    pub permissions: Vec<Permission>,
    /// How many channels there are.
    pub channel_count: u64,
    /// Peers that have a channel.
    pub channels: Vec<Channel>,
    /// Connections with peers (RFC 6062).
    pub peer_connections: u64,
    /// How long ago it was opened.
    pub age: f64,
    /// How long it lasts unless it is refreshed.
    pub expires_in: f64,
    /// Application data relayed to peers.
    pub to_peers: Amount,
    /// Application data relayed to the client.
    pub to_client: Amount,
    /// Data not relayed, by reason; without those that have not occurred.
    pub drops: BTreeMap<String, u64>,
}

/// A peer that may reach the client, and be reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Permission {
    /// Its IP address.
    pub peer: IpAddr,
    /// How long that lasts unless it is installed again.
    pub expires_in: f64,
    /// Whether it is an address that this server relays from.
    pub inside: bool,
}

/// A peer that has a channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// The channel's number.
    pub number: u16,
    /// The peer.
    pub peer: SocketAddr,
    /// How long it lasts unless it is bound again.
    pub expires_in: f64,
    /// Whether the peer is a client of this server, too.
    pub inside: bool,
}

/// Which sessions are meant: those that all of what is given is true of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The user id, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The name of the realm, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// The client's IP address, whatever its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
}

impl Filter {
    /// Whether it says nothing, and so would mean every session.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is asked about a user's name.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameQuestion {
    /// The name, as the client sends it.
    pub name: String,
    /// The password that the client has.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "secret")]
    pub password: Option<Secret>,
    /// The realm, unless it is the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// At which time; none is the present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
}

/// A secret as a text.
mod secret {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error};

    use crate::auth::Secret;

    pub(super) fn serialize<S: Serializer>(
        secret: &Option<Secret>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = secret
            .as_ref()
            .map(|secret| str::from_utf8(secret.expose()));
        let text = text.transpose();
        let text = text.map_err(|_| S::Error::custom("the password is no text in UTF-8"))?;
        text.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Secret>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(text.map(Secret::new))
    }
}

/// How many sessions have been ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How many.
    pub ended: u64,
}

/// One line about a session that is followed. `at` is seconds since that began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TraceLine {
    /// The first line: the session as it was then.
    Began {
        /// 0.
        at: f64,
        /// The session.
        session: Box<Session>,
    },
    /// A request of the client.
    Request {
        /// When.
        at: f64,
        /// `binding`, `allocate`, `refresh`, `create_permission`, `channel_bind`, `connect` or `connection_bind`.
        method: String,
        /// `success`, `refused`, `waiting` (for a peer that is connected to) or `not_answered`.
        outcome: String,
        /// The error code of a refusal.
        code: Option<u16>,
        /// Why it was refused: a word, as in the metrics.
        reason: Option<String>,
        /// How long the session lasts after it, where it is about that; 0 ends it.
        lifetime: Option<f64>,
        /// The peers that it names, eight at most.
        peers: Vec<SocketAddr>,
        /// The channel that it names.
        channel: Option<u16>,
    },
    /// One of the first ten packets each way with a peer.
    Packet {
        /// When.
        at: f64,
        /// `to_peer` or `to_client`.
        direction: String,
        /// Whom with.
        peer: SocketAddr,
        /// Bytes of application data.
        length: u64,
        /// The channel that it came or went by; null for an indication.
        channel: Option<u16>,
    },
    /// One of the first ten ICMP errors about data that went to a peer, whether the client is told or not.
    Icmp {
        /// When.
        at: f64,
        /// Whom that was for.
        peer: SocketAddr,
        /// Its type, as ICMP has it for IPv4 and ICMPv6 for IPv6.
        r#type: u8,
        /// Its code.
        code: u8,
    },
    /// Data that was not relayed.
    Dropped {
        /// When.
        at: f64,
        /// `to_peer` or `to_client`.
        direction: String,
        /// Why: a word, as in the metrics.
        reason: String,
        /// Whom with, where that is known.
        peer: Option<SocketAddr>,
    },
    /// Lines are missing here: there were too many in a second, or they were not read in time.
    Skipped {
        /// When.
        at: f64,
        /// How many.
        lines: u64,
    },
    /// The session has ended; nothing follows.
    Ended {
        /// When.
        at: f64,
        /// Why: a word, as in the metrics.
        reason: String,
    },
}

/// Why a request came to nothing (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `about:blank`: the status says it.
    pub r#type: String,
    /// The status in words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What is wrong, in one sentence.
    pub detail: String,
}
