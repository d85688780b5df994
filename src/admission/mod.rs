//! Who may do how much, and which peers may be reached.
//!
//! Knows no socket and no clock. Each file is one rule: [`peer_filter`], [`quota`], [`bandwidth`], [`rate_limit`].

pub mod bandwidth;
mod client_network;
pub mod peer_filter;
pub mod quota;
pub mod rate_limit;

pub(crate) use client_network::ClientNetwork;

/// What admission needs to know.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Which peers may be reached.
    pub peers: peer_filter::Settings,
    /// How many allocations there may be.
    pub quotas: quota::Settings,
    /// How many bytes per second may be relayed.
    pub bandwidth: bandwidth::Settings,
    /// How many replies a client gets that has not authenticated.
    pub unauthenticated_replies: rate_limit::Settings,
}
