//! What was found, as values. Their names are those of `uturn probe --json`.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::transport::Transport;
use super::verdict::Verdict;

/// Everything that is told of a probe.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The server, as it was named.
    pub target: String,
    /// How long it all took.
    pub seconds: f64,
    /// What it means.
    pub verdict: Verdict,
    /// What was found.
    #[serde(flatten)]
    pub findings: Findings,
}

/// What was found, before it is judged.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// The host's name, where it has one.
    pub host: Option<String>,
    /// Whether a relay was expected.
    pub relay_expected: bool,
    /// Whether there was a credential to try it with.
    pub has_credential: bool,
    /// Whether every standard port was tried, because none was named.
    pub is_bare: bool,
    /// What the host's name leads to.
    pub lookup: Lookup,
    /// Each transport to each address.
    pub attempts: Vec<Attempt>,
    /// The NAT on the way, for each address family that UDP works with.
    pub nat: Vec<Nat>,
    /// What was asked for with a throughput.
    pub throughput: Option<Throughput>,
}

/// How the host's name was looked up.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Lookup {
    /// How long it took.
    pub ms: f64,
    /// All addresses; at most one of each family is tried.
    pub addresses: Vec<IpAddr>,
    /// Why there is none.
    pub error: Option<String>,
}

/// One transport to one address.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// What carries the messages.
    pub transport: Transport,
    /// The server's transport address.
    pub server: SocketAddr,
    /// What was done, in order; only the last one can have failed.
    pub steps: Vec<Step>,
    /// What a step that is not needed to relay has run into.
    pub aside: Vec<Trouble>,
    /// What was agreed on within TLS or DTLS.
    pub tls: Option<TlsSession>,
    /// The local address.
    pub local: Option<SocketAddr>,
    /// The local address as the server sees it.
    pub mapped: Option<SocketAddr>,
    /// What the server says that it is.
    pub software: Option<String>,
    /// The realm of its challenge.
    pub realm: Option<String>,
    /// The relayed transport address.
    pub relayed: Option<SocketAddr>,
    /// How long the allocation would live.
    pub lifetime_seconds: Option<u32>,
    /// Where the server sends its clients.
    pub alternate_server: Option<SocketAddr>,
    /// What passed through the relay and back.
    pub relay: Option<RoundTrips>,
    /// Whether the relayed transport address can be reached from outside of the server.
    pub relay_range: RelayRange,
    /// Where a socket of this host that had this mapped address (from the server's port) is seen from at the relay.
    #[serde(skip)]
    pub towards_relay: Option<(SocketAddr, SocketAddr)>,
}

/// A step of an attempt.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What was done.
    pub name: StepName,
    /// How long it took, whether it succeeded or not.
    pub ms: f64,
    /// Why it failed.
    pub trouble: Option<Trouble>,
}

/// The steps of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepName {
    /// The TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The DTLS handshake.
    Dtls,
    /// A Binding.
    Binding,
    /// The challenge that an Allocate without a credential gets: all that can be had without one.
    Challenge,
    /// An Allocate, with its challenge.
    Allocate,
    /// A CreatePermission for the peer.
    Permission,
    /// A ChannelBind for the peer.
    Channel,
    /// Packets through the relay and back.
    RoundTrips,
    /// The Refresh that ends the allocation.
    Release,
}

/// Why a step failed.
#[derive(Clone, Debug, Serialize)]
pub struct Trouble {
    /// Its kind.
    pub kind: TroubleKind,
    /// The error code of a response.
    pub code: Option<u16>,
    /// What the system or the server says.
    pub reason: String,
    /// What that means, and what to do.
    pub explanation: String,
}

/// Kinds of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TroubleKind {
    /// Nothing came back in time.
    NoAnswer,
    /// Nobody listens there: a reset, or ICMP port unreachable.
    Refused,
    /// There is no way there from this host.
    Unreachable,
    /// The server ended the connection.
    Closed,
    /// The handshake of TLS or DTLS failed.
    Tls,
    /// The certificate is not to be trusted.
    Certificate,
    /// An error response.
    Code,
    /// What came back is not what the protocol has.
    Protocol,
    /// This host could not do its part.
    Local,
    /// The probe's own time was up.
    OutOfTime,
}

/// What was agreed on within TLS.
#[derive(Clone, Debug, Serialize)]
pub struct TlsSession {
    /// `TLS 1.3`, `TLS 1.2`, `DTLS 1.2`.
    pub version: String,
    /// The protocol of ALPN, if one was chosen.
    pub alpn: Option<String>,
    /// The server's certificate.
    pub certificate: Certificate,
}

/// The certificate of a server.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Certificate {
    /// For which names and addresses it is.
    pub names: Vec<String>,
    /// Days until it expires; negative once it has.
    pub days_left: Option<i64>,
    /// Why it does not verify; `None`: it does.
    pub error: Option<String>,
}

