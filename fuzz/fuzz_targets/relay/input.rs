//! What may happen: a small grammar of requests that can succeed, and bytes that follow none.

use libfuzzer_sys::arbitrary::{self, Arbitrary};

#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    pub rules: Rules,
    pub steps: Vec<Step<'a>>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Rules {
    pub channel_keeps_permission: bool,
    pub wide_channels: bool,
    /// Whether a 1:1 NAT stands before the relay.
    pub nat: bool,
    pub strict_end: bool,
    pub names_rule: bool,
    pub redirects: bool,
    /// Whether clients have allocations, permissions and channels to begin with.
    pub begun: bool,
}

/// One thing that happens. Small numbers choose from what there is.
#[derive(Arbitrary, Debug)]
pub enum Step<'a> {
    Request {
        client: u8,
        user: u8,
        ask: Ask,
        /// Any further attributes.
        extras: Vec<(u16, &'a [u8])>,
        /// How often these are there.
        repeated: u8,
        signing: Signing,
        damage: Damage,
        /// How often it arrives.
        arrivals: u8,
    },
    Send {
        client: u8,
        peer: u8,
        data: &'a [u8],
        extra: Option<(u16, &'a [u8])>,
    },
    ChannelData {
        client: u8,
        number: u16,
        claimed: u16,
        data: &'a [u8],
    },
    Bytes {
        client: u8,
        bytes: &'a [u8],
    },
    /// A datagram at a relay socket.
    FromPeer {
        relay: u8,
        peer: u8,
        len: u16,
    },
    /// Data that another worker hands over.
    Handover {
        relay: u8,
        to: u8,
        from: u8,
        len: u16,
    },
    /// A connection had no room for data.
    NoRoom {
        relay: u8,
        len: u16,
    },
    /// A relay socket that nobody waits for.
    Opened {
        relay: u8,
        peer: u8,
    },
    /// The next relay socket does not open.
    OpeningFails(Failure),
    Time {
        millis: u32,
        noticed: bool,
    },
    /// Somebody sets the clock.
    Clock(u64),
    Disconnect {
        client: u8,
    },
    Stop,
}

#[derive(Arbitrary, Debug)]
pub enum Ask {
    Binding,
    Allocate {
        transport: Option<u8>,
        lifetime: Option<u32>,
        even: Option<u8>,
        family: Option<u8>,
        token: Option<u8>,
    },
    Refresh {
        lifetime: Option<u32>,
        family: Option<u8>,
    },
    CreatePermission(Vec<u8>),
    ChannelBind {
        number: u16,
        peer: u8,
    },
    /// Any type, without attributes.
    Other(u16),
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    Right,
    Unsigned,
    WrongPassword,
    /// With the nonce of another client.
    OtherNonce,
    NoNonce,
    NoRealm,
    /// With MESSAGE-INTEGRITY-SHA256 and the password algorithms.
    Sha256,
}

#[derive(Arbitrary, Debug)]
pub enum Damage {
    None,
    Byte { at: u16, value: u8 },
    Cut(u8),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Failure {
    NoPort,
    NoReservation,
    Exhausted,
    System,
}
