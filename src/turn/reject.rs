//! Why a request is refused: one table from reason to STUN error code, words and log level.

use stun::error_code::{
    CODE_ADDR_FAMILY_NOT_SUPPORTED, CODE_ALLOC_MISMATCH, CODE_ALLOC_QUOTA_REACHED,
    CODE_BAD_REQUEST, CODE_CONN_ALREADY_EXISTS, CODE_CONN_TIMEOUT_OR_FAILURE, CODE_FORBIDDEN,
    CODE_INSUFFICIENT_CAPACITY, CODE_PEER_ADDR_FAMILY_MISMATCH, CODE_SERVER_ERROR,
    CODE_STALE_NONCE, CODE_TRY_ALTERNATE, CODE_UNAUTHORIZED, CODE_UNKNOWN_ATTRIBUTE,
    CODE_UNSUPPORTED_TRANS_PROTO, CODE_WRONG_CREDENTIALS, ErrorCode,
};

use crate::admission::peer_filter::{self, Denied, PeerFilter};
use crate::admission::quota::QuotaReached;
use crate::auth::{AuthError, UnixTime};

/// What a refusal says that says something else each time.
const VARIES: &str = "what is wrong with it";

/// Mobility Forbidden (RFC 8016 §4.2).
const CODE_MOBILITY_FORBIDDEN: ErrorCode = ErrorCode(405);

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
    /// REQUESTED-TRANSPORT asks for what is not relayed here.
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
    /// A MOBILITY-TICKET that is of no use here.
    Ticket(&'static str),
    /// An allocation that cannot move (RFC 8016 §3.1.2).
    MobilityForbidden,
    /// A request for an allocation that relays connections, on one that does not.
    NoTcpAllocation,
    /// CONNECTION-ID names no connection that waits for a client.
    NoConnection,
    /// The allocation has a connection with this peer.
    ConnectionExists,
    /// The peer does not accept a connection, or not in time.
    ConnectFailed,
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

/// What is said of a refusal, to whom.
struct Row {
    /// To the client: ERROR-CODE,
    code: ErrorCode,
    /// and the reason phrase, which the developer of a client reads.
    phrase: &'static str,
    /// To programs of the operator: a word that does not change.
    label: &'static str,
    /// How loudly to the operator.
    loudness: Loudness,
}

impl Reject {
    /// Each label that there is; the commonest first.
    pub const LABELS: [&'static str; 40] = [
        "no_credentials",
        "stale_nonce",
        "unknown_user",
        "wrong_password",
        "expired_credential",
        "unknown_token_key",
        "wrong_token",
        "stale_token",
        "incomplete_credentials",
        "password_algorithm",
        "unknown_attributes",
        "no_allocation",
        "allocation_exists",
        "other_user",
        "bad_transport",
        "unsupported_transport",
        "malformed",
        "conflict",
        "unsupported_family",
        "family_mismatch",
        "no_peer",
        "bad_channel_number",
        "channel_in_use",
        "peer_has_channel",
        "peer_denied",
        "peer_not_relayed",
        "server_full",
        "quota_reached",
        "allocation_full",
        "no_port",
        "no_reservation",
        "exhausted",
        "system",
        "try_alternate",
        "mobility_ticket",
        "mobility_forbidden",
        "no_tcp_allocation",
        "no_connection",
        "connection_exists",
        "connect_failed",
    ];

    /// One of each label, with what it carries made up: to tell what there is.
    pub fn one_of_each() -> Vec<Self> {
        let nobody = std::net::Ipv4Addr::UNSPECIFIED.into();
        let denied = PeerFilter::new(&peer_filter::Settings::default()).check(nobody);
        let denied = denied.map_err(Self::PeerDenied).err();
        let quotas = [
            QuotaReached::PerUser { limit: 0 },
            QuotaReached::Total { limit: 0 },
        ];
        let mut all = vec![
            Self::NoCredentials,
            Self::IncompleteCredentials,
            Self::PasswordAlgorithm(VARIES),
            Self::BadCredentials(AuthError::UnknownUser),
            Self::BadCredentials(AuthError::WrongPassword),
            Self::BadCredentials(AuthError::Expired { at: UnixTime(0) }),
            Self::BadCredentials(AuthError::UnknownTokenKey),
            Self::BadCredentials(AuthError::WrongToken),
            Self::BadCredentials(AuthError::StaleToken {
                issued: UnixTime(0),
                lifetime: 0,
            }),
            Self::StaleNonce,
            Self::UnknownAttributes,
            Self::NoAllocation,
            Self::AllocationExists,
            Self::OtherUser,
            Self::BadTransport,
            Self::UnsupportedTransport,
            Self::Malformed(VARIES),
            Self::Conflict(VARIES),
            Self::UnsupportedFamily,
            Self::FamilyMismatch,
            Self::NoPeer,
            Self::BadChannelNumber,
            Self::ChannelInUse,
            Self::PeerHasChannel,
            Self::NotRelayed,
            Self::AllocationFull,
            Self::NoPort,
            Self::NoReservation,
            Self::Exhausted,
            Self::System,
            Self::TryAlternate,
            Self::Ticket(VARIES),
            Self::MobilityForbidden,
            Self::NoTcpAllocation,
            Self::NoConnection,
            Self::ConnectionExists,
            Self::ConnectFailed,
        ];
        all.extend(denied);
        all.extend(quotas.map(Self::Quota));
        all
    }

    /// The one table.
    fn row(&self) -> Row {
        use Loudness::{Debug, Info, Warn};
        let (code, label, loudness, phrase) = match self {
            // The same words for every way in which credentials fail: no oracle.
            Self::NoCredentials => (CODE_UNAUTHORIZED, "no_credentials", Debug, "Unauthorized"),
            Self::BadCredentials(AuthError::UnknownUser) => {
                (CODE_UNAUTHORIZED, "unknown_user", Info, "Unauthorized")
            }
            Self::BadCredentials(AuthError::WrongPassword) => {
                (CODE_UNAUTHORIZED, "wrong_password", Info, "Unauthorized")
            }
            Self::BadCredentials(AuthError::Expired { .. }) => (
                CODE_UNAUTHORIZED,
                "expired_credential",
                Info,
                "Unauthorized",
            ),
            Self::BadCredentials(AuthError::UnknownTokenKey) => {
                (CODE_UNAUTHORIZED, "unknown_token_key", Info, "Unauthorized")
            }
            Self::BadCredentials(AuthError::WrongToken) => {
                (CODE_UNAUTHORIZED, "wrong_token", Info, "Unauthorized")
            }
            Self::BadCredentials(AuthError::StaleToken { .. }) => {
                (CODE_UNAUTHORIZED, "stale_token", Info, "Unauthorized")
            }
            Self::IncompleteCredentials => (
                CODE_BAD_REQUEST,
                "incomplete_credentials",
                Info,
                "USERNAME or USERHASH, REALM and NONCE must all be there",
            ),
            Self::PasswordAlgorithm(what) => (CODE_BAD_REQUEST, "password_algorithm", Info, *what),
            Self::StaleNonce => (CODE_STALE_NONCE, "stale_nonce", Debug, "Stale Nonce"),
            Self::UnknownAttributes => (
                CODE_UNKNOWN_ATTRIBUTE,
                "unknown_attributes",
                Info,
                "Unknown Attribute",
            ),
            Self::NoAllocation => (
                CODE_ALLOC_MISMATCH,
                "no_allocation",
                Info,
                "No allocation on this 5-tuple",
            ),
            Self::AllocationExists => (
                CODE_ALLOC_MISMATCH,
                "allocation_exists",
                Info,
                "This 5-tuple has an allocation",
            ),
            Self::OtherUser => (
                CODE_WRONG_CREDENTIALS,
                "other_user",
                Info,
                "The allocation was made with another username",
            ),
            Self::BadTransport => (
                CODE_BAD_REQUEST,
                "bad_transport",
                Info,
                "REQUESTED-TRANSPORT missing or malformed",
            ),
            Self::UnsupportedTransport => (
                CODE_UNSUPPORTED_TRANS_PROTO,
                "unsupported_transport",
                Info,
                "This transport is not relayed",
            ),
            Self::Malformed(what) => (CODE_BAD_REQUEST, "malformed", Info, *what),
            Self::Conflict(what) => (CODE_BAD_REQUEST, "conflict", Info, *what),
            Self::UnsupportedFamily => (
                CODE_ADDR_FAMILY_NOT_SUPPORTED,
                "unsupported_family",
                Info,
                "No relayed address of this family",
            ),
            Self::FamilyMismatch => (
                CODE_PEER_ADDR_FAMILY_MISMATCH,
                "family_mismatch",
                Info,
                "Not the address family of the allocation",
            ),
            Self::NoPeer => (
                CODE_BAD_REQUEST,
                "no_peer",
                Info,
                "XOR-PEER-ADDRESS missing",
            ),
            Self::BadChannelNumber => (
                CODE_BAD_REQUEST,
                "bad_channel_number",
                Info,
                "CHANNEL-NUMBER missing or out of range",
            ),
            Self::ChannelInUse => (
                CODE_BAD_REQUEST,
                "channel_in_use",
                Info,
                "The channel is bound to another peer",
            ),
            Self::PeerHasChannel => (
                CODE_BAD_REQUEST,
                "peer_has_channel",
                Info,
                "The peer is bound to another channel",
            ),
            Self::PeerDenied(_) => (CODE_FORBIDDEN, "peer_denied", Info, "Forbidden peer"),
            Self::NotRelayed => (CODE_FORBIDDEN, "peer_not_relayed", Info, "Forbidden peer"),
            Self::Quota(QuotaReached::Total { .. }) => (
                CODE_INSUFFICIENT_CAPACITY,
                "server_full",
                Warn,
                "This server is full",
            ),
            Self::Quota(_) => (
                CODE_ALLOC_QUOTA_REACHED,
                "quota_reached",
                Info,
                "Allocation Quota Reached",
            ),
            // RFC 8656 §19: 508 where some capacity limit is reached.
            Self::AllocationFull => (
                CODE_INSUFFICIENT_CAPACITY,
                "allocation_full",
                Info,
                "The allocation has no room for more peers",
            ),
            Self::NoPort => (
                CODE_INSUFFICIENT_CAPACITY,
                "no_port",
                Warn,
                "No relay port is free",
            ),
            Self::NoReservation => (
                CODE_INSUFFICIENT_CAPACITY,
                "no_reservation",
                Info,
                "No such reservation",
            ),
            // The shell has warned of what the system refuses.
            Self::Exhausted => (
                CODE_INSUFFICIENT_CAPACITY,
                "exhausted",
                Info,
                "The system has no room for another relay socket",
            ),
            Self::System => (CODE_SERVER_ERROR, "system", Info, "Server Error"),
            Self::TryAlternate => (CODE_TRY_ALTERNATE, "try_alternate", Debug, "Try Alternate"),
            Self::Ticket(what) => (CODE_BAD_REQUEST, "mobility_ticket", Info, *what),
            Self::MobilityForbidden => (
                CODE_MOBILITY_FORBIDDEN,
                "mobility_forbidden",
                Info,
                "Mobility Forbidden",
            ),
            Self::NoTcpAllocation => (
                CODE_BAD_REQUEST,
                "no_tcp_allocation",
                Info,
                "This allocation relays no connections",
            ),
            Self::NoConnection => (
                CODE_BAD_REQUEST,
                "no_connection",
                Info,
                "No such connection waits for a client",
            ),
            Self::ConnectionExists => (
                CODE_CONN_ALREADY_EXISTS,
                "connection_exists",
                Info,
                "Connection Already Exists",
            ),
            Self::ConnectFailed => (
                CODE_CONN_TIMEOUT_OR_FAILURE,
                "connect_failed",
                Info,
                "Connection Timeout or Failure",
            ),
        };
        Row {
            code,
            phrase,
            label,
            loudness,
        }
    }

    /// The ERROR-CODE.
    pub fn code(&self) -> ErrorCode {
        self.row().code
    }

    /// The reason phrase: what the developer of a client reads. The rule behind a 403 is named only `with_rule`.
    pub fn reason(&self, with_rule: bool) -> String {
        match self {
            Self::PeerDenied(denied) if with_rule => format!("Forbidden peer: {denied}"),
            _ => self.row().phrase.to_owned(),
        }
    }

    /// A word for logs and metrics. It does not change from version to version.
    pub fn label(&self) -> &'static str {
        self.row().label
    }

    /// How loudly the operator is told.
    pub fn loudness(&self) -> Loudness {
        self.row().loudness
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
            _ => self.row().phrase.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::turn::ERROR_CODES;

    #[test]
    fn labels_are_words_of_their_own_and_phrases_fit() {
        let all = Reject::one_of_each();
        let labels: HashSet<_> = all.iter().map(Reject::label).collect();
        assert_eq!(labels.len(), all.len());
        assert_eq!(labels, HashSet::from(Reject::LABELS));
        for reject in all {
            assert!(ERROR_CODES.contains(&reject.code().0), "{reject:?}");
            let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(reject.label().bytes().all(is_word), "{}", reject.label());
            // RFC 8489 §14.8: fewer than 128 characters.
            let phrase = reject.reason(false);
            assert!((1..128).contains(&phrase.chars().count()), "{phrase}");
        }
    }
}