/// What passed through the relay and back.
#[derive(Clone, Debug, Serialize)]
pub struct RoundTrips {
    /// Who answered.
    pub path: Path,
    /// Packets that were sent.
    pub sent: usize,
    /// Packets that came back.
    pub received: usize,
    /// The share that did not.
    pub loss_percent: f64,
    /// From client to peer and back, each by way of the relay, in milliseconds.
    pub p50_ms: f64,
    /// The same: 90 % were no slower.
    pub p90_ms: f64,
    /// The same: 99 % were no slower.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
    /// The mean difference between one packet's time and the next one's.
    pub jitter_ms: f64,
}

/// Who is the peer behind the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// A second allocation on the same server: works behind any NAT.
    RelayToRelay,
    /// A socket of this host, at its mapped address.
    OwnSocket,
}

/// Whether the relayed transport address can be reached from outside of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelayRange {
    /// It was not tried.
    Untried,
    /// A datagram from this host came through.
    Open,
    /// None did.
    Closed,
    /// The server does not let its clients reach this host, so nobody knows.
    Denied,
}

/// The NAT between this host and the server.
#[derive(Clone, Debug, Serialize)]
pub struct Nat {
    /// The server's address that told.
    pub server: SocketAddr,
    /// The local address.
    pub local: Option<SocketAddr>,
    /// The mapped one.
    pub mapped: SocketAddr,
    /// Whether they differ; `None`: the local address is not known.
    pub is_there: Option<bool>,
    /// What the mapped address depends on (RFC 4787 §4.1).
    pub mapping: Behaviour,
    /// What is let in (RFC 4787 §5).
    pub filtering: Behaviour,
    /// Whether a datagram to the own mapped address comes back (RFC 4787 §6).
    pub hairpins: Option<bool>,
    /// The server's other address (RFC 5780 §7.4); without it little can be told.
    pub other_address: Option<SocketAddr>,
    /// How much of this is known, in words.
    pub explanation: String,
}

/// What a NAT's behaviour depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// On neither.
    EndpointIndependent,
    /// On the peer's address.
    AddressDependent,
    /// On the peer's address and port.
    AddressAndPortDependent,
    /// Not on the port; on the address, nobody knows.
    PortIndependent,
    /// It cannot be known.
    Unknown,
}

/// What was pushed through the relay, from one allocation to another.
#[derive(Clone, Debug, Serialize)]
pub struct Throughput {
    /// What carried it.
    pub transport: Transport,
    /// The server's transport address.
    pub server: SocketAddr,
    /// How long it was sent.
    pub seconds: f64,
    /// Packets that were sent.
    pub sent: u64,
    /// Packets that arrived.
    pub received: u64,
    /// The share that did not.
    pub loss_percent: f64,
    /// Payload that was sent, in Mbit/s.
    pub sent_mbps: f64,
    /// Payload that arrived, in Mbit/s.
    pub received_mbps: f64,
    /// Why there are no figures.
    pub trouble: Option<Trouble>,
}

impl Findings {
    /// Whether nothing is missing without this: no browser uses DTLS, and most servers do not have it, so where nobody has named
    /// it, it need not be there.
    pub fn can_do_without(&self, attempt: &Attempt) -> bool {
        self.is_bare && attempt.transport == Transport::Dtls
    }

    /// Whether it can be done without, and is not there.
    pub fn does_without(&self, attempt: &Attempt) -> bool {
        use TroubleKind::{Local, NoAnswer, Refused, Unreachable};
        let is_absent = attempt.trouble().is_some_and(|trouble| {
            matches!(trouble.kind, NoAnswer | Refused | Unreachable | Local)
        });
        self.can_do_without(attempt) && is_absent && !attempt.answers()
    }
}

impl Attempt {
    /// The trouble that it ended with.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.steps.last()?.trouble.as_ref()
    }

    /// Whether a step was done.
    pub fn did(&self, name: StepName) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| step.name == name && step.trouble.is_none())
    }

    /// How long a step took that was done.
    pub fn ms(&self, name: StepName) -> Option<f64> {
        let mut steps = self.steps.iter();
        let step = steps.find(|step| step.name == name && step.trouble.is_none())?;
        Some(step.ms)
    }

    /// Whether anything came back through the relay.
    pub fn relays(&self) -> bool {
        self.relay.as_ref().is_some_and(|relay| relay.received > 0)
    }

    /// Whether anything that speaks STUN was found.
    pub fn answers(&self) -> bool {
        let is_code = |trouble: &Trouble| trouble.kind == TroubleKind::Code;
        self.did(StepName::Binding)
            || self.did(StepName::Challenge)
            || self.did(StepName::Allocate)
            || self.trouble().is_some_and(is_code)
            || self.aside.iter().any(is_code)
    }
}
