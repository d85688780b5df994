//! What a worker's relay has counted since it started: plain numbers, of which whoever asks gets a copy.
//!
//! Each table has an entry for every value of its keys, so that its size never depends on what clients say.

use std::ops::AddAssign;

use super::allocation::EndReason;
use super::durations::Durations;
use super::five_tuple::Transport;
use super::reject::Reject;
use super::relayed_addresses::{Family, Protocol};
use crate::admission::bandwidth::{Direction, Exceeded};
use crate::admission::quota::QuotaReached;
use crate::wire::{Class, Message, Method};

/// Packets and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub packets: u64,
    /// Of all of them together.
    pub bytes: u64,
}

impl Amount {
    #[inline]
    pub(super) fn add(&mut self, len: usize) {
        self.packets += 1;
        self.bytes += len as u64;
    }

    /// Takes back one packet.
    pub(super) fn take_back(&mut self, len: usize) {
        self.packets = self.packets.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(len as u64);
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// Why data or a message was not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Neither STUN nor ChannelData, or not whole.
    Malformed,
    /// The five-tuple has no allocation.
    NoAllocation,
    /// The channel is not bound.
    NoChannel,
    /// The peer has no permission.
    NoPermission,
    /// The peer may not be reached.
    PeerDenied,
    /// A bandwidth limit.
    Bandwidth,
    /// Longer than the client's side can express.
    TooLarge,
    /// An unauthenticated source that has had its share of replies.
    ReplyLimit,
    /// A client that does not read as fast as its peers send.
    SlowReader,
    /// A peer's connection to an allocation that has all that it may have.
    TooManyConnections,
}

impl DropReason {
    /// Each of them, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Malformed,
        Self::NoAllocation,
        Self::NoChannel,
        Self::NoPermission,
        Self::PeerDenied,
        Self::Bandwidth,
        Self::TooLarge,
        Self::ReplyLimit,
        Self::SlowReader,
        Self::TooManyConnections,
    ];

    /// A word for metrics. It does not change from version to version.
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoAllocation => "no_allocation",
            Self::NoChannel => "no_channel",
            Self::NoPermission => "no_permission",
            Self::PeerDenied => "peer_denied",
            Self::Bandwidth => "bandwidth",
            Self::TooLarge => "too_large",
            Self::ReplyLimit => "reply_limit",
            Self::SlowReader => "slow_reader",
            Self::TooManyConnections => "too_many_connections",
        }
    }
}

/// What one allocation has not relayed, in either direction, by [`DropReason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops([u32; DropReason::ALL.len()]);

impl Drops {
    pub(super) fn add(&mut self, reason: DropReason) {
        let count = &mut self.0[reason as usize];
        *count = count.saturating_add(1);
    }

    /// How often for this reason.
    pub fn of(&self, reason: DropReason) -> u32 {
        self.0[reason as usize]
    }

    /// How often in all.
    pub fn total(&self) -> u64 {
        self.0.iter().copied().map(u64::from).sum()
    }
}

/// A limit that keeps somebody from something. Named after the keys of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Allocations of one user.
    AllocationsPerUser,
    /// Allocations of one client address.
    AllocationsPerClientAddress,
    /// Allocations of a realm.
    AllocationsOfRealm,
    /// Allocations of the server.
    AllocationsTotal,
    /// Bandwidth of one allocation.
    BandwidthPerAllocation,
    /// Bandwidth of one user.
    BandwidthPerUser,
    /// Bandwidth of a realm.
    BandwidthOfRealm,
    /// Bandwidth of the server.
    BandwidthTotal,
    /// Replies to one source that has not authenticated.
    UnauthenticatedReplies,
    /// Responses of NAT behaviour discovery to one source.
    NatDiscoveryReplies,
}

impl Limit {
    /// Each of them, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::AllocationsPerUser,
        Self::AllocationsPerClientAddress,
        Self::AllocationsOfRealm,
        Self::AllocationsTotal,
        Self::BandwidthPerAllocation,
        Self::BandwidthPerUser,
        Self::BandwidthOfRealm,
        Self::BandwidthTotal,
        Self::UnauthenticatedReplies,
        Self::NatDiscoveryReplies,
    ];

    /// A word for metrics. It does not change from version to version.
    pub fn label(self) -> &'static str {
        match self {
            Self::AllocationsPerUser => "allocations_per_user",
            Self::AllocationsPerClientAddress => "allocations_per_client_address",
            Self::AllocationsOfRealm => "allocations_of_realm",
            Self::AllocationsTotal => "allocations_total",
            Self::BandwidthPerAllocation => "bandwidth_per_allocation",
            Self::BandwidthPerUser => "bandwidth_per_user",
            Self::BandwidthOfRealm => "bandwidth_of_realm",
            Self::BandwidthTotal => "bandwidth_total",
            Self::UnauthenticatedReplies => "unauthenticated_replies",
            Self::NatDiscoveryReplies => "nat_discovery_replies",
        }
    }
}

