//! How many allocations there may be: per user, per client address, in total.

/// Limits on simultaneous allocations.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Per user id.
    pub per_user: u32,
    /// Per client address (IPv6: per /64).
    pub per_client_address: u32,
    /// On this server.
    pub total: u32,
}
