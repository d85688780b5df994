//! The relay: STUN and TURN as a pure state machine (RFC 8489, RFC 8656).
//!
//! Holds no socket, clock, thread or ambient randomness: packets and the time go in through `handle_*`, what the
//! shell must do comes out of `poll_*`, and relayed data is answered with a route, so that the payload stays where it
//! lies. Start at [`Server`], whose documentation gives the calling order; `method/` has one file per STUN method.

use std::time::{Duration, Instant};

mod allocation;
mod by_client;
mod channel;
mod counters;
mod deadline;
mod durations;
mod five_tuple;
mod lifecycle;
mod method;
mod mobility;
mod nat_discovery;
mod nonce;
mod observe;
mod output;
mod password_algorithms;
mod peer_connections;
mod peer_policy;
mod permission;
mod realm;
mod redirect;
mod reject;
mod relayed_addresses;
mod relays;
mod request;
mod server;
mod slots;
mod trace;

pub use crate::admission::bandwidth::Direction;
pub use crate::wire::Method;
pub use allocation::{EndReason, Traffic};
pub use counters::{
    AllocationKind, Amount, Challenges, Counters, DropReason, Drops, ERROR_CODES, Families, Limit,
    RealmCounters,
};
pub use durations::Durations;
pub use five_tuple::{ClientAddr, FiveTuple, Flow, LinkId, Transport};
pub use mobility::{Ticket, TicketKey, Tickets};
pub use nat_discovery::{NatDiscovery, Origins};
pub use nonce::NonceKey;
pub use observe::{Listed, MAX_PAGE, Session, SessionChannel, SessionPermission, Sessions};
pub use output::{
    AllocationEnded, AllocationMoved, AllocationOpened, ConnectPeer, ConnectionId, Event, Forward,
    Handover, Local, OpenError, OpenRelay, OpenedRelay, Output, Refused, RelayId, ReservationToken,
    ToClient, ToPeer, Want,
};
pub use realm::{ChosenBy, RealmId, RealmParts, ServerAddress};
pub use redirect::Alternates;
pub use reject::{Loudness, Reject};
pub use relayed_addresses::{Family, Owner, Parity, Protocol, RelayAddress, RelayedAddresses};
pub use server::{FromClient, Parts, Server};
pub use trace::{FIRST_PACKETS, MAX_WATCHES, NotWatched, Outcome, Seen, Traced};

use crate::auth::UnixTime;

/// Permissions end this long after they were last installed (RFC 8656 §9).
pub const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// Channel bindings end this long after they were last made (RFC 8656 §12).
pub const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);
/// A reserved port is held this long for its token (RFC 8656 §7.2).
pub const RESERVATION_LIFETIME: Duration = Duration::from_secs(30);

/// How long a peer has to accept a connection, and a client to bind it (RFC 6062 §5.2, §5.3).
pub const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// The time, as the shell read it: once for deadlines and once for credentials.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Never goes back.
    pub instant: Instant,
    /// What expiring usernames are compared with.
    pub unix: UnixTime,
}

/// What the relay needs to know besides authentication and admission.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The SOFTWARE of authenticated responses; `None` sends none (RFC 8489 §14.14).
    pub software: Option<String>,
    /// LIFETIME granted when a client asks for none or less (RFC 8656 §7.2).
    pub default_lifetime: Duration,
    /// The longest LIFETIME granted.
    pub max_lifetime: Duration,
    /// How long a nonce is fresh.
    pub nonce_lifetime: Duration,
    /// Which channel numbers a client may bind.
    pub channel_numbers: ChannelNumbers,
    /// Whether a live channel keeps its peer's permission alive (RFC 8656 ends it after 300 s).
    pub channel_keeps_permission: bool,
    /// Permissions that one allocation may hold.
    pub max_permissions: usize,
    /// Channels that one allocation may hold.
    pub max_channels: usize,
    /// Whether a client may keep its allocation when its address changes (RFC 8016).
    pub mobility: bool,
    /// Connections with peers that one allocation may hold (RFC 6062); `None` where connections are not relayed.
    pub max_peer_connections: Option<usize>,
    /// Which clients are told of ICMP errors.
    pub icmp_errors: IcmpErrors,
    /// Whether ADDITIONAL-ADDRESS-FAMILY and ADDRESS-ERROR-CODE are also known by the numbers of the drafts before RFC 8656.
    pub draft_address_families: bool,
    /// Other servers that new clients are sent to.
    pub alternates: Alternates,
    /// NAT behaviour discovery, where it is offered.
    pub nat_discovery: Option<NatDiscovery>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            software: Some(concat!("uturn ", env!("CARGO_PKG_VERSION")).to_owned()),
            default_lifetime: Duration::from_secs(600),
            max_lifetime: Duration::from_secs(3600),
            nonce_lifetime: Duration::from_secs(3600),
            channel_numbers: ChannelNumbers::Rfc8656,
            channel_keeps_permission: true,
            max_permissions: 128,
            max_channels: 128,
            mobility: false,
            max_peer_connections: None,
            icmp_errors: IcmpErrors::Rfc8489,
            draft_address_families: false,
            alternates: Alternates::default(),
            nat_discovery: None,
        }
    }
}

/// Which channel numbers a client may bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelNumbers {
    /// 0x4000 to 0x4FFF (RFC 8656 §12).
    Rfc8656,
    /// 0x4000 to 0x7FFF, for clients of RFC 5766 such as coturn 4.6's `turnutils_uclient`.
    Rfc5766,
}

impl ChannelNumbers {
    /// The highest number that may be bound.
    fn last(self) -> u16 {
        match self {
            Self::Rfc8656 => 0x4FFF,
            Self::Rfc5766 => 0x7FFF,
        }
    }
}

/// Which clients are told of ICMP errors about their data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpErrors {
    /// Each of them (RFC 8656 §11.5).
    All,
    /// Those that have shown that they know RFC 8489, by naming a password algorithm in their Allocate. Clients of RFC 5766 may
    /// not expect a Data indication without DATA: those of pion and webrtc-rs stop reading at one.
    Rfc8489,
    /// None.
    None,
}