impl From<Exceeded> for Limit {
    fn from(exceeded: Exceeded) -> Self {
        match exceeded {
            Exceeded::Allocation => Self::BandwidthPerAllocation,
            Exceeded::User => Self::BandwidthPerUser,
            Exceeded::Realm => Self::BandwidthOfRealm,
            Exceeded::Total => Self::BandwidthTotal,
        }
    }
}

impl From<QuotaReached> for Limit {
    fn from(reached: QuotaReached) -> Self {
        match reached {
            QuotaReached::PerUser { .. } => Self::AllocationsPerUser,
            QuotaReached::PerClientAddress { .. } => Self::AllocationsPerClientAddress,
            QuotaReached::Realm { .. } => Self::AllocationsOfRealm,
            QuotaReached::Total { .. } => Self::AllocationsTotal,
        }
    }
}

/// The families of an allocation's relayed transport addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
    /// One of each.
    Both,
}

impl Families {
    /// Each of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::V4, Self::V6, Self::Both];

    /// A word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
            Self::Both => "both",
        }
    }
}

/// The ERROR-CODEs of our responses: those of [`Reject`].
pub const ERROR_CODES: [u16; 17] = [
    300, 400, 401, 403, 405, 420, 437, 438, 440, 441, 442, 443, 446, 447, 486, 500, 508,
];

/// The number of methods, of which those of indications have no requests.
const METHODS: usize = Method::ALL.len();
const TRANSPORTS: usize = Transport::ALL.len();

/// What is not counted for each realm.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    pub(super) requests: [u64; METHODS],
    pub(super) successes: [u64; METHODS],
    pub(super) errors: [[u64; ERROR_CODES.len()]; METHODS],
    pub(super) received: [Amount; TRANSPORTS],
    pub(super) drops: [[u64; DropReason::ALL.len()]; 2],
    pub(super) limits: [u64; Limit::ALL.len()],
    pub(super) between_clients: Amount,
    pub(super) durations: Durations,
    pub(super) challenges: Challenges,
}

/// 401 responses over UDP, which whoever forges source addresses would have others flooded with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Challenges {
    /// Sent.
    pub sent: u64,
    /// Not sent, because the source has had its share of replies.
    pub withheld: u64,
}

impl Counters {
    /// Requests of a method that this worker has looked at.
    pub fn requests(&self, method: Method) -> u64 {
        self.requests[method as usize]
    }

    /// Success responses sent.
    pub fn successes(&self, method: Method) -> u64 {
        self.successes[method as usize]
    }

    /// Error responses sent with one of [`ERROR_CODES`].
    pub fn errors(&self, method: Method, code: u16) -> u64 {
        let at = ERROR_CODES.iter().position(|known| *known == code);
        at.map_or(0, |at| self.errors[method as usize][at])
    }

    /// Whatever clients have sent by a transport: messages and ChannelData, headers included.
    pub fn received(&self, transport: Transport) -> Amount {
        self.received[transport as usize]
    }

    /// What was dropped: of what clients sent ([`Direction::ToPeer`]), or peers.
    pub fn drops(&self, direction: Direction, reason: DropReason) -> u64 {
        self.drops[direction as usize][reason as usize]
    }

    /// Everything that was dropped.
    pub fn dropped_in_all(&self) -> u64 {
        self.drops.iter().flatten().sum()
    }

    /// How often a limit has kept somebody from something.
    pub fn limit(&self, limit: Limit) -> u64 {
        self.limits[limit as usize]
    }

    /// Application data that clients have sent to other clients of this server: it meets no socket.
    pub fn between_clients(&self) -> Amount {
        self.between_clients
    }

    /// How long the allocations lasted that have ended.
    pub fn durations(&self) -> Durations {
        self.durations
    }

    /// 401 responses over UDP.
    pub fn challenges(&self) -> Challenges {
        self.challenges
    }

    pub(super) fn note_limit(&mut self, limit: impl Into<Limit>) {
        self.limits[limit.into() as usize] += 1;
    }

    /// Counts a response that is about to be sent.
    pub(super) fn note_response(&mut self, bytes: &[u8]) {
        let Ok(response) = Message::parse(bytes) else {
            return;
        };
        let method = response.method() as usize;
        match response.class() {
            Class::SuccessResponse => self.successes[method] += 1,
            Class::ErrorResponse => {
                let code = response.error_code().unwrap_or_default();
                self.note_error(response.method(), code);
            }
            Class::Request | Class::Indication => {}
        }
    }

