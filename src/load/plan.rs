//! What is to be measured: the product of what the command line lists.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::credential::Credentials;
use super::stop::Stop;
use super::target::Target;
use super::udp::Joining;

/// What is sent, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Traffic {
    /// From clients to peers.
    Up,
    /// From peers to clients.
    Down,
    /// From clients to peers and back.
    Echo,
    /// From client to client, through the allocation of each.
    Pairs,
    /// Allocations, one after the other.
    Allocate,
    /// Binding requests.
    Binding,
}

impl Traffic {
    /// Whether data is relayed.
    pub fn is_relayed(self) -> bool {
        match self {
            Self::Up | Self::Down | Self::Echo | Self::Pairs => true,
            Self::Allocate | Self::Binding => false,
        }
    }

    /// Whether clients need a credential for it.
    pub fn needs_credential(self) -> bool {
        self != Self::Binding
    }

    /// Packets that the server relays for one that is counted as received.
    pub(super) fn relayed_packets(self) -> u64 {
        match self {
            Self::Echo => 2,
            Self::Up | Self::Down | Self::Pairs | Self::Allocate | Self::Binding => 1,
        }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Echo => "echo",
            Self::Pairs => "pairs",
            Self::Allocate => "allocate",
            Self::Binding => "binding",
        })
    }
}

/// How much is offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// So many packets per second by all clients together.
    Fixed(f64),
    /// As many as come back.
    Max,
    /// The most that get through without loss.
    Search,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(rate) => write!(f, "{rate}/s"),
            Self::Max => f.write_str("max"),
            Self::Search => f.write_str("search"),
        }
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(rate) if rate.fract() == 0.0 => serializer.serialize_u64(*rate as u64),
            Self::Fixed(rate) => serializer.serialize_f64(*rate),
            Self::Max => serializer.serialize_str("max"),
            Self::Search => serializer.serialize_str("search"),
        }
    }
}

/// In which form data passes between client and server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// ChannelData.
    #[default]
    Channels,
    /// Send and Data indications.
    Indications,
}

/// Whose certificate a TLS client accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those that this system trusts.
    #[default]
    System,
    /// Those that a PEM file vouches for.
    File(PathBuf),
    /// Any.
    Anyone,
}

/// Everything that a load is made from.
#[derive(Clone)]
pub struct Plan {
    /// The server.
    pub target: Target,
    /// With what clients authenticate; only Binding needs none.
    pub credentials: Option<Credentials>,
    /// Each kind is a run.
    pub traffic: Vec<Traffic>,
    /// Payload as the peer sees it, in bytes; each size is a run.
    pub sizes: Vec<usize>,
    /// Each rate is a run.
    pub rates: Vec<Rate>,
    /// Clients; each has an allocation.
    pub clients: usize,
    /// Consecutive packets of one flow.
    pub train: usize,
    /// What passes through the kernel as one.
    pub joining: Joining,
    /// The form of relayed data.
    pub form: Form,
    /// How long each run sends.
    pub duration: Duration,
    /// How often each run is repeated.
    pub rounds: usize,
    /// Packets under way at [`Rate::Max`]; requests under way while allocations are made.
    pub window: usize,
    /// The percentage of packets that [`Rate::Search`] lets be lost.
    pub max_loss: f64,
    /// How long a storm of allocations lets them live.
    pub hold: Duration,
    /// How often a storm of allocations is repeated.
    pub churn: usize,
    /// Where peers listen; `None`: the local address that leads to the server.
    pub peer_address: Option<IpAddr>,
    /// The server's processes, where it runs on this machine.
    pub processes: Vec<u32>,
    /// Whose certificate is accepted.
    pub trust: Trust,
    /// Whether the generator sleeps when there is nothing to do.
    pub sleep: bool,
    /// Ends it all.
    pub stop: Stop,
}

/// The least size of a payload: what identifies it.
pub const MIN_SIZE: usize = super::stamp::Stamp::LEN;
/// The largest payload that fits a Send indication over UDP and IPv6.
pub const MAX_SIZE: usize = 65_000;
/// The most clients.
pub const MAX_CLIENTS: usize = super::udp::MAX_CLIENTS;

/// One of the runs of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) traffic: Traffic,
    /// Where there is a payload.
    pub(super) size: Option<usize>,
    /// Where there is a rate.
    pub(super) rate: Option<Rate>,
    /// Counted from 1.
    pub(super) round: usize,
}

impl Plan {
    /// All runs. Rounds are outermost, so that what drifts with time meets each run alike.
    pub(super) fn runs(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        for round in 1..=self.rounds {
            for &traffic in &self.traffic {
                let sizes: Vec<_> = match traffic.is_relayed() {
                    true => self.sizes.iter().copied().map(Some).collect(),
                    false => vec![None],
                };
                let rates: Vec<_> = match traffic {
                    Traffic::Allocate => vec![None],
                    _ => self.rates.iter().copied().map(Some).collect(),
                };
                for size in sizes {
                    runs.extend(rates.iter().map(|&rate| Run {
                        traffic,
                        size,
                        rate,
                        round,
                    }));
                }
            }
        }
        runs
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.traffic)?;
        if let Some(size) = self.size {
            write!(f, " {size} B")?;
        }
        if let Some(rate) = self.rate {
            write!(f, " {rate}")?;
        }
        Ok(())
    }
}
