//! One allocation: a relayed transport address that a client holds for a while (RFC 8656 §3.2, §7).

use std::time::{Duration, Instant};

use super::channel::Channels;
use super::counters::{AllocationKind, Drops, Families};
use super::five_tuple::Flow;
use super::method::Missing;
use super::mobility::Mobility;
use super::output::{ConnectionId, ReservationToken};
use super::permission::Permissions;
use super::realm::RealmId;
use super::relayed_addresses::{Family, Protocol};
use super::relays::Relays;
use super::request::{Authenticated, By};
use crate::admission::bandwidth::Meter;
use crate::admission::quota::Admitted;
use crate::auth::Key;
use crate::wire::{PeerAddr, TransactionId};

/// What one allocation moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams sent to peers.
    pub packets_to_peer: u64,
    /// Their application data.
    pub bytes_to_peer: u64,
    /// Datagrams from peers sent to the client, and ICMP errors about datagrams to them.
    pub packets_to_client: u64,
    /// Their application data.
    pub bytes_to_client: u64,
    /// Data not relayed, in either direction, and why.
    pub drops: Drops,
}

impl Traffic {
    /// Takes back one datagram that did not reach the client after all.
    pub(super) fn take_back_to_client(&mut self, len: usize) {
        self.packets_to_client = self.packets_to_client.saturating_sub(1);
        self.bytes_to_client = self.bytes_to_client.saturating_sub(len as u64);
    }
}

/// Why an allocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The client asked for it.
    Deleted,
    /// It was not refreshed in time.
    Expired,
    /// Its credential ended, and with it the time that it may be refreshed for.
    CredentialEnded,
    /// The client's connection closed.
    Disconnected,
    /// The server stops.
    ServerStopped,
    /// The operator asked for it.
    EndedByOperator,
}

impl EndReason {
    /// Each of them, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Deleted,
        Self::Expired,
        Self::CredentialEnded,
        Self::Disconnected,
        Self::ServerStopped,
        Self::EndedByOperator,
    ];

    /// A word for metrics. It does not change from version to version.
    pub fn label(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Expired => "expired",
            Self::CredentialEnded => "credential_ended",
            Self::Disconnected => "disconnected",
            Self::ServerStopped => "server_stopped",
            Self::EndedByOperator => "ended_by_operator",
        }
    }

    /// A word for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted by the client",
            Self::Expired => "not refreshed",
            Self::CredentialEnded => "credential ended",
            Self::Disconnected => "connection closed",
            Self::ServerStopped => "server stopped",
            Self::EndedByOperator => "ended by the operator",
        }
    }
}

/// Who an allocation belongs to.
pub(super) struct Owner {
    /// Whose keys, limits and peer rules hold for it, for as long as it lasts.
    pub(super) realm: RealmId,
    /// The USERNAME that every later request must carry (RFC 8656 §5).
    pub(super) username: String,
    /// What quotas and logs know the user by.
    pub(super) user_id: String,
    /// Verifies the requests and signs the responses.
    pub(super) key: Key,
    /// The last moment that it may be refreshed to, where the credential expires.
    pub(super) end: Option<Instant>,
    /// Its share of the quotas.
    pub(super) admitted: Admitted,
    /// Whether an access token opened it.
    pub(super) by_token: bool,
}

impl Owner {
    /// Whether a request that is authenticated so may be its owner's (RFC 8656 §5).
    ///
    /// RFC 7635 §9 has the client refresh its allocations with a new token once it has one. As the authorization server may seal
    /// that with another key than the first one, its key id may be another.
    pub(super) fn may_be(&self, who: &Authenticated) -> bool {
        match who.by {
            By::Owner => true,
            By::Credential { .. } => !self.by_token && self.username == who.username,
            By::Token { .. } => self.by_token,
        }
    }

