//! The I/O shell around the relay: workers, UDP, TCP, TLS, DTLS, relay sockets.
//!
//! Knows nothing of TURN but what [`crate::turn::Server`] tells it to do. [`start`] opens everything; each worker
//! (`worker/`) is a thread with sockets, a relay and an event loop of its own, and shares nothing with the others
//! while it relays.

mod clock;
mod connections;
mod descriptors;
mod dtls;
mod error;
mod event_log;
mod event_loop;
mod event_tap;
mod http;
mod listeners;
mod mailbox;
mod not_after;
mod observer;
mod peer_streams;
mod relay_port;
mod relay_sockets;
mod start;
mod streams;
pub(crate) mod sys;
mod to_peers;
mod udp;
mod worker;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

pub use crate::admission::peer_filter::PeerRange;
pub use crate::turn::RelayAddress;
pub use clock::clock_is_synchronised;
pub use descriptors::descriptors;
pub(crate) use dtls::{DtlsClient, DtlsError};
#[doc(hidden)]
pub use dtls::{Rehearsal, Response};
pub use error::StartError;
pub use event_log::ShownAddress;
pub use event_tap::{EventTap, Told, What};
pub use http::{HttpConnection, HttpService};
pub use observer::{
    CertificateEnd, ConnectionCounters, Cursor, Limits, NoAnswer, Observer, Page, PortPool,
    RealmDeciders, Report, ShellCounters, Watcher,
};
pub use start::{Running, start};
pub use sys::{Backend, host_name};

/// What HTTPS is served with at addresses that the relay does not listen on: this certificate, and `http/1.1`.
pub fn https_config(
    certificate: &Certificate,
) -> Result<std::sync::Arc<rustls::ServerConfig>, StartError> {
    streams::https_config(certificate)
}

/// What the shell needs to know.
#[derive(Clone)]
pub struct Settings {
    /// Where clients are awaited.
    pub listeners: Vec<Listener>,
    /// The certificate of TLS and DTLS listeners.
    pub certificate: Option<Certificate>,
    /// Further ones, for clients that name one of their names (SNI, RFC 6066 §3).
    pub certificates: Vec<NamedCertificate>,
    /// From where a connection has to begin with a header of the PROXY protocol, and the client that it names counts.
    pub proxies: Vec<PeerRange>,
    /// Who answers HTTP at shared listeners; without it HTTP is not served there.
    pub http: Option<HttpService>,
    /// Who is told of events, beside the log.
    pub events: Option<EventTap>,
    /// Worker threads.
    pub workers: NonZeroUsize,
    /// Addresses that relayed transport addresses are taken from. The first of a family serves clients
    /// that arrive at an address which is not listed.
    pub relay_addresses: Vec<RelayAddress>,
    /// Ports that relayed transport addresses are taken from.
    pub relay_ports: RangeInclusive<u16>,
    /// Whether clients hear of ICMP errors about what they sent to peers (RFC 8656 §11.5).
    pub icmp_errors: bool,
    /// Whether the DSCP and ECN fields of a datagram are kept when it is relayed (RFC 8656 §14).
    pub copy_dscp_and_ecn: bool,
    /// TCP and TLS connections of clients and DTLS sessions, in total, and as many connections with peers (RFC 6062).
    pub max_connections: usize,
    /// TCP and TLS connections and DTLS sessions from one client address (IPv6: one /64).
    pub max_connections_per_address: usize,
    /// New connections, and new DTLS sessions, from one client address (IPv6: one /64), for each worker.
    pub new_connections: crate::admission::rate_limit::Settings,
    /// How long a connection without an allocation may stay silent.
    pub idle_timeout: Duration,
    /// How long a TLS or DTLS handshake may take, the header of a proxy, and the first bytes at a shared listener.
    pub handshake_timeout: Duration,
    /// Whether a client that begins with STUN at a TLS or DTLS listener is served in the clear.
    pub plain_on_tls: bool,
    /// Receive buffer of a UDP listener, in bytes.
    pub listener_receive_buffer: usize,
    /// Receive buffer of a relay socket, in bytes.
    pub relay_receive_buffer: usize,
    /// The calls by which datagrams are received and sent; `None`: the best that work.
    pub udp_backend: Option<Backend>,
}

/// One address at which clients are awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// How clients arrive.
    pub transport: ListenerTransport,
    /// Where. An unspecified address means every address of that family.
    pub address: SocketAddr,
}

/// How clients arrive at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenerTransport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream within TLS.
    Tls,
    /// Datagrams within DTLS, at a socket of its own or at that of a [`Udp`](Self::Udp) listener with the same address that
    /// stands before it.
    Dtls,
    /// A stream whose first bytes say what it is: TURN within TLS, TURN in the clear, or HTTP within TLS.
    Shared,
}

/// Where the TLS certificate comes from.
#[derive(Clone, Debug)]
pub enum Certificate {
    /// PEM files: the certificate with its chain, and its private key.
    Files {
        /// The certificate, then its chain.
        chain: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// The same as PEM text.
    Pem {
        /// The certificate, then its chain.
        chain: String,
        /// The private key.
        key: String,
    },
}

/// A certificate for clients that name one of its names.
#[derive(Clone, Debug)]
pub struct NamedCertificate {
    /// Host names, in lower case; `*.` stands for one label.
    pub names: Vec<String>,
    /// The certificate.
    pub certificate: Certificate,
}

/// A realm beside the default one.
#[derive(Clone)]
pub struct Realm {
    /// What chooses it.
    pub chosen_by: crate::turn::ChosenBy,
    /// Credentials.
    pub auth: crate::auth::Settings,
    /// Which peers may be reached.
    pub peers: crate::admission::peer_filter::Settings,
    /// How many allocations there may be; all realms together have what the default one has.
    pub quotas: crate::admission::quota::Settings,
    /// How many bytes per second may be relayed; all realms together have what the default one has.
    pub bandwidth: crate::admission::bandwidth::Settings,
    /// Whether a 403 names the rule that denied the peer.
    pub name_rule_in_reply: bool,
}

/// Everything that a running relay is made from.
#[derive(Clone)]
pub struct Relay {
    /// The shell.
    pub net: Settings,
    /// The protocol.
    pub turn: crate::turn::Settings,
    /// Credentials.
    pub auth: crate::auth::Settings,
    /// Limits and peer rules.
    pub admission: crate::admission::Settings,
    /// Whether a 403 names the rule that denied the peer.
    pub name_rule_in_reply: bool,
    /// Realms beside the one of `auth`.
    pub realms: Vec<Realm>,
    /// Whether logs show client addresses in full.
    pub log_full_addresses: bool,
}
