//! The relay: STUN and TURN as a pure state machine.
//!
//! Holds no socket, clock, thread or ambient randomness. Start at [`Server`](self).

use std::time::Duration;

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
    /// Whether a 403 names the rule that denied the peer.
    pub name_rule_in_reply: bool,
}

/// Which channel numbers a client may bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelNumbers {
    /// 0x4000 to 0x4FFF (RFC 8656 §12).
    Rfc8656,
    /// 0x4000 to 0x7FFF, for clients of RFC 5766 such as coturn 4.6's `turnutils_uclient`.
    Rfc5766,
}
