//! Why a request is refused: one table from reason to STUN error code, words and log level.

use stun::error_code::{
    CODE_ADDR_FAMILY_NOT_SUPPORTED, CODE_ALLOC_MISMATCH, CODE_ALLOC_QUOTA_REACHED,
    CODE_BAD_REQUEST, CODE_FORBIDDEN, CODE_INSUFFICIENT_CAPACITY, CODE_PEER_ADDR_FAMILY_MISMATCH,
    CODE_SERVER_ERROR, CODE_STALE_NONCE, CODE_TRY_ALTERNATE, CODE_UNAUTHORIZED,
    CODE_UNKNOWN_ATTRIBUTE, CODE_UNSUPPORTED_TRANS_PROTO, CODE_WRONG_CREDENTIALS, ErrorCode,
};

use crate::admission::peer_filter::Denied;
use crate::admission::quota::QuotaReached;
use crate::auth::AuthError;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Reject {
    /// Not signed: the first request of every client (RFC 8489 §9.2.4).
    NoCredentials,
    /// Signed, but without USERNAME or USERHASH, REALM or NONCE.
    IncompleteCredentials,
    /// The password algorithm is not named as it has to be (RFC 8489 §9.2.4).
    PasswordAlgorithm(&'static str),
    /// Credentials that do not hold.
    BadCredentials(AuthError),
    /// The nonce is not ours, not this client's, or too old.
    StaleNonce,
    /// Comprehension-required attributes that are not understood.
    UnknownAttributes,
    /// The five-tuple has no allocation.
    NoAllocation,
    /// The five-tuple has an allocation already.
    AllocationExists,
    /// The allocation belongs to other credentials.
    OtherUser,
    /// REQUESTED-TRANSPORT is missing or malformed.
    BadTransport,
    /// REQUESTED-TRANSPORT asks for something else than UDP.
    UnsupportedTransport,
    /// An attribute that cannot be read.
    Malformed(&'static str),
    /// Attributes that exclude each other.
    Conflict(&'static str),
    /// REQUESTED-ADDRESS-FAMILY names a family that has no relayed addresses.
    UnsupportedFamily,
    /// The peer's, or the refreshed family is not the allocation's.
    FamilyMismatch,
    /// No XOR-PEER-ADDRESS.
    NoPeer,
    /// CHANNEL-NUMBER is missing, malformed or out of range.
    BadChannelNumber,
    /// The channel number stands for another peer.
    ChannelInUse,
    /// The peer has another channel.
    PeerHasChannel,
    /// The peer may not be reached.
    PeerDenied(Denied),
    /// The peer is an address of this relay, but no relayed transport address.
    NotRelayed,
    /// A quota is used up.
    Quota(QuotaReached),
    /// The allocation has all the permissions or channels that it may have.
    AllocationFull,
    /// No relay port is free.
    NoPort,
    /// The token names no reservation.
    NoReservation,
    /// The system has no descriptor or memory left for a relay socket.
    Exhausted,
    /// The relay socket could not be opened.
    System,
    /// New clients are sent to another server.
    TryAlternate,
}

/// How loudly the operator is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loudness {
    /// Part of every healthy session.
    Debug,
    /// A client erred, or met a limit.
    Info,
    /// An operator should look.
    Warn,
}

impl Reject {
    /// The ERROR-CODE.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NoCredentials | Self::BadCredentials(_) => CODE_UNAUTHORIZED,
            Self::IncompleteCredentials
            | Self::PasswordAlgorithm(_)
            | Self::BadTransport
            | Self::Malformed(_)
            | Self::Conflict(_)
            | Self::NoPeer
            | Self::BadChannelNumber
            | Self::ChannelInUse
            | Self::PeerHasChannel => CODE_BAD_REQUEST,
            Self::PeerDenied(_) | Self::NotRelayed => CODE_FORBIDDEN,
            Self::UnknownAttributes => CODE_UNKNOWN_ATTRIBUTE,
            Self::NoAllocation | Self::AllocationExists => CODE_ALLOC_MISMATCH,
            Self::StaleNonce => CODE_STALE_NONCE,
            Self::UnsupportedFamily => CODE_ADDR_FAMILY_NOT_SUPPORTED,
            Self::OtherUser => CODE_WRONG_CREDENTIALS,
            Self::UnsupportedTransport => CODE_UNSUPPORTED_TRANS_PROTO,
            Self::FamilyMismatch => CODE_PEER_ADDR_FAMILY_MISMATCH,
            Self::Quota(QuotaReached::Total { .. }) => CODE_INSUFFICIENT_CAPACITY,
            Self::Quota(_) => CODE_ALLOC_QUOTA_REACHED,
            // RFC 8656 §19: some capacity limit is reached.
            Self::AllocationFull | Self::NoPort | Self::NoReservation | Self::Exhausted => {
                CODE_INSUFFICIENT_CAPACITY
            }
            Self::System => CODE_SERVER_ERROR,
            Self::TryAlternate => CODE_TRY_ALTERNATE,
        }
    }

    /// The reason phrase: what the developer of a client reads. The rule behind a 403 is named only `with_rule`.
    pub fn reason(&self, with_rule: bool) -> String {
        match self {
            Self::PeerDenied(denied) if with_rule => format!("Forbidden peer: {denied}"),
            _ => self.phrase().to_owned(),
        }
    }

    fn phrase(&self) -> &'static str {
        match self {
            // The same words for every way in which credentials fail: no oracle.
            Self::NoCredentials | Self::BadCredentials(_) => "Unauthorized",
            Self::IncompleteCredentials => {
                "USERNAME or USERHASH, REALM and NONCE must all be there"
            }
            Self::StaleNonce => "Stale Nonce",
            Self::UnknownAttributes => "Unknown Attribute",
            Self::NoAllocation => "No allocation on this 5-tuple",
            Self::AllocationExists => "This 5-tuple has an allocation",
            Self::OtherUser => "The allocation was made with another username",
            Self::BadTransport => "REQUESTED-TRANSPORT missing or malformed",
            Self::UnsupportedTransport => "Only UDP is relayed",
            Self::PasswordAlgorithm(what) | Self::Malformed(what) | Self::Conflict(what) => what,
            Self::UnsupportedFamily => "No relayed address of this family",
            Self::FamilyMismatch => "Not the address family of the allocation",
            Self::NoPeer => "XOR-PEER-ADDRESS missing",
            Self::BadChannelNumber => "CHANNEL-NUMBER missing or out of range",
            Self::ChannelInUse => "The channel is bound to another peer",
            Self::PeerHasChannel => "The peer is bound to another channel",
            Self::PeerDenied(_) | Self::NotRelayed => "Forbidden peer",
            Self::Quota(QuotaReached::Total { .. }) => "This server is full",
            Self::Quota(_) => "Allocation Quota Reached",
            Self::AllocationFull => "The allocation has no room for more peers",
            Self::NoPort => "No relay port is free",
            Self::NoReservation => "No such reservation",
            Self::Exhausted => "The system has no room for another relay socket",
            Self::System => "Server Error",
            Self::TryAlternate => "Try Alternate",
        }
    }

    /// How loudly the operator is told.
    pub fn loudness(&self) -> Loudness {
        match self {
            Self::NoCredentials | Self::StaleNonce | Self::TryAlternate => Loudness::Debug,
            Self::NoPort | Self::Quota(QuotaReached::Total { .. }) => Loudness::Warn,
            Self::IncompleteCredentials
            | Self::PasswordAlgorithm(_)
            | Self::BadCredentials(_)
            | Self::UnknownAttributes
            | Self::NoAllocation
            | Self::AllocationExists
            | Self::OtherUser
            | Self::BadTransport
            | Self::UnsupportedTransport
            | Self::Malformed(_)
            | Self::Conflict(_)
            | Self::UnsupportedFamily
            | Self::FamilyMismatch
            | Self::NoPeer
            | Self::BadChannelNumber
            | Self::ChannelInUse
            | Self::PeerHasChannel
            | Self::PeerDenied(_)
            | Self::NotRelayed
            | Self::Quota(_)
            | Self::AllocationFull
            | Self::NoReservation
            // The shell has warned of what the system refuses.
            | Self::Exhausted
            | Self::System => Loudness::Info,
        }
    }

    /// What the operator reads, with the detail that a client must not see.
    pub fn detail(&self) -> String {
        match self {
            Self::BadCredentials(error) => error.to_string(),
            Self::PeerDenied(denied) => denied.to_string(),
            Self::NotRelayed => {
                "an address of this relay, but no open relayed transport address".to_owned()
            }
            Self::Quota(reached) => reached.to_string(),
            _ => self.phrase().to_owned(),
        }
    }
}