    pub(super) fn note_error(&mut self, method: Method, code: u16) {
        let at = ERROR_CODES.iter().position(|known| *known == code);
        debug_assert!(at.is_some(), "{code} is not among ERROR_CODES");
        if let Some(at) = at {
            self.errors[method as usize][at] += 1;
        }
    }
}

/// By what allocations are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocationKind {
    /// Between client and server.
    pub transport: Transport,
    /// Between server and peers.
    pub protocol: Protocol,
    /// Of the relayed transport addresses.
    pub families: Families,
}

/// What is counted for each realm.
#[derive(Clone, Debug)]
pub struct RealmCounters {
    pub(super) relayed: [[[Amount; 2]; TRANSPORTS]; 2],
    pub(super) opened: [[u64; Families::ALL.len()]; TRANSPORTS],
    pub(super) ended: [[[u64; EndReason::ALL.len()]; Families::ALL.len()]; TRANSPORTS],
    pub(super) live: [[[u64; Families::ALL.len()]; TRANSPORTS]; 2],
    pub(super) refusals: [u64; Reject::LABELS.len()],
}

impl Default for RealmCounters {
    fn default() -> Self {
        Self {
            relayed: Default::default(),
            opened: Default::default(),
            ended: Default::default(),
            live: Default::default(),
            refusals: [0; Reject::LABELS.len()],
        }
    }
}

impl RealmCounters {
    /// Application data relayed, by the client's transport and the peer's family. Of TCP connections with peers, bytes alone.
    pub fn relayed(&self, direction: Direction, transport: Transport, family: Family) -> Amount {
        self.relayed[direction as usize][transport as usize][family as usize]
    }

    /// Application data relayed in one direction.
    pub fn relayed_in_all(&self, direction: Direction) -> Amount {
        let mut sum = Amount::default();
        for amount in self.relayed[direction as usize].iter().flatten() {
            sum += *amount;
        }
        sum
    }

    /// Allocations opened.
    pub fn opened(&self, transport: Transport, families: Families) -> u64 {
        self.opened[transport as usize][families as usize]
    }

    /// All of them.
    pub fn opened_in_all(&self) -> u64 {
        self.opened.iter().flatten().sum()
    }

    /// Allocations ended.
    pub fn ended(&self, transport: Transport, families: Families, reason: EndReason) -> u64 {
        self.ended[transport as usize][families as usize][reason as usize]
    }

    /// Allocations that there are.
    pub fn live(&self, kind: AllocationKind) -> u64 {
        let AllocationKind {
            transport,
            protocol,
            families,
        } = kind;
        self.live[protocol as usize][transport as usize][families as usize]
    }

    /// Requests refused, by the label of the [`Reject`]: each of [`Reject::LABELS`].
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Reject::LABELS.iter().copied().zip(self.refusals)
    }

    #[inline]
    pub(super) fn relayed_mut(
        &mut self,
        direction: Direction,
        transport: Transport,
        family: Family,
    ) -> &mut Amount {
        &mut self.relayed[direction as usize][transport as usize][family as usize]
    }

    /// Counts an allocation that has come to be.
    pub(super) fn note_opened(&mut self, kind: AllocationKind) {
        self.opened[kind.transport as usize][kind.families as usize] += 1;
    }

    /// Counts an allocation that is gone, and is there no more.
    pub(super) fn note_ended(&mut self, kind: AllocationKind, reason: EndReason) {
        self.ended[kind.transport as usize][kind.families as usize][reason as usize] += 1;
        let live = self.live_mut(kind);
        *live = live.saturating_sub(1);
    }

    /// How many allocations of this kind there are.
    pub(super) fn live_mut(&mut self, kind: AllocationKind) -> &mut u64 {
        let AllocationKind {
            transport,
            protocol,
            families,
        } = kind;
        &mut self.live[protocol as usize][transport as usize][families as usize]
    }

    pub(super) fn note_refusal(&mut self, reject: &Reject) {
        let label = reject.label();
        let at = Reject::LABELS.iter().position(|known| *known == label);
        if let Some(at) = at {
            self.refusals[at] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_where_its_number_says() {
        for (at, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
        }
        for (at, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, at);
        }
        for (at, families) in Families::ALL.into_iter().enumerate() {
            assert_eq!(families as usize, at);
        }
        for (at, transport) in Transport::ALL.into_iter().enumerate() {
            assert_eq!(transport as usize, at);
        }
        for (at, reason) in EndReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
        }
        for (at, method) in Method::ALL.into_iter().enumerate() {
            assert_eq!(method as usize, at);
        }
    }
}
