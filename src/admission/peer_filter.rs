//! Which peers may be reached: denied and allowed address ranges.

use std::net::IpAddr;

/// Which peers may be reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether the special-purpose ranges of [`SPECIAL_PURPOSE`](self) are denied.
    pub deny_special_purpose: bool,
    /// Denied besides those.
    pub denied: Vec<PeerRange>,
    /// Allowed although denied.
    pub allowed: Vec<PeerRange>,
    /// The host's own addresses, denied unless allowed by name.
    pub own_addresses: Vec<IpAddr>,
}

/// An inclusive range of addresses of one family, as the operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRange {
    first: IpAddr,
    last: IpAddr,
    text: String,
}