    /// Whether a request from elsewhere is its owner's: another token is another user.
    pub(super) fn is_the_same(&self, who: &Authenticated) -> bool {
        match who.by {
            By::Owner => true,
            By::Credential { .. } => self.may_be(who),
            By::Token { .. } => self.by_token && self.user_id == who.user_id,
        }
    }

    /// Puts the token of a Refresh in the place of the one before: its key id, its mac_key, its end. The allocation goes on to
    /// count for the user that it was opened by.
    pub(super) fn renew_token(&mut self, who: Authenticated, end: Option<Instant>) {
        self.username = who.username;
        self.key = who.key;
        self.end = end;
    }
}

/// What the Allocate asked for and got: enough to answer a retransmission alike.
pub(super) struct Opening {
    pub(super) transaction_id: TransactionId,
    pub(super) lifetime: Duration,
    pub(super) reserved: Option<ReservationToken>,
    /// Whether the client named a password algorithm, which RFC 8489 brought.
    pub(super) knows_rfc8489: bool,
    /// Whether the client may move.
    pub(super) mobile: bool,
    /// The family that was asked for and could not be had.
    pub(super) missing: Option<Missing>,
}

/// One allocation.
pub(super) struct Allocation {
    pub(super) serial: u64,
    pub(super) flow: Flow,
    pub(super) owner: Owner,
    pub(super) opening: Opening,
    pub(super) relays: Relays,
    pub(super) opened_at: Instant,
    pub(super) expires: Instant,
    /// The deadline that counts, never later than `expires`: others for this allocation are out of date.
    pub(super) deadline: Instant,
    pub(super) permissions: Permissions,
    pub(super) channels: Channels,
    pub(super) meter: Meter,
    pub(super) traffic: Traffic,
    /// Whether an operator watches it.
    pub(super) is_watched: bool,
    /// Where its client may keep it when its address changes.
    pub(super) mobility: Option<Box<Mobility>>,
    /// The connections with peers, where it relays connections instead of datagrams.
    #[allow(
        clippy::box_collection,
        reason = "a third of the room where there are none"
    )]
    pub(super) connections: Option<Box<Vec<ConnectionId>>>,
}

impl Allocation {
    /// What it relays.
    pub(super) fn protocol(&self) -> Protocol {
        match self.connections {
            None => Protocol::Udp,
            Some(_) => Protocol::Tcp,
        }
    }

    /// What it is counted by.
    pub(super) fn kind(&self) -> AllocationKind {
        let families = match (self.relays.has(Family::V4), self.relays.has(Family::V6)) {
            (true, true) => Families::Both,
            (false, true) => Families::V6,
            (_, false) => Families::V4,
        };
        AllocationKind {
            transport: self.flow.five_tuple.transport,
            protocol: self.protocol(),
            families,
        }
    }

    /// Whether data may pass between the client and `peer`.
    pub(super) fn permits(&self, peer: PeerAddr, now: Instant, channel_keeps: bool) -> bool {
        self.permissions.is_live(peer.ip(), now)
            || channel_keeps && self.channels.reaches(peer.ip(), now)
    }

    /// Whether its time has passed, although the deadline may not have been handled yet.
    pub(super) fn has_ended(&self, now: Instant) -> bool {
        self.expires <= now
    }

    /// Sets the time to expiry to `lifetime`, or less where the credential ends before, and returns it.
    pub(super) fn renew(&mut self, lifetime: Duration, now: Instant) -> Duration {
        let expires = now + lifetime;
        // Exactly at the credential's end, though the client is told whole seconds.
        self.expires = self.owner.end.map_or(expires, |end| expires.min(end));
        within(lifetime, self.owner.end, now)
    }
}

/// `lifetime`, cut where `end` comes before it. LIFETIME counts whole seconds, and 0 would mean deletion.
pub(super) fn within(lifetime: Duration, end: Option<Instant>, now: Instant) -> Duration {
    match end {
        None => lifetime,
        Some(end) => {
            let left = end.saturating_duration_since(now).as_secs().max(1);
            lifetime.min(Duration::from_secs(left))
        }
    }
}
